"""Keys: the user's own is used, a missing one is made readable for the user alone, none is ever overwritten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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
