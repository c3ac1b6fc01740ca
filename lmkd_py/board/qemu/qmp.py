"""QEMU's own control protocol, as far as it takes to save a machine: JSON lines over a socket it was born with.

Reference: docs/interop/qmp-spec in QEMU's sources; commands stop, migrate, query-migrate, cont.
"""

from __future__ import annotations

import json
import socket
import time

from ..errors import SandboxError

_SAVED_S = 120.0


class Qmp:
    """`ours` stays here; pass `theirs` to QEMU as a chardev with its fd and close it here."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self._lines = self.ours.makefile("rb")
        self._is_greeted = False

    def ask(self, command: str, **arguments: object) -> dict[str, object]:
        """Carry out one command. SandboxError if it is refused or QEMU has gone."""
        self.ours.settimeout(_SAVED_S)
        try:
            if not self._is_greeted:
                self._lines.readline()
                self._is_greeted = True
                self.ask("qmp_capabilities")
            self.ours.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            while line := self._lines.readline():
                said = json.loads(line)
                if "error" in said:
                    raise SandboxError(f"QEMU refused {command}: {said['error'].get('desc', said['error'])}")
                if "return" in said:
                    answer: dict[str, object] = said["return"]
                    return answer
        except (OSError, ValueError) as error:
            raise SandboxError(f"QEMU does not answer {command}: {error}") from error
        raise SandboxError(f"QEMU hung up on {command}")

    def save(self, uri: str) -> None:
        """Write the stopped machine's state to a migration URI. SandboxError if that fails."""
        self.ask("migrate", uri=uri)
        deadline = time.monotonic() + _SAVED_S
        while time.monotonic() < deadline:
            status = self.ask("query-migrate").get("status")
            if status == "completed":
                return
            if status in ("failed", "cancelled"):
                raise SandboxError(f"QEMU could not save the board: {self.ask('query-migrate')}")
            time.sleep(0.05)
        raise SandboxError(f"QEMU has not saved the board within {_SAVED_S:g} s")

    def go_on(self) -> None:
        """Let a machine run that was read from a saved state. SandboxError if it cannot be read."""
        deadline = time.monotonic() + _SAVED_S
        while self.ask("query-status").get("status") == "inmigrate":
            if time.monotonic() > deadline:
                raise SandboxError(f"QEMU has not read the saved board within {_SAVED_S:g} s")
            time.sleep(0.02)
        self.ask("cont")

    def close(self) -> None:
        self._lines.close()
        self.ours.close()
        self.theirs.close()
