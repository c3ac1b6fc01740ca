"""Releases: directories by their hash, `current` and `previous` links that are switched by rename."""

from __future__ import annotations

import os
from typing import Any

from .daemon import restart, status
from .files import Failed, read_proc, sync_directory


def link_of(root: str, name: str) -> str:
    """Where `current` or `previous` leads, as an absolute path; empty when there is no such link."""
    try:
        target = os.readlink(os.path.join(root, name))
    except OSError:
        return ""
    return os.path.join(root, target)


def point(root: str, name: str, release: str) -> None:
    """Make the link `name` point to a release, by rename."""
    new = os.path.join(root, name + ".new")
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(os.path.relpath(release, root), new)
    os.replace(new, os.path.join(root, name))
    sync_directory(root)


def activate(root: str, release: str) -> dict[str, Any]:
    """Make a release the current one, keep the former as `previous`."""
    former = link_of(root, "current")
    if former != release:
        if former:
            point(root, "previous", former)
        point(root, "current", release)
    return {"current": release, "previous": link_of(root, "previous")}


def upgrade(root: str, release: str) -> dict[str, Any]:
    """Switch to a release, and a running daemon with it; back to the former one if it does not arm itself.

    It may have been cut off before, at any point: what runs and what the links say need not agree.
    """
    former = link_of(root, "current")
    before = status(root)
    running = release_of(before["steward_pid"]) if before["running"] else ""
    activate(root, release)
    if not (before["running"] or before["orphan"]):
        return {"running": False}
    if running == release:
        return before
    fallback = next((one for one in (running, former, link_of(root, "previous")) if one and one != release), "")
    try:
        reply = restart(root, release, fallback, False, lambda: point(root, "current", fallback))
    except Failed:
        if fallback:
            point(root, "current", fallback)
        raise
    return {"running": True, **reply}


def release_of(pid: int) -> str:
    """Directory of the release a steward was started from: it stands in its command line. Empty if it is gone."""
    try:
        words = read_proc(f"/proc/{pid}/cmdline").decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    return next((word for word in words if "/releases/" in word), "")
