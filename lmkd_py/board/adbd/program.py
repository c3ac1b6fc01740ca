"""The command line of the endpoint: one device, or --count of them on following ports, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import fields

from .auth import MODES, NEVER
from .device import LEGACY, MODERN, ROOT_KINDS, AdbdDevice
from .endpoint import HOST, MIN_PORT, Endpoint
from .faults import Faults
from .hostile import KINDS
from .space import SpaceError
from .sweeper import Sweeper

_NUMBERS = {"int": int, "float": float, "str": str}


def parse(words: list[str]) -> argparse.Namespace:
    """The options; exits with 2 on bad ones."""
    parser = argparse.ArgumentParser(prog="lmkd_py.board.adbd", description="An ADB endpoint on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help=f"{MIN_PORT} or more; default: a free one")
    parser.add_argument("--root", required=True, help="the directory that is the device's /")
    parser.add_argument("--name", default="virtual", help="its serial number")
    parser.add_argument("--count", type=int, default=1, help="so many devices, in ROOT/0, ROOT/1, ...")
    parser.add_argument("--bare", action="store_true", help="inside a guest: this machine is the device, ROOT is /")
    parser.add_argument("--restart-with", default="", metavar="COMMAND", help="inside a guest: what reboots it")
    parser.add_argument("--listen", default=HOST, metavar="ADDRESS", help="inside a guest: where its network ends")
    parser.add_argument("--auth", choices=MODES, default=NEVER, help="whom to let in (default: those of --keys)")
    parser.add_argument("--keys", default="", help="file of accepted public keys, as adbkey.pub has them")
    parser.add_argument("--legacy", action="store_true", help="as before Android 7: no features, 4 KiB messages")
    parser.add_argument("--root-kind", choices=ROOT_KINDS, default="adbd", help="how one becomes root")
    parser.add_argument("--prop", action="append", default=[], metavar="NAME=VALUE", help="a property")
    parser.add_argument("--data-bytes", type=int, default=0, help="/data is this small and in memory")
    parser.add_argument("--mount-read-only", default="", metavar="PATH", help="a read-only mount of the device")
    parser.add_argument("--pen", default="", help="cgroup.procs file for every program of the device")
    parser.add_argument("--mark", default="", help="which memory is the device's own, as wire/confines.py has it")
    parser.add_argument("--end-with-stdin", action="store_true", help="stop when stdin closes: when the starter dies")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what clients open")
    for field in fields(Faults):
        option = "--" + field.name.replace("_", "-")
        if field.type in (bool, "bool"):
            parser.add_argument(option, action="store_true")
        else:
            kind = field.type if isinstance(field.type, str) else field.type.__name__
            parser.add_argument(option, type=_NUMBERS[kind], choices=("", *KINDS) if field.name == "hostile" else None)
    return parser.parse_args(words)


def faults_of(options: argparse.Namespace) -> Faults:
    """Faults from the command line: its switches, and no root where the root kind refuses it."""
    named = {field.name: getattr(options, field.name) for field in fields(Faults)}
    faults = Faults(**{key: value for key, value in named.items() if value is not None})
    if options.root_kind in ("magisk", "none"):
        faults.root_refused = True
    return faults


def devices_of(options: argparse.Namespace) -> list[AdbdDevice]:
    """`--count` devices; several of them get numbered names and roots."""
    properties = dict(pair.partition("=")[::2] for pair in options.prop)
    made = []
    for number in range(options.count):
        many = options.count > 1
        name = f"{options.name}-{number}" if many else options.name
        device = AdbdDevice(
            os.path.join(options.root, str(number)) if many else options.root,
            name,
            bare=options.bare,
            auth_mode=options.auth,
            key_file=options.keys,
            personality=LEGACY if options.legacy else MODERN,
            root_kind=options.root_kind,
            properties=properties,
            data_bytes=options.data_bytes,
            read_only=options.mount_read_only,
            pen=options.pen,
            mark=options.mark,
            restart_with=options.restart_with.split(),
            faults=faults_of(options),
        )
        made.append(device)
    return made


async def serve(options: argparse.Namespace, sweeper: Sweeper) -> None:
    """Start, say `listening HOST:PORT` for each, and serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    endpoints = [Endpoint(device, options.listen) for device in devices_of(options)]
    for endpoint in endpoints:
        endpoint.device.sweeper = sweeper
    try:
        for place, endpoint in enumerate(endpoints):
            if options.count == 1:
                _ = endpoint.device.files  # what cannot be made is said now, not to the first client
            await endpoint.start(options.port + place if options.port else 0)
            if options.verbose:
                endpoint.device.note = lambda text: print(text, file=sys.stderr, flush=True)  # type: ignore[method-assign]
            print(f"listening {endpoint.address}", flush=True)
        if options.end_with_stdin:
            loop.add_reader(sys.stdin.fileno(), stop.set)
        await stop.wait()
    finally:
        await asyncio.gather(*(endpoint.stop() for endpoint in endpoints))


def main() -> None:
    """Run the program; exits with 1 and one line when a device cannot be made."""
    options = parse(sys.argv[1:])
    sweeper = Sweeper()
    try:
        asyncio.run(serve(options, sweeper))
    except (SpaceError, OSError, ValueError) as error:
        sys.exit(f"adbd: {error}")
    finally:
        sweeper.close()
