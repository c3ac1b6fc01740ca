"""The root file systems of virtual boards: Debian's arm64 Python, and busybox or systemd around it."""

from __future__ import annotations

import os
import py_compile
import sys
import tempfile
from pathlib import Path

from .. import debs
from .cpio import FILE, LINK

SUITE = "bookworm"
GUEST = (
    *("busybox-static", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "libcrypt1", "libexpat1", "libffi8", "liblzma5", "libbz2-1.0", "zlib1g"),
)
SYSTEMD = (*GUEST, "systemd", "systemd-oomd", "dbus")  # and all that they need
PYTHON = "usr/lib/python3.11"
# Not needed on a board, and dear where every file takes memory.
_WITHOUT = (
    "test",
    "idlelib",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "distutils",
    "curses",
    "sqlite3",
    "pydoc",
    "turtle",
    "config-",
)
_WITHOUT_LIBRARIES = ("_codecs_", "_ssl.", "_hashlib.", "_sqlite3.", "_curses", "_dbm.", "_tkinter", "_test")
# Of what systemd's packages depend on: what only serves to install them, and what nobody reads there.
_NOT_OF_SYSTEMD = ("perl", "/dpkg", "/apt", "/udev/hwdb", "debconf", "/locale", "libdb-5", "libsqlite3", "/security/")
# Accounts that Debian's packages make when they are installed.
_ACCOUNTS = "root:x:0:0::/:/bin/sh\nmessagebus:x:101:101::/:/bin/false\nsystemd-oom:x:102:102::/:/bin/false\n"
_GROUPS = "root:x:0:\nmessagebus:x:101:\nsystemd-oom:x:102:\n"
_ENDPOINT = """[Unit]
Description=ADB endpoint

[Service]
Environment=PYTHONPATH=/opt/lmkd PYTHONDONTWRITEBYTECODE=1 HOME=/ PATH=/usr/bin:/usr/sbin
ExecStart=/usr/bin/python3 -m lmkd_py.board.adbd --bare --root / --listen 10.0.2.15 --port %s --name board \\
    --auth never --keys /adb_keys --restart-with 'reboot -f'
StandardOutput=file:/dev/console
StandardError=file:/dev/console
OOMScoreAdjust=-1000
ManagedOOMPreference=omit
KillMode=process
Restart=always
"""
# Where applications may be put: watched as Debian has systemd-oomd watch a user's session.
_APPS = """[Slice]
MemoryAccounting=yes
ManagedOOMSwap=kill
ManagedOOMMemoryPressure=kill
ManagedOOMMemoryPressureLimit=50%
"""
Files = dict[str, tuple[int, bytes]]


def packages(has_systemd: bool, say: debs.Say = debs.to_stderr) -> Path:
    """Where the packages of such a root are unpacked; PackageError."""
    if has_systemd:
        return debs.unpack("arm64-systemd", SYSTEMD, SUITE, with_dependencies=True, architecture="arm64", say=say)
    return debs.unpack("arm64-guest", GUEST, SUITE, architecture="arm64", say=say)


def userland(has_systemd: bool, port: int, say: debs.Say = debs.to_stderr) -> Files:
    """Python, busybox and the libraries they need; with systemd its own programs and units. PackageError.

    port: where systemd is to run the ADB endpoint; busybox's init is told on the kernel's command line.
    """
    files: Files = {"bin": (LINK, b"usr/bin"), "sbin": (LINK, b"usr/bin"), "lib": (LINK, b"usr/lib")}
    wanted: tuple[str, ...] = ("usr/bin/", "usr/lib/")
    if has_systemd:
        wanted = (*wanted, "usr/sbin/", "usr/share/dbus-1/", "etc/systemd/", "etc/dbus-1/")
        files["sbin"] = (LINK, b"usr/sbin")
        files.update(_settings(port))
    root = packages(has_systemd, say)
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            where = path.relative_to(root).as_posix()
            if where.split("/")[0] in ("bin", "sbin", "lib"):  # packages from before the merge of /usr
                where = "usr/" + where
            if not where.startswith(wanted) or is_left_out(where, has_systemd):
                continue
            if path.is_symlink():
                files[where] = (LINK, os.readlink(path).encode())
            elif where.startswith(PYTHON) and where.endswith(".py"):
                files.update(compiled(path, where))
            else:
                files[where] = (FILE | (0o755 if os.access(path, os.X_OK) else 0o644), path.read_bytes())
    files["usr/bin/python3"] = (LINK, b"python3.11")
    files["usr/bin/sh"] = (LINK, b"busybox")
    return files


def _settings(port: int) -> Files:
    texts = {
        "etc/passwd": _ACCOUNTS,
        "etc/group": _GROUPS,
        "etc/machine-id": "6c6d6b645f7079206f6e20616e20726d\n",
        "etc/systemd/system/endpoint.service": _ENDPOINT % port,
        "etc/systemd/system/apps.slice": _APPS,
    }
    files: Files = {path: (FILE | 0o644, text.encode()) for path, text in texts.items()}
    unit = b"../endpoint.service"
    files["etc/systemd/system/multi-user.target.wants/endpoint.service"] = (LINK, unit)
    files["etc/systemd/system/default.target"] = (LINK, b"/usr/lib/systemd/system/multi-user.target")
    return files


def is_left_out(where: str, has_systemd: bool) -> bool:
    """Whether a board does without this file."""
    if not where.startswith(PYTHON):
        left_out = _NOT_OF_SYSTEMD if has_systemd else ("/systemd/",)
        return any(part in where for part in (*left_out, "/gconv/", "binfmt"))
    rest = where[len(PYTHON) + 1 :]
    library = rest.removeprefix("lib-dynload/")
    return rest.startswith(_WITHOUT) or (library != rest and library.startswith(_WITHOUT_LIBRARIES))


def compiled(path: Path, where: str) -> Files:
    """The bytecode file of a module, for the board's Python."""
    # Compiled here: under emulation it would take seconds at each start. Another Python's code is of no use there.
    if sys.version_info[:2] != (3, 11):
        return {where: (FILE | 0o644, path.read_bytes())}
    with tempfile.NamedTemporaryFile(suffix=".pyc") as out:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), out.name, "/" + where, doraise=True, invalidation_mode=mode)
        return {where + "c": (FILE | 0o644, Path(out.name).read_bytes())}
