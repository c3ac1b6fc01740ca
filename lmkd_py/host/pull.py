"""Take a file from a device: in pieces, each proven by its hash over there, going on where the last try ended."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .device import TRANSFER_S, Device
from .errors import Fault
from .hashes import digest_in, sha256
from .scripts import script

PIECE_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 40
# The bytes, then their hash as the last 64 characters and a line end.
_RANGE = """tail -c "+$2" "$1" | head -c "$3"; s=$(tail -c "+$2" "$1" | head -c "$3" | sha256sum); echo "${s%% *}" """
_HASH_BYTES = 65
_LOOK = 'stat -c %s "$1" && sha256sum <"$1"'


def read_range(device: Device, path: str, offset: int, length: int) -> bytes:
    """So many bytes of a file from `offset` on, fewer at its end. VERIFY when the hash over there is another."""
    words = script(_RANGE, path, str(offset + 1), str(length))
    result = device.run(words, root=True, limit=length + 4096, timeout_s=TRANSFER_S, again=True)
    if result.rc != 0:
        raise device.failed(result, f"reading {path}", words)
    data, digest = result.out[:-_HASH_BYTES], result.out[-_HASH_BYTES:]
    if digest.decode("ascii", "replace").strip() != sha256(data):
        raise device.error(
            Fault.VERIFY, f"{path}: bytes {offset} to {offset + len(data)} arrived damaged",
            hint="check the cable, then run it again",
        )  # fmt: skip
    return data


def pull(device: Device, path: str, local: Path) -> int:
    """Fetch a whole file; bytes fetched now. `local` appears by rename when it is whole; until then LOCAL.part grows.

    DeviceError: REFUSED when there is none, VERIFY when the whole is not what lies there.
    """
    part = local.with_name(local.name + ".part")
    fetched = 0
    for last_try in (False, True):
        looked = device.must(script(_LOOK, path), f"looking at {path}")
        words = looked.text.split()
        digest = digest_in(looked.text)
        if not words or not words[0].isdecimal() or not digest or int(words[0]) > MAX_FILE_BYTES:
            raise device.error(Fault.PROTOCOL, f"{path}: found {looked.text[:80]!r}, wanted its size and sha256")
        fetched += _fill(device, path, part, int(words[0]))
        if sha256_of(part) == digest:
            os.replace(part, local)
            return fetched
        part.unlink()  # a part of another file; once more from the start
        if last_try:
            raise device.error(Fault.VERIFY, f"{path}: it changes while it is read, or arrives damaged")
    raise AssertionError


def _fill(device: Device, path: str, part: Path, size: int) -> int:
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    fetched = 0
    with part.open("ab") as file:
        while (at := file.tell()) < size:
            data = read_range(device, path, at, min(PIECE_BYTES, size - at))
            if not data:
                break
            file.write(data)
            fetched += len(data)
        file.flush()
        os.fsync(file.fileno())
    return fetched


def sha256_of(path: Path) -> str:
    """SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
