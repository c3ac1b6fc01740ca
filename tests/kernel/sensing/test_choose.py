"""What domain.kind AUTO stands for, on trees as containers and machines show them, and in namespaces of this kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig
from lmkd_py.kernel.sensing.domain import DomainChoice, MixedMemory, choose, open_domain, resolved
from lmkd_py.kernel.sensing.domain.choose import SIGNS, Sign
from lmkd_py.kernel.sensing.domain.memory_of import MemorySizes, sizes
from lmkd_py.kernel.sensing.mounts import memcg_v1_root
from tests.kernel.cgroups import Pen
from tests.kernel.trees import ARM_V1, ARM_V2, SHAPES, TREES, meminfo
from tests.support import REPO_ROOT

V1 = "30 20 0:26 {root} /cg/memory rw - cgroup cgroup rw,memory\n"
V2 = "32 20 0:28 {root} /cg/v2 rw - cgroup2 cgroup2 rw\n"
FOREVER = "9223372036854771712\n"
MIB = 1 << 20


class Machine:
    """A tree with the memory of a captured board (361 MiB), and cgroups of our making."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc").mkdir(parents=True)
        for name in ("meminfo", "zoneinfo", "vmstat"):
            shutil.copy(TREES / ARM_V1 / "proc" / name, root / "proc" / name)
        self.mounts = ""
        self.own: list[str] = []
        self.init: list[str] = []

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def v1(self, own: str, init: str = "/", root: str = "/", top_is_root: bool = True, **limits: str) -> Machine:
        """limits: directory below the mount ("" as `top`), / as __, to its limit."""
        self.mounts += V1.format(root=root)
        self.own.append(f"4:memory:{own}")
        self.init.append(f"4:memory:{init}")
        self.write("cg/memory/cgroup.procs", "")
        if top_is_root:
            self.write("cg/memory/release_agent", "")
        for name, limit in limits.items():
            path = "" if name == "top" else name.replace("__", "/") + "/"
            self.write(f"cg/memory/{path}memory.limit_in_bytes", limit)
        return self

    def v2(self, own: str, init: str = "/", root: str = "/", top_is_root: bool = True, **limits: str) -> Machine:
        self.mounts += V2.format(root=root)
        self.own.append(f"0::{own}")
        self.init.append(f"0::{init}")
        if not top_is_root:
            self.write("cg/v2/cgroup.events", "populated 1\n")
            self.write("cg/v2/cgroup.procs", "7\n")
        for name, limit in limits.items():
            path = "" if name == "top" else name.replace("__", "/") + "/"
            self.write(f"cg/v2/{path}memory.max", limit)
            self.write(f"cg/v2/{path}cgroup.events", "populated 1\n")
        return self

    def lxcfs(self, mib: int) -> Machine:
        text = (TREES / ARM_V1 / "proc/meminfo").read_text()
        total = meminfo(ARM_V1)["MemTotal"]
        self.write("proc/meminfo", text.replace(f"{total} kB", f"{mib << 10} kB", 1))
        return self

    def choose(self) -> DomainChoice:
        self.write("proc/self/mountinfo", self.mounts)
        self.write("proc/self/cgroup", "\n".join(self.own) + "\n")
        self.write("proc/1/cgroup", "\n".join(self.init) + "\n")
        return choose(str(self.root))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


LIMIT = str(64 * MIB) + "\n"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_captured_machine_is_guarded_as_a_whole(shape: str) -> None:
    assert choose(str(TREES / shape)) == DomainChoice()
    domain = open_domain(MonitorConfig(), str(TREES / shape))
    assert domain.kind == DomainKind.SYSTEM
    domain.close()


def test_a_limit_on_our_own_unit_makes_no_container(machine: Machine) -> None:
    """systemd's MemoryMax on the service, v1 and v2, and on the slice above it."""
    both = machine.v1("/slice/lmkd", slice=FOREVER, slice__lmkd=LIMIT)
    both.v2("/slice/lmkd", "/init.scope", slice=LIMIT, slice__lmkd=LIMIT)
    choice = machine.choose()
    assert choice == DomainChoice()
    assert choice.describe() == "whole system: not in a container"


