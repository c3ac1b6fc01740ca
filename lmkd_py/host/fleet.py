"""One piece of work on many devices at once: every one gets its turn, its time and its one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from .device import Device
from .errors import DeviceError, Fault

T = TypeVar("T")
JOBS = 16
ENDING_S = 10.0


@dataclass(frozen=True, slots=True)
class DeviceReport(Generic[T]):
    """What came of it on one device: a value or an error."""

    serial: str
    ms: int
    value: T | None = None
    error: DeviceError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Interrupted(Exception):
    """Ctrl-C. `reports` are of those that were done, `in_flight` the serials of those that were not."""

    def __init__(self, reports: list[DeviceReport[T]], in_flight: list[str]) -> None:
        super().__init__(f"interrupted while working on {', '.join(in_flight) or 'nothing'}")
        self.reports = reports
        self.in_flight = in_flight


def run_fleet(
    devices: Sequence[Device], work: Callable[[Device], T], *, jobs: int = JOBS,
    heard: Callable[[DeviceReport[T]], None] = lambda _: None,
) -> list[DeviceReport[T]]:  # fmt: skip
    """The work on each device, at most `jobs` at a time. `heard` gets each report as it comes, in the caller's thread.

    Reports come back in the order of the devices. On KeyboardInterrupt all connections are broken: Interrupted.
    """
    reports: dict[str, DeviceReport[T]] = {}
    # A waiting device must not use up its own time.
    given = {id(device): device.deadline - time.monotonic() for device in devices}

    def one(device: Device) -> DeviceReport[T]:
        begin = time.monotonic()
        device.deadline = begin + given[id(device)]
        try:
            return DeviceReport(device.serial, _ms(begin), value=work(device))
        except DeviceError as error:
            return DeviceReport(device.serial, _ms(begin), error=error)
        except Exception as error:
            # A fault of ours on one device must not take the others with it.
            mine = device.error(Fault.LOCAL, _words(error))
            mine.__cause__ = error
            return DeviceReport(device.serial, _ms(begin), error=mine)
        finally:
            device.close()

    pool = ThreadPoolExecutor(max_workers=max(1, min(jobs, len(devices))), thread_name_prefix="device")
    pending: dict[Future[DeviceReport[T]], Device] = {}
    try:
        pending = {pool.submit(one, device): device for device in devices}
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                del pending[future]
                report = future.result()
                reports[report.serial] = report
                heard(report)
    except KeyboardInterrupt:
        in_flight = [device.serial for future, device in pending.items() if not future.cancel()]
        for device in pending.values():
            device.interrupt()
        wait(pending, timeout=ENDING_S)
        raise Interrupted(list(reports.values()), in_flight) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [reports[device.serial] for device in devices]


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # a place that cannot be written to: nothing of ours broke
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def _ms(begin: float) -> int:
    return round((time.monotonic() - begin) * 1000)
