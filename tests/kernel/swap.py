"""Swap on a zram device of our own. All of the machine has it meanwhile, so keep it short."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

from tests.support import IS_ROOT, require

CONTROL = Path("/sys/class/zram-control")


class ZramSwap:
    """`with ZramSwap(64)`: so many MiB; skips where there is no zram, or swap already."""

    def __init__(self, mib: int) -> None:
        require(IS_ROOT and (CONTROL / "hot_add").exists(), "needs root and zram for swap of its own")
        self._mib = mib
        self._number = ""

    @property
    def device(self) -> str:
        return f"/dev/zram{self._number}"

    def __enter__(self) -> ZramSwap:
        self._number = (CONTROL / "hot_add").read_text().strip()
        try:
            Path(f"/sys/block/zram{self._number}/disksize").write_text(f"{self._mib}M")
            subprocess.run(["mkswap", self.device], check=True, capture_output=True)
            done = subprocess.run(["swapon", "-p", "0", self.device], check=False, capture_output=True, text=True)
            require(not done.returncode, f"swapon is refused: {done.stderr}")
        except BaseException:
            self._remove()
            raise
        return self

    def stored_kb(self) -> int:
        return int(Path(f"/sys/block/zram{self._number}/mm_stat").read_text().split()[0]) >> 10

    def _remove(self) -> None:
        (CONTROL / "hot_remove").write_text(self._number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["swapoff", self.device], check=True, capture_output=True)
        self._remove()
