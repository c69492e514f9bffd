"""Let verified work land that waits for a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentjobs.commands.in_play import Report, locked
from agentjobs.core import reviews
from agentjobs.core.decide import verified_at
from agentjobs.disk.files import write_bytes
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Made
from agentjobs.project.ids import known
from agentjobs.project.rounds import Rounds

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project


def approve(project: Project, ids: tuple[str, ...], *, everything: bool, lock_timeout_s: float) -> Report:
    """Let verified work land that waits for approval.

    UserError for an unknown id or a task that does not wait for it.
    """
    project.file.load()
    known(project, ids)
    with locked(project, lock_timeout_s):
        Rounds(project).refresh(time.time())
        waiting = {}
        for task_id in project.store.active():
            numbers = project.store.numbers(task_id)
            attempt = project.store.attempt(task_id, numbers[-1]) if numbers else None
            if isinstance(attempt, Made) and not attempt.approved and awaits(attempt):
                waiting[task_id] = attempt
        for task_id in ids:
            if task_id not in waiting:
                status = project.file.table.statuses()[task_id].value
                raise UserError(f"{task_id} does not wait for approval: it is {status}")
        unjudged = {task_id for task_id, attempt in waiting.items() if not reviews.passed(attempt)}
        chosen = tuple(i for i in waiting if i not in unjudged) if everything else ids
        for task_id in chosen:
            number = waiting[task_id].number
            write_bytes(project.store.attempt_dir(task_id, number) / "approved", b"")
            project.store.event(time.time(), task_id, "approved", attempt=number)
    more = tuple(f"{i} {reviews.UNREVIEWED}; approve it by its id" for i in sorted(unjudged - set(chosen)))
    more = more if chosen or more else ("nothing waits for approval",)
    return Report(tuple(f"{task_id}\tapproved" for task_id in chosen), more if everything or not chosen else ())


def awaits(attempt: Attempt) -> bool:
    """Return whether an open attempt is verified and its reviewers have nothing more to do."""
    return bool(verified_at(attempt)) and (reviews.passed(attempt) or reviews.lacking(attempt))
