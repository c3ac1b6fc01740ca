"""Boards and devices for the tests of this room: small, and gone when the test is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lmkd_py.board.adbd.device import Device
from lmkd_py.board.adbd.space import probe_space
from lmkd_py.board.sandbox import Sandbox
from tests.board.adbd_tools import Adb
from tests.board.rack import Rack
from tests.support import require


@pytest.fixture
def make_board() -> Iterator[Callable[..., Sandbox]]:
    """Call it with a limit in MiB to get a board; all of them are closed at the end."""
    with ExitStack() as stack:
        yield lambda limit_mib=128: stack.enter_context(Sandbox(limit_mib))


@pytest.fixture(scope="session")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no mount namespace can be made."""
    why = probe_space(str(tmp_path_factory.mktemp("probe")))
    require(why is None, f"{why}: run as root, or where users may make namespaces")


@pytest.fixture
def make_device(spaces: None, tmp_path: Path) -> Iterator[Callable[..., tuple[Device, str]]]:
    """Call it with the options of a Device: the device and its address."""
    with ExitStack() as stack:

        def make(name: str = "virtual", **options: object) -> tuple[Device, str]:
            device = Device(str(tmp_path / f"device-{name}"), name, **options)  # type: ignore[arg-type]
            rack = stack.enter_context(Rack([device]))
            return device, rack.addresses[0]

        yield make


@pytest.fixture(scope="module")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adb]:
    """Debian's adb, one server a module."""
    tool = Adb(tmp_path_factory.mktemp("adb") / "home")
    try:
        yield tool
    finally:
        tool.close()
