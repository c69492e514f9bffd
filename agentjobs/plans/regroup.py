"""Rows for groups of files, in a table that may have some already (pure).

A row belongs to ``plan files`` if it has a ``lines`` cell. Rows that have not started are planned again: their
files are grouped again, and a group keeps the id of the row that most of its files come from. A row that no group
needs is removed; it becomes SKIPPED if its files are in no other row, or a person or another row relies on it. All
other rows of the profile stay and keep their files, except for files of a DONE row that have changed since: these
become new rows, so that the history stays and a new task is not larger than the change.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED, Status
from agentjobs.plans.changes import reused
from agentjobs.plans.group import Grouping, Limit, Size, group_files, group_names
from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from agentjobs.policy.plan_files import Planning
    from agentjobs.table.table import Table

NOTE: Final = "plan files: "
"""Start of the note of a row that planning skipped; planning may set such a row to TODO again."""

OWN: Final = frozenset({"id", "status", "after", "files", "priority", "lines", "file_tokens", "profile"})
"""The columns that planning writes."""


class Sources(Struct, frozen=True):
    """The content of the commit that tasks start from."""

    sizes: dict[str, Size]
    """Every file that include and exclude select."""
    edges: dict[str, tuple[str, ...]]
    """What each of these files, and each file of other rows, imports."""
    paths: frozenset[str]
    """Every path of the commit."""
    coupled: tuple[tuple[str, str], ...] = ()
    """Files that change together, the strongest first."""
    jsx: frozenset[str] = frozenset()
    """Files which contain JSX."""


class Standing(Struct, frozen=True):
    """The rows of the profile, and which row has which file."""

    waiting: dict[str, tuple[str, ...]] = {}
    """Rows of ``plan files`` that have not started, with their files."""
    left_out: frozenset[str] = frozenset()
    """Rows that planning skipped before."""
    holders: dict[str, str] = {}
    """The id of the row that keeps a file, by each name of the file."""
    done: dict[str, tuple[str, tuple[str, ...]]] = {}
    """DONE rows with a commit: the commit and the files."""


class Replanned(Struct, frozen=True):
    """The changes to the table."""

    rows: tuple[dict[str, str], ...]
    """New rows, and TODO rows that get these cells."""
    removed: tuple[str, ...]
    """TODO rows that are not needed: other rows have their files, and no person added to them."""
    statuses: dict[str, tuple[Status, str]]
    """Status and note of rows that are skipped now, or set to TODO again."""
    grouping: Grouping
    ids: tuple[str, ...]
    """The ids of the groups, in their order."""
    held: int
    """Number of selected files that other rows keep."""
    stuck: tuple[tuple[str, str], ...] = ()
    """Other rows that wait for a skipped row, each with the id of that row."""


def standing(
    table: Table, planning: Planning, *, began: Collection[str], asked: Callable[[str], bool]
) -> Standing:
    """Sort the rows of the profile. ``began``: ids with facts; ``asked``: whether to plan a path."""
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
    """Return the paths without those that are the new name of another one."""
    found = tuple(paths)
    made = {new for path in found for new in planning.names_after(path)}
    return tuple(path for path in found if path not in made)


def replan(
    table: Table, sources: Sources, now: Standing, planning: Planning, *, asked: Callable[[str], bool]
) -> Replanned:
    """Group the files that no row keeps, and decide what happens to the waiting rows."""
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


def _why(files: Sequence[str], owner: Mapping[str, str], sources: Sources) -> str:
    """Return why a row is not needed any more."""
    heirs = sorted({owner[path] for path in files if path in owner})
    if heirs:
        return f"its files are in {heirs[0]} now" + (f" and {len(heirs) - 1} more" if heirs[1:] else "")
    if any(path in sources.sizes for path in files):
        return "its files are in other rows now"
    there = any(path in sources.paths for path in files)
    return "include and exclude leave its files out" if there else "its files are gone"


def _ids(table: Table, grouping: Grouping, now: Standing) -> tuple[str, ...]:
    """Return an id for each group: of the waiting row that had at least half of its files, or a new one."""
    chosen = reused([group.files for group in grouping.groups], now.waiting)
    new = [at for at in range(len(grouping.groups)) if at not in chosen]
    names = group_names([grouping.groups[at].files for at in new], set(table.ids) - now.left_out)
    chosen.update(zip(new, names, strict=True))
    return tuple(chosen[at] for at in range(len(grouping.groups)))


class _Rows:
    """The cells of the groups, with their ``after``."""

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
            names = [name for path in group.files for name in sorted({path, self._renamed(path)})]
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
        """Return the ids in ``after`` of a waiting row that a person added: rows that are not from planning."""
        if task_id not in self.now.waiting:
            return []
        named = self.table.cell(task_id, "after").split()
        return [i for i in named if i in self.table and not self.table.cell(i, "lines")]

    def _renamed(self, path: str) -> str:
        names = self.planning.names_after(path) or (path,)
        return names[-1 if path in self.sources.jsx else 0]

    def _coupled(self) -> dict[int, set[str]]:
        """Return the open rows whose files change together with files of a group: the group waits for them."""
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
    """Return the paths that a table cannot name, because they read as a glob or are not text."""
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
