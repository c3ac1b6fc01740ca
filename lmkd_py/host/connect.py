"""From a target to a Device: which way it is reached, and with whose key."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .adb.direct import DirectLink
from .adb.keys import KeyFileError, signers
from .adb.link import Link
from .adb.server import ServerAddress, ServerLink
from .device import Device
from .errors import DeviceError, Fault
from .targets import Target, endpoint

AUTH_S = 10.0


@dataclass(slots=True)
class Connector:
    """How devices are reached; one for all of a run, so the key is read once."""

    server: ServerAddress
    key: Path | None = None
    timeout_s: float = 600.0  # for all that is done with one device
    retries: int = 3
    auth_s: float = AUTH_S
    asked: Callable[[str], None] = lambda _: None  # hears once of each device that waits for somebody's consent
    said: Callable[[str], None] = lambda _: None  # hears of each key that cannot be used
    _signers: list[Any] | None = None

    def prepare(self) -> None:
        """Read or make the key now, before threads do. KeyFileError."""
        if self._signers is None:
            self._signers = signers(self.key, self.said)

    def device(self, target: Target) -> Device:
        """The device, not yet connected."""
        link = self._via_server(target) if target.via_server else self._direct(target)
        return Device(target.serial, link, deadline=time.monotonic() + self.timeout_s, retries=self.retries)

    def _via_server(self, target: Target) -> Callable[[float], Link]:
        return lambda until: ServerLink(self.server, target.serial, until)

    def _direct(self, target: Target) -> Callable[[float], Link]:
        place = endpoint(target.serial)
        if place is None:
            raise DeviceError(Fault.LOCAL, target.serial, "no HOST:PORT", hint="is it known to `adb devices`?")
        told = False

        def asked() -> None:
            nonlocal told
            if not told:
                told = True
                self.asked(target.serial)

        def connect(until: float) -> Link:
            try:
                self.prepare()
            except KeyFileError as error:
                raise DeviceError(Fault.LOCAL, target.serial, str(error)) from error
            return DirectLink(*place, self._signers or [], until, self.auth_s, asked)

        return connect
