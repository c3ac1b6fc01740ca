"""The steward's loop: wait, answer, and outlive whatever fails.

A step that failed may be half done, so it is not repeated: a moment later everything is looked at again (`catch_up`).
Nothing waits for that longer than it has to, and nothing spins while the cause lasts.
"""

from __future__ import annotations

import select
from time import sleep
from typing import Callable

from ..shortage import RETRY_MS

Handler = Callable[[int], None]  # serves the descriptor it is given


class EventLoop:
    """A table says who serves a descriptor that is up. Subclasses say what is done besides in each round."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self.stopping = False
        self.catch_up_due = False  # something failed or could not be looked at: catch_up()
        self.interrupted = False  # a change ended halfway: the killer may know something else than we do
        self._failure = ""  # the last one reported

    def watch(self, fd: int, handler: Handler, events: int = select.EPOLLIN) -> None:
        """Have `handler` called whenever this descriptor is up. OSError."""
        self._handlers[fd] = handler
        try:
            self.epoll.register(fd, events)
        except BaseException:
            del self._handlers[fd]
            raise

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor; before it is closed, since another one may get its number."""
        if self._handlers.pop(fd, None) is not None:
            self.epoll.unregister(fd)

    def close(self) -> None:
        """Watch nothing any more."""
        self._handlers.clear()
        self.epoll.close()

    def before_each(self, fd: int) -> None:
        """Called before a descriptor that is up is served."""

    def after_each(self) -> None:
        """Work that is due after every round."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Do what may have been missed when something failed."""
        raise NotImplementedError

    def report_failure(self, what: str) -> None:
        """Called once for each failure, however often it repeats."""
        raise NotImplementedError

    def patience_s(self) -> float:
        """Seconds until the next round even if no event comes; below 0: never."""
        raise NotImplementedError

    def run(self) -> None:
        """Round after round, until a signal, a request or the end of the guarded domain."""
        while not self.stopping:
            self.run_once()

    def run_once(self) -> None:
        """Wait for something and serve it. What fails is made up for later."""
        failed = False
        due, self.catch_up_due = self.catch_up_due, False
        try:
            for fd, _ in self.epoll.poll(RETRY_MS / 1000 if due else self.patience_s()):
                handler = self._handlers.get(fd)
                if handler is None:
                    continue  # who was served before it has closed it
                try:
                    self.before_each(fd)
                    handler(fd)
                except (OSError, MemoryError) as error:  # the other descriptors are served all the same
                    failed = True
                    self._failed(error)
            if due:
                self.catch_up()
            self.after_each()
        except (OSError, MemoryError) as error:
            # Neither a disk, a pipe or a file that fails nor a want of memory may take the killer's keeper along.
            failed = True
            self._failed(error)
        if failed:
            sleep(RETRY_MS / 1000)  # a descriptor that could not be served is still up
        elif due:
            self._failure = ""

    def _failed(self, error: OSError | MemoryError) -> None:
        self.catch_up_due = True
        self.interrupted = self.interrupted or isinstance(error, MemoryError)
        try:
            said, self._failure = self._failure, str(error) or "no memory"
            if said != self._failure:  # once, however often it is tried
                self.report_failure(self._failure)
        except (OSError, MemoryError):
            pass
