"""What both ways to a device have in common: a link opens a stream to a service of adbd."""

from __future__ import annotations

from typing import Protocol


class LinkError(Exception):
    """The connection broke or never stood. `transient` faults may pass over a new connection."""


class LinkTimeout(LinkError):
    """The device did not answer before the deadline."""


class Unauthorized(Exception):
    """The device does not know our key, and nobody accepted it in time."""


class ServiceRefused(Exception):
    """adbd does not offer the service, or not to us."""


class ProtocolError(Exception):
    """The device sent bytes that are not ADB."""


class Stream(Protocol):
    """Bytes both ways to one service. Not for two threads at once."""

    def send(self, data: bytes | memoryview) -> None:
        """All of it. LinkError when the connection breaks or the service has closed."""

    def recv(self) -> bytes:
        """The next bytes, at most 1 MiB; b"" once the service has closed."""

    def pending(self) -> bool:
        """Whether recv() would return at once."""

    def close(self) -> None:
        """Close the stream. Never raises."""


class Link(Protocol):
    """An ADB connection to one device."""

    @property
    def features(self) -> frozenset[str]:
        """Features of the device's adbd, such as shell_v2."""

    @property
    def max_packet(self) -> int:
        """Bytes of one message; a service's name has to fit."""

    def open(self, service: str) -> Stream:
        """A stream to the service; ServiceRefused, LinkError."""

    def set_deadline(self, at: float) -> None:
        """time.monotonic() after which every wait on this link ends with LinkTimeout."""

    def abort(self) -> None:
        """Break it under whoever waits; from any thread."""

    def close(self) -> None:
        """Close the connection. Never raises."""
