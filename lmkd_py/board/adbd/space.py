"""The device's own view of this machine: a mount namespace whose root is one directory.

Nothing stays mounted when the last holder of its fds is gone, killed or not. /usr is this machine's, read-only, and
so is the tree of the Python that runs us; /proc and /sys are this machine's as well, so that a daemon in there can
guard a memory cgroup out here. An ordinary user gets the same through a user namespace of his own.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from typing import Optional

from . import linux
from .tools import install

_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # of a merged /usr; directories elsewhere
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "localtime", "ssl")
MARK = "dev/lmkd_py.domain"  # tells the daemon what it may guard here: see wire/confines.py
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "kmsg")


class SpaceError(Exception):
    """No namespace can be made here: what was tried, in one line."""


class Space:
    """Fds of the namespaces, and of the root in them. Close it to let them go."""

    def __init__(self, root_fd: int, mount_fd: int, user_fd: int) -> None:
        self.root_fd, self.mount_fd, self.user_fd = root_fd, mount_fd, user_fd
        self.inode = os.fstat(mount_fd).st_ino

    def enter(self) -> None:
        """Move this process in. Only in a child on its way to exec."""
        if self.user_fd >= 0:
            linux.setns(self.user_fd, linux.CLONE_NEWUSER)
        linux.setns(self.mount_fd, linux.CLONE_NEWNS)
        os.fchdir(self.root_fd)
        os.chroot(".")
        os.chdir("/")

    def close(self) -> None:
        """Close the descriptors of the root and its namespaces."""
        for fd in (self.root_fd, self.mount_fd, self.user_fd):
            if fd >= 0:
                os.close(fd)


def make_space(root: str, data_bytes: int = 0, read_only: str = "", mark: str = "") -> Space:
    """Make the namespaces of a device on directory `root`. SpaceError.

    data_bytes: /data is a tmpfs of that size. mark: what MARK says; as it is, the device has no memory of its own.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            user_fd = _build(root, data_bytes, read_only, mark)
            fds = [os.open("/", os.O_PATH | os.O_DIRECTORY), os.open("/proc/self/ns/mnt", os.O_RDONLY)]
            socket.send_fds(theirs, [b"ok"], fds + ([user_fd] if user_fd >= 0 else []))
        except BaseException as error:
            theirs.send(str(error).encode()[:1000] or b"?")
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        ours.settimeout(20)
        try:
            text, fds, _, _ = socket.recv_fds(ours, 1024, 3)
        finally:
            os.waitpid(pid, 0)
    if text != b"ok":
        raise SpaceError(f"no mount namespace for {root}: {text.decode() or 'its maker died'}")
    for fd in fds:
        os.set_inheritable(fd, False)
    return Space(fds[0], fds[1], fds[2] if len(fds) > 2 else -1)


def _own_user() -> int:
    # The namespace of an ordinary user, in which he is root. An fd of it, -1 for a real root.
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        linux.unshare(linux.CLONE_NEWNS)
        return -1
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{file}", "w") as out:
            out.write(text)
    return os.open("/proc/self/ns/user", os.O_RDONLY)


def _build(root: str, data_bytes: int, read_only: str, mark: str) -> int:
    os.umask(0o022)  # of this process, which makes the device's directories and ends
    os.chmod(root, os.stat(root).st_mode & 0o755)
    user_fd = _own_user()
    linux.mount("", "/", "", linux.MS_PRIVATE | linux.MS_REC)
    linux.mount(root, root, "", linux.MS_BIND)
    os.chdir(root)
    if data_bytes:
        os.makedirs("data", exist_ok=True)
        linux.mount("tmpfs", "data", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"size={data_bytes},mode=771")
    _host_trees()
    for name in ("proc", "sys"):
        os.makedirs(name, exist_ok=True)
        linux.mount("/" + name, name, "", linux.MS_BIND | linux.MS_REC)
    _devices(mark)
    install(".")
    _bind_boot_id()
    if read_only:
        place = read_only.strip("/")
        os.makedirs(place, exist_ok=True)
        _bind("./" + place, place, read_only=True)
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")
    return user_fd


def _bind(source: str, target: str, read_only: bool = False) -> None:
    linux.mount(source, target, "", linux.MS_BIND | linux.MS_REC)
    if read_only:
        # In a user namespace the flags that the mount has already must stay.
        kept = os.statvfs(target).f_flag & (linux.MS_NOSUID | linux.MS_NODEV | 0x8)
        linux.mount("", target, "", linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | kept)


def _host_trees() -> None:
    trees = ["usr"]
    for name in _LINKS:
        if os.path.islink("/" + name):
            if not os.path.lexists(name):
                os.symlink(os.readlink("/" + name), name)
        elif os.path.isdir("/" + name):
            trees.append(name)
    if not sys.base_prefix.startswith("/usr"):
        trees.append(sys.base_prefix.strip("/"))
    for name in trees:
        os.makedirs(name, exist_ok=True)
        _bind("/" + name, name, read_only=True)
    os.makedirs("etc", exist_ok=True)
    for name in _ETC:
        source = os.path.realpath("/etc/" + name)
        if os.path.isdir(source):
            os.makedirs("etc/" + name, exist_ok=True)
        elif os.path.isfile(source):
            _touch("etc/" + name)
        else:
            continue
        _bind(source, "etc/" + name)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _devices(mark: str) -> None:
    os.makedirs("dev", exist_ok=True)
    linux.mount("tmpfs", "dev", "tmpfs", linux.MS_NOSUID, "size=16m,mode=755")
    for name in _DEVICES:
        source = "/dev/" + name
        if os.path.isdir(source):
            os.mkdir("dev/" + name)
        elif os.path.exists(source):
            _touch("dev/" + name)
        else:
            continue
        _bind(source, "dev/" + name)
    os.symlink("/proc/self/fd", "dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", "dev/" + name)
    for name in ("socket", "__properties__"):
        os.mkdir("dev/" + name, 0o755)
    with open(os.open(MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
        file.write(mark or "0\n")


def _bind_boot_id() -> None:
    # A device that restarts has a new boot id, whatever this machine's is.
    with open("dev/.boot_id", "w") as file:
        file.write(f"{uuid.uuid4()}\n")
    _bind("dev/.boot_id", "proc/sys/kernel/random/boot_id")


def probe_space(root: str) -> Optional[str]:
    """Why no device can be made on this machine, None if one can."""
    try:
        make_space(root).close()
    except (SpaceError, OSError) as error:
        return str(error)
    return None
