"""What the kernel refuses, as a note: the errno is the fact; words are kept only where they say more than it."""

from __future__ import annotations

import os
from errno import ENOMEM

from ...core.notes import Note
from ...core.vocabulary import ABSENT


def refused(kind: str, error: BaseException, layer: int = ABSENT, subject: str = "", number: int = 0) -> Note:
    """`kind` failed with `error`: an OSError, a MemoryError (ENOMEM), or a ValueError (no errno, only its words).

    The subject is the error's file, unless there is another one: then the file is told in the text.
    """
    if isinstance(error, MemoryError):
        return Note(0, kind, "", number, layer, ENOMEM, subject)
    if not isinstance(error, OSError) or not error.errno:
        return Note(0, kind, str(error), number, layer, 0, subject)
    plain = os.strerror(error.errno)
    words = error.strerror or plain
    if error.filename and subject:
        words = f"{error.filename}: {words}"
    return Note(0, kind, "" if words == plain else words, number, layer, error.errno, subject or error.filename or "")
