"""Plans on disk: rows merged into tasks.tsv under the lock, without losing what people write there."""

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
    """Merge ``rows`` into the table, which is made where there is none; return what became of each row.

    ``dry_run`` writes nothing. UserError where the table cannot be read or written, LockBusy for a held lock.
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
    """Carry out what ``plan`` makes of the table and of the ids that were ever begun; return what became of each row.

    It is asked again where the table changes meanwhile; the last answer counts. ``check``: no circle of rows that wait
    for each other is written. Otherwise as ``plan_rows``.
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
        if store.exists() and skipped:  # written as the tool's own, or they would be taken for a person's wish
            for task_id, note in skipped.items():
                file.set(task_id, {"status": "SKIPPED", "note": note})
            file.save()
        file.rewrite(change)
        return found[-1][0]
