"""Registration of an eventfd on a v1 memory cgroup's file, which vmpressure and oom_control share."""

from __future__ import annotations

import os

from ...acting.syscalls import eventfd


def register(directory: str, name: str, argument: str = "") -> tuple[int, int]:
    """(eventfd, descriptor of the watched file): the kernel adds 1 to the eventfd at each event.

    The registration ends when the eventfd is closed. OSError names directory and what was written.
    """
    event = eventfd()
    target = control = -1
    try:
        target = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
        control = os.open(os.path.join(directory, "cgroup.event_control"), os.O_WRONLY | os.O_CLOEXEC)
        text = f"{event} {target} {argument}".rstrip()
        try:
            os.write(control, text.encode() + b"\0")
        except OSError as failure:
            where = os.path.join(directory, name)
            raise OSError(failure.errno, failure.strerror, f"register {argument!r} on {where}") from None
    except OSError:
        os.close(event)
        if target >= 0:
            os.close(target)
        raise
    finally:
        if control >= 0:
            os.close(control)
    return event, target