def test_in_a_v2_container_its_own_cgroup_is_guarded(machine: Machine) -> None:
    choice = machine.v2("/", top_is_root=False, top=LIMIT).choose()
    assert choice == DomainChoice(DomainKind.CGROUP_V2, "/cg/v2", "", Sign.TOP, 64 << 10)
    assert choice.describe() == f"v2 cgroup /cg/v2, limit 64 MiB: in a container, {SIGNS[Sign.TOP]}"


def test_in_a_container_a_limit_on_our_unit_alone_does_not_count(machine: Machine) -> None:
    choice = machine.v2("/slice/lmkd", top_is_root=False, top=LIMIT, slice__lmkd="4096\n").choose()
    assert (choice.path, choice.limit_kb) == ("/cg/v2", 64 << 10)
    other = Machine(machine.root.parent / "other")
    unlimited = other.v2("/lmkd", top_is_root=False, top="max\n", lmkd="4096\n").choose()
    assert (unlimited.kind, unlimited.sign) == (DomainKind.SYSTEM, Sign.TOP)
    assert "no memory limit of it is in sight" in unlimited.describe()


def test_in_a_v1_container_the_mount_shows_its_cgroup(machine: Machine) -> None:
    """As docker mounts it without a cgroup namespace."""
    choice = machine.v1("/docker/4f", "/docker/4f", root="/docker/4f", top_is_root=False, top=LIMIT).choose()
    assert (choice.kind, choice.path, choice.sign) == (DomainKind.MEMCG_V1, "/cg/memory", Sign.MOUNT)


def test_in_a_privileged_container_pid_1_tells_where_it_is(machine: Machine) -> None:
    """All of the host's hierarchy is mounted, there is no cgroup namespace."""
    choice = machine.v1("/docker/4f/app", "/docker/4f/init.scope", docker=FOREVER, docker__4f=LIMIT).choose()
    assert (choice.kind, choice.path, choice.sign) == (DomainKind.MEMCG_V1, "/cg/memory/docker/4f", Sign.INIT)


def test_in_a_namespace_the_top_is_the_container_wherever_pid_1_went(machine: Machine) -> None:
    """A v2 container that starts containers moves its processes to a child first: only then may it have controllers."""
    choice = machine.v2("/inner", "/inner", top_is_root=False, top=LIMIT, inner="max\n").choose()
    assert (choice.path, choice.limit_kb) == ("/cg/v2", 64 << 10)
    other = Machine(machine.root.parent / "other")
    choice = other.v2("/app/lmkd", "/init", top_is_root=False, top=LIMIT, app="max\n", app__lmkd="4096\n").choose()
    assert (choice.path, choice.limit_kb) == ("/cg/v2", 64 << 10)


def test_each_hierarchy_tells_for_itself_where_the_container_begins(machine: Machine) -> None:
    """Memory's is mounted whole, as a privileged container has it, v2 from the container on."""
    machine.v1("/docker/4f", "/docker/4f", docker=FOREVER, docker__4f=LIMIT)
    choice = machine.v2("/docker/4f", "/docker/4f", root="/docker/4f", top_is_root=False).choose()
    assert (choice.kind, choice.path) == (DomainKind.MEMCG_V1, "/cg/memory/docker/4f")


def test_a_limit_at_or_above_the_memory_is_none(machine: Machine) -> None:
    choice = machine.v2("/", top_is_root=False, top=f"{1 << 40}\n").choose()
    assert choice.kind == DomainKind.SYSTEM


def test_a_v1_cgroup_gets_the_v2_cgroup_of_the_same_tasks_for_its_psi(machine: Machine) -> None:
    machine.v1("/", top_is_root=False, top=LIMIT).v2("/", top_is_root=False)
    machine.write("cg/memory/cgroup.procs", "7\n")
    assert machine.choose().psi_path == "/cg/v2"
    machine.write("cg/v2/cgroup.procs", "7\n8\n")
    assert machine.choose().psi_path == ""


