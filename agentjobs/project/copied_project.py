"""Recognises a copy of a project, by where ``.agentjobs`` is, and refuses to work in it.

A copy has the same facts and so the same process marks: it would take the original's agents for its own, call them
lost, and kill them. A project that was renamed, mounted elsewhere or restored from a backup is not a copy.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agentjobs.disk.plain_files import read_plain
from agentjobs.disk.write import replace_file
from agentjobs.launch.launcher import runs_elsewhere
from agentjobs.launch.step import StepFiles
from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = "home.json"
SEEN_S = 0.5
"""Seconds in which a runner that is exiting may have released its lock but still be alive."""


class Home(msgspec.Struct, frozen=True):
    """State ``home.json``: the identity of this ``.agentjobs``."""

    id: str
    """Random, made with the directory: a copy has the same."""
    path: str
    """The project's path, with links resolved."""
    device: int
    inode: int
    """Of ``.agentjobs``: a copy has another, a renamed directory the same."""


def settle_in(directory: Path) -> None:
    """Check that ``.agentjobs`` is not a copy, and write down where it is now.

    UserError in a copy of a project that still exists, and if agents of this project run outside of it.
    """
    known, now = _read(directory), directory.stat()
    path = os.path.realpath(directory.parent)
    here = Home(known.id if known else os.urandom(6).hex(), path, now.st_dev, now.st_ino)
    if here == known:
        return
    if known is None or (known.device, known.inode) != (here.device, here.inode):
        if known is not None and known.path != path and _lives_there(known, now):
            raise UserError(
                f"{path} is a copy of the project {known.path}, which still exists; nothing was changed. Work there, "
                f"or `rm -rf {directory}` to start over here"
            )
        if pids := _strangers(directory):
            shown = ", ".join(map(str, pids))
            raise UserError(
                f"agents of this project run outside of {path} (processes {shown}): is it a copy, or restored from a "
                f"backup? Nothing was changed. Kill them to continue here, or `rm -rf {directory}` to start over"
            )
    replace_file(directory / HOME, msgspec.json.encode(here) + b"\n", durable=True)


def tree_here(root: Path, tree: str) -> str:
    """Return where the tree of an intent is now: if the project was moved, its trees moved with it."""
    head, below, tail = tree.rpartition("/.agentjobs/")
    return f"{root}{below}{tail}" if below and head != str(root) else tree


def _read(directory: Path) -> Home | None:
    try:
        return msgspec.json.decode(read_plain(directory / HOME), type=Home)
    except (OSError, msgspec.MsgspecError):
        return None


def _lives_there(known: Home, now: os.stat_result) -> bool:
    """Return whether the project still is at its old path, and that is not this directory (``now``)."""
    there = Path(known.path) / ".agentjobs"
    try:
        same = os.path.samestat(there.stat(), now)
    except OSError:
        return False
    found = _read(there)
    return not same and found is not None and found.id == known.id


def _strangers(directory: Path) -> list[int]:
    """Return the pids of live runners whose locks are not held in this directory: they belong to another one."""
    give_up_at = time.monotonic() + SEEN_S
    while True:
        found = [pid for files in _newest(directory) if (pid := runs_elsewhere(files))]
        if not found or time.monotonic() > give_up_at:
            return sorted(found)
        time.sleep(0.02)


def _newest(directory: Path) -> Iterator[StepFiles]:
    """Yield the steps of the newest attempt of each task, of the gate and of the plans."""
    attempts = directory / "attempts"
    for task in attempts.iterdir() if attempts.is_dir() else ():
        numbers = [entry for entry in (task.iterdir() if task.is_dir() else ()) if entry.name.isdecimal()]
        if numbers:
            newest = max(numbers, key=lambda entry: int(entry.name))
            yield from (StepFiles(newest, lock.stem) for lock in newest.glob("*.lock"))
