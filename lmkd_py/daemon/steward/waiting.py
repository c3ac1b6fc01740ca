"""The daemon while what it is to guard is not there: a cgroup that was removed, or was not made yet.

It answers on the control socket, takes another configuration, and looks once a second. No exit code of this would do:
units that restart nothing on a bad configuration would leave the cgroup unguarded for ever once it is made again.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import sys
from time import monotonic
from typing import Callable

from ...core.config import Config, ConfigError
from ...wire.config import config_hash, encode_config
from ...wire.control import Reply, Request, Verb
from ..config_file import load_config
from ..inherited import say
from .clients.control import ControlServer
from .clients.replies import waiting_reply
from .event_loop import EventLoop

LOOK_S = 1.0


class Waiting(EventLoop):
    """`missing` says what a configuration's domain lacks, "" when it can be guarded. `config` may change meanwhile."""

    def __init__(
        self,
        root: str,
        config: Config,
        observe: bool,
        control: ControlServer | None,
        missing: Callable[[Config], str],
        why: str,
    ) -> None:
        super().__init__()
        self.root = root
        self.config = config
        self.observe = observe
        self.missing = missing
        self.why = why
        self.told_to_stop = False
        self.began = monotonic()
        self.control = control or ControlServer(os.path.join(root, "ctl"), self.answer)
        self.control.answer = self.answer
        self._looked = self.began
        self.control.be_watched(self)

    def wait(self, signal_fd: int) -> bool:
        """Until there is something to guard; False when told to stop."""
        self.watch(signal_fd, self._signals)
        say(f"lmkd-py: waiting for the domain: {self.why}", sys.stderr)
        self.run()
        self.close()
        return not self.told_to_stop

    def waited_ms(self) -> int:
        return int((monotonic() - self.began) * 1000)

    def _signals(self, fd: int) -> None:
        for number in os.read(fd, 64):
            if number == signal.SIGHUP:
                refused = self._reload()
                if refused:
                    say(f"lmkd-py: reload refused, the old config stays: {refused}", sys.stderr)
            else:
                self._stop()

    def answer(self, request: Request) -> Reply:
        """Carry out one request of the control socket."""
        text = ""
        if request.verb == Verb.STOP:
            self._stop()
        elif request.verb == Verb.RELOAD:
            text = self._reload()
        elif request.verb != Verb.STATUS:
            text = f"found verb {request.verb}, wanted STATUS, RELOAD or STOP"
        return waiting_reply(self.config, config_hash(encode_config(self.config)), self.why, text)

    def after_each(self) -> None:
        if monotonic() - self._looked < LOOK_S:
            return
        self._looked = monotonic()
        self.why = self.missing(self.config)
        self.stopping = self.stopping or not self.why

    def catch_up(self) -> None:
        """See EventLoop: whatever it was, it is looked at anew in a second."""

    def report_failure(self, what: str) -> None:
        say(f"lmkd-py: {what}", sys.stderr)

    def patience_s(self) -> float:
        return max(0.0, self._looked + LOOK_S - monotonic())

    def _stop(self) -> None:
        self.stopping = self.told_to_stop = True

    def _reload(self) -> str:
        try:
            self.config = load_config(self.root, self.observe)
        except (ConfigError, OSError) as error:
            return str(error)
        self._looked = 0.0
        return ""
