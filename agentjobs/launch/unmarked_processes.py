"""Find processes in a task's tree that carry no marker.

A server of the user (tmux, at, a service manager) starts programs for an agent with its own environment, and ``env -i
setsid`` drops the marker. Such a process is recognised by its place: its working directory or its program is in the
tree, or it has a file there open for writing. It is killed if all of this is true:

- It runs as our user. It is neither this process nor above it, nor in the session of one of those.
- It carries a marker of the same task (of a forgotten attempt), or it has no marker and started after the
  first step of the attempt.
- It is not at a person's terminal. People look into trees: a process with a controlling terminal is theirs. The one
  exception is a command that a terminal multiplexer runs, as in ``tmux new-session -d "npm run dev"``: the session's
  leader is a child of the multiplexer, and not just a shell.

A shell in a multiplexer may belong to a person or to an agent; they look the same, so it is left alone. A tree with any
process in it is not given to another task (``occupied``).

Linux only: elsewhere nothing is found here.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.disk.processes import (
    KNOWN_S,
    PIDS_MAX,
    Process,
    Starting,
    arguments,
    boot_id,
    name_of,
    pids,
    read_marker,
    read_process,
)
from agentjobs.launch.step import StepFiles, read_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_LINUX = sys.platform == "linux"
_DELETED = " (deleted)"
_MULTIPLEXERS = frozenset({"tmux: server", "screen", "SCREEN", "zellij", "dtach", "abduco"})
_WRITING = os.O_WRONLY | os.O_RDWR
_LOOK_S = 0.25
_looked: tuple[float, list[str]] = (0.0, [])
_started: dict[int, tuple[float, int]] = {}
"""By pid: until when it is known, and when that process started."""


class Place(Struct, frozen=True):
    """A tree, the task that it belongs to, and the steps of the attempt that ran in it."""

    tree: str
    task: str
    steps: tuple[StepFiles, ...] = ()


def inside(places: Collection[Place], spared: Collection[int]) -> set[int]:
    """Return the processes in these trees that must be killed; ``spared`` are this process and those above it."""
    if not _LINUX or not places:
        return set()
    trees = {_real(place.tree): (place, _since(place)) for place in places}
    above = {process.session for pid in spared if (process := read_process(pid)) is not None}
    earliest = min((since for _, since in trees.values() if since is not None), default=None)
    found = set()
    for pid in pids():
        if pid in spared:
            continue
        tree = _below(_links(pid), trees)
        if tree is None and (earliest is None or not _is_unmarked_since(pid, earliest)):
            continue
        tree = tree or _below(_written(pid), trees)
        process = read_process(pid) if tree is not None else None
        if tree is None or process is None or process.session in above or not _is_of_our_user(pid):
            continue
        if _is_ended(process, *trees[tree]):
            found.add(pid)
    return found


def occupied(tree: str) -> bool:
    """Return whether any process has its working directory in the tree.

    One scan serves for a quarter of a second, but a process that it found may have ended since.
    """
    global _looked  # noqa: PLW0603 - a cache, for trees that are given back one after the other
    if not _LINUX:
        return False
    for fresh in (False, True):
        if fresh or time.monotonic() > _looked[0]:
            _looked = (time.monotonic() + _LOOK_S, [cwd for pid in pids() for cwd in _read_links(f"/proc/{pid}/cwd")])
        if _below(_looked[1], (_real(tree),)) is None:
            return False
    return True


def _is_ended(process: Process, place: Place, since: int | None) -> bool:
    try:
        mark = read_marker(process.pid)
    except Starting:
        return False  # the next scan sees what it becomes
    if mark is not None:
        return os.fsdecode(mark).partition(".")[2].rpartition(".")[0] == place.task
    return since is not None and int(process.start) >= since and not _is_at_a_persons_terminal(process)


def _is_at_a_persons_terminal(process: Process) -> bool:
    leader = read_process(process.session) if process.terminal else None
    if leader is None:
        return False
    return name_of(leader.parent) not in _MULTIPLEXERS or _is_a_shell(arguments(leader.pid))


def _is_a_shell(argv: list[str]) -> bool:
    """Return whether this command line is a shell without anything to run."""
    given = [word for word in argv[1:] if not word.startswith("-") or word == "-c"]
    return bool(argv) and argv[0].rpartition("/")[2].endswith("sh") and not given


def _is_unmarked_since(pid: int, since: int) -> bool:
    now = time.monotonic()
    known_until, started = _started.get(pid, (0.0, 0))
    if now < known_until and started < since:
        return False
    process = read_process(pid)
    if process is None:
        return False
    if len(_started) > PIDS_MAX:
        _started.clear()
    _started[pid] = (now + KNOWN_S, int(process.start))
    if int(process.start) < since or process.terminal or not _is_of_our_user(pid):
        return False
    try:
        return read_marker(pid) is None
    except Starting:
        return False


def _is_of_our_user(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.getuid()  # noqa: PTH116 - as everywhere here
    except OSError:
        return False


def _since(place: Place) -> int | None:
    """Return when the first step of the attempt started, in clock ticks since this boot."""
    records = [record for files in place.steps if (record := read_record(files)) is not None]
    return min((int(r.start) for r in records if r.boot == boot_id() and r.start.isdecimal()), default=None)


def _real(tree: str) -> str:
    """Return the path as the kernel names it; a link in the place of the tree itself is not followed."""
    above, name = os.path.split(tree)
    return f"{os.path.realpath(above)}/{name}"


def _below(paths: Iterable[str], trees: Collection[str]) -> str | None:
    """Return the tree that contains one of these paths."""
    for path in paths:
        for tree in trees:
            if path.startswith(tree) and path[len(tree) :].removesuffix(_DELETED)[:1] in {"", "/"}:
                return tree
    return None


def _links(pid: int) -> Iterator[str]:
    yield from _read_links(f"/proc/{pid}/cwd")
    yield from _read_links(f"/proc/{pid}/exe")


def _written(pid: int) -> Iterator[str]:
    """Yield the files that a process has open for writing."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for number in numbers:
        for path in _read_links(f"/proc/{pid}/fd/{number}"):
            if path.startswith("/") and _flags(f"/proc/{pid}/fdinfo/{number}") & _WRITING:
                yield path


def _flags(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - as everywhere here
            return next((int(line.split()[1], 8) for line in file if line.startswith("flags:")), 0)
    except OSError:
        return 0


def _read_links(*paths: str) -> Iterator[str]:
    for path in paths:
        try:
            yield os.readlink(path)  # noqa: PTH115 - a Path costs more than the call
        except OSError:  # gone, a kernel thread, or another user's
            continue
