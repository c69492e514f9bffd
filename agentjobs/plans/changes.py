"""What any kind of plan does to the table (pure): add, refresh, skip or remove rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.tasks import Status
from agentjobs.plans.rows import merge_rows
from agentjobs.table.table import apply, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from agentjobs.plans.rows import Planned
    from agentjobs.table.table import Table


class Changes(Struct, frozen=True):
    """The changes that a plan makes."""

    rows: tuple[dict[str, str], ...] = ()
    """New rows, and TODO rows that get these cells."""
    removed: tuple[str, ...] = ()
    """TODO rows that are not needed any more."""
    skipped: dict[str, str] = {}
    """Rows to skip, with their notes. They are kept because a person added to them, or another row waits for them."""


def carried_out(table: Table, changes: Changes) -> tuple[bytes, Planned]:
    """Return the bytes of the changed table, and what happened to each row."""
    changed = table
    if changes.skipped:
        cells = {i: {"status": Status.SKIPPED.value, "note": note} for i, note in changes.skipped.items()}
        changed = parse(apply(changed, cells), table.file)
    if changes.removed:
        changed = parse(without(changed, changes.removed), table.file)
    return merge_rows(changed, changes.rows, file=table.file)


def without(table: Table, ids: Iterable[str]) -> bytes:
    """Return the bytes of the table without those of these rows that exist and are TODO."""
    gone = {table.line_of(i) for i in ids if i in table and table.row(i).status is Status.TODO}
    lines = table.data.split(b"\n")
    return b"\n".join(line for number, line in enumerate(lines, 1) if number not in gone)


def has_begun(table: Table, task_id: str, began: Collection[str]) -> bool:
    """Return whether a row was ever started. ``began``: ids with facts."""
    return task_id in began or bool(table.cell(task_id, "attempt") or table.cell(task_id, "started"))


def reused(groups: Sequence[Collection[str]], waiting: Mapping[str, Collection[str]]) -> dict[int, str]:
    """Return the groups, by position, that keep the id of a waiting row: one that had at least half of the group."""
    was: dict[str, list[str]] = {}
    for task_id, members in waiting.items():
        for member in members:
            was.setdefault(member, []).append(task_id)
    shared = []
    for at, group in enumerate(groups):
        counts: dict[str, int] = {}
        for member in group:
            for task_id in was.get(member, ()):
                counts[task_id] = counts.get(task_id, 0) + 1
        shared += [(-count, task_id, at) for task_id, count in counts.items() if 2 * count >= len(group)]
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for _, task_id, at in sorted(shared):
        if at not in chosen and task_id not in taken:
            chosen[at] = task_id
            taken.add(task_id)
    return chosen


def numbered(count: int, chosen: Mapping[int, str], prefix: str, width: int, taken: Iterable[str]) -> tuple[str, ...]:
    """Return an id for each of ``count`` groups: the chosen one, or the prefix and the next free number."""
    used = {name.lower() for name in taken} | {name.lower() for name in chosen.values()}
    number = 0
    ids = []
    for at in range(count):
        if at in chosen:
            ids.append(chosen[at])
            continue
        number += 1
        while f"{prefix}{number:0{width}d}".lower() in used:
            number += 1
        ids.append(f"{prefix}{number:0{width}d}")
    return tuple(ids)


def retired(
    table: Table, waiting: Collection[str], used: Collection[str], own: Collection[str], why: Callable[[str], str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return which unused waiting rows to remove, and which to skip, with a note.

    A row is skipped instead of removed if a person wrote into a column that is not the plan's ``own``, or another row
    waits for it.
    """
    waited_for = {need for i, cell in table.cells("after") if i not in waiting for need in cell.split()}
    removed: list[str] = []
    skipped: dict[str, str] = {}
    for task_id in waiting:
        if task_id in used:
            continue
        theirs = {name for name, value in table.row(task_id).cells.items() if value.strip() and name not in own}
        if theirs or task_id in waited_for:
            skipped[task_id] = why(task_id)
        else:
            removed.append(task_id)
    return tuple(removed), skipped
