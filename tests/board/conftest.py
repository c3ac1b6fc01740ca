"""Boards and devices for the tests of this room: small, and gone when the test is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lmkd_py.board.adbd.device import AdbdDevice
from lmkd_py.board.adbd.space import probe_space
from lmkd_py.board.sandbox import Sandbox
from tests.board.adbd_tools import Adb
from tests.board.module_boards import ModuleBoard, module_board
from tests.board.rack import Rack
from tests.suite.lab_build import wait_for_kernel
from tests.support import require


@pytest.fixture
def make_board() -> Iterator[Callable[..., Sandbox]]:
    """Call it with a limit in MiB to get a board; all of them are closed at the end."""
    with ExitStack() as stack:
        yield lambda limit_mib=128: stack.enter_context(Sandbox(limit_mib))


@pytest.fixture(scope="session")
def arm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleBoard]:
    """A board of this profile with the modules; pytest runs the tests of one profile after another, of all files."""
    with module_board(tmp_path_factory.mktemp(request.param), request.param) as made:
        yield made


@pytest.fixture(scope="session")
def lab_kernel() -> None:
    """The kernel of the board `lab` is there; waited for while this run builds it."""
    why = wait_for_kernel()
    require(not why, why)


@pytest.fixture(scope="session")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no mount namespace can be made."""
    why = probe_space(str(tmp_path_factory.mktemp("probe")))
    require(why is None, f"{why}: run as root, or where users may make namespaces")


@pytest.fixture
def make_device(spaces: None, tmp_path: Path) -> Iterator[Callable[..., tuple[AdbdDevice, str]]]:
    """Call it with the options of an AdbdDevice: the device and its address."""
    with ExitStack() as stack:

        def make(name: str = "virtual", **options: object) -> tuple[AdbdDevice, str]:
            options.setdefault("auth_mode", "always")  # tests of AUTH say otherwise
            device = AdbdDevice(str(tmp_path / f"device-{name}"), name, **options)  # type: ignore[arg-type]
            rack = stack.enter_context(Rack([device]))
            return device, rack.addresses[0]

        yield make


@pytest.fixture(scope="module")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adb]:
    """Debian's adb with a server of its own for each module."""
    tool = Adb(tmp_path_factory.mktemp("adb") / "home")
    try:
        yield tool
    finally:
        tool.close()
