"""Settle tasks as SKIPPED."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.commands.in_play import Report, chosen_ids, end_steps, locked
from agentjobs.model.tasks import Settled, Status
from agentjobs.project.rounds import Rounds

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def skip(project: Project, ids: tuple[str, ...], *, note: str, lock_timeout_s: float) -> Report:
    """Settle tasks as SKIPPED, and stop what runs of them; DONE tasks stay DONE. UserError for an unknown id."""
    chosen = chosen_ids(project, ids, lambda _: False)
    note = " ".join(note.split())
    done: list[str] = []
    with locked(project, lock_timeout_s):
        rounds = Rounds(project)
        rounds.refresh(time.time())
        statuses = project.file.table.statuses()
        for task_id in chosen:
            open_round = project.store.open_round(task_id)
            if open_round is not None:
                project.store.set_open_round(task_id, replace(open_round, wish=Status.SKIPPED, note=note))
            elif statuses[task_id] is Status.DONE:
                done.append(task_id)
            else:
                said = note or "skipped by hand"
                project.store.settle(
                    task_id, Settled(rounds.next_round(task_id), Status.SKIPPED, said, time.time())
                )
                project.file.set(task_id, rounds.settled_cells(task_id) or {})
        project.file.save()
    end_steps(project, chosen, lock_timeout_s)
    lines = tuple(f"{task_id}\tSKIPPED" for task_id in chosen if task_id not in done)
    return Report(lines, tuple(f"{task_id} is DONE and stays DONE" for task_id in done))