# -- two memories -------------------------------------------------------------------------------------------------


def test_the_whole_system_is_refused_where_meminfo_is_of_another_memory(machine: Machine) -> None:
    machine.lxcfs(64)
    with pytest.raises(MixedMemory) as refused:
        open_domain(MonitorConfig(domain=DomainConfig(kind=DomainKind.SYSTEM)), str(machine.root))
    assert "/proc/meminfo tells of 64 MiB, the kernel has 353 MiB" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_where_meminfo_shows_a_container_its_limited_cgroup_is_guarded(machine: Machine) -> None:
    choice = machine.lxcfs(64).v1("/lxc/web", lxc=FOREVER, lxc__web=LIMIT).choose()
    assert (choice.path, choice.sign) == ("/cg/memory/lxc/web", Sign.MEMORY)


def test_where_no_limit_of_the_container_is_in_sight_nothing_is_guarded(machine: Machine) -> None:
    assert machine.lxcfs(64).choose() == DomainChoice(sign=Sign.MEMORY)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(MixedMemory):
        open_domain(MonitorConfig(), str(machine.root))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("meminfo_mib", "host_mib", "mixed"),
    [
        (256, 24105, True),
        (24105, 24105, False),
        (24105, 5721, False),
        (3712, 4096, False),
        (2048, 4096, True),
        (0, 9, False),
    ],
)
def test_an_eighth_less_is_still_the_same_memory(meminfo_mib: int, host_mib: int, mixed: bool) -> None:
    assert MemorySizes(meminfo_mib << 10, host_mib << 10).mixed == mixed


def test_this_machine_has_one_memory() -> None:
    found = sizes()
    assert not found.mixed
    assert found.host_kb > 0


def test_a_kind_that_is_named_stays(machine: Machine) -> None:
    choice = DomainChoice(DomainKind.CGROUP_V2, "/cg/v2")
    named = MonitorConfig(domain=DomainConfig(DomainKind.MEMCG_V1, "/cg/memory/apps"))
    assert resolved(named, choice) == named
    auto = resolved(MonitorConfig(), choice)
    assert (auto.domain.kind, auto.domain.path) == (DomainKind.CGROUP_V2, "/cg/v2")


# -- live ---------------------------------------------------------------------------------------------------------

ASK = """from lmkd_py.kernel.sensing.domain import choose
c = choose()
print(c.kind, c.path, c.psi_path, c.sign, c.limit_kb)"""


def chosen(pen: Pen, flags: str, script: str = "") -> str:
    """AUTO in a child of `pen` with namespaces of its own."""
    program = (
        f'echo 0 > "$1/cgroup.procs"; echo 0 > "$2/cgroup.procs"; exec unshare {flags} sh -ec \'{script} exec "$@"\' sh'
    )
    words = ["sh", "-ec", program + ' "$3" -c "$4"', "sh", str(pen.directory), str(pen.twin), sys.executable, ASK]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root("makes cgroup namespaces")
def test_in_a_cgroup_namespace_of_this_kernel_its_cgroup_is_found() -> None:
    with Pen("choose") as pen:
        top, twin = memcg_v1_root(), str(pen.twin.parent)
        inside = f"mount --make-rprivate /; umount -l {top} {twin}; mount -t cgroup -o memory none {top};"
        inside += f" mount -t cgroup2 none {twin};"
        limit_kb = 64 << 10
        assert chosen(pen, "-C -m", inside) == f"1 {top} {twin} {Sign.TOP} {limit_kb}"
        # Without mounts of its own the namespace sees the host's, which begin above it.
        assert chosen(pen, "-C") == f"1 {pen.directory} {pen.twin} {Sign.MOUNT} {limit_kb}"
        assert chosen(pen, "-m").split()[0] == "0", "a limit on our own cgroup alone"


def test_a_tree_of_v2_alone_is_read_too() -> None:
    assert choose(str(TREES / ARM_V2)).describe() == "whole system: not in a container"
