"""The keys a device knows this host by: the user's own ~/.android/adbkey where there is one, else one is made.

As adb does it: an RSA key without a passphrase in PEM. The public half comes from the private one, so a missing, stale
or unwritable adbkey.pub is no matter. Keys that cannot be used are left out, with a word about each.
"""

from __future__ import annotations

import base64
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

from adb_shell.auth.keygen import keygen  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ...wire.local_files import read_bounded

BITS = 2048  # the only size ADB has
MAX_BYTES = 1 << 16
OTHER = "choose another with --key PATH"
Say = Callable[[str], None]


class KeyFileError(Exception):
    """A key file that cannot be used: which and why."""


class Signer:
    """A private key and what the device is to be told of it; the two methods are adb-shell's."""

    def __init__(self, key: RSAPrivateKey, comment: bytes) -> None:
        self._key = key
        self.public_line = base64.b64encode(_android_key(key)) + b" " + comment

    def Sign(self, data: bytes) -> bytes:
        """The signature of a token of 20 bytes, which stands where a SHA-1 digest would."""
        return self._key.sign(data, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))

    def GetPublicKey(self) -> bytes:
        """The line of adbkey.pub for this key."""
        return self.public_line


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


def signers(given: Path | None = None, say: Say = lambda _: None) -> list[Signer]:
    """A signer for each key that can be used; the first is made when it is missing.

    KeyFileError for a given one that cannot be used, and when there is none; `say` hears of the others.
    """
    paths = key_paths(given)
    found: list[Signer] = []
    refused: list[KeyFileError] = []
    for place, path in enumerate(paths):
        try:
            if place == 0 and not os.path.lexists(path):
                make_key(path)
            found.append(read_key(path))
        except KeyFileError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    for why in refused:
        say(f"left out: {why}")
    return found


def public_keys(given: Path | None = None, say: Say = lambda _: None) -> list[bytes]:
    """The lines by which a device of this user's knows this user, whichever program asks: lmkctl or adb.

    adb looks into ~/.android only, whatever ANDROID_USER_HOME says. KeyFileError as for signers().
    """
    lines = [signer.public_line for signer in signers(given, say)]
    of_adb = Path.home() / ".android" / "adbkey"
    if given is None and of_adb.exists():
        try:
            lines.append(read_key(of_adb).public_line)
        except KeyFileError:
            pass  # adb cannot use it either
    return list(dict.fromkeys(lines))


def read_key(path: Path) -> Signer:
    """The RSA key in a file. KeyFileError."""
    try:
        key = load_pem_private_key(read_bounded(str(path), MAX_BYTES), None)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; {OTHER}") from error
    except TypeError:
        raise KeyFileError(f"{path}: found a key with a passphrase, wanted one without; {OTHER}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: found no private key, wanted an RSA key in PEM; {OTHER}") from None
    if not isinstance(key, RSAPrivateKey):
        kind = type(key).__name__.strip("_").removesuffix("PrivateKey") or "another"
        raise KeyFileError(f"{path}: found a key of kind {kind}, wanted RSA; {OTHER}")
    if key.key_size != BITS:
        raise KeyFileError(f"{path}: found an RSA key of {key.key_size} bits, wanted {BITS}; {OTHER}")
    return Signer(key, _comment(path))


def _comment(path: Path) -> bytes:
    # What the device shows when it asks its owner: the words behind the key in adbkey.pub.
    try:
        words = read_bounded(f"{path}.pub", MAX_BYTES, 0.0).split(None, 1)
    except OSError:
        words = []
    comment = b" ".join(words[1].split())[:200] if len(words) == 2 else b""
    return comment or f"{os.environ.get('USER') or 'unknown'}@{os.uname().nodename}".encode("ascii", "replace")


def _android_key(key: RSAPrivateKey) -> bytes:
    """The 524 bytes of AOSP's struct RSAPublicKey: words, -1/n mod 2^32, n and 2^4096 mod n (little-endian), e."""
    numbers = key.public_key().public_numbers()
    size = BITS // 8
    inverse = -pow(numbers.n, -1, 1 << 32) % (1 << 32)
    square = pow(1 << BITS, 2, numbers.n)
    modulus, factor = numbers.n.to_bytes(size, "little"), square.to_bytes(size, "little")
    return struct.pack(f"<II{size}s{size}sI", size // 4, inverse, modulus, factor, numbers.e)


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
        raise KeyFileError(f"{path}: {error.strerror}; {OTHER}") from error


def _generate(path: Path) -> None:
    new = path.with_name(f"{path.name}.new")
    # Beforehand, so that adb-shell's open() does not choose the mode (an umask would be all threads').
    for file, mode in ((new, 0o600), (Path(f"{new}.pub"), 0o644)):
        file.unlink(missing_ok=True)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    keygen(str(new))
    os.replace(f"{new}.pub", f"{path}.pub")
    os.replace(new, path)
