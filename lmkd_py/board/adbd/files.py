"""The device's files as sync and the forwarder reach them: no path, link or `..` leads out of the device's root."""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Iterator

from .linux import open_in_root

PATH_LIMIT = 1024  # bytes, as sync has it


class RootedFiles:
    """A tree seen from `root_fd`, which stays its owner's. `bare`: the tree is this machine's own."""

    def __init__(self, root_fd: int, bare: bool = False) -> None:
        self.root_fd = root_fd
        self.bare = bare

    def open(self, path: bytes, flags: int, mode: int = 0) -> int:
        """open(2) below the device's root; the new descriptor. Raises OSError."""
        if self.bare:
            return os.open(b"/" + path, flags | os.O_CLOEXEC, mode)
        return open_in_root(self.root_fd, path, flags, mode)

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """The opened directory of a path and the last name in it; OSError(EISDIR) where there is no such name."""
        head, _, name = path.rstrip(b"/").rpartition(b"/")
        if name in (b"", b".", b".."):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return self.open(head or b"/", os.O_PATH | os.O_DIRECTORY), name

    def stat(self, path: bytes, follow: bool) -> os.stat_result:
        """stat(2) below the device's root; lstat(2) unless `follow`. Raises OSError."""
        fd = self.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def make_directories(self, path: bytes, mode: int = 0o775) -> None:
        """mkdir -p; as adbd's umask is 0, its sync makes directories that their group may write to."""
        done = b""
        for name in path.split(b"/"):
            if not name:
                continue
            done += b"/" + name
            try:
                os.close(self.open(done, os.O_PATH | os.O_DIRECTORY))
                continue
            except FileNotFoundError:
                pass
            directory, last = self.parent(done)
            try:
                os.mkdir(last, mode, dir_fd=directory)
                os.chmod(last, mode, dir_fd=directory)
            except FileExistsError:
                pass
            finally:
                os.close(directory)

    def create(self, path: bytes, mode: int) -> int:
        """A fresh file in place of whatever had the name, its directories made as needed; an fd to write."""
        head = path.rstrip(b"/").rpartition(b"/")[0]
        try:
            directory, name = self.parent(path)
        except FileNotFoundError:
            self.make_directories(head)
            directory, name = self.parent(path)
        try:
            try:
                os.unlink(name, dir_fd=directory)
            except FileNotFoundError:
                pass
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(name, flags, mode, dir_fd=directory)
        finally:
            os.close(directory)

    def remove(self, path: bytes) -> None:
        """unlink; nothing happens if it is gone."""
        directory, name = self.parent(path)
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        finally:
            os.close(directory)

    def link(self, target: bytes, path: bytes) -> None:
        """A symbolic link in place of whatever had the name."""
        os.close(self.create(path, 0o600))  # makes the directories
        self.remove(path)
        directory, name = self.parent(path)
        try:
            os.symlink(target, name, dir_fd=directory)
        finally:
            os.close(directory)

    def entries(self, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Names in a directory with their lstat, `.` and `..` too, as adb's list wants it. Raises OSError at once."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as found:
                names = [b".", b"..", *(os.fsencode(entry.name) for entry in found)]
            for name in names:
                try:
                    yield name, os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
        finally:
            os.close(fd)

    def write(self, path: bytes, data: bytes, mode: int = 0o644) -> None:
        """A whole small file, replaced by rename so that a reader never sees half of it."""
        new = path + b".new"
        fd = self.create(new, mode)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
        directory, name = self.parent(path)
        try:
            os.rename(name + b".new", name, src_dir_fd=directory, dst_dir_fd=directory)
        finally:
            os.close(directory)


def is_regular(mode: int) -> bool:
    """Does this st_mode (as sync's SEND carries it) ask for a file? The file type may be left out."""
    return modes.S_IFMT(mode) in (0, modes.S_IFREG)
