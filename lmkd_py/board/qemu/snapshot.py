"""A saved board: the machine's state, its disk at that moment, and what it needs to go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SandboxError

_PARTS = ("state", "disk", "initrd", "about.json")


class BoardSnapshot:
    """A directory; `profile` is empty for one that is read."""

    def __init__(self, place: Path, profile: str = "") -> None:
        self.place = place
        self.state, self._disk, self._initrd, self._about = (place / name for name in _PARTS)
        self.profile = profile or self._read()

    def _read(self) -> str:
        try:
            said = json.loads(self._about.read_text())
            profile: str = said["profile"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SandboxError(f"{self.place}: no snapshot; wanted one that lmkctl board snapshot made") from error
        return profile

    @contextmanager
    def writing(self) -> Iterator[BoardSnapshot]:
        """A snapshot beside it that takes its place when it is whole."""
        new = BoardSnapshot(Path(f"{self.place}.new"), self.profile)
        shutil.rmtree(new.place, ignore_errors=True)
        new.place.mkdir(parents=True, mode=0o700)
        try:
            yield new
            new._about.write_text(json.dumps({"profile": self.profile}))
            shutil.rmtree(self.place, ignore_errors=True)
            new.place.rename(self.place)
        finally:
            shutil.rmtree(new.place, ignore_errors=True)

    def pack(self, disk: Path, initrd: Path) -> None:
        """Copy both files into the snapshot, without room for blocks of zeros."""
        copy_sparse(disk, self._disk)
        copy_sparse(initrd, self._initrd)  # a board that restarts loads it again

    def unpack(self, disk: Path, initrd: Path) -> None:
        """Copies of the files that pack() took in."""
        copy_sparse(self._disk, disk)
        copy_sparse(self._initrd, initrd)


def copy_sparse(source: Path, target: Path) -> None:
    """A copy that takes no room for blocks of zeros."""
    block = 1 << 16
    empty = bytes(block)
    with source.open("rb") as old, target.open("wb") as new:
        while data := old.read(block):
            if data == empty:
                new.seek(len(data), 1)
            else:
                new.write(data)
        new.truncate(source.stat().st_size)
