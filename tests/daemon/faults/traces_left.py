"""What a daemon must not leave: descriptors of the dead while it runs, processes and pins when it ends."""

from __future__ import annotations

import os
import re
import socket
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.inherited import KICK_FD
from lmkd_py.daemon.steward.killers.killers_file import living
from lmkd_py.kernel.acting.syscalls import pidfd_getfd
from lmkd_py.kernel.bpf import parent_of
from lmkd_py.kernel.protection.lasting import find_lasting
from lmkd_py.wire.control import Request, Verb, encode_request
from lmkd_py.wire.control_client import REPLY_BYTES, connect

PATIENCE_S, PAUSE_S = 30.0, 0.2
ONE = b"\1" + bytes(7)
Held = tuple[Counter[str], Counter[str]]  # of the steward, of the killer


def fds_of(pid: int) -> Counter[str]:
    """What a process holds open, by kind; numbers of sockets and pids say nothing.

    Of each candidate the killer has a pidfd and "a candidate's" statm and oom_score_adj, the steward a pidfd.
    """
    names: Counter[str] = Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:  # the listing's own
            continue
        if name.endswith(".lmkt"):
            name = "trace"
        elif name.startswith("/dev/shm/"):
            name = "shared memory"
        elif re.fullmatch(r"/proc/\d+/(statm|oom_score_adj)", name):
            name = f"a candidate's {os.path.basename(name)}"
        names[name if name.startswith("anon_inode:") else name.partition(":[")[0]] += 1
    return names


def held_at_rest(root: Path, steward: int, killer: int) -> Held:
    """What both hold when neither is in the middle of anything: what they open and close in a turn does not count.

    Nor do descriptors of dead candidates whose removal waits in the killer's inbox: up to 15 removals wait for its next
    wakeup. It is woken, and has taken all of them. Nor does the client's connection that asks for this.
    """
    deadline = time.monotonic() + PATIENCE_S
    former = None
    while True:
        _served(root)
        _empty_inbox(root, killer, deadline)
        held = fds_of(steward), fds_of(killer)
        if held == former:
            return held
        assert time.monotonic() < deadline, f"never at rest: {held}, before that {former}"
        former = held
        time.sleep(PAUSE_S)


def held_again(first: Held, root: Path, steward: int, killer: int) -> str:
    """Wait until both hold what they held `first`; "", or what they hold more and less after that long.

    They do not at once: the steward closes what it has of dead killers one by one.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (last := held_at_rest(root, steward, killer)) != first and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    found = [
        f"{who}: {change} {dict(more)}"
        for who, before, after in zip(("steward", "killer"), first, last, strict=True)
        for change, more in (("more", after - before), ("less", before - after))
        if more
    ]
    return "; ".join(found)


def _served(root: Path) -> None:
    """The steward has answered, which it does between two turns and never in the start, and has closed our client."""
    with closing(connect(str(root))) as client:
        client.settimeout(PATIENCE_S)
        client.send(encode_request(Request(Verb.STATUS)))
        assert client.recv(REPLY_BYTES)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(REPLY_BYTES) == b""


def _empty_inbox(root: Path, killer: int, deadline: float) -> None:
    for pid, pidfd, shared in living(str(root)):
        if pid == killer:
            kick_fd = pidfd_getfd(pidfd, KICK_FD)
            while shared.words[layout.INBOX_HEAD] != shared.words[layout.INBOX_TAIL]:
                assert time.monotonic() < deadline, "the killer does not take what is in its inbox"
                os.write(kick_fd, ONE)
                time.sleep(0.01)
            os.close(kick_fd)
        os.close(pidfd)
        shared.close()


def left_behind(root: Path) -> list[str]:
    """Processes of this state root, and its pins."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(root) in words and any(b"lmkd_py.daemon" in word for word in words):
                found.append(f"process {entry.name}")
    if os.path.isdir(parent_of(str(root))):
        found += [f"pin {name}" for name in os.listdir(parent_of(str(root)))] or ["an empty pin directory"]
    return found + find_lasting(str(root))
