"""What the program must know of this kernel, found once and cached by the kernel's build id.

Its BTF says it all. A kernel without is experimented on for the offsets that the `current` programs need.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from typing import NamedTuple

from . import experiment, layout
from .btf import PATH, Btf

KERNEL_FUNCTIONS = (
    "bpf_task_from_pid",
    "bpf_task_release",
    "bpf_send_signal_task",
    "bpf_rcu_read_lock",
    "bpf_rcu_read_unlock",
    "bpf_iter_task_new",
    "bpf_iter_task_next",
    "bpf_iter_task_destroy",
    "bpf_cgroup_from_id",
    "bpf_cgroup_release",
    "bpf_task_under_cgroup",
)
FIRST, LAST = layout.TASK_SIGNAL, layout.ZONES  # the words resolved here
_TYPES = (
    *("task_struct", "signal_struct", "mm_struct", "percpu_counter", "css_set", "mem_cgroup", "mem_cgroup_per_node"),
    *("lruvec", "pglist_data", "zone", "cgroup_subsys_id", "zone_stat_item"),
)
_CACHE = struct.Struct(f"<8s32s{LAST - FIRST + 1}q{len(KERNEL_FUNCTIONS) + 1}i")
_MAGIC = b"lmkdbtf3"
UNKNOWN = -1  # an offset this kernel does not have (no memory cgroups), or that an experiment did not show


class KernelFacts(NamedTuple):
    """Words FIRST..LAST of the guard, and the BTF ids of KERNEL_FUNCTIONS (0: not in this kernel)."""

    words: tuple[int, ...]
    functions: tuple[int, ...]
    by_experiment: int = 0  # 1: the kernel has no BTF, and no function of it can be called

    def function_ids(self) -> dict[str, int]:
        """BTF ids of the functions that this kernel has, by name."""
        return {name: number for name, number in zip(KERNEL_FUNCTIONS, self.functions) if number}

    def knows(self, *words: int) -> bool:
        """Whether all of these words are known."""
        return all(self.words[word - FIRST] != UNKNOWN for word in words)


def resolve(btf_path: str = PATH) -> KernelFacts:
    """From the kernel's BTF. OSError if it offers none, ValueError if what every variant needs is not in it."""
    with open(btf_path, "rb") as file:
        btf = Btf(file.read(), (*_TYPES, *KERNEL_FUNCTIONS))
    values = dict.fromkeys(range(FIRST, LAST + 1), UNKNOWN)
    try:
        _task_words(btf, values)
        try:
            _memory_words(btf, values)
        except ValueError:
            values.update(dict.fromkeys(range(layout.CSS_MEMCG, LAST + 1), UNKNOWN))
    except (struct.error, IndexError, RecursionError) as error:
        raise ValueError(f"kernel BTF is damaged: {error!r}") from None
    return KernelFacts(tuple(values.values()), tuple(btf.function(name) for name in KERNEL_FUNCTIONS))


def _task_words(btf: Btf, values: dict[int, int]) -> None:
    task, signal = btf.struct("task_struct"), btf.struct("signal_struct")
    # Linux 5.5 renamed real_start_time.
    values[layout.TASK_START] = btf.member(task, "start_boottime", "real_start_time").offset
    values[layout.TASK_SIGNAL] = btf.member(task, "signal").offset
    values[layout.TASK_TGID] = btf.member(task, "tgid").offset
    values[layout.TASK_LEADER] = btf.member(task, "group_leader").offset
    values[layout.TASK_MM] = btf.member(task, "mm").offset
    values[layout.SIGNAL_ADJ] = btf.member(signal, "oom_score_adj").offset
    values[layout.SIGNAL_FLAGS] = btf.member(signal, "flags").offset
    values[layout.SIGNAL_LIVE] = btf.member(signal, "live").offset
    rss = btf.member(btf.struct("mm_struct"), "rss_stat")
    try:  # Linux 6.2: an array of per-cpu counters; before, a struct that holds an array of longs
        each, _ = btf.array(rss.type_id)
        first, step = rss.offset + btf.member(each, "count").offset, btf.size(each)
    except ValueError:
        inner = btf.member(rss.type_id, "count")
        first, step = rss.offset + inner.offset, btf.size(btf.array(inner.type_id)[0])
    # MM_FILEPAGES 0, MM_ANONPAGES 1, MM_SHMEMPAGES 3: anonymous enum, unchanged since Linux 4.5.
    for word, number in ((layout.MM_RSS_FILE, 0), (layout.MM_RSS_ANON, 1), (layout.MM_RSS_SHMEM, 3)):
        values[word] = first + number * step


