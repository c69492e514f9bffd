"""``plan rows`` on disk: the rows merged into tasks.tsv under the lock, without losing what people write there."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from agentjobs.planrows import merge_rows
from agentjobs.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentjobs.planrows import Planned
    from agentjobs.project import Project
    from agentjobs.table import Table


def plan_rows(
    project: Project, rows: Sequence[Mapping[str, str]], *, dry_run: bool, lock_timeout_s: float
) -> Planned:
    """Merge ``rows`` into the table, which is made where there is none; return what became of each row.

    ``dry_run`` writes nothing. UserError where the table cannot be read or written, LockBusy for a held lock.
    """
    store, file = project.store, project.file
    locked = store.lock(lock_timeout_s) if store.exists() and not dry_run else contextlib.nullcontext()
    with locked:
        if not os.path.lexists(file.path):
            data, planned = merge_rows(None, rows, file=file.path.name)
            if not dry_run:
                file.make(data)
            return planned
        if dry_run:
            file.load()
            return merge_rows(file.table, rows, file=file.path.name)[1]
        if store.exists():
            Rounds(project).refresh(time.time())
        else:
            file.load()
        file.check_writable()
        found: list[Planned] = []

        def merged(table: Table) -> bytes:
            data, planned = merge_rows(table, rows, file=file.path.name)
            found.append(planned)
            return data

        file.rewrite(merged)
        return found[-1]
