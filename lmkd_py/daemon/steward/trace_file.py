"""The trace: frames appended under <root>/traces/<boot id>/NNNN.lmkt, one file a steward, rotated when large."""

from __future__ import annotations

import os

from ...wire.frames import HEADER, NOTE, PROCESS, RECORD, STRIKE, frame_bytes
from ..shortage import is_shortage

ROTATE_BYTES = 32 << 20
KEEP_BYTES = 256 << 20
LATE_BYTES = 256 << 10  # what may wait for memory here; records beyond it wait in the ring


class TraceFile:
    """Whole frames in single writes; a torn tail after a power cut reads as 'never happened'.

    What the kernel has no memory to write is kept, in order, and written by the next call or catch_up().
    """

    def __init__(self, root: str, boot_id: str) -> None:
        self.directory = os.path.join(root, "traces", boot_id)
        os.makedirs(self.directory, exist_ok=True)
        self.path = ""
        self.fd = -1
        self.bytes = 0
        self.records = 0
        self.unsynced = False  # a power cut would take something that has to outlive it
        self.late = b""  # frames on their way into the file
        self._done = 0  # bytes of them that are there already
        self._full: list[int] = []  # former files that the disk does not have all of yet
        self._header = b""
        self._named: set[tuple[int, int]] = set()

    def begin(self, header: bytes) -> None:
        """Start the next file, or repeat the header in this one (a reload); later files begin with the same header."""
        self._header = header
        if self.fd < 0:
            self._next_file()
        else:
            self._write(frame_bytes(HEADER, header))

    def record(self, data: bytes) -> bool:
        """Append the bytes of one ring record; False when it has to wait in the ring."""
        if len(self.late) > LATE_BYTES and not self.catch_up():
            return False
        if self.bytes > ROTATE_BYTES and not self.late:
            try:
                self._next_file()
            except OSError:
                self.bytes = 0  # the disk refuses another file: go on with this one
        self._write(frame_bytes(RECORD, data))
        self.records += 1
        return True

    def process(self, pid: int, start_ticks: int, message: bytes) -> None:
        """Say who a pid is, once a file."""
        if (pid, start_ticks) not in self._named:
            self._write(frame_bytes(PROCESS, message))
            self._named.add((pid, start_ticks))

    def note(self, message: bytes) -> None:
        """Append something that happened to the daemon itself."""
        self._write(frame_bytes(NOTE, message))

    def strike(self, message: bytes) -> None:
        """Append a kill by the kernel's own hand."""
        self._write(frame_bytes(STRIKE, message))

    def sync(self) -> None:
        """Have the disk keep what has been filed by now; waits for it."""
        if self.catch_up():
            self._sync()

    def close(self) -> None:
        """Everything on disk."""
        if self.fd >= 0:
            self.catch_up()
            self._sync()
            os.close(self.fd)
            self.fd = -1

    def catch_up(self) -> bool:
        """Write what is late; True when nothing is."""
        while self.late:
            try:
                self._done += os.write(self.fd, memoryview(self.late)[self._done :])
            except OSError as error:
                if is_shortage(error):
                    return False
                # A full disk must not stop the steward: what cannot be written is dropped, whole frames at a time.
                self._done = len(self.late)
            if self._done == len(self.late):
                self.late, self._done = b"", 0
        return True

    def _sync(self) -> None:
        self.unsynced = False  # a disk that fails is not asked again for the same
        while self._full:
            fd = self._full.pop()
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        os.fdatasync(self.fd)

    def _next_file(self) -> None:
        self._make_room()
        numbers = [
            int(name[:-5]) for name in os.listdir(self.directory) if name.endswith(".lmkt") and name[:-5].isdigit()
        ]
        path = os.path.join(self.directory, f"{max(numbers, default=0) + 1:04d}.lmkt")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self.unsynced:
            self._full.append(self.fd)
        elif self.fd >= 0:
            os.close(self.fd)
        self.path, self.fd, self.bytes = path, fd, 0
        self._named.clear()
        self._write(frame_bytes(HEADER, self._header))

    def _make_room(self) -> None:
        """Keep the traces of all boots together below KEEP_BYTES; the oldest go first."""
        traces = os.path.dirname(self.directory)
        files = []
        for boot in os.listdir(traces):
            for name in os.listdir(os.path.join(traces, boot)):
                path = os.path.join(traces, boot, name)
                status = os.stat(path)
                files.append((status.st_mtime_ns, path, status.st_size))
        excess = sum(size for _, _, size in files) + ROTATE_BYTES - KEEP_BYTES
        for _, path, size in sorted(files):
            if excess <= 0:
                break
            if path != self.path:
                os.unlink(path)
                excess -= size

    def _write(self, data: bytes) -> None:
        self.late += data
        self.bytes += len(data)
        try:
            self.catch_up()
        except MemoryError:
            pass  # it is in there, so the caller must not bring it again
