"""sha256 as `sha256sum` prints it."""

from __future__ import annotations

import hashlib
import re

DIGEST = re.compile(r"[0-9a-f]{64}")


def sha256(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_in(text: str) -> str:
    """The first digest in a command's output; empty when there is none."""
    found = DIGEST.search(text)
    return found.group() if found else ""
