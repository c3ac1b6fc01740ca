"""Keys: the user's own is used, a missing one is made readable for the user alone, none is ever overwritten."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lmkd_py.board.adbd.auth import parse_key, verify
from lmkd_py.host.adb.keys import KeyFileError, key_paths, make_key, signers


def test_a_missing_key_is_made_for_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "adbkey"
    (signer,) = signers(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in path.parent.iterdir()) == ["adbkey", "adbkey.pub"]
    assert len(signer.Sign(bytes(20))) == 256


def test_a_key_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "adbkey"
    signers(path)
    before = path.read_bytes()
    make_key(path)
    signers(path)
    assert path.read_bytes() == before


def test_a_public_half_that_is_missing_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "adbkey"
    (first,) = signers(path)
    Path(f"{path}.pub").unlink()
    (again,) = signers(path)
    assert again.GetPublicKey().split()[0] == first.GetPublicKey().split()[0]


@pytest.mark.parametrize("data", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "adbkey"
    path.write_bytes(data)
    with pytest.raises(KeyFileError, match="--key"):
        signers(path)


def pem(key: object, passphrase: bytes = b"") -> bytes:
    """A private key as openssl writes it."""
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, how)  # type: ignore[attr-defined,no-any-return]


ODD: dict[str, tuple[Callable[[], bytes], str]] = {
    "passphrase": (lambda: pem(rsa.generate_private_key(65537, 2048), b"x"), "a key with a passphrase"),
    "ec": (lambda: pem(ec.generate_private_key(ec.SECP256R1())), r"a key of kind \w+, wanted RSA"),
    "short": (lambda: pem(rsa.generate_private_key(65537, 1024)), "an RSA key of 1024 bits, wanted 2048"),
    "public": (lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no private key"),
    "openssh": (lambda: b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "no priv"),
    "noise": (lambda: bytes(range(256)) * 9, "no private key"),
    "huge": (lambda: b"x" * (1 << 17), "longer than 65536 bytes"),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_named_key_of_another_kind_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    make, words = ODD[kind]
    path = tmp_path / "key"
    path.write_bytes(make())
    with pytest.raises(KeyFileError, match=f"{path}: (found )?{words}") as refused:
        signers(path)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "fifo", tmp_path / "loop"):
        with pytest.raises(KeyFileError, match="--key"):
            signers(path)


def test_a_vendor_key_that_is_none_is_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.adb_key").write_text("hello")
    monkeypatch.setenv("ANDROID_USER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADB_VENDOR_KEYS", str(tmp_path))
    said: list[str] = []
    assert len(signers(say=said.append)) == 1
    (word,) = said
    assert word.startswith(f"left out: {tmp_path}/x.adb_key: found no private key")
    (tmp_path / "home/adbkey").write_text("broken, too")
    with pytest.raises(KeyFileError, match="home/adbkey"):
        signers()


def test_the_public_half_comes_from_the_private_one(tmp_path: Path) -> None:
    first, other = signers(tmp_path / "a")[0], signers(tmp_path / "b")[0]
    (tmp_path / "a.pub").write_bytes(other.GetPublicKey())  # stale
    (again,) = signers(tmp_path / "a")
    assert again.GetPublicKey().split()[0] == first.GetPublicKey().split()[0]
    (tmp_path / "a.pub").unlink()
    (tmp_path / "a.pub").mkdir()  # nothing can be written there
    assert signers(tmp_path / "a")[0].GetPublicKey().split()[0] == first.GetPublicKey().split()[0]
    key = parse_key(first.GetPublicKey())
    assert verify(key, b"t" * 20, first.Sign(b"t" * 20))
    assert not verify(key, b"t" * 20, other.Sign(b"t" * 20))


def test_keys_are_looked_for_where_adb_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v").mkdir()
    for name in ("v/b.adb_key", "v/a.adb_key", "v/other", "one"):
        (tmp_path / name).touch()
    monkeypatch.setenv("ANDROID_USER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADB_VENDOR_KEYS", f"{tmp_path}/v:{tmp_path}/one:{tmp_path}/none")
    found = [path.relative_to(tmp_path).as_posix() for path in key_paths()]
    assert found == ["home/adbkey", "v/a.adb_key", "v/b.adb_key", "one"]
    assert key_paths(tmp_path / "given") == [tmp_path / "given"]


def test_many_who_miss_the_key_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: signers(tmp_path / "adbkey")[0], range(8)))
    assert len({signer.GetPublicKey().split()[0] for signer in made}) == 1
    assert len({signer.Sign(bytes(20)) for signer in made}) == 1
