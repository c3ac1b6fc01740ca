"""Fetch traces: only what is new, only whole frames while a file may still grow, each byte proven by its hash.

Filed as `<out>/<class>/<serial>/<boot>/NNNN.lmkt`, byte for byte what lies on the device. The cursor beside them says
how much of each is verified and on disk; a file may be longer after a crash of the host, never shorter.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..wire.frames import Lost, read_frames
from ..wire.local_files import open_regular, read_bounded, write_whole
from .device import Device
from .errors import Fault
from .facts import Facts, facts_of
from .install import safe_root
from .names import file_name
from .pull import read_range
from .scripts import script
from .steps import Step

PIECE_BYTES = 512 << 10  # times 32 devices at once, and a few copies of each
# A frame is at most 64 KiB: a piece of this size without the end of one holds damage.
MAX_FRAME = (1 << 16) + 64
MAX_FILES = 4096
MAX_FILE_BYTES = 1 << 30
HEAD_BYTES = 512  # of a file: its first frame tells whose it is
CURSOR = "cursor.json"
MAX_CURSOR_BYTES = 1 << 24

# Regular files in real directories: root on the device must not read for us what a symbolic link leads to.
_LIST = """[ ! -h "$1" ] && cd "$1" 2>/dev/null || exit 0
find . -mindepth 2 -maxdepth 2 -type f -name "*.lmkt" -exec stat -c "%s %n" {} +"""
_ENTRY = re.compile(r"([0-9]{1,15}) \./([0-9a-f-]{8,64})/([0-9]{4,9})\.lmkt")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A trace file on the device."""

    boot: str
    number: int
    name: str
    size: int
    is_last: bool  # of its boot: it may still grow


@dataclass(slots=True)
class Collection:
    """What a collection knows; the steps fill it in."""

    device: Device
    out: Path
    root: str = ""
    device_class: str = ""
    facts: Facts = field(default_factory=Facts)
    folder: Path = Path()
    files: list[RemoteFile] = field(default_factory=list)
    fetched: int = 0  # bytes, this time
    frames: int = 0
    damaged: int = 0  # bytes that are no frames over there either
    changed: list[Path] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def look(state: Collection) -> None:
    """Whose traces these are and where they go."""
    device = state.device
    if not state.folder.parts:
        state.facts = facts_of(device)
        state.root = safe_root(device, state.root or state.facts.state_root)
        name = state.device_class or state.facts.device_class
        state.folder = state.out / file_name(name) / file_name(device.serial)


def list_files(state: Collection) -> None:
    """The trace files that the device has, oldest first."""
    listed = state.device.must(script(_LIST, f"{state.root}/traces"), "listing traces")
    found: list[tuple[str, int, str, int]] = []
    for line in listed.out.decode("utf-8", "replace").splitlines():
        match = _ENTRY.fullmatch(line)
        if match and int(match[1]) <= MAX_FILE_BYTES and len(found) < MAX_FILES:
            found.append((match[2], int(match[3]), f"{match[3]}.lmkt", int(match[1])))
        elif line and len(state.complaints) < 8:
            state.complaints.append(f"passed over {line[:100]!r}: no trace file of ours")
    last = {boot: max(number for other, number, _, _ in found if other == boot) for boot, _, _, _ in found}
    state.files = [
        RemoteFile(boot, number, name, size, number == last[boot]) for boot, number, name, size in sorted(found)
    ]


def fetch(state: Collection) -> None:
    """Fetch the bytes after each file's cursor."""
    state.folder.mkdir(parents=True, exist_ok=True)
    with _alone(state):
        for file in state.files:
            _fetch_file(state, file)


COLLECT: tuple[Step[Collection], ...] = (
    Step("look at the device", look),
    Step("list its traces", list_files),
    Step("fetch what is new", fetch),
)


def _fetch_file(state: Collection, file: RemoteFile) -> None:
    path = f"{state.root}/traces/{file.boot}/{file.name}"
    folder, cursor = _place(state, file, path)
    at = cursor.get(file.name)
    if at >= file.size:
        return
    folder.mkdir(exist_ok=True)
    local = folder / file.name
    with local.open("ab") as out:
        out.truncate(at)  # what a crash of ours left behind the cursor
        out.seek(at)
        while at < file.size:
            data = read_range(state.device, path, at, min(PIECE_BYTES, file.size - at))
            whole, frames, damaged = whole_part(data, growing=file.is_last or at + len(data) < file.size)
            if not whole:
                break
            out.write(data[:whole])
            out.flush()
            os.fsync(out.fileno())
            at += whole
            cursor.set(file.name, at)
            state.fetched += whole
            state.frames += frames
            state.damaged += damaged
            if local not in state.changed:
                state.changed.append(local)


def whole_part(data: bytes, growing: bool) -> tuple[int, int, int]:
    """How much of a piece may be filed: bytes, whole frames and damaged bytes in it.

    growing: more may follow, so a torn end stays for the next time, unless it is longer than any frame.
    """
    whole = frames = damaged = 0
    for part in read_frames(data):
        if isinstance(part, Lost):
            length = part.length
            if growing and part.offset + length == len(data):
                # In the middle of the damage the last frame may be about to begin.
                length = max(0, length - MAX_FRAME)
            damaged += length
            whole = part.offset + length
        else:
            frames += 1
            whole = part.end
    return whole, frames, damaged


def _place(state: Collection, file: RemoteFile, path: str) -> tuple[Path, Cursor]:
    """Directory and cursor of a file. Another file of the same name (the root was purged) gets a directory `.2`."""
    head = b""
    for copy in range(1, 100):
        folder = state.folder / (file.boot if copy == 1 else f"{file.boot}.{copy}")
        cursor = Cursor(folder)
        have = cursor.get(file.name)
        if not have:
            return folder, cursor
        ours = _head(folder / file.name)[: min(have, file.size)]
        if len(head) < len(ours):
            head = read_range(state.device, path, 0, len(ours))
        if have > file.size:
            # A power cut took its end, which nobody has but us; what stands there now may be torn.
            ours = ours[: whole_part(head[: len(ours)], growing=True)[0] or len(ours)]
        if ours and head[: len(ours)] == ours:
            return folder, cursor
    raise state.device.error(Fault.LOCAL, f"{state.folder / file.boot}: 99 other files of this name", hint="tidy it up")


def _head(path: Path) -> bytes:
    with open(open_regular(str(path)), "rb") as file:
        return file.read(HEAD_BYTES)


class Cursor:
    """How many verified bytes of each file lie in a directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CURSOR
        self._sizes: dict[str, int] = {}
        try:
            said = json.loads(read_bounded(str(self._path), MAX_CURSOR_BYTES, 0.0))
            self._sizes = {str(name): int(size) for name, size in said["files"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass  # none, or not ours: everything is fetched again

    def get(self, name: str) -> int:
        """Bytes; 0 as well when the file has become shorter than that."""
        size = self._sizes.get(name, 0)
        try:
            return size if (self._path.parent / name).stat().st_size >= size else 0
        except OSError:
            return 0

    def set(self, name: str, size: int) -> None:
        """Written by rename, after the bytes themselves are on disk."""
        self._sizes[name] = size
        write_whole(str(self._path), (json.dumps({"schema": 1, "files": self._sizes}, indent=1) + "\n").encode())


@contextmanager
def _alone(state: Collection) -> Iterator[None]:
    """Hold the lock that allows one collection per device at a time."""
    with (state.folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise state.device.error(Fault.LOCAL, f"another lmkctl collects into {state.folder}") from None
        yield
