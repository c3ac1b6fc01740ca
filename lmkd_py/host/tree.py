"""A directory of files that goes to a device as one archive and is compared there with one manifest."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from .device import TRANSFER_S, Device
from .errors import Fault
from .hashes import sha256
from .push import push_atomic
from .scripts import NEEDED, script

MANIFEST = "MANIFEST"
# sha256sum quotes other names, each kind in its own way.
_NAME = re.compile(r"[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)*")

# Hashes of all files there, sorted, hashed: $1 the directory. What Python compiles there is not part of the tree.
_FILES = f"find . -name __pycache__ -prune -o -type f ! -name {MANIFEST} -exec sha256sum {{}} +"
_COUNT = f"""cd "$1" && {_FILES} | LC_ALL=C sort | sha256sum"""
_VERIFY = f"""[ -d "$1" ] || exit {NEEDED}
s=$({_COUNT}) || exit {NEEDED}
[ "${{s%% *}}" = "$2" ] || {{ echo "files there differ: ${{s%% *}}" >&2; exit {NEEDED}; }}
"""
_UNPACK = f"""rm -rf "$1.new" && mkdir -p "$1.new" && tar -xf "$3" -C "$1.new" || exit 1
d=$1; set -- "$1.new" "$2" "$3"; {_VERIFY}
find "$1" -type d -exec chmod 755 {{}} + && find "$1" -type f -exec chmod 644 {{}} + || exit 1
if command -v restorecon >/dev/null; then restorecon -R "$1"; fi
find "$1" -type f -exec sync {{}} + && rm -rf "$d" && mv "$1" "$d" && rm -f "$3" && sync "${{d%/*}}" """


class Tree:
    """Files by their names below a directory. `digest` names the whole: it is the sha256 of the manifest."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        for name in files:
            if not _NAME.fullmatch(name) or ".." in name.split("/") or name == MANIFEST:
                raise ValueError(f"file name {name!r}: wanted letters, digits, ._+- and no ..")
        self.files = dict(sorted(files.items()))
        lines = sorted(f"{sha256(data)}  ./{name}\n" for name, data in self.files.items())
        self.manifest = "".join(lines).encode()
        self.digest = sha256(self.manifest)
        self.size = sum(map(len, self.files.values()))

    @classmethod
    def of(cls, folder: Path, pattern: str = "**/*") -> Tree:
        """Every regular file below a directory."""
        found = (path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink())
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in found})

    def archive(self) -> bytes:
        """A tar of it all, the same bytes each time."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in {**self.files, MANIFEST: self.manifest}.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()


def tree_is_there(device: Device, tree: Tree, folder: str) -> bool:
    """Whether the directory holds exactly these files."""
    return device.ask(script(_VERIFY, folder, tree.digest), root=True, timeout_s=TRANSFER_S).rc == 0


def push_tree(device: Device, tree: Tree, folder: str) -> bool:
    """Make a directory on the device hold exactly the tree; False when it did. It appears whole, by one rename.

    A directory that is there with other contents is replaced: choose names by the digest where that matters.
    """
    if tree_is_there(device, tree, folder):
        return False
    archive = f"{folder}.tar"
    push_atomic(device, tree.archive(), archive, 0o600)
    unpack = script(_UNPACK, folder, tree.digest, archive)
    result = device.run(unpack, root=True, timeout_s=TRANSFER_S, again=True)
    # Repeated after a cut, the archive may be gone because the work was done.
    if result.rc != 0 and not tree_is_there(device, tree, folder):
        if result.rc == NEEDED:
            raise device.error(Fault.VERIFY, f"{folder}: other files arrived than were sent", output=result.complaint)
        raise device.failed(result, f"unpacking {folder}", unpack)
    return True
