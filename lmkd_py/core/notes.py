"""What the daemon finds out about itself and its machine, as values. wire.sentences puts them into words."""

from __future__ import annotations

from typing import NamedTuple

from .vocabulary import ABSENT

# Layer 0 wants so many bytes to spare below the deepest call of the kill path: CPython 3.11 and newer map another chunk
# of frames at its end, with every call that crosses it.
FRAME_SPARE_WANTED_BYTES = 4096


class Note(NamedTuple):
    """One fact. Decisions look at kind, number, layer, errno and subject; `text` is for people alone."""

    monotonic_ns: int = 0  # when it happened; 0: it is how things stand
    kind: str = ""  # NoteKind
    text: str = ""  # in words what the other fields do not say
    number: int = 0  # what the kind counts or measures
    layer: int = ABSENT  # of the memory guarantee, that it is about; ABSENT: of none
    errno: int = 0  # why something was refused; 0: nothing was, or not by the kernel
    subject: str = ""  # what it is about: a trigger, a file, a cgroup


class ArmedTrigger(NamedTuple):
    """A trigger as it is in effect."""

    name: str = ""  # "psi some", "vmpressure low", "oom_control", "bpf kick", "psi total", ...
    settings: str = ""  # "140 ms in 2000 ms (stretched from 70/1000: no CAP_SYS_RESOURCE)"

    @property
    def words(self) -> str:
        """One line for people."""
        return f"{self.name}: {self.settings}"
