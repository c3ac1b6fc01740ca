"""How far the armed loop stays from the end of the interpreter's own stack of Python frames.

CPython from 3.11 on keeps frames in chunks of 16 KiB that it maps when a call does not fit any more and unmaps when
that call returns: a loop whose calls cross such an edge makes two system calls and a dozen page allocations each time
(measured: 8 to 121 pages a call). Older interpreters keep frames on the heap; there is nothing to watch.
"""

from __future__ import annotations

import ctypes
import sys

from ...core.vocabulary import ABSENT

FRAMES_ON_HEAP = sys.version_info < (3, 11)
CHUNK_BYTES = 16 << 10  # DATA_STACK_CHUNK_SIZE; doubled by the interpreter for a frame that would not fit
_LARGEST_CHUNK_BYTES = 1 << 20
_PAINT = 0xA5
# A frame's operand stack is not written before it is used; the largest on the kill path is well below this.
_UNWRITTEN_BYTES = 512
_STATE_WORDS = 64  # of PyThreadState; the three that matter lie in the first 40 of every version up to 3.13
_WORD = ctypes.sizeof(ctypes.c_size_t)

_thread_state = ctypes.pythonapi.PyThreadState_Get
_thread_state.restype = ctypes.c_void_p
_thread_state.argtypes = ()


def _locate() -> int:
    """Address of the words (chunk, top, limit) in this thread's state; 0 where there is no such stack, or none found.

    Their place differs between versions, so they are known by what they say: a page-aligned chunk, its end a power of
    two behind it, and a top in between.
    """
    state = _thread_state()
    words = (ctypes.c_size_t * _STATE_WORDS).from_address(state)
    for index in range(_STATE_WORDS - 2):
        chunk, top, limit = words[index], words[index + 1], words[index + 2]
        size = limit - chunk
        usual = CHUNK_BYTES <= size <= _LARGEST_CHUNK_BYTES and not size & (size - 1)
        if usual and not chunk % 4096 and chunk < top <= limit:
            return int(state) + index * _WORD
    return 0


class FrameStack:
    """paint() before the deepest calls are tried, spare_bytes() after them. Same thread, same chunk."""

    def __init__(self) -> None:
        self._at = _locate()
        self._painted = 0

    def _words(self) -> tuple[int, int]:
        words = (ctypes.c_size_t * 3).from_address(self._at)
        return words[1], words[2]

    def paint(self) -> None:
        """Mark what lies above the running frame; this also makes it resident."""
        if self._at:
            top, limit = self._words()
            ctypes.memset(top, _PAINT, limit - top)
            self._painted = top

    def spare_bytes(self) -> int:
        """Bytes that the deepest call since paint() left free in the chunk, at least; 0 if the calls went beyond it.

        ABSENT: not known. That is well where FRAMES_ON_HEAP and nowhere else.
        """
        if not self._at:
            return ABSENT
        limit = self._words()[1]
        if not self._painted < limit <= self._painted + _LARGEST_CHUNK_BYTES:
            return 0
        data = ctypes.string_at(self._painted, limit - self._painted)
        used = len(data.rstrip(bytes((_PAINT,)))) + _UNWRITTEN_BYTES
        return max(0, len(data) - used)
