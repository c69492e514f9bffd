"""Find and kill what a step left behind: by marker, group, session, descent and place, never by a bare pid."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.disk.processes import (
    MARK,
    Process,
    Starting,
    boot_id,
    pids,
    process_table,
    read_marker,
    read_process,
    read_variables,
)
from agentjobs.launch.step import Record, StepFiles, is_held, read_exit, read_record
from agentjobs.launch.unmarked_processes import Place, inside

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

KILL_LIMIT_S = 3.0
"""After this time we give up on what SIGKILL does not end (a process stuck in the kernel)."""

_QUIET_SCANS = 8
"""This many scans without a find (200 ms) are enough, even if some process is still starting a program."""

_children: set[int] = set()


class Found(Struct, frozen=True):
    """Result of one scan: the processes to kill, and whether it may have missed one (see :class:`Starting`)."""

    processes: tuple[Process, ...]
    unsure: bool


def kill_leftovers(markers: Collection[str], records: Iterable[StepFiles] = (), places: Collection[Place] = ()) -> int:
    """Kill all that these attempts left; return how many processes were killed.

    Killed are: processes with ``AGENTJOBS_MARK=<one of markers>`` in their environment; the group and session of a
    runner in ``records`` that is proved to be ours; those in one of ``places`` (see ``inside``); and all descendants of
    these. Scans are repeated until one finds nothing. This process and those above it are spared. A live runner is
    killed like everything else, so call this only for steps that are over, or must end.
    """
    wanted = frozenset(marker.encode() for marker in markers if marker)
    known = [record for files in records if (record := read_record(files)) is not None]
    spared = set(_ourselves())
    ended: set[tuple[int, str]] = set()
    deadline = time.monotonic() + KILL_LIMIT_S
    pause_s = 0.001
    quiet = 0
    while True:
        found = _find(wanted, known, spared, places)
        quiet = 0 if found.processes or any(_is_dying(*process) for process in ended) else quiet + 1
        if quiet and (not found.unsure or quiet == _QUIET_SCANS):
            break
        for process in found.processes:
            if _kill(process):
                ended.add((process.pid, process.start))
            else:
                spared.add(process.pid)
        reap_children()
        if time.monotonic() > deadline:
            break
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
    return len(ended)


def alive(markers: Collection[str]) -> list[int]:
    """Return the living processes that carry one of these markers, such as those that could not be killed."""
    marked, _ = _scan(frozenset(marker.encode() for marker in markers if marker))
    found = (read_process(pid) for pid in sorted(marked - _ourselves()))
    return [process.pid for process in found if process is not None and not process.dead]


def marks_of(root: str, task_id: str) -> list[str]:
    """Return the markers of living processes that were started for a task of the project at ``root``.

    Includes those without any facts: somebody may have removed the facts while the agent was running.
    """
    found = set()
    for pid in set(pids()) - _ourselves():
        try:
            if read_marker(pid) is None:
                continue
        except Starting:
            continue  # as before it starts: without a marker that can be read
        mark, of = read_variables(pid, MARK, "AGENTJOBS_ROOT")
        if mark and of == os.fsencode(root) and mark.partition(b".")[2].rpartition(b".")[0] == task_id.encode():
            found.add(mark.decode(errors="replace"))
    return sorted(found)


def is_ours(record: Record) -> bool:
    """Return whether the pid in the record still belongs to that living runner, or to a living group that it left."""
    runner = _runner(record)
    if runner is not None and not runner.dead:
        return True
    members = {p.pid for p in process_table().values() if p.group == record.pid and not p.dead}
    if runner is not None or record.pid <= 1 or not record.mark:
        return runner is not None and bool(members)
    return not members.isdisjoint(_scan(frozenset([record.mark.encode()]))[0])


def runs_elsewhere(files: StepFiles) -> int:
    """Return the pid of a step's runner that lives, has written no exit and does not hold the step's lock; else 0.

    It then holds another lock file: these facts are a copy.
    """
    if is_held(files) or read_exit(files) is not None or (record := read_record(files)) is None:
        return 0
    runner = _runner(record)
    return 0 if runner is None or runner.dead else runner.pid


def adopt_child(pid: int) -> None:
    """Remember a runner that this process started, so that :func:`reap_children` collects it."""
    _children.add(pid)


def reap_children() -> None:
    """Collect those of our own runners that ended; other children are left to the code that started them."""
    for pid in tuple(_children):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            ended = True
        if ended:
            _children.discard(pid)


# --- which processes -------------------------------------------------------------------------------------


def _find(
    wanted: frozenset[bytes], records: Sequence[Record], spared: Collection[int], places: Collection[Place]
) -> Found:
    marked, unsure = _scan(wanted)
    marked |= inside(places, spared)
    groups = {record.pid for record in records if _runner(record) is not None}
    if not marked and not groups:
        return Found((), unsure)  # the usual end of a step: no second scan of all processes
    table = process_table()
    # A pid in use as a group is not given to another process: one marked member proves that it is still the runner's.
    numbers = {record.pid for record in records}
    groups |= {table[pid].group for pid in marked if pid in table} & numbers
    roots = {p.pid for p in table.values() if p.pid in marked or p.group in groups or p.session in groups}
    doomed = (table[pid] for pid in sorted(_with_descendants(roots, table, spared)))
    return Found(tuple(process for process in doomed if not process.dead), unsure)


def _scan(wanted: frozenset[bytes]) -> tuple[set[int], bool]:
    """Return the processes that carry one of the markers, and whether this scan may have missed one."""
    marked: set[int] = set()
    seen: set[int] = set()
    unsure = False
    # A process may fork and end while we scan: repeat until a list has no new process.
    while wanted and (new := set(pids()) - seen):
        for pid in new:
            try:
                if read_marker(pid) in wanted:
                    marked.add(pid)
            except Starting:
                unsure = True
        if marked and seen:
            break  # kill these first: one of them may be the process that keeps forking
        seen |= new
    return marked, unsure


def _with_descendants(roots: set[int], table: Mapping[int, Process], spared: Collection[int]) -> set[int]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for process in table.values():
        children[process.parent].append(process.pid)
    found: set[int] = set()
    todo = [pid for pid in roots if pid in table]
    while todo:
        pid = todo.pop()
        if pid not in found and pid not in spared:
            found.add(pid)
            todo += children[pid]
    return found


def _runner(record: Record) -> Process | None:
    """Return the process that wrote the record, perhaps a zombie; None if the pid is another process's by now."""
    if not record.start or record.boot != boot_id() or record.pid <= 1:
        return None
    process = read_process(record.pid)
    return process if process is not None and process.start == record.start else None


_ABOVE_S = 1.0
_above: tuple[float, int, frozenset[int]] = (0.0, 0, frozenset())


def _ourselves() -> frozenset[int]:
    """Return this process and those above it, as they were at most ``_ABOVE_S`` ago."""
    global _above  # noqa: PLW0603 - a cache, for scans that follow each other in milliseconds
    now, pid = time.monotonic(), os.getpid()
    if now >= _above[0] or _above[1] != pid:
        _above = (now + _ABOVE_S, pid, _ancestry(pid))
    return _above[2]


def _ancestry(pid: int) -> frozenset[int]:
    found = {pid}
    while (process := read_process(pid)) is not None and process.parent > 0 and process.parent not in found:
        pid = process.parent
        found.add(pid)
    return frozenset(found)


def _is_dying(pid: int, start: str) -> bool:
    """Return whether a killed process is not dead yet: its environment and directory vanish before it does."""
    process = read_process(pid)
    return process is not None and process.start == start and not process.dead


def _kill(process: Process) -> bool:
    """Kill the process unless its pid is another process's by now; False if that is forbidden."""
    now = read_process(process.pid)
    if now is None or now.start != process.start:
        return True
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True
