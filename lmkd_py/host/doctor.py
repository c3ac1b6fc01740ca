"""What a device has and lacks for this daemon, each finding with what to do about it. Needs nothing installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.mountinfo import from_its_root, is_v1, parse_mountinfo
from .device import Device, RootKind
from .errors import DeviceError
from .facts import Facts, facts_of
from .python import find_python
from .scripts import script

GOOD, NOTE, BAD = "good", "note", "bad"
FREE_KB = 64 * 1024

# $1 the state root. Every line `name=value`; what cannot be read is missing.
_PROBE = """echo "version=$(cat /proc/version 2>/dev/null)"
[ -r /proc/pressure/memory ] && echo psi=1
[ -c /dev/lmkd_memalloc ] && echo memalloc=1
[ -d /sys/fs/bpf ] && echo bpf=1; [ -r /sys/kernel/btf/vmlinux ] && echo btf=1
echo "caps=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)"
command -v getenforce >/dev/null && echo "selinux=$(getenforce)"
command -v getprop >/dev/null && echo "lmkd=$(getprop init.svc.lmkd)"
[ -S /dev/socket/lmkd ] && echo lmkd_socket=1
for n in earlyoom nohang systemd-oomd; do pidof $n >/dev/null 2>&1 && echo "conflict=$n"; done
d=$1; while [ ! -d "$d" ]; do d=${d%/*}; done; df -Pk "${d:-/}" | tail -n 1 | { read -r _ _ _ f _; echo "free_kb=$f"; }
[ -d "$1/current/." ] && echo "release=$(readlink "$1/current")"
exit 0"""
_PYTHON = """import os,select
def t(f):
    try:
        f(); return 1
    except Exception:
        return 0
def w(us):
    fd=os.open('/proc/pressure/memory',os.O_RDWR|os.O_NONBLOCK)
    try: os.write(fd,b'some %d %d\\0'%(us//10,us))
    finally: os.close(fd)
import ctypes
l=ctypes.CDLL(None,use_errno=True)
print('pidfd=%d'%t(lambda:os.close(os.pidfd_open(os.getpid()))))
print('window=%d'%t(lambda:w(1000000)))
print('window2=%d'%t(lambda:w(2000000)))
l.syscall(448,-1,0); print('mrelease=%d'%(ctypes.get_errno()!=38))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, with advice."""

    name: str
    state: str  # good, note or bad
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    facts: Facts
    root: RootKind
    said: dict[str, str]
    conflicts: tuple[str, ...]
    python: str
    no_python: str


def examine(device: Device, root: str = "", python: str = "") -> list[Finding]:
    """Look at everything; DeviceError only when the device cannot be asked."""
    facts = facts_of(device)
    kind = device.root_kind()
    is_root = kind != RootKind.NONE
    probed = device.ask(script(_PROBE, root or facts.state_root), root=is_root)
    pairs = [line.partition("=")[::2] for line in probed.text.splitlines()[:64]]
    said = {name: value.strip()[:300] for name, value in pairs}
    said["vmpressure"] = _vmpressure_at(device, is_root)
    conflicts = tuple(value for name, value in pairs if name == "conflict")
    path = lack = ""
    if is_root:
        try:
            path = find_python(device, python)
            more = device.ask([path, "-c", _PYTHON], root=True)
            said.update(line.partition("=")[::2] for line in more.text.splitlines()[:8])
        except DeviceError as error:
            lack = error.text
    seen = _Seen(facts, kind, said, conflicts, path, lack)
    return [finding for check in CHECKS if (finding := check(seen)) is not None]


def _root(seen: _Seen) -> Finding:
    if seen.root == RootKind.NONE:
        return Finding("root", BAD, "none", "adb root on userdebug builds; else allow the shell in the root manager")
    return Finding("root", GOOD, seen.root.value)


def _machine(seen: _Seen) -> Finding:
    facts = seen.facts
    words = f"{facts.abi}, {facts.number('ram_kb') // 1024} MiB, kernel {facts.said.get('kernel', 'unknown')}"
    known = facts.abi in ("arm64", "arm", "x86_64")
    return Finding("machine", GOOD if known else BAD, words, "" if known else "wanted arm64, arm or x86_64")


def _boot(seen: _Seen) -> Finding | None:
    if seen.facts.is_booting:
        return Finding("boot", BAD, "not completed", "wait until it has booted")
    return None


def _python(seen: _Seen) -> Finding:
    if seen.python:
        return Finding("python", GOOD, seen.python)
    return Finding("python", BAD, seen.no_python or "not looked for without root", "name one with --python PATH")


def _psi(seen: _Seen) -> Finding:
    if not seen.said.get("psi"):
        return Finding("psi", BAD, "no /proc/pressure/memory", "needs CONFIG_PSI=y; boot with psi=1")
    if seen.said.get("window") == "1":
        return Finding("psi", GOOD, "windows of any length")
    if seen.said.get("window2") == "1":
        return Finding("psi", NOTE, "windows of 2 s only", "without CAP_SYS_RESOURCE a PSI trigger can be 2 s late")
    return Finding("psi", NOTE, "totals only; trigger windows untested or refused", "needs root and Python")


def _vmpressure_at(device: Device, is_root: bool) -> str:
    # Where the daemon would look: the v1 memory hierarchy, seen from its root. "" for nowhere.
    mounts = parse_mountinfo(device.ask(["cat", "/proc/self/mountinfo"], root=is_root).out)
    memory = from_its_root(mounts, lambda mount: is_v1(mount, "memory"))
    if memory is None:
        return ""
    file = f"{memory.point}/memory.pressure_level"
    return file if device.ask(["test", "-e", file], root=is_root).rc == 0 else ""


def _vmpressure(seen: _Seen) -> Finding:
    if seen.said.get("vmpressure"):
        return Finding("vmpressure", GOOD, seen.said["vmpressure"])
    return Finding("vmpressure", NOTE, "no v1 memory controller", "only PSI triggers will be used")


def _syscalls(seen: _Seen) -> Finding | None:
    if "pidfd" not in seen.said:
        return None
    if seen.said["pidfd"] != "1":
        return Finding("syscalls", BAD, "no pidfd_open", "Linux 5.3 or newer is needed")
    if seen.said.get("mrelease") != "1":
        return Finding("syscalls", NOTE, "pidfd; no process_mrelease", "victims free their memory a little later")
    return Finding("syscalls", GOOD, "pidfd, process_mrelease")


def _bpf(seen: _Seen) -> Finding:
    if not seen.said.get("bpf"):
        return Finding("bpf", NOTE, "no bpffs", "the in-kernel strike (layer 3) needs CONFIG_BPF_SYSCALL")
    if not seen.said.get("btf"):
        return Finding("bpf", NOTE, "bpffs, no BTF", "the in-kernel strike (layer 3) cannot follow a list")
    return Finding("bpf", GOOD, "bpffs and BTF")


def _memalloc(seen: _Seen) -> Finding:
    if seen.said.get("memalloc"):
        return Finding("memalloc", GOOD, "/dev/lmkd_memalloc")
    return Finding("memalloc", NOTE, "no /dev/lmkd_memalloc", "the PF_MEMALLOC window (layer 4) is not available")


def _selinux(seen: _Seen) -> Finding | None:
    state = seen.said.get("selinux")
    return Finding("selinux", GOOD, state) if state else None


def _lmkd(seen: _Seen) -> Finding | None:
    state = seen.said.get("lmkd")
    if not state:
        return None
    running = state == "running"
    return Finding(
        "lmkd", NOTE if running else GOOD, f"the stock lmkd is {state}",
        "both will kill; begin with start --observe" if running else "",
    )  # fmt: skip


def _conflicts(seen: _Seen) -> Finding:
    if seen.conflicts:
        names = ", ".join(seen.conflicts)
        return Finding("conflicts", BAD, f"{names} is running", "stop it: two killers kill twice")
    return Finding("conflicts", GOOD, "no other killer is running")


def _space(seen: _Seen) -> Finding | None:
    text = seen.said.get("free_kb", "")
    if not text.isdecimal():
        return None
    enough = int(text) >= FREE_KB
    advice = "" if enough else f"releases and traces need {FREE_KB // 1024} MiB"
    return Finding("space", GOOD if enough else BAD, f"{int(text) // 1024} MiB free", advice)


def _installed(seen: _Seen) -> Finding:
    if seen.said.get("release"):
        return Finding("installed", GOOD, seen.said["release"])
    return Finding("installed", NOTE, "nothing", "lmkctl install")


CHECKS: tuple[Callable[[_Seen], Finding | None], ...] = (
    _root, _machine, _boot, _python, _psi, _vmpressure, _syscalls, _bpf, _memalloc, _selinux, _lmkd, _conflicts, _space,
    _installed,
)  # fmt: skip
