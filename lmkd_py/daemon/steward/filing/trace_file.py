"""The trace: frames appended to files of one state root, one file a steward, rotated when large.

The disk may be full, read-only or broken, from the start or for a while. The file then ends with its last whole frame,
what is to be filed waits here as long as there is room (records and strikes beyond it stay where they come from), and
once a second it is tried again.
"""

from __future__ import annotations

import os
from time import monotonic

from ....wire.frames import HEADER, NOTE, PROCESS, RECORD, STRIKE, FrameError, frame_bytes
from ...shortage import is_shortage
from .trace_directory import TraceDirectory

ROTATE_BYTES = 32 << 20
KEEP_BYTES = 256 << 20
LATE_BYTES = 256 << 10  # what may wait here; records and strikes beyond it wait in ring and kernel
LATE_HEADERS_BYTES = 1 << 20  # headers may: without theirs, records cannot be decided again
AT_ONCE_BYTES = 64 << 10  # of late frames in one write
RETRY_S = 1.0  # how soon a disk that refused is asked again


class TraceFile:
    """Whole frames, in order. `refusal` says why nothing is filed at present; "" while all is well.

    What the kernel has no memory to write is kept likewise, and written by the next call or catch_up().
    """

    def __init__(self, root: str, boot_id: str) -> None:
        self.place = TraceDirectory(root, boot_id)
        self.path = ""
        self.fd = -1
        self.bytes = 0  # in this file and on their way into it
        self.records = 0  # in the files of this steward
        self.unsynced = False  # a power cut would take something that has to outlive it
        self.refusal = ""
        self.recovered = False  # since somebody last looked
        self.dropped = 0  # frames that are no kills (names, notes): there was no room to keep them
        self.lost = 0  # records and strikes that were taken and never filed
        self.late: list[tuple[int, bytes]] = []  # kind and bytes of each frame on its way into the file
        self.late_bytes = 0
        self._gathers = False  # what is appended waits for flush(), as long as it is not much
        self._done = 0  # bytes of the first of them that are there already
        self._whole = 0  # bytes of the file that are whole frames
        self._retry_at = 0.0
        self._full: list[int] = []  # former files that the disk does not have all of yet
        self.header = b""  # of every file from now on
        self.files = 0  # begun by this steward

    @property
    def directory(self) -> str:
        """Where the files of this boot lie."""
        return os.path.join(self.place.root, "traces", self.place.boot_id)

    def begin(self, header: bytes) -> None:
        """Start the first file, or repeat the header in this one (a reload); later files begin with the same header."""
        self.header = header
        self._write(HEADER, header, LATE_HEADERS_BYTES)

    def gather(self) -> None:
        """Have what is appended from here on written together, by flush() at the latest."""
        self._rotate()
        self._gathers = True

    def flush(self) -> None:
        """Write what was gathered, as far as the disk and memory let us; the rest stays late."""
        self._gathers = False
        try:
            self.catch_up()
        except MemoryError:
            pass  # tried again after this round

    def accepts(self) -> bool:
        """Whether a record or a strike can be taken now."""
        if self.late_bytes > LATE_BYTES:
            self.catch_up()
        return self.late_bytes <= LATE_BYTES

    def record(self, data: bytes) -> bool:
        """Append the bytes of one ring record; False when it has to wait in the ring."""
        if not self.accepts():
            return False
        self._rotate()
        return self._write(RECORD, data)

    def strike(self, message: bytes) -> bool:
        """Append an in-kernel strike."""
        return self.accepts() and self._write(STRIKE, message)

    def process(self, message: bytes) -> bool:
        """Append who a pid is, once per file."""
        return self._write(PROCESS, message)

    def note(self, message: bytes) -> bool:
        """Append something that happened to the daemon itself; False when there is no room to keep it."""
        return self._write(NOTE, message)

    def sync(self) -> None:
        """Have the disk keep what has been filed by now; waits for it."""
        if self.catch_up() and self.fd >= 0:
            self._sync()

    def close(self) -> None:
        """Write what is still waiting, sync and close."""
        self._retry_at = 0.0
        self.catch_up()
        self.lost += sum(kind in (RECORD, STRIKE) for kind, _ in self.late)
        if self.fd >= 0:
            try:
                self._sync()
            except OSError as error:
                self.refusal = self.refusal or error.strerror or str(error)
            os.close(self.fd)
            self.fd = -1

    def catch_up(self) -> bool:
        """Write what is late, unless the disk has just refused; False when there was no memory for that."""
        if not self.late or self.wait_s() > 0:
            return True
        try:
            self._write_late()
        except OSError as error:
            if is_shortage(error):
                return False
            self._refused(error)
            return True
        self.recovered = self.recovered or bool(self.refusal)
        self.refusal = ""
        return True

    def wait_s(self) -> float:
        """Seconds until a disk that refused may be asked again; below 0: it has not refused."""
        return max(0.0, self._retry_at - monotonic()) if self.refusal else -1.0

    def _write_late(self) -> None:
        if self.refusal:
            self._trim()  # if that was refused, too
        while self.late:
            if self.fd < 0 or os.fstat(self.fd).st_nlink == 0:  # somebody removed it: what is filed there is gone
                self._next_file()
            frames, size = [], 0
            for _, data in self.late:
                frames.append(data)
                size += len(data)
                if size > AT_ONCE_BYTES:
                    break
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            self._done += os.write(self.fd, memoryview(data)[self._done :])
            self._settle()

    def _settle(self) -> None:
        """Forget the late frames that are in the file as a whole."""
        count = 0
        for kind, data in self.late:
            if self._done < len(data):
                break
            count += 1
            self._done -= len(data)
            self._whole += len(data)
            self.late_bytes -= len(data)
            self.records += kind == RECORD
        del self.late[:count]

    def _refused(self, error: OSError) -> None:
        self.refusal = error.strerror or str(error)
        if isinstance(error.filename, str):
            self.refusal = f"{error.filename}: {self.refusal}"
        self._retry_at = monotonic() + RETRY_S
        try:
            self._trim()
        except OSError:
            pass  # before the next try, then

    def _trim(self) -> None:
        """Let the file end with its last whole frame."""
        if self.fd >= 0 and os.fstat(self.fd).st_size > self._whole:
            os.ftruncate(self.fd, self._whole)
        self._done = 0

    def _sync(self) -> None:
        self.unsynced = False  # a disk that fails is not asked again for the same
        while self._full:
            fd = self._full.pop()
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        os.fdatasync(self.fd)

    def _rotate(self) -> None:
        if self.bytes > ROTATE_BYTES and not self.late:
            try:
                self._next_file()
            except OSError:
                self.bytes = 0  # the disk refuses another file: go on with this one

    def _next_file(self) -> None:
        self.place.make_room(KEEP_BYTES - ROTATE_BYTES, self.path)
        # All that takes memory comes before the change of files: it is complete, or has not begun.
        late, late_bytes, full, former = self.late, self.late_bytes, self._full, self.fd
        if not (late and late[0][0] == HEADER):
            data = frame_bytes(HEADER, self.header)
            late, late_bytes = [(HEADER, data), *late], late_bytes + len(data)
        if self.unsynced and former >= 0:
            full, former = [*full, former], -1
        self.path, self.fd = self.place.create()
        self.late, self.late_bytes, self._full = late, late_bytes, full
        self._done = self._whole = 0
        self.files += 1
        self.bytes = self.late_bytes
        if former >= 0:
            os.close(former)

    def _write(self, kind: int, payload: bytes, most_bytes: int = 0) -> bool:
        if self.late_bytes > (most_bytes or LATE_BYTES):
            self.dropped += 1
            return False
        try:
            data = frame_bytes(kind, payload)
        except FrameError:  # longer than any frame
            self.dropped += 1
            return False
        self.late.append((kind, data))
        self.late_bytes += len(data)
        self.bytes += len(data)
        if self._gathers and self.late_bytes <= min(AT_ONCE_BYTES, LATE_BYTES):
            return True
        try:
            self.catch_up()
        except MemoryError:
            pass  # it is in there, so the caller must not bring it again
        return True
