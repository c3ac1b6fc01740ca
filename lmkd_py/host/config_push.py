"""A configuration to a device and back: tried over there before it counts, returning by itself unless confirmed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from ..core.config import Config
from ..core.notes import Note
from ..wire.config import config_hash, decode_config, encode_config
from ..wire.sentences import sentence
from .device import Device
from .errors import Fault
from .facts import facts_of
from .hashes import digest_in
from .install import safe_root
from .push import push_atomic
from .scripts import script
from .service import Service
from .steps import Step

CONFIRM_S = 30.0
MAX_CONFIG = 1 << 16

_LOOK = 'cd "$1" || exit 1; [ -f config.bin ] && sha256sum <config.bin; [ -f config.pending ] && echo pending; exit 0'
_STAGE = 'mkdir -p "$1" "$2" && chmod 700 "$1" "$2"'
_CHECK = """c=$(readlink -f "$1/current"); p=$(cat "$1/interpreter") || exit 1
cd / && PYTHONPATH=$c exec "$p" -B -m lmkd_py.daemon check --root "$2" """
_FORGET = 'rm -rf "$1"'
_READ = 'if [ -f "$1" ]; then printf x; head -c 65537 "$1"; fi'  # an x: there is one, if only of no bytes


@dataclass(slots=True)
class ConfigPush:
    """What a push knows; the steps fill it in. `hold`: somebody else confirms it."""

    device: Device
    config: Config
    root: str = ""
    confirm_s: float = CONFIRM_S
    hold: bool = False
    data: bytes = b""
    is_there: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def staging(self) -> str:
        """A state root of this push's own."""
        return f"{self.service.layout.staging}/{self.nonce}"

    @property
    def service(self) -> Service:
        """The daemon on this device."""
        return Service(self.device, self.root)


def look(state: ConfigPush) -> None:
    """Root, an installation, and which config it has."""
    state.device.need_root()
    facts = facts_of(state.device)
    state.root = safe_root(state.device, state.root or facts.state_root)
    state.config = facts.in_its_domain(state.config)
    state.data = encode_config(state.config)
    answer = state.service.status()
    looked = state.device.must(script(_LOOK, state.root), f"looking into {state.root}")
    same = digest_in(looked.text) == config_hash(state.data)
    loaded = not answer["running"] or answer.get("config_hash") in _hashes(state.config)
    state.is_there = same and loaded and "pending" not in looked.text
    state.answer = answer


def stage(state: ConfigPush) -> None:
    """The config on trial, in a state root of its own."""
    if not state.is_there:
        words = script(_STAGE, state.service.layout.staging, state.staging)
        state.device.must(words, "making the staging directory")
        push_atomic(state.device, state.data, f"{state.staging}/config.bin", 0o600)


def try_config(state: ConfigPush) -> None:
    """The daemon's own check, over there: a config it refuses never becomes config.bin."""
    if state.is_there:
        return
    command = script(_CHECK, state.root, state.staging)
    result = state.device.run(command, root=True, again=True, timeout_s=60.0)
    if result.rc != 0:
        state.device.run(script(_FORGET, state.staging), root=True, again=True)
        raise state.device.error(
            Fault.REFUSED, "the daemon refuses this config; the old one stays in force", command=command,
            output=result.complaint.replace(f"{state.staging}/", ""),
        )  # fmt: skip


def apply(state: ConfigPush) -> None:
    """Rename and reload, with the timer already running that puts the former one back."""
    if not state.is_there:
        # Said twice after a cut, it is done once: the device knows the push by its nonce.
        state.answer = state.service.call("apply", state.nonce, str(state.confirm_s), again=True)
        state.nonce = state.answer.get("nonce", state.nonce)  # of the same config's push that waits there already


def verify(state: ConfigPush) -> None:
    """Over a new connection: the device can be reached, the daemon is armed, with this config."""
    if state.is_there:
        return
    state.device.close()
    answer = state.service.status()
    if answer["running"] and not (answer["armed"] and answer["config_hash"] in _hashes(state.config)):
        if state.service.call("revert", state.nonce).get("reverted"):
            what = "the daemon does not run with this config; the former one is back"
        else:
            what = "this push was taken back meanwhile: its time was over, or somebody reverted it"
        raise state.device.error(Fault.REVERTED, what, output=_words(answer), hint="lmkctl logs tells why")
    state.answer = answer


def _words(answer: dict[str, Any]) -> str:
    # What the daemon says of itself.
    return "\n".join([*filter(None, [answer["text"]]), *(sentence(Note(**note)) for note in answer["notes"])])


def confirm(state: ConfigPush) -> None:
    """For good, unless the confirmation is left to somebody else."""
    if not state.is_there and not state.hold:
        state.service.call("confirm", state.nonce, again=True)


CONFIG_PUSH: tuple[Step[ConfigPush], ...] = (
    Step("look at the device", look),
    Step("stage the config", stage),
    Step("try the config", try_config),
    Step("apply the config", apply),
    Step("verify the daemon", verify),
    Step("confirm", confirm),
)


def device_config(device: Device, root: str) -> Config:
    """The config as the device's daemon takes it at the next start, unchecked; the defaults where it has none.

    ConfigError for bytes that are none.
    """
    facts = facts_of(device)
    root = safe_root(device, root or facts.state_root)
    data = device.must(script(_READ, Service(device, root).layout.config), "reading config.bin").out
    if len(data) > MAX_CONFIG + 1:
        raise device.error(Fault.PROTOCOL, f"config.bin: found more than {MAX_CONFIG} bytes, wanted a config")
    return facts.in_its_domain(decode_config(data[1:]) if data else Config())


def _hashes(config: Config) -> tuple[str, str]:
    """What the daemon may call it: `run --observe` changes one field of it."""
    observed = config._replace(monitor=config.monitor._replace(observe=1))
    return config_hash(encode_config(config)), config_hash(encode_config(observed))
