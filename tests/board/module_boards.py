"""Emulated boards with the modules of device/module, and programs of tests/board/onboard run on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmkd_py.board.qemu import modules
from lmkd_py.board.qemu.profile import PROFILES
from lmkd_py.core.config import Config, GuaranteeConfig, MonitorConfig
from lmkd_py.host.doctor import examine
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.push import push_atomic
from lmkd_py.host.service import Service
from lmkd_py.host.tree import Tree, push_tree
from lmkd_py.wire.config import encode_config
from tests.board.qemu_boards import ArmBoard, install
from tests.support import REPO_ROOT, wait_until

LAYER = 1 << 4  # of the PF_MEMALLOC window
PATIENCE_S = 400
PROGRAMS = Tree({
    f"tests/board/onboard/{path.name}": path.read_bytes()
    for path in (REPO_ROOT / "tests/board/onboard").glob("*.py")
})  # fmt: skip
Said = dict[str, tuple[str, ...]]


class ModuleBoard:
    """A board with both modules pushed and the shipped one loaded, the payload installed, and the programs at hand."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.folder = folder
        built = modules.build(PROFILES[profile].kernel)
        self.board = ArmBoard(folder, profile)
        self.device = self.board.device()
        self.service: Service = install(self.device).service
        push_tree(self.device, PROGRAMS, "/tmp/programs")
        for name in (modules.SHIPPED, modules.TEST):
            push_atomic(self.device, (built / name).read_bytes(), f"/tmp/{name}")
        self.doctor_before = self.doctor()
        self.must("mkdir -m 700 /tmp/required")
        pooled = Config(
            monitor=MonitorConfig(guarantee=GuaranteeConfig(reserve_kb=1024))
        )  # a small board takes none by itself
        push_atomic(self.device, encode_config(pooled), "/tmp/required/config.bin", 0o600)
        self.required_before = self.require_layer()
        self.must(f"insmod /tmp/{modules.SHIPPED}")

    def must(self, command: str) -> str:
        """Output of a shell command that must succeed."""
        return self.board.shell(command)  # a connection of its own: a long one does not outlive a drought

    def doctor(self) -> str:
        """What `lmkctl doctor` finds about the module: good, note or bad."""
        return next(finding.state for finding in examine(self.device, python="python3") if finding.name == "memalloc")

    def require_layer(self) -> list[str]:
        """Lines of a daemon that must reach this layer and is stopped once it is armed; the last is its exit code."""
        run = f"PYTHONPATH={self.service.layout.current} python3 -m lmkd_py.daemon run --root /tmp/required"
        return self.must(
            f"cd /tmp; {run} --require-layer 4 >/tmp/heard 2>&1 & d=$!; "
            "until grep -q ^armed: /tmp/heard || ! kill -0 $d 2>/dev/null; do sleep 0.2; done; "
            "kill $d 2>/dev/null; wait $d; c=$?; cat /tmp/heard; echo $c"
        ).splitlines()

    def program(self, *words: object) -> list[list[str]]:
        """Lines of a program of tests.board.onboard, as words. It runs beside us: in a drought nobody answers."""
        line = " ".join(map(str, words))
        path = f"PYTHONPATH={self.service.layout.current}:/tmp/programs"
        self.must(
            f"rm -f /tmp/said; ({path} python3 -m tests.board.onboard.{line} >/tmp/saying 2>&1; "
            "echo status $? >>/tmp/saying; mv /tmp/saying /tmp/said) </dev/null >/dev/null 2>&1 & true"
        )

        def output() -> str:
            time.sleep(2)  # each question takes memory and CPU of a board that is short of both
            device = self.board.device(retries=0)
            try:
                return device.ask(["sh", "-c", "cat /tmp/said 2>/dev/null"], timeout_s=20).text
            except DeviceError:  # the drought is not over
                return ""
            finally:
                device.close()

        said = wait_until(f"{words[0]} has ended", output, PATIENCE_S, lambda: self.board.machine.console()[-2000:])
        assert said.endswith("status 0"), said
        return [line.split() for line in said.splitlines() if line.strip()]

    def answers(self, *words: object) -> Said:
        """The same by the first word of each line."""
        return {first: tuple(rest) for first, *rest in self.program(*words)}


@contextmanager
def module_board(folder: Path, profile: str) -> Iterator[ModuleBoard]:
    """One that is up; in the end its kernel must have had nothing to complain about, and the modules must go."""
    made = ModuleBoard(folder, profile)
    try:
        yield made
        made.must("for m in lmkd_drain lmkd_memalloc; do [ ! -d /sys/module/$m ] || rmmod $m || exit 1; done")
        said = made.must("dmesg")
    finally:
        made.board.close()
    assert not [word for word in ("Oops", "WARNING:", "Unable to handle", "bad page") if word in said]
