"""Imports go down the floors, and what goes to a device imports next to nothing (every import is paid twice there)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import Import, imported_names, imports, module_of, sources
from tests.support import REPO_ROOT

# A room, and the rooms it may import from. Everything not named here is forbidden.
FLOORS = {
    "core": set(),
    "pb": set(),
    "kernel": {"core"},
    "wire": {"core"},
    "daemon": {"core", "kernel", "wire"},
    "ondevice": {"core", "wire"},
    "host": {"core", "wire", "pb", "ondevice"},
    "board": {"core", "wire", "kernel", "host", "pb", "ondevice"},
    "analysis": {"core", "wire", "pb"},
    "tuning": {"core", "wire", "pb", "analysis"},
    "cli": {"core", "wire", "kernel", "host", "pb", "board", "analysis", "tuning"},
}

# Third-party packages a room may use. The payload and core have none.
PACKAGES = {
    "pb": {"google"},
    "host": {"google", "adb_shell", "cryptography"},
    "board": {"google"},
    "analysis": {"google", "numpy"},
    "tuning": {"google", "numpy"},
    "cli": {"typer", "rich"},
}

PAYLOAD = ("core", "kernel", "wire", "daemon")

# The standard library as the payload may use it: C modules and thin wrappers of them. A new line here needs its
# price in resident memory beside it (two processes pay it).
PAYLOAD_LIBRARY = {
    *("__future__", "typing", "enum", "sys", "os", "errno", "stat", "time", "signal", "gc", "math", "operator"),
    *("struct", "array", "mmap", "select", "fcntl", "resource", "binascii", "zlib", "_thread"),
    "ctypes",  # 0.7 MB: every system call the standard library lacks
    "socket",  # 0.4 MB: SCM_RIGHTS and the control socket
    # The interpreter, socket and signal load these anyway.
    *("abc", "collections", "_collections", "_collections_abc", "_signal", "_socket"),
    *("_sha2", "_sha256"),  # the hash behind hashlib, without OpenSSL; its name depends on the Python
}
# (file, module) that stand behind a cheap way that nearly every Python has.
FALLBACKS = {("lmkd_py/wire/config.py", "hashlib")}
# Cheap looking, dear in truth: 2 to 10 MB each, or pulling in one that is.
PAYLOAD_NEVER = {
    *("dataclasses", "logging", "asyncio", "json", "argparse", "google", "inspect", "hashlib", "subprocess"),
    *("pathlib", "tempfile", "shutil", "unittest", "decimal", "random", "email", "http", "urllib", "ast", "tokenize"),
    *("concurrent", "multiprocessing", "traceback", "site"),
}
CORE_NEVER = {"os", "time", "io", "ctypes", "logging"}

SPEECHLESS = ("core", "kernel", "wire", "host", "analysis", "tuning")  # only cli (and programs) print or exit


def all_imports(*rooms: str) -> list[Import]:
    return [found for room in rooms for path in sources(f"lmkd_py/{room}") for found in imports(path)]


def running(*rooms: str) -> list[Path]:
    """Files of these rooms but for the selftest program, which is no part of the running daemon."""
    files = (path for room in rooms for path in sources(f"lmkd_py/{room}"))
    return [path for path in files if "selftest" not in (path.stem, path.parent.name)]


def test_relative_and_hidden_imports_are_seen() -> None:
    source = "from ..wire import frames\nfrom . import ladder\ndef f():\n    import json.decoder\n"
    names = [name for _, name in imported_names(source, ("lmkd_py", "core"))]
    assert names == ["lmkd_py.wire.frames", "lmkd_py.core.ladder", "json.decoder"]


def test_every_room_stands_on_a_floor() -> None:
    rooms = {path.parent.name for path in (REPO_ROOT / "lmkd_py").glob("*/__init__.py")}
    assert rooms <= set(FLOORS), "a new room needs its line in FLOORS (and in the design)"


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_only_from_the_floors_below(room: str) -> None:
    allowed = FLOORS[room] | {room}
    for found in all_imports(room):
        if found.name.startswith("lmkd_py."):
            assert found.name.split(".")[1] in {*allowed, "__version__"}, f"{found.where} imports {found.name}"


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_uses_only_its_own_third_party_packages(room: str) -> None:
    allowed = PACKAGES.get(room, set()) | {"lmkd_py"} | sys.stdlib_module_names | PAYLOAD_LIBRARY
    for found in all_imports(room):
        assert found.name.split(".")[0] in allowed, f"{found.where} imports {found.name}"


# The folders of `kernel`, and which of them each may import from.
KERNEL_FLOORS = {
    "acting": set(),
    "sensing": {"acting", "bpf"},
    "bpf": {"acting", "sensing"},  # of sensing: where the cgroups are
    "protection": {"acting", "sensing"},
}


@pytest.mark.parametrize("folder", KERNEL_FLOORS)
def test_a_folder_of_kernel_imports_only_from_those_below(folder: str) -> None:
    assert KERNEL_FLOORS.keys() == {path.parent.name for path in (REPO_ROOT / "lmkd_py/kernel").glob("*/__init__.py")}
    for found in (found for path in sources(f"lmkd_py/kernel/{folder}") for found in imports(path)):
        parts = found.name.split(".")
        if parts[:2] == ["lmkd_py", "kernel"]:
            assert parts[2] in KERNEL_FLOORS[folder] | {folder}, f"{found.where} imports {found.name}"


def test_core_touches_no_clock_file_or_system() -> None:
    for found in all_imports("core"):
        assert found.name.split(".")[0] not in CORE_NEVER, f"{found.where} imports {found.name}"


def test_the_payload_imports_only_cheap_modules_of_the_standard_library() -> None:
    for found in (found for path in running(*PAYLOAD) for found in imports(path)):
        top = found.name.split(".")[0]
        if (found.where.split(":")[0], top) in FALLBACKS:
            continue
        assert top in PAYLOAD_LIBRARY | {"lmkd_py"}, f"{found.where} imports {found.name}"


@pytest.mark.parametrize("room", SPEECHLESS)
def test_only_programs_print_or_exit(room: str) -> None:
    for path in sources(f"lmkd_py/{room}"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "input", "exit", "sys.exit"):
                pytest.fail(f"{path.relative_to(REPO_ROOT)}:{node.lineno} calls {ast.unparse(node.func)}")


def test_loading_the_whole_payload_loads_none_of_the_dear_modules() -> None:
    wanted = ", ".join(module_of(path) for path in running(*PAYLOAD))
    program = f"import sys; sys.path.insert(0, {str(REPO_ROOT)!r}); import {wanted}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & PAYLOAD_NEVER
    assert "lmkd_py" in loaded
