"""The memory both processes see: a control page, the inbox (steward to killer) and the ring (killer to steward).

One memfd, laid out once. Words are 32 bits, so that a store is one store on 32-bit ARM too; every word has one
writer. A record in the inbox carries its own number and a check word: one that is not wholly visible yet on
another CPU reads as "not there" and is taken at the next wakeup, so no fence is needed.
"""

from __future__ import annotations

import mmap
import os
import struct

from ..wire.record import RECORD_SIZE

PAGE = 4096
INBOX_SLOTS = 1024  # a power of two; 5,000 registrations pass through in a handful of batches
INBOX_RECORD = struct.Struct("<IIiiIiqqqq")  # number op row pid uid adj rss start age value
INBOX_BYTES = INBOX_RECORD.size + 8  # and behind it, as a native word, its check
_CHECK = struct.Struct("=q")
FD_BATCH = struct.Struct("=I")  # the payload beside passed descriptors: how many they are
TEXT_OFFSET = 256
TEXT_BYTES = PAGE - TEXT_OFFSET
RING_OFFSET = PAGE + INBOX_SLOTS * INBOX_BYTES

# Control words by index. Written by the steward:
MODE = 0
INBOX_HEAD = 1
RING_TAIL = 2
# Written by the killer:
STATE = 16
INBOX_TAIL = 17
RING_HEAD = 18
LAYERS = 19
AWAITED_PID = 20  # the victim whose death is awaited, for the one who takes over; 0: nobody
AWAITED_SINCE_MS = 21  # low 32 bits of CLOCK_MONOTONIC in ms
EXIT_CODE = 22
FDS_HELD = 23  # candidate fds the killer holds, for the leak test and status
KILLS = 24
AWAITED_START = 25  # low 32 bits of the awaited victim's start time in ticks
RING_SLOTS = 26
CALLS = 28  # decisions for a kill, whether or not there was anybody to strike: so often memory was short
DEMOTED = 27  # how often a row was moved to an oom_score_adj below the one we were told; the steward tells them again

# MODE
STANDBY = 0  # drain the inbox, strike nobody
LIVE = 1
STOP = 2
# STATE
STARTING = 0
ARMED = 1
FAILED = 2

# inbox operations
ADD = 1  # one fd: pidfd
MOVE = 2  # new adj and age
DROP = 3
SIZED = 4  # two fds: statm, oom_score_adj
UNSIZED = 5
POLICY = 6  # row: index in PolicyConfig, value
GENERATION = 7  # the POLICY values before it are in force as config generation `value`
ADOPT = 8  # one fd: the victim a former killer struck; value: when
FDS_OF = {ADD: 1, SIZED: 2, ADOPT: 1}

WORD_MASK = 0xFFFFFFFF


def shared_bytes(ring_slots: int) -> int:
    """Size of the whole mapping in bytes."""
    return RING_OFFSET + ring_slots * RECORD_SIZE


class Shared:
    """The mapping of one killer's memfd. `words` are the control words, `map` the bytes."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.map = mmap.mmap(fd, os.fstat(fd).st_size)
        self.words = memoryview(self.map)[:TEXT_OFFSET].cast("I")
        self.ring_slots = (len(self.map) - RING_OFFSET) // RECORD_SIZE

    def close(self) -> None:
        """Unmap and close."""
        self.words.release()
        self.map.close()
        os.close(self.fd)

    def write_text(self, text: str) -> None:
        """Leave words for the steward: why the killer failed, or what it watches. Cut to the page."""
        data = text.encode("utf-8", "replace")[: TEXT_BYTES - 1]
        self.map[TEXT_OFFSET : TEXT_OFFSET + len(data) + 1] = data + b"\0"

    def read_text(self) -> str:
        """What the killer left."""
        data = self.map[TEXT_OFFSET : TEXT_OFFSET + TEXT_BYTES]
        return data[: data.find(b"\0")].decode("utf-8", "replace")

    def put_inbox(self, op: int, row: int, values: tuple[int, int, int, int, int, int, int]) -> bool:
        """Publish one record (pid, uid, adj, rss_pages, start_ticks, age, value); False when the inbox is full."""
        head = self.words[INBOX_HEAD]
        if (head - self.words[INBOX_TAIL]) & WORD_MASK >= INBOX_SLOTS:
            return False
        pid, uid, adj, rss, start, age, value = values
        data = INBOX_RECORD.pack(head, op, row, pid, uid, adj, rss, start, age, value)
        at = PAGE + (head % INBOX_SLOTS) * INBOX_BYTES
        self.map[at : at + INBOX_BYTES] = data + inbox_check(data)
        self.words[INBOX_HEAD] = (head + 1) & WORD_MASK
        return True


def inbox_check(data: bytes) -> bytes:
    """The check of a record: any byte seen stale changes it (a stale slot also has another number).

    Python's own hash: both ends have the same secret, since the killer is forked and not executed; and it costs the
    killer less than a sum in Python, at a moment when it may have somebody to strike.
    """
    return _CHECK.pack(hash(data))
