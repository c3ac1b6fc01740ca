"""The memory both processes see: a control page, the policy, the inbox (steward to killer) and the ring (killer to
steward).

One file in memory, laid out once; where it has a name (kernel/protection/lasting.py) it
outlives both.  Words are 32 bits, so that a store is one store on 32-bit ARM too; every word has one
writer. A record in the inbox carries its own number and a check word: one that is not wholly visible yet on
another CPU reads as "not there" and is taken at the next wakeup, so no fence is needed.
"""

from __future__ import annotations

import mmap
import os
import struct

from ..core.config import PolicyConfig
from ..wire.record import RECORD_SIZE
from ..wire.report import Report, decode_report, encode_report
from .shortage import is_shortage

PAGE = 4096
INBOX_SLOTS = 1024  # a power of two; 5,000 registrations pass through in a handful of batches
INBOX_RECORD = struct.Struct("<IIiiIiqqqq")  # number op row pid uid adj rss start age value
INBOX_BYTES = INBOX_RECORD.size + 8  # and behind it, as a native word, its check
_CHECK = struct.Struct("=q")
FD_BATCH = struct.Struct("=I")  # the payload beside passed descriptors: how many they are
REPORT_OFFSET = 256
_LENGTH = struct.Struct("=I")  # of the report behind it
REPORT_BYTES = PAGE - REPORT_OFFSET - _LENGTH.size
POLICY_OFFSET = PAGE
POLICY_BLOCK = struct.Struct(f"<{1 + len(PolicyConfig._fields)}q")  # config generation, fields of PolicyConfig
POLICY_BYTES = POLICY_BLOCK.size + 8  # and its check
INBOX_OFFSET = 2 * PAGE
RING_OFFSET = INBOX_OFFSET + INBOX_SLOTS * INBOX_BYTES

# Control words by index. Written by the steward:
MODE = 0
INBOX_HEAD = 1
RING_TAIL = 2
STAND_IN = 3  # triggers (a bit each) that a killer forked anew could not get back: it samples in their place
SKIPPED_TOLD = 4  # of SKIPPED, how many the trace declares
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
RING_SLOTS = 26  # written by the steward that made it, before the killer is there
# The strike that is about to be: written before the signal, so that none is ever without a trace.
STRIKING_PID = 29
STRIKING_START = 30  # low 32 bits of its start time in ticks
STRIKING_ADJ = 31
STRIKING_SEQ = 32  # of the record that will tell of it; as long as RING_HEAD is this, there is none
KILLER_PID = 33
TRIGGERS = 34  # armed, a bit each: 1 << its index in kernel.triggers.NAMES
BROKEN = 35  # those of them that broke since
SKIPPED = 36  # records without a kill that found no room
PROGRESS_SOURCE = 37  # core's ProgressSource of the killer's domain, for the header
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
UNSIZED = 5  # without its statm from here on
POLICY = 6  # another policy lies in its block
ADOPT = 8  # one fd: the victim a former killer struck; value: when
PINNED = 9  # one fd: oom_score_adj alone, of those that are not sized
SWAP = 10  # value: pages in swap
FDS_OF = {ADD: 1, SIZED: 2, ADOPT: 1, PINNED: 1}

WORD_MASK = 0xFFFFFFFF


def shared_bytes(ring_slots: int) -> int:
    """Size in bytes of the mapping with this many ring slots."""
    return RING_OFFSET + ring_slots * RECORD_SIZE


class Shared:
    """The mapping of one killer's memory. `words` are the control words, `map` the bytes, `path` its name, if any."""

    def __init__(self, fd: int, path: str = "") -> None:
        self.fd = fd
        self.path = path
        self.map = mmap.mmap(fd, os.fstat(fd).st_size)
        self.words = memoryview(self.map)[:REPORT_OFFSET].cast("I")
        self.ring_slots = (len(self.map) - RING_OFFSET) // RECORD_SIZE

    def has_our_records(self) -> bool:
        """Whether its slots have the length of our records. Fields that differ at that length show in each record."""
        return len(self.map) == shared_bytes(self.words[RING_SLOTS])

    def close(self) -> None:
        """Unmap the memory and close its descriptor."""
        self.words.release()
        self.map.close()
        os.close(self.fd)

    def forget(self) -> bool:
        """All that it holds is safe elsewhere or of no use: the name goes. False: there is no memory even for that."""
        if self.path:
            try:
                os.unlink(self.path)
            except (OSError, MemoryError) as error:
                return not is_shortage(error)
        return True

    def write_report(self, report: Report) -> None:
        """Killer, at arming: what the steward is to know, shortened where the page has no room for it."""
        data = encode_report(report, REPORT_BYTES)
        at = REPORT_OFFSET + _LENGTH.size
        self.map[at : at + len(data)] = data
        _LENGTH.pack_into(self.map, REPORT_OFFSET, len(data))

    def read_report(self) -> Report:
        """Steward: what the killer has written; an empty report before that, and where it died while it wrote."""
        (length,) = _LENGTH.unpack_from(self.map, REPORT_OFFSET)
        at = REPORT_OFFSET + _LENGTH.size
        try:
            return decode_report(self.map[at : at + length])
        except ValueError:  # MessageError
            return Report()

    def put_inbox(self, op: int, row: int, values: tuple[int, int, int, int, int, int, int]) -> bool:
        """Publish one record (pid, uid, adj, rss_pages, start_ticks, age, value); False when the inbox is full."""
        head = self.words[INBOX_HEAD]
        if (head - self.words[INBOX_TAIL]) & WORD_MASK >= INBOX_SLOTS:
            return False
        pid, uid, adj, rss, start, age, value = values
        data = INBOX_RECORD.pack(head, op, row, pid, uid, adj, rss, start, age, value)
        at = INBOX_OFFSET + (head % INBOX_SLOTS) * INBOX_BYTES
        self.map[at : at + INBOX_BYTES] = data + inbox_check(data)
        self.words[INBOX_HEAD] = (head + 1) & WORD_MASK
        return True

    def write_policy(self, policy: PolicyConfig, generation: int) -> None:
        """Leave a policy for the killer; the record that follows tells it to look."""
        data = POLICY_BLOCK.pack(generation, *policy)
        self.map[POLICY_OFFSET : POLICY_OFFSET + POLICY_BYTES] = data + inbox_check(data)

    def read_policy(self) -> tuple[int, PolicyConfig] | None:
        """The generation and policy that were left last; None while another one is being written."""
        behind = POLICY_OFFSET + POLICY_BLOCK.size
        data = self.map[POLICY_OFFSET:behind]
        if self.map[behind : POLICY_OFFSET + POLICY_BYTES] != inbox_check(data):
            return None
        generation, *values = POLICY_BLOCK.unpack(data)
        return generation, PolicyConfig(*values)


def inbox_check(data: bytes) -> bytes:
    """The check of a record: any byte seen stale changes it (a stale slot also has another number).

    Python's own hash: both ends have the same secret, since the killer is forked and not executed; and it costs the
    killer less than a sum in Python, at a moment when it may have somebody to strike.
    """
    return _CHECK.pack(hash(data))
