"""Rows for groups of files, in a table that may have some already (pure).

A row is one of ``plan files`` if it has a ``lines`` cell. Those that have not begun are made anew: their files are
grouped again, a group keeps the id of the row that most of its files come from, and a row that no group needs is
removed; it becomes SKIPPED where its files are in no other row, or somebody relies on it. All other rows of the same
profile stay as they are and keep their files, but for the files of a DONE row that have changed since: these become
new rows, so that what was done stays told, and a new task is no larger than what changed.
"""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED, Status
from agentjobs.plans.group import Grouping, Limit, Size, group_files, group_names
from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from agentjobs.policy.plan import Planning
    from agentjobs.table.table import Table

NOTE: Final = "plan files: "
"""How notes of rows begin that planning itself left out; such a row may be taken up again."""

OWN: Final = frozenset({"id", "status", "after", "files", "priority", "lines", "file_tokens", "profile"})
"""The columns that planning writes."""


class Sources(Struct, frozen=True):
    """What the commit holds that tasks start from."""

    sizes: dict[str, Size]
    """Every file that include and exclude choose."""
    edges: dict[str, tuple[str, ...]]
    """What each of them, and of the files of other rows, imports."""
    paths: frozenset[str]
    """Every path of the commit."""
    coupled: tuple[tuple[str, str], ...] = ()
    """Files that change together, the strongest first."""


class Standing(Struct, frozen=True):
    """What rows of the profile there are, and whose the files are."""

    waiting: dict[str, tuple[str, ...]] = {}
    """Rows of ``plan files`` that have not begun, with the files they were made for."""
    left_out: frozenset[str] = frozenset()
    """Rows that planning itself left out before."""
    holders: dict[str, str] = {}
    """Files that a row keeps, by each of their names, and its id."""
    done: dict[str, tuple[str, tuple[str, ...]]] = {}
    """DONE rows that name a commit: it, and the files."""


class Replanned(Struct, frozen=True):
    """What the table is to become."""

    rows: tuple[dict[str, str], ...]
    """Rows that are new, or wait and get these cells."""
    removed: tuple[str, ...]
    """Rows that waited and are not needed: other rows have their files, and nobody wrote anything more into them."""
    statuses: dict[str, tuple[Status, str]]
    """Status and note of rows that are left out from now on, or taken up again."""
    grouping: Grouping
    ids: tuple[str, ...]
    """Of the groups, in their order."""
    held: int
    """Chosen files that other rows keep."""
    stuck: tuple[tuple[str, str], ...] = ()
    """Other rows that wait for one that is left out now, and its id."""


def standing(
    table: Table, planning: Planning, *, began: Collection[str], asked: Callable[[str], bool]
) -> Standing:
    """Sort the rows of the profile. ``began``: ids that the facts know; ``asked``: whether a path is to be planned."""
    waiting: dict[str, tuple[str, ...]] = {}
    left_out: set[str] = set()
    holders: dict[str, str] = {}
    done: dict[str, tuple[str, tuple[str, ...]]] = {}
    profile = planning.profile or "default"
    for task_id in table.ids:
        row = table.row(task_id)
        if row.profile != profile or not row.files:
            continue
        files = originals((normalise(path) for path in row.files), planning)
        mine = bool(row.cells.get("lines")) and task_id not in began
        mine = mine and not (row.cells.get("attempt") or row.cells.get("started"))
        if mine and row.status is Status.TODO and all(map(asked, files)):
            waiting[task_id] = files
            continue
        if mine and row.status is Status.SKIPPED and row.cells.get("note", "").startswith(NOTE):
            left_out.add(task_id)
            continue
        for path in (*map(normalise, row.files), *files):
            holders.setdefault(path, task_id)
        if row.status is Status.DONE and row.cells.get("commit"):
            done[task_id] = row.cells["commit"], files
    return Standing(waiting, frozenset(left_out), holders, done)


def originals(paths: Iterable[str], planning: Planning) -> tuple[str, ...]:
    """Return the paths without those that are another one's new name."""
    found = tuple(paths)
    made = {planning.renamed(path) for path in found if planning.renamed(path) != path}
    return tuple(path for path in found if path not in made)


