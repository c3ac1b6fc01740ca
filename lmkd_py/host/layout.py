"""Where things lie on a device, below the state root (docs/boards.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RootLayout:
    """Paths below the state root of a device."""

    root: str

    @property
    def releases(self) -> str:
        """One directory a release, named by its hash."""
        return f"{self.root}/releases"

    @property
    def current(self) -> str:
        """Symbolic link to the release in use."""
        return f"{self.root}/current"

    @property
    def config(self) -> str:
        """The configuration that the daemon reads."""
        return f"{self.root}/config.bin"

    @property
    def staging(self) -> str:
        """A state root of its own for `check`: a config on trial lies in it."""
        return f"{self.root}/staging"

    @property
    def interpreter(self) -> str:
        """File that holds the path of the Python to use."""
        return f"{self.root}/interpreter"

    @property
    def traces(self) -> str:
        """Directory of `<boot id>/NNNN.lmkt`."""
        return f"{self.root}/traces"

    @property
    def log(self) -> str:
        """What the daemon printed."""
        return f"{self.root}/log"
