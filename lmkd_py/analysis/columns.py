"""Records as numpy arrays: the constant layout of a record as a dtype, over the bytes as they lie in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..wire.layout import FIXED64_BYTES, NO_ROWS, WIRE_BYTES, WIRE_FIXED64, Shape, tag, varint
from ..wire.record import SHAPE, SHORT_SHAPE
from .mapped import Data
from .packed import FRAME_BYTES, SHORT_FRAME_BYTES


def dtype_of(shape: Shape, head: int = 0) -> np.dtype[Any]:
    """The dtype of a message: each number an int64 at its place, nested messages nested, fixed lists as subarrays.

    Args:
        shape: the message.
        head: bytes of the key and length in front of its body; they belong to the message it is nested in.
    """
    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    at = head
    for number, name in enumerate(shape.names, 1):
        inner = shape.nested.get(name)
        if inner is not None and inner.rows == NO_ROWS:
            continue
        names.append(name)
        if inner is None:
            at += len(tag(number, WIRE_FIXED64))
            formats.append("<i8")
            offsets.append(at)
            at += FIXED64_BYTES
        else:
            row = dtype_of(inner, len(tag(number, WIRE_BYTES) + varint(inner.size())))
            formats.append((row, (inner.rows,)) if inner.rows else row)
            offsets.append(at)
            at += row.itemsize * (inner.rows or 1)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": at})


RECORD = dtype_of(SHAPE)
SHORT = dtype_of(SHORT_SHAPE)  # the same without candidates


def view(data: Data, offset: int, count: int, short: bool) -> NDArray[Any]:
    """`count` records whose frames lie back to back, the first record at `offset`: shape (count,), no copy."""
    kind, stride = (SHORT, SHORT_FRAME_BYTES) if short else (RECORD, FRAME_BYTES)
    return np.ndarray((count,), kind, data, offset, (stride,))


def part(records: NDArray[Any], path: str) -> NDArray[Any]:
    """The field of the records that `path` names; KeyError if there is none. An empty path: all of them."""
    found = records
    for name in path.split(".") if path else ():
        if name not in (found.dtype.names or ()):
            names = ", ".join(found.dtype.names or ()) or "nothing below a number"
            raise KeyError(f"found {path}, wanted instead of {name} one of: {names}")
        found = found[name]
    return found


def gathered(views: list[NDArray[Any]], path: str) -> NDArray[Any]:
    """That field of all of them in one array of its own: one copy. Records without candidates have rows of 0."""
    pattern = part(np.empty(0, RECORD), path)
    out = np.zeros((sum(map(len, views)), *pattern.shape[1:]), pattern.dtype)
    at = 0
    for each in views:
        if each.dtype == RECORD:
            out[at : at + len(each)] = part(each, path)
        elif not (path + ".").startswith("snapshot.candidates."):
            _fill(out[at : at + len(each)], part(each, path))
        at += len(each)
    return out


def _fill(out: NDArray[Any], found: NDArray[Any]) -> None:
    """Copy by the names of fields, as numpy does it by their order."""
    if not found.dtype.names:
        out[...] = found
    for name in found.dtype.names or ():
        _fill(out[name], found[name])
