"""The services a client can open, by the words they begin with. One line here is all a new one needs."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Callable

from . import forward, power, shell, sync
from .stream import DeviceStream, Refused, StreamClosed

if TYPE_CHECKING:
    from .device import AdbdDevice

Handler = Callable[["AdbdDevice", DeviceStream, bytes], Awaitable[None]]

# The longer one first where one begins with the other. The service gets what follows the word.
SERVICES: tuple[tuple[bytes, Handler], ...] = (
    (b"shell,v2", shell.shell_v2),
    (b"shell:", shell.shell_v1),
    (b"exec:", shell.execute),
    (b"sync:", sync.sync),
    (b"tcp:", forward.tcp),
    (b"localabstract:", forward.local_abstract),
    (b"localfilesystem:", forward.local_filesystem),
    (b"reboot:", power.reboot),
    (b"root:", power.root),
    (b"unroot:", power.unroot),
    (b"remount:", power.remount),
)


async def serve(device: AdbdDevice, stream: DeviceStream, service: bytes) -> None:
    """Run the service to its end; what goes wrong in it ends this stream alone."""
    try:
        for word, run in SERVICES:
            if service.startswith(word):
                await run(device, stream, service[len(word) :])
                return
        raise Refused("no such service")
    except StreamClosed:
        pass
    except (Refused, OSError) as error:
        device.note(f"{service[:80]!r}: {error}")
