"""Give tasks a new round, and plan phases again."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.commands.in_play import Report, chosen_ids, clear_halt, locked, widened
from agentjobs.model.errors import UserError
from agentjobs.model.state import Scope
from agentjobs.model.tasks import SETTLED, Status
from agentjobs.project.ids import check_phases, rows_of_phases
from agentjobs.project.rounds import Rounds
from agentjobs.project.state import OpenRound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.project.project import Project


def retry(
    project: Project,
    ids: tuple[str, ...] = (),
    *,
    failed: bool = False,
    phases: tuple[str, ...] = (),
    and_later: bool = False,
    lock_timeout_s: float,
) -> Report:
    """Start a new round of settled tasks, put them in play, clear halts. UserError for an unknown id.

    ``phases`` are planned again, and all their tasks except SKIPPED ones get a new round; ``and_later``: also the
    phases after the first of them.
    """
    check_phases(project, phases)
    planned = os.environ.get("AGENTJOBS_PHASE") if os.environ.get("AGENTJOBS_ROOT") == str(project.root) else None
    if phases and planned:
        raise UserError(f"the plan of phase {planned} calls this; it would plan phases for ever")
    order = project.policy.phases if phases else ()
    if and_later:
        phases = order[min(map(order.index, phases)) :]
    chosen = chosen_ids(project, ids, lambda s: failed and s is Status.FAILED)
    statuses = project.file.table.statuses()
    rows = tuple(i for i in rows_of_phases(project, phases) if statuses[i] is not Status.SKIPPED)
    if not chosen and not phases:
        return Report((), ("no task is FAILED",))
    everyone = tuple(dict.fromkeys(chosen + rows))
    with locked(project, lock_timeout_s):
        if phases:
            from agentjobs.project.phase_state import raise_generation

            raise_generation(project, phases)
        rounds = Rounds(project)
        rounds.refresh(time.time())
        statuses = project.file.table.statuses()
        for task_id in everyone:
            open_round = project.store.open_round(task_id)
            if open_round is not None:
                project.store.set_open_round(task_id, replace(open_round, wish=Status.TODO, note=""))
            elif statuses[task_id] in SETTLED or project.store.settled(task_id):
                project.store.set_open_round(task_id, OpenRound(rounds.next_round(task_id)))
                project.file.set(task_id, {"status": "TODO", "started": "", "ended": "", "note": "", "commit": ""})
        scope = project.store.scope() or Scope(time.time())
        everything = scope.everything and not scope.out
        project.store.set_state("scope", widened(scope, chosen, everything=everything, phases=phases, back=rows))
        clear_halt(project, force=False)
        project.file.save()
    again = [f"phase {name} will be planned again" for name in phases if project.policy.profiles[name].plan is not None]
    stays = [f"{i} has landed as {commit[:12]}, and a new attempt starts on top of that; to take it back first, see "
             "docs/landing.md" for i, commit in _landed(project, everyone)]  # fmt: skip
    next_ = ("next: `agentjobs poll` or `agentjobs run`",)
    return Report(tuple(f"{task_id}\tTODO" for task_id in everyone), (*again, *stays, *next_))


def _landed(project: Project, ids: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield those tasks of which the last work is on the target branch, each with its commit."""
    if not project.lands:
        return
    tip = project.tip()
    for task_id in ids:
        last = next(reversed(project.store.settled(task_id)), None)
        if last is not None and last.commit and project.git.contains(tip, last.commit):
            yield task_id, last.commit
