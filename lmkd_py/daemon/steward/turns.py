"""The steward's loop: wait, answer, and outlive whatever fails.

What failed may have been half done or not at all, so it is not repeated: a moment later everything is looked at again
(`make_up`). Nothing waits for that longer than it has to, and nothing spins while the cause lasts.
"""

from __future__ import annotations

import select
from time import sleep

from ..inherited import EXIT_STOPPED
from ..shortage import RETRY_MS


class Turns:
    """`run` returns the exit code. Subclasses say what a turn is made of."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.stopping = False
        self.owed = False  # something failed or could not be looked at: make_up()
        self.broken_off = False  # in the middle of anything: what we know may not be what the killer knows
        self._stumbled = ""  # over what, last

    def ready(self, fd: int) -> int:
        """Serve a descriptor that is up; an exit code, EXIT_STOPPED to go on."""
        raise NotImplementedError

    def after_each(self) -> None:
        """What is due after every turn."""
        raise NotImplementedError

    def make_up(self) -> None:
        """Everything that may have been missed when something failed."""
        raise NotImplementedError

    def say_stumbled(self, what: str) -> None:
        """Tell that something failed."""
        raise NotImplementedError

    def patience_s(self) -> float:
        """When to take the next turn even if nothing comes; below 0: never."""
        raise NotImplementedError

    def run(self) -> int:
        """Turn after turn, until a signal, a request or the end of what is guarded."""
        code = EXIT_STOPPED
        while code == EXIT_STOPPED and not self.stopping:
            code = self.turn()
        return code

    def turn(self) -> int:
        """Wait for something and serve it; an exit code, EXIT_STOPPED to go on. What fails is made up for later."""
        failed = False
        owed, self.owed = self.owed, False
        try:
            for fd, _ in self.epoll.poll(RETRY_MS / 1000 if owed else self.patience_s()):
                try:
                    code = self.ready(fd)
                except (OSError, MemoryError) as error:  # the others have their turn
                    failed = True
                    self._stumble(error)
                    continue
                if code != EXIT_STOPPED:
                    return code
            if owed:
                self.make_up()
            self.after_each()
        except (OSError, MemoryError) as error:
            # Neither a disk, a pipe or a file that fails nor a want of memory may take the killer's keeper along.
            failed = True
            self._stumble(error)
        if failed:
            sleep(RETRY_MS / 1000)  # a descriptor that could not be served is still up
        elif owed:
            self._stumbled = ""
        return EXIT_STOPPED

    def _stumble(self, error: OSError | MemoryError) -> None:
        self.owed = True
        self.broken_off = self.broken_off or isinstance(error, MemoryError)
        try:
            said, self._stumbled = self._stumbled, str(error) or "no memory"
            if said != self._stumbled:  # once, however often it is tried
                self.say_stumbled(self._stumbled)
        except (OSError, MemoryError):
            pass
