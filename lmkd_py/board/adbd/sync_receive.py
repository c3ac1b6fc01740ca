"""A file on its way to the device."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from .files import is_regular

if TYPE_CHECKING:
    from .device import AdbdDevice


class Receiver:
    """Writes one file of a SEND. After a failure `reason` says why and the rest is thrown away."""

    def __init__(self, device: AdbdDevice, path: bytes) -> None:
        self.device, self.path = device, path
        self.reason = ""
        self._fd = -1
        self._mode = 0o644
        self._link = b""
        self._is_link = False
        self._corrupt = False

    def begin(self, mode: int) -> None:
        """`mode` is st_mode in decimal, -1 if it was no number."""
        if mode < 0:
            self.reason = "no file mode in the request"
            return
        self._mode = mode & 0o777
        self._is_link = stat.S_ISLNK(mode)
        if not self._is_link and not is_regular(mode):
            self.reason = "neither a file nor a link"
            return
        try:
            self._refuse()
            if not self._is_link:
                with self.device.identity():
                    self._fd = self.device.files.create(self.path, 0o600)
                self._corrupt = self.device.faults.strikes("corrupt_files")
        except OSError as error:
            self._fail("couldn't create file", error)

    def _refuse(self) -> None:
        # The read_only fault.
        place = self.device.faults.read_only.encode()
        if place and (self.path + b"/").startswith(place.rstrip(b"/") + b"/"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def _fail(self, what: str, error: OSError) -> None:
        self.reason = f"{what}: {error.strerror}"
        self.give_up()

    def write(self, data: bytes) -> None:
        """Append a piece of the file."""
        if self.reason:
            return
        if self._is_link:
            self._link = (self._link + data)[:4096]
            return
        if self._corrupt and data:
            data = bytes((data[0] ^ 1,)) + data[1:]
            self._corrupt = False
        try:
            faults = self.device.faults
            if faults.no_space_after >= 0:
                faults.no_space_after -= len(data)
                if faults.no_space_after < 0:
                    faults.no_space_after = 0
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._fail("write failed", error)

    def finish(self, mtime: int) -> None:
        """Complete the file; mtime in seconds."""
        if self.reason:
            return
        try:
            if self._is_link:
                with self.device.identity():
                    self.device.files.link(self._link.rstrip(b"\0"), self.path)
                return
            os.fchmod(self._fd, self._mode)
            os.utime(self._fd, (mtime, mtime))
            os.close(self._fd)
            self._fd = -1
        except OSError as error:
            self._fail("couldn't finish file", error)

    def give_up(self) -> None:
        """Remove what is half written; nothing to do after finish()."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            try:
                self.device.files.remove(self.path)
            except OSError:
                pass
