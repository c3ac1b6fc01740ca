"""A device that means harm: what it sends instead of the truth, by kind. For tests of the client side."""

from __future__ import annotations

from .packet import CNXN, HEADER, MASK, OKAY, WRTE, AdbMessage

# message level, then sync level, then the shell
KINDS = (
    "huge-length",  # a header that promises 4 GiB
    "over-length",  # 2 MiB where 1 MiB was agreed
    "bad-magic",
    "bad-check",  # data_check that is wrong
    "bad-command",
    "garbage",  # random bytes in front of CNXN
    "huge-banner",  # a CNXN with a MiB of properties
    "wrong-stream",  # answers go to a stream that nobody opened
    "echo-okay",  # OKAYs without end for every message
    "half",  # half a message, then silence
    "lying-size",  # STAT and LIST say 10 bytes, RECV sends more; a file of 1 TiB
    "huge-data",  # a DATA frame that promises 4 GiB
    "huge-fail",  # a FAIL whose reason has 4 GiB
    "huge-name",  # an entry whose name has 4 GiB
    "climbing-names",  # entries called ../../x, /etc/x, with newlines and with nothing
    "endless-list",
    "endless-data",
    "bad-id",  # sync replies nobody knows
    "endless-shell",
    "bad-exit",  # a shell packet with a length of 4 GiB
)


def mangle(kind: str, message: AdbMessage, data: bytes) -> bytes:
    """The bytes of one message as this kind of liar sends them."""
    if not kind:
        return data
    command, arg0, arg1, payload = message
    if kind == "huge-banner" and command == CNXN:
        payload = b"device::ro.product.name=" + b"x" * ((1 << 20) - 100) + b"\0"
        return HEADER.pack(command, arg0, arg1, len(payload), sum(payload) & MASK, command ^ MASK) + payload
    if command not in (WRTE, OKAY):
        return data
    if command == OKAY:
        return data * 50 if kind == "echo-okay" else data
    fields = list(HEADER.unpack_from(data))
    if kind == "huge-length":
        fields[3] = 0xFFFFFFFF
    elif kind == "over-length":
        payload = payload.ljust(2 << 20, b"x")
        fields[3] = len(payload)
    elif kind == "bad-magic":
        fields[5] ^= 1
    elif kind == "bad-check":
        fields[4] ^= 0x5A5A
    elif kind == "bad-command":
        fields[0] ^= 0x10101
        fields[5] ^= 0x10101
    elif kind == "wrong-stream":
        fields[2] ^= 0x777
    elif kind == "half":
        payload = payload[: len(payload) // 2]
    else:
        return data
    return HEADER.pack(*fields) + payload
