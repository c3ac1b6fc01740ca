"""The key a device knows this host by: the user's own ~/.android/adbkey where there is one, else one is made."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from adb_shell.auth.keygen import keygen, write_public_keyfile  # type: ignore[import-untyped]
from adb_shell.auth.sign_cryptography import CryptographySigner  # type: ignore[import-untyped]


class KeyFileError(Exception):
    """A key file that cannot be used: which and why."""


def key_paths(given: Path | None = None) -> list[Path]:
    """Where keys are looked for, as adb does: --key, ADB_VENDOR_KEYS, ~/.android/adbkey (made if it is missing)."""
    if given is not None:
        return [given]
    found = []
    for name in filter(None, os.environ.get("ADB_VENDOR_KEYS", "").split(os.pathsep)):
        path = Path(name)
        found += sorted(path.glob("*.adb_key")) if path.is_dir() else [path]
    home = Path(os.environ.get("ANDROID_USER_HOME") or Path.home() / ".android")
    return [home / "adbkey", *(path for path in found if path.exists())]


def signers(given: Path | None = None) -> list[Any]:
    """A signer for each key. The first is made when it is missing. KeyFileError for one that is no RSA key."""
    paths = key_paths(given)
    if not paths[0].exists():
        make_key(paths[0])
    return [_signer(path) for path in paths]


def make_key(path: Path) -> None:
    """A new key pair, PATH (mode 0600 from the start) and PATH.pub; an existing one is never overwritten."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # many threads and processes may miss it at once
            if not path.exists():
                _generate(path)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; choose another with --key PATH") from error


def _generate(path: Path) -> None:
    new = path.with_name(f"{path.name}.new")
    # Beforehand, so that adb-shell's open() does not choose the mode (an umask would be all threads').
    for file, mode in ((new, 0o600), (Path(f"{new}.pub"), 0o644)):
        file.unlink(missing_ok=True)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    keygen(str(new))
    os.replace(f"{new}.pub", f"{path}.pub")
    os.replace(new, path)


def _signer(path: Path) -> Any:
    try:
        if not Path(f"{path}.pub").exists():
            write_public_keyfile(str(path), f"{path}.pub")
        return CryptographySigner(str(path))
    except OSError as error:
        raise KeyFileError(f"{error.filename or path}: {error.strerror}; choose another with --key PATH") from error
    except ValueError as error:
        raise KeyFileError(f"{path}: found no RSA key in it ({error}); choose another with --key PATH") from error
