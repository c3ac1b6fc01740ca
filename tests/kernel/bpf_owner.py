"""Loads a strike for others to arm, and is killed: `python -m tests.kernel.bpf_owner SOCKET CGROUP CACHE PIN LEASE`.

It hands the maps to whoever holds the other end, not the link, and waits to be killed.
"""

from __future__ import annotations

import signal
import socket
import sys

from lmkd_py.kernel.bpf import VARIANT_LIST, Order, load_apart


def main() -> None:
    """Load the program, pass its fds on, wait to be killed."""
    number, cgroup, cache, pin_dir, lease_ns = sys.argv[1:]
    channel = socket.socket(fileno=int(number))
    order = Order(cgroup, lease_ns=int(lease_ns), variants=(VARIANT_LIST,))
    attached = load_apart(order, cache, pin_dir)
    text = "\n".join(attached.notes).encode() or b"-"
    socket.send_fds(channel, [text], [attached.guard_fd, attached.rows_fd, attached.log_fd, attached.ring_fd])
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
