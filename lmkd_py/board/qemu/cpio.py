"""An initramfs as the kernel unpacks it: cpio in its `newc` form. The same content gives the same bytes.

Format: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources. Archives can be joined: the
kernel unpacks one after the other, so that what changes often lies behind a base that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

DIRECTORY, FILE, LINK, DEVICE = 0o040755, 0o100000, 0o120777, 0o020600
_TRAILER = "TRAILER!!!"


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _entry(number: int, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    text = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device of the file (2), device it is (2), length of the name, check
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(text), 0)
    return _padded(b"070701" + b"".join(b"%08x" % field for field in fields) + text) + _padded(data)


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Entries (mode with its type, contents; for a link its target) by path without a leading slash.

    Directories above an entry are made; /dev/console is, since init's streams are opened on it before it runs.
    """
    wanted = dict(files)
    wanted["dev/console"] = (DEVICE, b"")
    for path in list(wanted):
        above = path.rpartition("/")[0]
        while above and above not in wanted:
            wanted[above] = (DIRECTORY, b"")
            above = above.rpartition("/")[0]
    parts = [
        _entry(number, path, mode, data, (5, 1) if mode == DEVICE else (0, 0))
        for number, (path, (mode, data)) in enumerate(sorted(wanted.items()), 1)
    ]
    parts.append(_entry(0, _TRAILER, 0, b""))
    whole = b"".join(parts)
    return whole + b"\0" * (-len(whole) % 512)
