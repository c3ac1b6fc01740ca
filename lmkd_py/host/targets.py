"""Which devices are meant, exactly as adb chooses: -s, ANDROID_SERIAL, the only one; or --all, --targets, --label."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..wire.local_files import read_bounded
from .adb.server import Listed

MAX_BYTES = 1 << 20  # of a targets file
DEFAULT_PORT = 5555
READY = "device"


class ChoiceError(Exception):
    """Not one device, or not this one. `code` is lmkctl's exit code."""

    def __init__(self, text: str, code: int = 4) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """A device to work with. `via_server`: the running adb server has it."""

    serial: str
    via_server: bool
    state: str = READY


@dataclass(frozen=True, slots=True)
class Choice:
    """Which devices the command line asks for."""

    serial: str = ""
    usb: bool = False  # -d
    tcp: bool = False  # -e
    everything: bool = False
    targets: Path | None = None
    label: str = ""
    backend: str = "auto"


def endpoint(serial: str) -> tuple[str, int] | None:
    """Host and port that a serial names; None when it names none. `[::1]:5555` for IPv6."""
    host, colon, port = serial.rpartition(":")
    if not colon:
        host, port = serial, ""
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    elif ":" in host:
        return None
    if not host or any(one.isspace() or not one.isprintable() or one in "/\\'\"$;" for one in host):
        return None
    if colon:
        return (host, int(port)) if port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536 else None
    return (host, DEFAULT_PORT) if "." in host or host == "localhost" else None


def read_targets(path: Path, label: str) -> list[str]:
    """Serials of a file, `SERIAL [LABEL...]` a line, # for comments; only those with the label, if one is given."""
    try:
        text = read_bounded(str(path), MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ChoiceError(f"{path}: {why}; wanted lines of SERIAL [LABEL...]", 2) from error
    words = (line.partition("#")[0].split() for line in text.splitlines())
    return list(dict.fromkeys(one[0] for one in words if one and (not label or label in one[1:])))


def default_targets() -> Path:
    """The file that --label looks into without --targets."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "lmkctl" / "targets"


def choose(
    choice: Choice, listed: list[Listed] | None, local: Iterable[str], say: Callable[[str], None] = lambda _: None
) -> list[Target]:
    """The devices that are meant. `listed`: the adb server's (None: no server runs); `local`: running virtual boards.

    ChoiceError(4) when it is not clear which, with the candidates; never a guess.
    """
    known = {one.serial: Target(one.serial, True, one.state) for one in listed or () if choice.backend != "direct"}
    boards = () if choice.backend == "server" else local
    for serial in boards:
        known.setdefault(serial, Target(serial, False))
    if choice.targets is not None or choice.label:
        path = choice.targets or default_targets()
        found = read_targets(path, choice.label)
        if not found:
            raise ChoiceError(f"{path}: no device{f' with the label {choice.label!r}' if choice.label else ' in it'}")
        return [_named(serial, known, choice, listed) for serial in found]
    if choice.serial:
        return [_named(choice.serial, known, choice, listed)]
    if choice.everything:
        if not known:
            raise ChoiceError(_nobody(listed))
        return list(known.values())
    candidates = list(known.values())
    if choice.usb:
        candidates = [one for one in candidates if one.via_server and endpoint(one.serial) is None]
    if choice.tcp:
        candidates = [one for one in candidates if endpoint(one.serial) or one.serial.startswith("emulator-")]
    if not (choice.usb or choice.tcp) and (serial := os.environ.get("ANDROID_SERIAL", "")):
        return [_named(serial, known, choice, listed)]
    if not candidates:
        raise ChoiceError(_nobody(listed))
    if len(candidates) > 1:
        raise ChoiceError(f"more than one device: {_names(candidates)}; choose with -s SERIAL, or --all")
    return candidates


def _named(serial: str, known: dict[str, Target], choice: Choice, listed: list[Listed] | None) -> Target:
    if serial in known:
        return known[serial]
    # As adb and scrcpy have it: an address without its port means the one device there.
    near = [one for one in known.values() if one.serial.rpartition(":")[0] == serial]
    if len(near) == 1:
        return near[0]
    if choice.backend != "server" and endpoint(serial) is not None:
        return Target(serial, False)
    among = f"; there are {_names(known.values())}" if known else f"; {_nobody(listed)}"
    raise ChoiceError(f"no device {serial!r}{among}")


def _names(targets: Iterable[Target]) -> str:
    return ", ".join(f"{one.serial}{'' if one.state == READY else f' ({one.state})'}" for one in targets)


def _nobody(listed: list[Listed] | None) -> str:
    if listed is None:
        return (
            "no adb server runs and no device is named; `adb start-server` finds USB devices, -s HOST:PORT others, "
            "lmkctl board up sandbox makes a virtual one"
        )
    return "the adb server knows no device; look at cable and USB debugging, or name one with -s HOST:PORT"
