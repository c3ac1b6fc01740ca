"""Names that a device chose, made fit for the host's file system: letters that they are, never a path."""

from __future__ import annotations

import hashlib
import string

_PLAIN = frozenset(string.ascii_letters + string.digits + "._-:+")
MAX_NAME = 80


def file_name(name: str) -> str:
    """One path component for any text: the same for the same, another for another, no `/`, no leading dot."""
    plain = "".join(one if one in _PLAIN else "".join(f"%{b:02X}" for b in one.encode("utf-8", "surrogatepass"))
                    for one in name)  # fmt: skip
    if plain.startswith("."):
        plain = "%2E" + plain[1:]
    if not plain:
        return "%"
    if len(plain) <= MAX_NAME:
        return plain
    return plain[: MAX_NAME - 17] + "%" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