def _memory_words(btf: Btf, values: dict[int, int]) -> None:
    values[layout.TASK_CGROUPS] = btf.member(btf.struct("task_struct"), "cgroups").offset
    controller = btf.constant("cgroup_subsys_id", "memory_cgrp_id")
    values[layout.CSS_MEMCG] = btf.member(btf.struct("css_set"), "subsys").offset + 8 * controller
    memcg = btf.struct("mem_cgroup")
    if btf.member(memcg, "css").offset:
        raise ValueError("struct mem_cgroup does not begin with its css")
    values[layout.MEMCG_NODEINFO] = btf.member(memcg, "nodeinfo").offset
    lruvec = btf.member(btf.struct("mem_cgroup_per_node"), "lruvec").offset
    values[layout.NODE_PGDAT] = lruvec + btf.member(btf.struct("lruvec"), "pgdat").offset
    zones = btf.member(btf.struct("pglist_data"), "node_zones")
    zone, values[layout.ZONES] = btf.array(zones.type_id)
    values[layout.PGDAT_ZONES] = zones.offset
    values[layout.ZONE_SIZE] = btf.size(zone)
    free = btf.constant("zone_stat_item", "NR_FREE_PAGES")
    values[layout.ZONE_FREE] = btf.member(zone, "vm_stat").offset + 8 * free


def build_id(path: str = "/sys/kernel/notes") -> bytes:
    """The kernel's build id from its ELF notes, at most 32 bytes; b"" if it has none."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError:
        return b""
    place = 0
    while place + 12 <= len(raw):
        name_size, size, kind = struct.unpack_from("=III", raw, place)
        name = raw[place + 12 : place + 12 + name_size]
        place += 12 + (name_size + 3 & ~3)
        if kind == 3 and name == b"GNU\0":
            return raw[place : place + size][:32]
        place += size + 3 & ~3
    return b""


def encode(key: bytes, facts: KernelFacts) -> bytes:
    """The cache file's contents for these facts."""
    body = _CACHE.pack(_MAGIC, key, *facts.words, *facts.functions, facts.by_experiment)
    return body + struct.pack("<I", zlib.crc32(body))


def decode(key: bytes, raw: bytes) -> KernelFacts | None:
    """The facts of a cache file; None if it is damaged, of another kernel or of another version of ours."""
    if len(raw) != _CACHE.size + 4 or zlib.crc32(raw[:-4]) != struct.unpack("<I", raw[-4:])[0]:
        return None
    magic, kernel, *numbers = _CACHE.unpack(raw[:-4])
    if magic != _MAGIC or kernel != key.ljust(32, b"\0"):
        return None
    words = LAST - FIRST + 1
    return KernelFacts(tuple(numbers[:words]), tuple(numbers[words:-1]), numbers[-1])


def explore() -> KernelFacts:
    """By experiment. OSError or ValueError if what every variant needs was not found."""
    found = experiment.find()
    words = tuple(found.get(word, UNKNOWN) for word in range(FIRST, LAST + 1))
    return KernelFacts(words, (0,) * len(KERNEL_FUNCTIONS), 1)


def _find() -> KernelFacts:
    try:
        return resolve()
    except (OSError, ValueError) as error:
        try:
            return explore()
        except (OSError, ValueError) as failure:
            raise ValueError(f"{error}; by experiment: {failure}") from None


def facts_of_this_kernel(cache_dir: str) -> KernelFacts:
    """Cached facts, else found and cached (where `cache_dir` is writable and the kernel has a build id)."""
    key = build_id()
    path = os.path.join(cache_dir, "btf.cache")
    cached = decode(key, _read_own(path, _CACHE.size + 5)) if key and cache_dir else None
    if cached is not None:
        return cached
    facts = _find()
    # An experiment of which a part failed may do better the next time.
    if key and cache_dir and (not facts.by_experiment or facts.knows(*experiment.WORDS)):
        try:
            _write_anew(path, encode(key, facts))
        except OSError:  # found anew the next time, too
            pass
    return facts


def _read_own(path: str, most_bytes: int) -> bytes:
    """Of a regular file that only we or root can have written; b"" for anything else. As wire/state_file.py reads."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        about = os.fstat(fd)
        safe = stat.S_ISREG(about.st_mode) and about.st_uid in (0, os.geteuid()) and not about.st_mode & 0o022
        return os.read(fd, most_bytes) if safe else b""
    except OSError:
        return b""
    finally:
        os.close(fd)


def _write_anew(path: str, data: bytes) -> None:
    new = path + ".new"
    try:
        os.unlink(new)
    except FileNotFoundError:
        pass
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(new, path)
