"""``plan files`` on disk: the sources of the commit that tasks start from, and rows for them in tasks.tsv.

Reads that commit, not the checkout: the target if it exists, otherwise the base. The checkout still has files that
landed work has renamed, and tasks do not see uncommitted files in their worktree.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.model.errors import UserError
from agentjobs.plans.changes import without
from agentjobs.plans.group import Size
from agentjobs.plans.regroup import Replanned, Sources, Standing, refuse_odd, replan, standing
from agentjobs.plans.rows import merge_rows
from agentjobs.project.rounds import Rounds
from agentjobs.source.files import matching
from agentjobs.table.table import apply, check_graph, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from agentjobs.plans.rows import Planned
    from agentjobs.policy.plan_files import Planning
    from agentjobs.project.project import Project
    from agentjobs.source.import_graph import ImportGraph
    from agentjobs.table.table import Table
    from agentjobs.workspace.git import Git

MANIFESTS = ("package.json", "lerna.json", "pnpm-workspace.yaml", "pyproject.toml", "setup.cfg", "setup.py")
"""Files, besides those named ``*tsconfig*.json`` and ``*jsconfig*.json``, that say where an import leads."""

_EMPTY = b"id\tstatus\tafter\tfiles\tpriority\n"


class FilePlan(Struct, frozen=True):
    """The result of ``plan files``."""

    planned: Planned
    result: Replanned
    again: tuple[str, ...]
    """Files of DONE rows that have changed since, and are in new rows."""
    odd: tuple[str, ...]
    """Selected files with names that a table cannot hold."""
    excluded: tuple[str, ...]
    """Files that `include` selects and `exclude` leaves out."""
    typed: tuple[str, ...]
    """Files left out because of hand-written types next to them, which their new name would hide."""
    there: tuple[str, ...]
    """Files to plan with a new name that already exists."""
    unresolved: int
    """Number of relative imports that cannot be resolved."""
    behind: bool
    """True if the base has commits that the target lacks; tasks do not see them."""


class _Found(Struct, frozen=True):
    """The content of the commit, without the table."""

    tip: str
    sources: Sources
    asked: Callable[[str], bool]
    odd: tuple[str, ...]
    excluded: tuple[str, ...]
    typed: tuple[str, ...]
    unresolved: int


def plan_files(
    project: Project, planning: Planning, paths: Sequence[str], *, dry_run: bool, lock_timeout_s: float
) -> FilePlan:
    """Make rows for the files that ``planning`` selects, only within ``paths`` if there are any.

    Creates the table if there is none; ``dry_run`` writes nothing. UserError if no files are named, if a path does not
    exist, or if the table cannot be read or written; LockBusy if another process holds the lock.
    """
    if not planning.include and not paths:
        raise UserError(
            "no files given; use `agentjobs plan files 'src/**/*.js'`, or include = [...] in [plan] of agentjobs.toml"
        )
    store, file = project.store, project.file
    found = _read(project, planning, paths)
    locked = store.lock(lock_timeout_s) if store.exists() and not dry_run else contextlib.nullcontext()
    with locked:
        if not os.path.lexists(file.path):
            planned, data = _merged(project, found, planning, parse(_EMPTY, file.path.name))
            if not dry_run:
                file.make(data)
            return planned
        if dry_run or not store.exists():
            file.load()
        else:
            Rounds(project).refresh(time.time())
        planned, data = _merged(project, found, planning, file.table)
        if not dry_run and data != file.table.data:
            file.check_writable()
            _write(project, planned.result)
        return planned


def _merged(project: Project, found: _Found, planning: Planning, table: Table) -> tuple[FilePlan, bytes]:
    """Return the plan for this table, and the new table; UserError if rows would wait for each other in a circle."""
    store = project.store
    began = {*store.started_ids(), *store.active()} if store.exists() else set()
    now = standing(table, planning, began=began, asked=found.asked)
    again = [path for path in _changed(project.git, found.tip, now, found.sources.sizes) if found.asked(path)]
    now = replace(now, holders={path: i for path, i in now.holders.items() if path not in set(again)})
    result = replan(table, found.sources, now, planning, asked=found.asked)
    data, planned = merge_rows(_shorter(_settled(table, result), result), result.rows, file=table.file)
    check_graph(parse(data, table.file))
    todo = [path for group in result.grouping.groups for path in group.files]
    there = [path for path in todo if found.sources.paths.intersection(planning.names_after(path))]
    base = project.git.resolve(project.policy.base)
    behind = base is not None and not project.git.contains(found.tip, base)
    plan = FilePlan(
        planned, result, tuple(again), found.odd, found.excluded, found.typed, tuple(there), found.unresolved, behind
    )
    return plan, data


def _settled(table: Table, result: Replanned) -> Table:
    """Return the table with the statuses of the plan in it."""
    cells = {i: {"status": status.value, "note": note} for i, (status, note) in result.statuses.items()}
    return parse(apply(table, cells), table.file) if cells else table


def _shorter(table: Table, result: Replanned) -> Table:
    """Return the table without the rows that the plan removes."""
    return parse(without(table, result.removed), table.file) if result.removed else table


def _write(project: Project, result: Replanned) -> None:
    """Write the plan into the table. The caller holds the lock.

    Statuses are written as agentjobs writes its own, otherwise they would count as edits by a person. They are written
    first, so that a file is never in two rows that may start, even after a crash.
    """
    file = project.file
    if project.store.exists():
        for task_id, (status, note) in result.statuses.items():
            file.set(task_id, {"status": status.value, "note": note})
        file.save()

    def change(table: Table) -> bytes:
        settled = table if project.store.exists() else _settled(table, result)
        return merge_rows(_shorter(settled, result), result.rows, file=table.file)[0]

    file.rewrite(change)


# --- the commit -------------------------------------------------------------------------------------------


def _read(project: Project, planning: Planning, paths: Sequence[str]) -> _Found:
    """Read the sources of the tip; UserError if a path matches none of its files."""
    git = project.git
    tip = project.tip()
    blobs = git.files(tip)
    included = matching(blobs, planning.include)
    chosen = matching(included, (), planning.exclude)
    asked = beneath(paths, blobs, f"{tip[:10]}, where tasks start; write it from the top, or commit it")
    excluded = tuple(path for path in sorted({*included} - {*chosen}) if asked(path))
    odd = refuse_odd(chosen)
    typed = tuple(path for path in chosen if asked(path) and _has_types(path, planning, blobs))
    chosen = sorted({*chosen} - {*odd, *typed})
    if not any(map(asked, chosen)) and not os.path.lexists(project.file.path):
        raise UserError(f"no file of {tip[:10]} is chosen: look at include and exclude, and commit what is new")
    others = _of_rows(project, planning) & blobs.keys() - set(chosen)
    memory = project.store.memory() if planning.max_tokens is not None else None
    graph, sizes, jsx = _graph(git, blobs, chosen, sorted(others), memory, count_tokens=planning.max_tokens is not None)
    coupled: tuple[tuple[str, str], ...] = ()
    if planning.co_change:
        from agentjobs.source.history import coupled_files

        pairs = coupled_files(git, tip, {*chosen, *others}, support=planning.co_change)
        coupled = tuple(pair.files for pair in pairs)
    sources = Sources(sizes, graph.edges, frozenset(blobs), coupled, jsx)
    return _Found(tip, sources, asked, odd, excluded, typed, len(graph.unresolved))


def _has_types(path: str, planning: Planning, paths: Collection[str]) -> bool:
    """Return whether a file becomes TypeScript that hides `a.d.ts` next to `a.js`."""
    stem, dot, ending = planning.renamed(path).rpartition(".")
    return planning.renamed(path) != path and f"{stem}.d{dot}{ending.removesuffix('x')}" in paths


def beneath(paths: Sequence[str], blobs: Collection[str], place: str) -> Callable[[str], bool]:
    """Return a function that checks if a path is in one of ``paths``, or matches one that is a glob.

    UserError if one matches nothing; messages call the place ``place``.
    """
    plain_paths: list[str] = []
    globs: list[str] = []
    for path in paths:
        plain = os.path.normpath(path)
        if plain == ".":
            return lambda _: True
        if plain in blobs or any(name.startswith(plain + "/") for name in blobs):
            plain_paths.append(plain)
        elif matching(blobs, [path]):
            globs.append(path)
        else:
            raise UserError(f"{path}: not in {place}")
    if not paths:
        return lambda _: True

    def asked(path: str) -> bool:
        if any(path == one or path.startswith(one + "/") for one in plain_paths):
            return True
        return bool(globs) and bool(matching([path], globs))

    return asked


def _of_rows(project: Project, planning: Planning) -> set[str]:
    """Return the files that rows name, under each of their names: new files may import them."""
    if not os.path.lexists(project.file.path):
        return set()
    project.file.load()
    table = project.file.table
    files = (file for task_id in table.ids for file in table.row(task_id).files)
    return {path for file in files for path in (file, *planning.names_after(file))}


def _graph(
    git: Git,
    blobs: dict[str, str],
    chosen: Sequence[str],
    others: Sequence[str],
    memory: Path | None,
    *,
    count_tokens: bool,
) -> tuple[ImportGraph, dict[str, Size], frozenset[str]]:
    """Return the import graph, the size of each selected file, and which of them contain JSX."""
    from agentjobs.source.import_graph import import_graph  # it has a parser to load
    from agentjobs.source.syntax import holds_jsx

    manifests = [path for path in blobs if _is_manifest(path)]
    wanted = {path: blobs[path] for path in (*chosen, *others, *manifests)}
    contents = git.blobs(wanted.values())
    lines = [_lines(contents[wanted[path]]) for path in chosen]
    tokens = [0] * len(chosen)
    if count_tokens:
        from agentjobs.tokens.count_files import count_contents  # counting costs

        tokens = count_contents([contents[wanted[path]] for path in chosen], memory=memory)
    sizes = {path: Size(*size) for path, *size in zip(chosen, lines, tokens, strict=True)}
    with tempfile.TemporaryDirectory(prefix="agentjobs-plan-") as directory:
        made: set[Path] = set()
        for path, blob in wanted.items():
            place = Path(directory, path)
            if place.parent not in made:
                place.parent.mkdir(parents=True, exist_ok=True)
                made.add(place.parent)
            place.write_bytes(contents[blob])
        graph = import_graph(Path(directory), [*chosen, *others])
    known = {stem for path in blobs for stem in _stems(path)}
    lost = tuple(found for found in graph.unresolved if os.path.normpath(_place(*found)) not in known)
    jsx = frozenset(path for path in chosen if path.endswith(".js") and holds_jsx(contents[wanted[path]]))
    return replace(graph, unresolved=lost), sizes, jsx


def _stems(path: str) -> Iterator[str]:
    """Yield the names of a path in relative imports: itself, without its extension, its directories."""
    yield path
    yield path[: path.rindex(".")] if "." in path else path
    while path := os.path.dirname(path):
        yield path


def _place(file: str, specifier: str) -> str:
    return os.path.join(os.path.dirname(file), specifier)


def _is_manifest(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name in MANIFESTS or (name.endswith(".json") and ("tsconfig" in name or "jsconfig" in name))


def _lines(data: bytes) -> int:
    return data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


def _changed(git: Git, tip: str, now: Standing, chosen: Iterable[str]) -> list[str]:
    """Return the selected files of DONE rows that have changed since that work was done.

    Compares with the row's commit if it landed, otherwise with the merge base of that commit and the tip. A row without
    a commit was set to DONE by a person, which counts.
    """
    wanted = set(chosen)
    suspects = {i: (commit, mine) for i, (commit, files) in now.done.items() if (mine := wanted.intersection(files))}
    asked: list[tuple[str, str]] = []
    for commit, files in suspects.values():
        done = git.run("merge-base", commit, tip, ok=(0, 1, 128))
        since = done.stdout.decode().strip()
        if done.code == 0:
            asked += [(since, path) for path in sorted(files)]
    lines = "".join(f"{commit}:{path}\n{tip}:{path}\n" for commit, path in asked)
    told = git.line("cat-file", "--batch-check=%(objectname)", stdin=lines.encode()).splitlines() if asked else []
    return [path for (_, path), was, is_now in zip(asked, told[::2], told[1::2], strict=True) if was != is_now]


