"""Kills by the kernel's own OOM killer, read afresh by the steward (and by every test that must not cause one)."""

from __future__ import annotations

import os

from ....core.vocabulary import ABSENT


def kills_in_flat_file(path: str) -> int:
    """The number behind "oom_kill" in vmstat, memory.oom_control or memory.events; ABSENT without such a line."""
    with open(path, "rb") as file:
        for line in file:
            key, _, value = line.partition(b" ")
            if key == b"oom_kill" and value.strip().isdigit():
                return int(value)
    return ABSENT


def kills_below(directory: str, name: str) -> int:
    """Sum over a cgroup and its descendants: a v1 cgroup counts only the victims that were its own members."""
    total = kills_in_flat_file(os.path.join(directory, name))
    if total == ABSENT:
        return ABSENT
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            try:
                total += max(kills_below(entry.path, name), 0)
            except OSError:  # a child that was removed meanwhile
                continue
    return total
