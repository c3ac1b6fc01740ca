"""Messages and keys as bytes: any cut, any rubbish, any key."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from adb_shell.auth.keygen import keygen  # type: ignore[import-untyped]
from adb_shell.auth.sign_pythonrsa import PythonRSASigner  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.board.adbd import auth
from lmkd_py.board.adbd.packet import (
    CLSE,
    COMMANDS,
    HEADER,
    MAX_PAYLOAD,
    WRTE,
    AdbMessage,
    Decoder,
    ProtocolBreach,
    checksum,
    encode,
)

words = st.integers(0, 0xFFFFFFFF)
messages = st.builds(AdbMessage, st.sampled_from(sorted(COMMANDS)), words, words, st.binary(max_size=300))


@given(st.lists(messages, max_size=5), st.lists(st.integers(1, 60)), st.booleans())
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    said: list[AdbMessage], cuts: list[int], check: bool
) -> None:
    data = b"".join(encode(message, check) for message in said)
    decoder = Decoder(MAX_PAYLOAD, check)
    heard = []
    while data:
        size = cuts.pop() if cuts else len(data)
        decoder.feed(data[:size])
        data = data[size:]
        while (message := decoder.next()) is not None:
            heard.append(message)
    assert heard == said
    assert decoder.is_between


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_waited_for(data: bytes) -> None:
    decoder = Decoder(4096)
    decoder.feed(data)
    try:
        while decoder.next() is not None:
            pass
    except ProtocolBreach:
        return
    assert decoder.missing > 0


@pytest.mark.parametrize("place", range(HEADER.size))
def test_a_flipped_bit_in_the_header_never_passes_as_another_command_or_length(place: int) -> None:
    data = bytearray(encode(AdbMessage(WRTE, 1, 2, b"payload"), check=True))
    data[place] ^= 0x80
    decoder = Decoder(MAX_PAYLOAD)
    decoder.feed(bytes(data))
    try:
        message = decoder.next()
    except ProtocolBreach:
        return
    assert message is None or (message.command, message.payload) == (WRTE, b"payload")


def test_a_payload_over_the_limit_is_refused_before_it_comes() -> None:
    decoder = Decoder(4096)
    decoder.feed(encode(AdbMessage(CLSE, 0, 0, bytes(4097)), check=False)[: HEADER.size])
    with pytest.raises(ProtocolBreach, match="4097 bytes, at most 4096"):
        decoder.next()


@given(st.integers(0, 70_000), st.integers(0, 255))
def test_the_checksum_is_the_sum_of_the_bytes(size: int, seed: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 2))[seed : seed + size]
    assert checksum(data) == sum(data) & 0xFFFFFFFF
    assert checksum(b"\xff" * size) == 255 * size


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "adbkey"
    keygen(str(path))
    return path


def signer_of(key: Path) -> PythonRSASigner:
    return PythonRSASigner(key.with_suffix(".pub").read_text(), key.read_text())


def test_a_real_key_signs_and_nothing_else_passes(key: Path) -> None:
    public = auth.parse_key(key.with_suffix(".pub").read_bytes())
    token = os.urandom(auth.TOKEN_BYTES)
    signature = bytes(signer_of(key).Sign(token))
    assert auth.verify(public, token, signature)
    assert not auth.verify(public, os.urandom(auth.TOKEN_BYTES), signature)
    for place in (0, 1, 100, 255):
        broken = bytearray(signature)
        broken[place] ^= 1
        assert not auth.verify(public, token, bytes(broken))
    assert not auth.verify(public, token, signature[:-1])
    assert not auth.verify(public, token, b"\0" * 256)
    assert not auth.verify(public, token, b"\xff" * 256)


def test_a_signature_forged_for_exponent_3_is_refused() -> None:
    # The classic forgery: a cube whose head looks right and whose tail is free. A check that compares the whole
    # block cannot take it, whatever the modulus.
    token = bytes(20)
    head = b"\0\1\xff\xff\xff\xff\xff\xff\xff\xff\0" + bytes.fromhex("3021300906052b0e03021a05000414") + token
    target = int.from_bytes(head.ljust(256, b"\0"), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < target else (low, middle)
    assert (low**3).to_bytes(256, "big").startswith(head)
    public = auth.PublicKey((1 << 2048) - 1, 3)
    assert not auth.verify(public, token, low.to_bytes(256, "big"))


@given(st.binary(max_size=800))
def test_what_is_no_key_is_refused(data: bytes) -> None:
    for line in (data, base64.b64encode(data) + b" me@here\0"):
        with pytest.raises(ValueError, match="a key"):
            auth.parse_key(line)


def test_accepted_keys_stay_in_one_line_each_for_their_owner_only(key: Path, tmp_path: Path) -> None:
    store = auth.KeyStore(str(tmp_path / "keys"))
    line = key.with_suffix(".pub").read_bytes() + b" me@\nhere $(id)\0"
    store.accept(line)
    store.accept(line)
    assert len((tmp_path / "keys").read_bytes().splitlines()) == 1
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    token = os.urandom(auth.TOKEN_BYTES)
    again = auth.KeyStore(str(tmp_path / "keys"))
    assert again.signer(token, bytes(signer_of(key).Sign(token))) is not None
