"""What can go wrong with a device, as switches: set at start by the command line, at any time by whoever holds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Faults:
    """Everything off by default. Counters count down as they strike; -1 is for ever."""

    drop_after: int = 0  # cut the connection once this many bytes went through it, both ways together; 0: never
    drop_times: int = -1  # how many connections drop_after and drop_on cut
    drop_on: str = ""  # cut the connection when a service or sync request that contains this is asked for
    slow_bytes_per_s: int = 0  # read no faster than this, with the smallest receive buffer the kernel gives
    no_space_after: int = -1  # bytes that sync still writes before ENOSPC; -1: no limit
    read_only: str = ""  # a device path under which sync writes nothing (EROFS)
    corrupt_files: int = 0  # how many files sync writes with one bit flipped; -1: all
    mute: bool = False  # says nothing at all, not even CNXN
    root_refused: bool = False  # `root:` as on a production build
    root_disconnect_s: float = -1.0  # `root:` always restarts the endpoint, away for this long; -1: only if needed
    boot_s: float = 0.0  # sys.boot_completed appears this long after start and after every reboot
    hostile: str = ""  # one of hostile.KINDS: lies to the client

    def strikes(self, name: str) -> bool:
        """Count one down; False once it has run out."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left != 0