def replan(
    table: Table, sources: Sources, now: Standing, planning: Planning, *, asked: Callable[[str], bool]
) -> Replanned:
    """Group the files that no row keeps, and say what becomes of the rows that wait."""
    todo = {path: size for path, size in sources.sizes.items() if path not in now.holders and asked(path)}
    grouping = group_files(
        sources.edges,
        todo,
        limit=Limit(planning.max_lines, planning.max_tokens),
        one_per_file=planning.one_per_file,
        by_directory=planning.by == "dir",
        loose=planning.loose_order,
        coupled=sources.coupled,
    )
    ids = _ids(table, grouping, now)
    rows = _Rows(table, sources, now, planning, grouping, ids).rows()
    owner = {path: task_id for task_id, group in zip(ids, grouping.groups, strict=True) for path in group.files}
    statuses: dict[str, tuple[Status, str]] = {}
    waited_for = {need for i, cell in table.cells("after") if i not in now.waiting for need in cell.split()}
    removed: list[str] = []
    used = set(ids)
    for task_id, files in now.waiting.items():
        if task_id in used:
            continue
        theirs = {name for name, value in table.row(task_id).cells.items() if value.strip() and name not in OWN}
        if not theirs and task_id not in waited_for and all(path in owner for path in files):
            removed.append(task_id)
        else:
            statuses[task_id] = Status.SKIPPED, NOTE + _why(files, owner, sources)
    statuses.update({task_id: (Status.TODO, "") for task_id in ids if task_id in now.left_out})
    held = sum(path in now.holders for path in sources.sizes)
    skipped = {task_id for task_id, (status, _) in statuses.items() if status is Status.SKIPPED}
    stuck = tuple(
        (task_id, need)
        for task_id, cell in table.cells("after")
        for need in cell.split()
        if need in skipped and task_id not in now.waiting and table.row(task_id).status is Status.TODO
    )
    return Replanned(tuple(rows), tuple(removed), statuses, grouping, ids, held, stuck)


def without(table: Table, ids: Iterable[str]) -> bytes:
    """Return the bytes of the table without these rows, as far as they are there and TODO."""
    gone = {table.line_of(i) for i in ids if i in table and table.row(i).status is Status.TODO}
    lines = table.data.split(b"\n")
    return b"\n".join(line for number, line in enumerate(lines, 1) if number not in gone)


def _why(files: Sequence[str], owner: Mapping[str, str], sources: Sources) -> str:
    """Say why a row is not needed any more."""
    heirs = sorted({owner[path] for path in files if path in owner})
    if heirs:
        return f"its files are in {heirs[0]} now" + (f" and {len(heirs) - 1} more" if heirs[1:] else "")
    if any(path in sources.sizes for path in files):
        return "its files are in other rows now"
    there = any(path in sources.paths for path in files)
    return "include and exclude leave its files out" if there else "its files are gone"


def _ids(table: Table, grouping: Grouping, now: Standing) -> tuple[str, ...]:
    """Return an id for each group: of the waiting row that had at least half of its files, or a new one."""
    was = {path: task_id for task_id, files in now.waiting.items() for path in files}
    shared = [
        (-count, task_id, at)
        for at, group in enumerate(grouping.groups)
        for task_id, count in Counter(was[path] for path in group.files if path in was).items()
        if 2 * count >= len(group.files)
    ]
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for _, task_id, at in sorted(shared):
        if at not in chosen and task_id not in taken:
            chosen[at] = task_id
            taken.add(task_id)
    new = [at for at in range(len(grouping.groups)) if at not in chosen]
    names = group_names([grouping.groups[at].files for at in new], set(table.ids) - now.left_out)
    chosen.update(zip(new, names, strict=True))
    return tuple(chosen[at] for at in range(len(grouping.groups)))


