"""Where trace files lie: <root>/traces/<boot id>/NNNN.lmkt. Everything else in there is others': not read, not removed.

Every step goes through a descriptor of the directory before it and follows no symbolic link, so a name somebody put
there leads nowhere.
"""

from __future__ import annotations

import os
import stat
from errno import ENOTDIR, EPERM
from typing import NamedTuple

from ...shortage import is_shortage

SUFFIX = ".lmkt"
FEWEST_DIGITS, MOST_DIGITS = 4, 9
LAST_NUMBER = 10**MOST_DIGITS - 1
_BOOT_ID_PARTS = (8, 4, 4, 4, 12)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _File(NamedTuple):
    """A trace file of ours; sorted, the oldest comes first."""

    changed_ns: int
    boot: str
    name: str
    size: int


def number_of(name: str) -> int:
    """The number in NNNN.lmkt; 0 for any other name."""
    digits = name[: -len(SUFFIX)]
    if not (name.endswith(SUFFIX) and FEWEST_DIGITS <= len(digits) <= MOST_DIGITS):
        return 0
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def is_boot_id(name: str) -> bool:
    """Whether it looks like /proc/sys/kernel/random/boot_id: a UUID in small letters."""
    parts = name.split("-")
    return tuple(map(len, parts)) == _BOOT_ID_PARTS and not "".join(parts).strip("0123456789abcdef")


class TraceDirectory:
    """The files of one state root; new ones belong to the boot of `boot_id`."""

    def __init__(self, root: str, boot_id: str) -> None:
        self.root = root
        self.boot_id = boot_id

    def create(self) -> tuple[str, int]:
        """(path, descriptor) of the next file, empty, for appending. OSError where the disk or a name refuses it."""
        traces, boot = self._open(True)
        try:
            number = max((number_of(name) for name in os.listdir(boot)), default=0)
            while True:
                # Beyond the last name there is none of ours: then the first that is free.
                number = number + 1 if number < LAST_NUMBER else 1
                name = f"{number:0{FEWEST_DIGITS}d}{SUFFIX}"
                path = os.path.join(self.root, "traces", self.boot_id, name)  # takes memory: before it is open
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                try:
                    fd = os.open(name, flags, 0o600, dir_fd=boot)
                except FileExistsError:  # what is no file of ours may have such a name, too
                    continue
                return path, fd
        finally:
            os.close(boot)
            os.close(traces)

    def make_room(self, spare_bytes: int, keep: str) -> None:
        """Remove the oldest files of all boots until they are `spare_bytes` at most; never the one at path `keep`."""
        try:
            traces = self._open_all(False)
        except FileNotFoundError:
            return
        try:
            files = sorted(self._files(traces))
            excess = sum(file.size for file in files) - spare_bytes
            for file in files:
                if excess <= 0:
                    break
                if os.path.join(self.root, "traces", file.boot, file.name) != keep:
                    excess -= file.size if _removed(traces, file) else 0
        finally:
            os.close(traces)

    def tails(self, most_bytes: int, leave_out: str) -> list[bytes]:
        """The ends of this boot's files, the newest first, `most_bytes` in all; not of the file at path `leave_out`."""
        found: list[bytes] = []
        traces, boot = self._open(False)
        try:
            names = sorted(filter(number_of, os.listdir(boot)), key=number_of, reverse=True)
            for name in names:
                if most_bytes <= 0 or os.path.join(self.root, "traces", self.boot_id, name) == leave_out:
                    continue
                size = _size_of(name, boot)
                if size > 0:
                    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=boot)
                    try:
                        found.append(os.pread(fd, most_bytes, max(0, size - most_bytes)))
                    finally:
                        os.close(fd)
                    most_bytes -= len(found[-1])
        finally:
            os.close(boot)
            os.close(traces)
        return found

    def _open(self, make: bool) -> tuple[int, int]:
        """Descriptors of traces/ and of this boot's directory, made where they are missing if `make`."""
        traces = self._open_all(make)
        try:
            return traces, _enter(traces, self.boot_id, os.path.join(self.root, "traces"), make)
        except BaseException:
            os.close(traces)
            raise

    def _open_all(self, make: bool) -> int:
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _enter(root, "traces", self.root, make)
        finally:
            os.close(root)

    def _files(self, traces: int) -> list[_File]:
        found = []
        for boot in filter(is_boot_id, os.listdir(traces)):
            try:
                directory = os.open(boot, _DIRECTORY, dir_fd=traces)
            except OSError as error:
                if is_shortage(error):
                    raise
                continue
            try:
                for name in filter(number_of, os.listdir(directory)):
                    try:
                        about = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISREG(about.st_mode):
                        found.append(_File(about.st_mtime_ns, boot, name, about.st_size))
            finally:
                os.close(directory)
        return found


def _enter(parent: int, name: str, where: str, make: bool) -> int:
    path = os.path.join(where, name)
    if make:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass
    about = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(about.st_mode):
        raise OSError(ENOTDIR, "found something else, wanted a directory; remove it", path)
    if about.st_uid not in (0, os.geteuid()):
        raise OSError(EPERM, f"it belongs to user {about.st_uid}, wanted root or user {os.geteuid()}; chown it", path)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _size_of(name: str, directory: int) -> int:
    """Of a regular file; 0 for anything else."""
    about = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return about.st_size if stat.S_ISREG(about.st_mode) else 0


def _removed(traces: int, file: _File) -> bool:
    try:
        directory = os.open(file.boot, _DIRECTORY, dir_fd=traces)
        try:
            os.unlink(file.name, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:
        if is_shortage(error):
            raise
        return False  # it cannot be removed: the next one
    try:
        os.rmdir(file.boot, dir_fd=traces)  # of a boot that has no file any more
    except OSError:
        pass
    return True
