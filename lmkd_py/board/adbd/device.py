"""One virtual device: what it is, what it pretends to be, and what runs on it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Callable, NamedTuple, Optional, Protocol

from .auth import NEVER, KeyStore
from .child import Child, start
from .faults import Faults
from .files import RootedFiles
from .linux import CAP_SETGID, CAP_SETUID, keep_capabilities, only_capabilities, set_fs_ids
from .packet import LEGACY_PAYLOAD, MAX_PAYLOAD, VERSION, VERSION_CHECKSUM
from .space import Space, make_space
from .sweeper import Sweeper, kill_members
from .tools import PROPERTIES, SEARCH_PATH, SHELL_UID

MAX_CHILDREN = 128  # commands at once, those left behind by their clients too
_NOTES = 500


class Personality(NamedTuple):
    """What an adbd of one Android version offers."""

    features: tuple[str, ...]
    max_payload: int
    version: int
    exec_service: bool
    crlf: bool  # shell output with \\r\\n, as a terminal makes it


MODERN = Personality(("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir"), MAX_PAYLOAD, VERSION, True, False)
LEGACY = Personality((), LEGACY_PAYLOAD, VERSION_CHECKSUM, False, True)

# Who may become root, and how: adbd runs as root, `su -c`, `su 0` (and `adb root`), nobody.
ROOT_KINDS = ("adbd", "magisk", "userdebug", "none")


class Listener(Protocol):
    """Where the device is reached, as far as the device itself has a say in it."""

    def come_again(self, away_s: float, between: Optional[Callable[[], None]] = None) -> None:
        """Drop every client, be unreachable for away_s, then listen again."""


class AdbdDevice:
    """State of one device. `root`: the directory that is its /; "/" with bare=True inside a guest."""

    def __init__(
        self,
        root: str,
        name: str = "virtual",
        *,
        bare: bool = False,
        auth_mode: str = NEVER,
        key_file: str = "",
        personality: Personality = MODERN,
        root_kind: str = "adbd",
        properties: Optional[dict[str, str]] = None,
        data_bytes: int = 0,
        read_only: str = "",
        pen: str = "",
        mark: str = "",
        restart_with: Sequence[str] = (),
        faults: Optional[Faults] = None,
    ) -> None:
        if root_kind not in ROOT_KINDS:
            raise ValueError(f"root kind {root_kind!r}, wanted one of {', '.join(ROOT_KINDS)}")
        self.root = os.path.realpath(root)
        if self.root == "/" and not bare:
            raise ValueError("root /: wanted a directory of the device's own, or bare inside a guest")
        self.name = name
        self.bare = bare
        self.auth_mode = auth_mode
        self.keys = KeyStore(key_file)
        self.personality = personality
        self.root_kind = root_kind
        self.faults = faults or Faults(root_refused=root_kind in ("magisk", "none"))
        self.properties = {**_defaults(name), **(properties or {})}
        self.is_root = root_kind == "adbd"
        self.pen = pen  # a cgroup.procs file every program of the device is written to
        self.mark = mark  # which memory is the device's own: see space.MARK
        self.restart_with = tuple(restart_with)  # a guest's own command for it
        self.endpoint: Optional[Listener] = None
        self.sweeper: Optional[Sweeper] = None
        self.notes: deque[str] = deque(maxlen=_NOTES)
        self._data_bytes, self._read_only = data_bytes, read_only
        self._space: Optional[Space] = None
        self._files: Optional[RootedFiles] = None
        self._children: list[Child] = []
        # Asked once: in a user namespace everybody is 0.
        self._may_change_user = os.geteuid() == 0
        self._booted_at = time.monotonic()

    def note(self, text: str) -> None:
        """Remember what happened; `notes` keeps the latest."""
        self.notes.append(text)

    def banner(self) -> bytes:
        """What CNXN says of the device."""
        words = {key: self.properties.get(f"ro.product.{key}", "") for key in ("name", "model", "device")}
        text = "".join(f"ro.product.{key}={value};" for key, value in words.items())
        features = ",".join(self.personality.features)
        return f"device::{text}".encode() + (f"features={features}".encode() if features else b"")

    # -- files and programs ---------------------------------------------------------------------------------------

    @property
    def files(self) -> RootedFiles:
        """The device's tree. Its namespace is made when somebody first looks: most of a fleet is never looked at."""
        if self._files is None:
            if self.bare:
                self._files = RootedFiles(os.open(self.root, os.O_PATH | os.O_DIRECTORY), bare=True)
            else:
                os.makedirs(self.root, exist_ok=True)
                self._space = make_space(self.root, self._data_bytes, self._read_only, self.mark)
                self._files = RootedFiles(self._space.root_fd)
                if self.sweeper is not None:
                    self.sweeper.watch(self._space.inode, self._space.mount_fd)
            self._write_properties()
        return self._files

    def _write_properties(self) -> None:
        for key, value in self.properties.items():
            self.set_property(key, value)
        if time.monotonic() - self._booted_at >= self.faults.boot_s:
            self.set_property("sys.boot_completed", "1")

    def set_property(self, key: str, value: str) -> None:
        """What getprop will say. The name must be one getprop takes."""
        if not key or "/" in key or key.startswith("."):
            raise ValueError(f"property name {key!r}")
        if self.bare and not os.path.isdir(PROPERTIES):
            return  # a guest that has no getprop of ours gets no directory in its /dev either
        self.files.write(f"{PROPERTIES}/{key}".encode(), value.encode("utf-8", "surrogateescape"))

    @contextmanager
    def identity(self) -> Iterator[None]:
        """File accesses inside count as the device's current user."""
        if self.is_root or not self._may_change_user:
            yield
            return
        set_fs_ids(SHELL_UID, SHELL_UID)
        try:
            yield
        finally:
            set_fs_ids(0, 0)

    def run(self, words: Sequence[str], fds: tuple[int, int, int], terminal: str = "") -> Child:
        """Start the device's shell with these words; `terminal` is TERM where the streams are one."""
        self._children = [child for child in self._children if child.code is None]
        if len(self._children) >= MAX_CHILDREN:
            raise OSError(errno.EAGAIN, f"{MAX_CHILDREN} commands run already")
        _ = self.files  # the namespace
        environment = {
            "PATH": SEARCH_PATH,
            "HOME": "/",
            "TMPDIR": "/data/local/tmp",
            "ANDROID_DATA": "/data",
            "ANDROID_ROOT": "/system",
            "LANG": "C.UTF-8",
        }
        if terminal:
            environment["TERM"] = terminal
        if self.root_kind in ("magisk", "userdebug"):
            environment["ADBD_SU"] = self.root_kind
        if not self.is_root and not self._may_change_user:
            environment["ADBD_UID"] = str(SHELL_UID)
        shell = "/system/bin/sh" if not self.bare or os.path.exists("/system/bin/sh") else "/bin/sh"
        child = start((shell, *words), environment, fds, self._enter, bool(terminal))
        self._children.append(child)
        return child

    def _enter(self) -> None:
        # In the child, before exec.
        if self.pen:
            with open(self.pen, "w") as file:
                file.write("0")
        if self._space is not None:
            self._space.enter()
        else:
            os.chdir(self.root)
        if not self.is_root and self._may_change_user:
            os.setgroups([])
            os.setresgid(SHELL_UID, SHELL_UID, SHELL_UID)
            if self.root_kind in ("magisk", "userdebug"):
                _keep_su()
            else:
                os.setresuid(SHELL_UID, SHELL_UID, SHELL_UID)

    # -- life ------------------------------------------------------------------------------------------------------

    def restart(self, as_root: bool) -> None:
        """adbd ends and comes again with or without root; programs go on."""
        assert self.endpoint is not None
        self.is_root = as_root
        self.endpoint.come_again(max(0.05, self.faults.root_disconnect_s))

    def reboot(self, why: str = "") -> None:
        """Everything ends; the device comes again with a new boot id."""
        self.note(f"reboot {why}".rstrip())
        assert self.endpoint is not None
        if self.restart_with:
            os.sync()
            subprocess.run(self.restart_with, check=False)
            return
        self.endpoint.come_again(0.2, self.power_off)

    def power_off(self) -> None:
        """End every program of the device at once and let its namespace go; the next use boots it."""
        if self._space is not None:
            kill_members(self._space.inode)
            if self.sweeper is not None:
                self.sweeper.forget(self._space.inode)
            self._space.close()
        else:
            for child in self._children:
                child.signal(signal.SIGKILL, group=True)
            if self._files is not None:
                os.close(self._files.root_fd)
        self._space = self._files = None
        self.is_root = self.root_kind == "adbd"
        self._booted_at = time.monotonic()

    def boot_completed(self) -> None:
        """The moment of sys.boot_completed; nothing to do if nobody has looked yet."""
        if self._files is not None:
            self.set_property("sys.boot_completed", "1")

    def boot_left_s(self) -> float:
        """Seconds until sys.boot_completed."""
        return max(0.0, self._booted_at + self.faults.boot_s - time.monotonic())


def _keep_su() -> None:
    # The shell is uid 2000 and can become root by su alone: two capabilities survive setresuid and exec.
    keep_capabilities()
    os.setresuid(SHELL_UID, SHELL_UID, SHELL_UID)
    only_capabilities((CAP_SETGID, CAP_SETUID))


def _defaults(name: str) -> dict[str, str]:
    return {
        "ro.serialno": name,
        "ro.product.name": "lmkd_virtual",
        "ro.product.model": "Virtual Device",
        "ro.product.device": "virtual",
        "ro.product.cpu.abi": {"x86_64": "x86_64", "aarch64": "arm64-v8a"}.get(os.uname().machine, "armeabi-v7a"),
        "ro.build.version.sdk": "34",
        "ro.build.version.release": "14",
        "ro.build.fingerprint": "lmkd/virtual/virtual:14/1:userdebug/test-keys",
    }
