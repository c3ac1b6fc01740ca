"""Services that end the connection: root, unroot, reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .stream import DeviceStream

if TYPE_CHECKING:
    from .device import AdbdDevice


async def _restart(device: AdbdDevice, stream: DeviceStream, text: str, as_root: bool) -> None:
    stream.accept()
    await stream.write(text.encode())
    stream.close()
    device.restart(as_root)


async def root(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """root: the endpoint starts anew, as root; it says so first."""
    faults = device.faults
    if faults.root_refused:
        stream.accept()
        await stream.write(b"adbd cannot run as root in production builds\n")
    elif device.is_root and faults.root_disconnect_s < 0:
        stream.accept()
        await stream.write(b"adbd is already running as root\n")
    else:
        await _restart(device, stream, "restarting adbd as root\n", True)


async def unroot(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """The service unroot: restart adbd without root."""
    if not device.is_root:
        stream.accept()
        await stream.write(b"adbd not running as root\n")
    else:
        await _restart(device, stream, "restarting adbd as non root\n", False)


async def remount(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """remount: nothing is read-only that a remount would open."""
    stream.accept()
    await stream.write(b"remount succeeded\n")


async def reboot(device: AdbdDevice, stream: DeviceStream, argument: bytes) -> None:
    """reboot:[TARGET] ends everything that runs on the device and starts it anew with another boot id."""
    stream.accept()
    stream.close()
    device.reboot(argument.decode("utf-8", "backslashreplace"))
