"""What is pinned, and how it is taken back: so little that the steward can do it itself."""

from __future__ import annotations

import os

LINK = "strike"  # the link's name in the pin directory


def unpin(pin_dir: str) -> None:
    """Remove what this daemon, or a dead one before it, has pinned in `pin_dir`. Nothing there is fine."""
    for remove, path in ((os.unlink, os.path.join(pin_dir, LINK)), (os.rmdir, pin_dir)):
        try:
            remove(path)
        except OSError:  # not there, a mount point, or others' pins beside ours
            continue
