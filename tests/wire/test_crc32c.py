from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.wire.crc32c import crc32c


def bit_by_bit(data: bytes) -> int:
    """The definition, as slow as it is plain."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


# RFC 3720, appendix B.4 (its bytes are in transmission order), and the check value of every CRC catalogue.
VECTORS = {
    b"": 0x00000000,
    b"123456789": 0xE3069283,
    b"\x00" * 32: 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    bytes.fromhex(
        "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000000000"[:96]
    ): 0xD9963A56,
}


@pytest.mark.parametrize(("data", "checksum"), VECTORS.items())
def test_the_published_vectors(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


@given(st.binary(max_size=300))
def test_any_bytes_have_the_checksum_of_the_definition(data: bytes) -> None:
    assert crc32c(data) == bit_by_bit(data)


@pytest.mark.parametrize("length", [*range(70), 127, 128, 129, 511, 1024, 1709, 4099, 65_535, 65_539])
def test_every_length_has_the_checksum_of_the_definition(length: int) -> None:
    data = bytes((i * i + 7 * i) & 0xFF for i in range(length))
    assert crc32c(data) == bit_by_bit(data)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_one_flipped_bit_is_always_noticed(data: bytes, draw: st.DataObject) -> None:
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    assert crc32c(bytes(flipped)) != crc32c(data)