class _Rows:
    """The cells of the groups, and what each of them comes after."""

    def __init__(
        self, table: Table, sources: Sources, now: Standing, planning: Planning, grouping: Grouping, ids: Sequence[str]
    ) -> None:
        self.table = table
        self.sources = sources
        self.now = now
        self.planning = planning
        self.grouping = grouping
        self.ids = ids
        old = {*now.waiting, *now.left_out}
        self.after = {i: cell.split() for i, cell in table.cells("after") if i not in old}
        self.behind = _behind(self.after, old)

    def rows(self) -> list[dict[str, str]]:
        """Return the cells of each group's row."""
        waves = len(self.grouping.waves)
        extra = self._coupled()
        rows = []
        for at, group in enumerate(self.grouping.groups):
            names = [name for path in group.files for name in sorted({path, self.planning.renamed(path)})]
            row = {
                "id": self.ids[at],
                "files": shlex.join(names),
                "after": " ".join(self._needs(at, extra.get(at, set()))),
                "priority": str(waves - group.wave),
                "lines": str(group.size.lines),
            }
            if self.planning.max_tokens is not None:
                row["file_tokens"] = str(group.size.tokens)
            if self.planning.profile is not None:
                row["profile"] = self.planning.profile
            self.after[self.ids[at]] = row["after"].split()
            rows.append(row)
        return rows

    def _needs(self, at: int, extra: set[str]) -> list[str]:
        """Return the ids that a group comes after: groups, rows that keep what it imports, and what a person added."""
        group = self.grouping.groups[at]
        mine = [self.ids[need] for need in group.needs]
        kept = set(extra)
        if not self.planning.loose_order:
            targets = {target for path in group.files for target in self.sources.edges.get(path, ())}
            kept |= {self.now.holders[target] for target in targets if target in self.now.holders}
        kept = {i for i in kept if i not in self.behind and self.table.row(i).status is not Status.SKIPPED}
        if kept:
            implied = _reached(self.after, mine)
            for task_id in sorted(kept):
                implied |= _reached(self.after, [task_id]) - {task_id}
            mine += sorted(kept - implied)
        return mine + [i for i in self._by_hand(self.ids[at]) if i not in mine]

    def _by_hand(self, task_id: str) -> list[str]:
        """Return what a waiting row comes after that planning did not write: rows that are none of its own."""
        if task_id not in self.now.waiting:
            return []
        named = self.table.cell(task_id, "after").split()
        return [i for i in named if i in self.table and not self.table.cell(i, "lines")]

    def _coupled(self) -> dict[int, set[str]]:
        """Return rows at work whose files change together with some of a group: it waits for them."""
        place = {path: at for at, group in enumerate(self.grouping.groups) for path in group.files}
        found: dict[int, set[str]] = {}
        for pair in self.sources.coupled:
            for path, other in (pair, pair[::-1]):
                holder = self.now.holders.get(other)
                if path in place and holder is not None and self.table.row(holder).status not in SETTLED:
                    found.setdefault(place[path], set()).add(holder)
        return found


def _behind(after: Mapping[str, Sequence[str]], ids: Collection[str]) -> set[str]:
    """Return the rows that come after any of ``ids``, directly or not."""
    followers: dict[str, list[str]] = {}
    for task_id, needs in after.items():
        for need in needs:
            followers.setdefault(need, []).append(task_id)
    found: set[str] = set()
    todo = list(ids)
    while todo:
        fresh = [i for i in followers.get(todo.pop(), ()) if i not in found]
        found.update(fresh)
        todo += fresh
    return found


def _reached(after: Mapping[str, Sequence[str]], starts: Iterable[str]) -> set[str]:
    """Return what ``starts`` come after, directly or not, and themselves."""
    found = set(starts)
    todo = list(found)
    while todo:
        fresh = [i for i in after.get(todo.pop(), ()) if i not in found]
        found.update(fresh)
        todo += fresh
    return found


def refuse_odd(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that a table cannot name: a glob they would be, or no text."""
    odd = []
    for path in paths:
        try:
            path.encode()
            normalise(path)
        except (UnicodeEncodeError, UserError):
            odd.append(path)
            continue
        if "*" in path or "?" in path or not path.isprintable():
            odd.append(path)
    return tuple(odd)
