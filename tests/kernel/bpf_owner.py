"""Loads a strike for others to arm, and is killed: `python -m tests.kernel.bpf_owner SOCKET CGROUP CACHE PIN LEASE`.

It hands the maps to whoever holds the other end, not the link, and waits to be killed.
"""

from __future__ import annotations

import signal
import socket
import sys

from lmkd_py.kernel.bpf import VARIANT_LIST, Order, load_apart


def main() -> None:
    """Load, hand over, wait."""
    number, cgroup, cache, pin_dir, lease_ns = sys.argv[1:]
    channel = socket.socket(fileno=int(number))
    order = Order(cgroup, lease_ns=int(lease_ns), variants=(VARIANT_LIST,))
    arms = load_apart(order, cache, pin_dir)
    text = "\n".join(arms.notes).encode() or b"-"
    socket.send_fds(channel, [text], [arms.guard_fd, arms.rows_fd, arms.log_fd, arms.ring_fd])
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
