"""What goes wrong between the host and a device, always with the device's serial and what to do about it."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Whose fault and what kind; lmkctl's exit code follows from it."""

    TRANSPORT = "transport"  # the connection broke
    OFFLINE = "offline"  # nobody answers there
    UNAUTHORIZED = "unauthorized"
    BOOTING = "booting"
    NO_ROOT = "no-root"
    VERIFY = "verify"  # what arrived is not what was sent
    TIMEOUT = "timeout"
    INCOMPATIBLE = "incompatible"
    NO_SPACE = "no-space"
    REFUSED = "refused"  # the device, or the daemon on it, said no
    REVERTED = "reverted"  # the former state was put back
    PROTOCOL = "protocol"  # bytes that no adbd sends
    LOCAL = "local"  # a file on the host
    INTERRUPTED = "interrupted"


TRANSIENT = frozenset({Fault.TRANSPORT})
MAX_OUTPUT = 2000  # characters of a command's output an error keeps


class DeviceError(Exception):
    """A step failed on one device. `transient`: the same step may succeed over a new connection."""

    def __init__(
        self, fault: Fault, serial: str, text: str, *, hint: str = "", command: str = "", output: str = ""
    ) -> None:
        super().__init__(text)
        self.fault = fault
        self.serial = serial
        self.text = text
        self.hint = hint
        self.command = command
        self.output = output[-MAX_OUTPUT:]

    @property
    def transient(self) -> bool:
        """Whether an idempotent step may be tried again."""
        return self.fault in TRANSIENT

    def __str__(self) -> str:
        words = f"{self.serial}: {self.text}"
        last = next((line for line in reversed(self.output.splitlines()) if line.strip()), "")
        if last:
            words += f": {last.strip()}"
        return f"{words}; {self.hint}" if self.hint else words
