"""Write plans to tasks.tsv under the lock, without losing edits by people."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from agentjobs.plans.changes import Changes, carried_out
from agentjobs.project.rounds import Rounds
from agentjobs.table.table import EMPTY, check_graph, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentjobs.plans.rows import Planned
    from agentjobs.project.project import Project
    from agentjobs.table.table import Table

def plan_rows(
    project: Project, rows: Sequence[Mapping[str, str]], *, dry_run: bool, lock_timeout_s: float
) -> Planned:
    """Merge ``rows`` into the table, which is created if there is none; return what happened to each row.

    ``dry_run`` writes nothing. UserError if the table cannot be read or written, LockBusy if the lock is held.
    """
    changes = Changes(tuple(dict(row) for row in rows))
    return plan_with(project, lambda _table, _began: changes, dry_run=dry_run, lock_timeout_s=lock_timeout_s)


def plan_with(
    project: Project,
    plan: Callable[[Table, frozenset[str]], Changes],
    *,
    dry_run: bool,
    lock_timeout_s: float,
    check: bool = False,
) -> Planned:
    """Carry out what ``plan`` returns for the table and the started ids; return what happened to each row.

    ``plan`` is called again if the table changes meanwhile; the last answer counts. ``check``: UserError instead of a
    circle of rows that wait for each other. Otherwise like ``plan_rows``.
    """
    store, file = project.store, project.file
    locked = store.lock(lock_timeout_s) if store.exists() and not dry_run else contextlib.nullcontext()
    with locked:
        began = frozenset({*store.started_ids(), *store.active()}) if store.exists() else frozenset()
        found: list[tuple[Planned, Changes]] = []

        def change(table: Table) -> bytes:
            changes = plan(table, began)
            data, planned = carried_out(table, changes)
            if check:
                check_graph(parse(data, table.file))
            found.append((planned, changes))
            return data

        if not os.path.lexists(file.path):
            data = change(parse(EMPTY, file.path.name))
            if not dry_run and found[-1][1].rows:
                file.make(data)
            return found[-1][0]
        if dry_run:
            file.load()
            change(file.table)
            return found[-1][0]
        if store.exists():
            Rounds(project).refresh(time.time())
        else:
            file.load()
        file.check_writable()
        skipped = plan(file.table, began).skipped
        if store.exists() and skipped:  # as agentjobs' own, otherwise they would count as edits by a person
            for task_id, note in skipped.items():
                file.set(task_id, {"status": "SKIPPED", "note": note})
            file.save()
        file.rewrite(change)
        return found[-1][0]
