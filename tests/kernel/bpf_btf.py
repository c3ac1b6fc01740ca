"""Builds BTF as a kernel would offer it, small: what the parser is tried on without a kernel."""

from __future__ import annotations

import struct
from collections.abc import Sequence

Members = Sequence[tuple[str, int, int]]  # name, type id, bit offset


class BtfBuilder:
    """Types get ids 1, 2, 3 in the order they are added."""

    def __init__(self) -> None:
        self.strings = bytearray(b"\0")
        self.types = bytearray()
        self.count = 0

    def _name(self, name: str) -> int:
        if not name:
            return 0
        self.strings += name.encode() + b"\0"
        return len(self.strings) - len(name) - 1

    def add(self, kind: int, name: str, size: int, extra: bytes = b"", vlen: int = 0, kind_flag: int = 0) -> int:
        self.types += struct.pack("<III", self._name(name), kind_flag << 31 | kind << 24 | vlen, size) + extra
        self.count += 1
        return self.count

    def integer(self, name: str, size: int) -> int:
        return self.add(1, name, size, struct.pack("<I", size * 8))

    def pointer(self, target: int) -> int:
        return self.add(2, "", target)

    def array(self, element: int, count: int) -> int:
        return self.add(3, "", 0, struct.pack("<III", element, 1, count))

    def compound(self, kind: int, name: str, size: int, members: Members, kind_flag: int = 0) -> int:
        extra = b"".join(struct.pack("<III", self._name(member), type_id, bits) for member, type_id, bits in members)
        return self.add(kind, name, size, extra, len(members), kind_flag)

    def struct(self, name: str, size: int, *members: tuple[str, int, int]) -> int:
        return self.compound(4, name, size, members)

    def enum(self, name: str, **values: int) -> int:
        extra = b"".join(struct.pack("<Ii", self._name(key), value) for key, value in values.items())
        return self.add(6, name, 4, extra, len(values))

    def raw(self) -> bytes:
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + bytes(self.types) + bytes(self.strings)


def small_kernel(percpu_rss: bool = True, memcg: bool = True) -> bytes:
    """A kernel with all that facts.resolve() asks for, at offsets of our choice; the older shapes where told."""
    btf = BtfBuilder()
    word, half = btf.integer("int", 4), btf.integer("short", 2)
    long = btf.integer("long", 8)
    pointer = btf.pointer(word)
    counter = btf.struct("percpu_counter", 40, ("lock", word, 0), ("count", long, 64))
    rss = btf.array(counter, 4) if percpu_rss else btf.struct("mm_rss_stat", 32, ("count", btf.array(long, 4), 0))
    inner = btf.struct("", 900, ("rss_stat", rss, 320))
    btf.struct("mm_struct", 1000, ("", inner, 64 * 8))
    volatile = btf.add(9, "", btf.add(8, "adj_t", half))
    btf.struct("signal_struct", 500, ("live", word, 32), ("flags", word, 800), ("oom_score_adj", volatile, 1616))
    start = "start_boottime" if percpu_rss else "real_start_time"
    task = [("signal", pointer, 800), (start, long, 1600), ("tgid", word, 2400), ("mm", pointer, 4000)]
    btf.struct("task_struct", 900, *task, ("group_leader", pointer, 3200), ("cgroups", pointer, 4800))
    btf.add(12, "bpf_task_from_pid", btf.add(13, "", word))
    if memcg:
        btf.enum("cgroup_subsys_id", cpu_cgrp_id=0, memory_cgrp_id=4)
        btf.struct("css_set", 400, ("subsys", btf.array(pointer, 14), 80))
        btf.struct("mem_cgroup", 3000, ("css", word, 0), ("nodeinfo", btf.array(pointer, 0), 2000 * 8))
        lruvec = btf.struct("lruvec", 200, ("pgdat", pointer, 1280))
        btf.struct("mem_cgroup_per_node", 900, ("lruvec", lruvec, 800))
        zone = btf.struct("zone", 1984, ("vm_stat", btf.array(long, 11), 14336))
        btf.struct("pglist_data", 9000, ("node_zones", btf.array(zone, 5), 0))
        btf.enum("zone_stat_item", NR_FREE_PAGES=0)
    return btf.raw()
