"""Where a project lives, and which directory its ``.agentjobs`` is, so that no copy is taken for it.

A copy has the same facts, so also the same marks of agents: it would take the original's agents for its own, call them
lost, and end them. A project that was renamed, mounted elsewhere or restored from a backup is not a copy.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agentjobs.disk.plain_files import read_plain
from agentjobs.disk.write import replace_file
from agentjobs.launch.reap import runs_elsewhere
from agentjobs.launch.step import StepFiles
from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = "home.json"
SEEN_S = 0.5
"""A runner that is just ending has given up its lock and is still there for less than that."""


class Home(msgspec.Struct, frozen=True):
    """State ``home.json``: which directory this ``.agentjobs`` is."""

    id: str
    """Random, made with the directory: a copy has the same."""
    path: str
    """The project, without links."""
    device: int
    inode: int
    """Of ``.agentjobs``: a copy has another, a renamed one has not."""


def settle_in(directory: Path) -> None:
    """See that ``.agentjobs`` is the one that it says it is, and write down where it is now.

    Raises ``UserError`` in a copy of a project that is still in its place, and in one whose agents run outside of it.
    """
    known, now = _read(directory), directory.stat()
    path = os.path.realpath(directory.parent)
    here = Home(known.id if known else os.urandom(6).hex(), path, now.st_dev, now.st_ino)
    if here == known:
        return
    if known is None or (known.device, known.inode) != (here.device, here.inode):
        if known is not None and known.path != path and _lives_there(known, now):
            raise UserError(
                f"{path} is a copy of the project {known.path}, which is still there: nothing was done. Work there, "
                f"or `rm -rf {directory}` to begin anew here"
            )
        if pids := _strangers(directory):
            shown = ", ".join(map(str, pids))
            raise UserError(
                f"agents of this project run, but not in {path} (processes {shown}): is it a copy, or restored from a "
                f"backup? Nothing was done. End them to go on here, or `rm -rf {directory}` to begin anew"
            )
    replace_file(directory / HOME, msgspec.json.encode(here) + b"\n", durable=True)


def tree_here(root: Path, tree: str) -> str:
    """Return where the tree of an intent is now: a project that has been moved took it along."""
    head, below, tail = tree.rpartition("/.agentjobs/")
    return f"{root}{below}{tail}" if below and head != str(root) else tree


def _read(directory: Path) -> Home | None:
    try:
        return msgspec.json.decode(read_plain(directory / HOME), type=Home)
    except (OSError, msgspec.MsgspecError):
        return None


def _lives_there(known: Home, now: os.stat_result) -> bool:
    """Whether the project is still where it was, and that is another directory than this one (``now``)."""
    there = Path(known.path) / ".agentjobs"
    try:
        same = os.path.samestat(there.stat(), now)
    except OSError:
        return False
    found = _read(there)
    return not same and found is not None and found.id == known.id


def _strangers(directory: Path) -> list[int]:
    """Return the runners that live, of steps that nobody runs here: they hold the locks of another directory."""
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
