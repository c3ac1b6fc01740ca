"""What tests of the strike behind the real daemon share: a crowd, both processes frozen, the words of its program."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.kernel.bpf import layout, parent_of
from lmkd_py.kernel.bpf.pins import obj_get
from tests.daemon.driver import Daemon, wait_until
from tools.observer.observer import Kill, Observer

LISTED = 40
SPARE_ALL = PolicyConfig(thrashing_limit_pct=1_000_000, thrashing_limit_critical_pct=3_000_000)  # rows 7 to 11 silent
TAG = f"{os.getpid():x}"  # in each name: pids come again, and other tests may have crowds of their own


def crowd(board: Sandbox, count: int = LISTED) -> list[App]:
    """The most expendable first, as the list will have them."""
    return [board.start_app(f"c{999 - number}-{TAG}", 999 - number, 0.5) for number in range(count)]


def layer_of(daemon: Daemon) -> bool:
    """Whether the strike stands behind this daemon."""
    return bool(daemon.status().layers >> 3 & 1)


def freeze(daemon: Daemon) -> None:
    """Both processes, the killer first: nobody answers from here on."""
    for pid in (daemon.status().killer_pid, daemon.pid):
        os.kill(pid, signal.SIGSTOP)
        _wait_stopped(Path(f"/proc/{pid}/stat"))


def _wait_stopped(stat: Path) -> None:
    wait_until("it has stopped", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def thaw(daemon: Daemon) -> None:
    """Continue steward and killer with SIGCONT."""
    for pid in (daemon.pid, daemon.killer_pid):
        os.kill(pid, signal.SIGCONT)


def pins_of(root: Path) -> list[Path]:
    """A directory for each load of this state root that is in the kernel."""
    place = Path(parent_of(str(root)))
    return sorted(place.iterdir()) if place.is_dir() else []


def loads_of(root: Path) -> list[Path]:
    """Of those the ones that strike; the others tell of process events."""
    return [each for each in pins_of(root) if (each / "guard").exists()]


@contextmanager
def words_of(daemon: Daemon) -> Iterator[memoryview]:
    """The words of layout.py of the daemon's program, to read; they stay as they are when it has been taken out."""
    (pins,) = loads_of(daemon.root)
    fd = obj_get(str(pins / "guard"))
    with mmap.mmap(fd, layout.WORDS_BYTES, prot=mmap.PROT_READ) as area, memoryview(area) as view:
        os.close(fd)
        with view.cast("Q") as words:
            yield words


def wait_words(words: memoryview, word: int, more: int) -> None:
    """Until a counter of the program has grown by so much."""
    enough = words[word] + more
    wait_until(f"word {word} is {enough}", lambda: words[word] >= enough)


def stall_on(board: Sandbox, stall_us: int = 500_000) -> None:
    """Until tasks of the domain have waited for memory for so much longer: reclaim went on all that time."""
    enough_us = board.psi_total_us() + stall_us
    wait_until("the domain stalls on", lambda: board.psi_total_us() >= enough_us)


def dead_in_order(apps: list[App]) -> bool:
    """Nobody died before one that stands ahead of it in the list."""
    alive = [app.is_alive() for app in apps]
    return alive == sorted(alive)


def kills_of(observer: Observer, apps: Sequence[App], senders: Iterable[int] = ()) -> list[Kill]:
    """SIGKILLs sent to one of `apps`, and those to anybody by the processes `senders`, which live until now."""
    ours = {(app.pid, app.name[:15]) for app in apps}
    senders = set(senders)
    return [
        each for each in observer.kills() if (each.victim_pid, each.victim_comm) in ours or each.sender_pid in senders
    ]
