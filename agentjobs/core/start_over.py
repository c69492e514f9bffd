"""Layer 3: what starts over once everything else has settled, and what is given up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.core.board import UNSERVED, Board
from agentjobs.core.start_over_pays import pays, sweep_due
from agentjobs.model.decisions import Action, Begin, Defer, Settle
from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt
from agentjobs.model.tasks import Status, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.policy.policy import Policy

DIAGNOSE_MIN = 3
"""Least number of failed tasks for which their share of all tasks means anything."""


class StartOver(Struct, frozen=True):
    """What layer 3 comes to."""

    halt: Halt | None = None
    actions: tuple[Action, ...] = ()
    """Tasks that are given up."""
    begins: tuple[tuple[Task, Begin], ...] = ()
    """Tasks that start over."""


def start_over(
    board: Board, deferred: Sequence[tuple[Task, Defer]], policy: Policy, now: float
) -> StartOver | None:
    """Settle or start over the ``deferred`` tasks; None while something else is left to do."""
    ids = {task.row.id for task, _ in deferred}
    if not sweep_due(board.tasks, ids):
        return None
    others = [t for t in board.tasks if t.row.id not in ids and t.in_play]
    failed = board.failed + len(deferred)
    swept = any(t.last is not None and t.last.intent.restarts for t in others)
    share = failed / max(1, board.total)
    if not swept and failed >= DIAGNOSE_MIN and share > policy.retry.diagnose_above:
        settled = tuple(Action(task.row.id, Settle(Status.FAILED, defer.note)) for task, defer in deferred)
        came_to = [a.end for task, _ in deferred for a in task.attempts]
        unserved = all(end and end.outcome is Outcome.CRASHED and not end.tokens for end in came_to)
        detail = f"{failed} of {board.total} tasks failed{f' {UNSERVED}' if unserved else ''}"
        return StartOver(Halt("diagnose", detail, now), settled)
    actions, begins = [], []
    for task, defer in deferred:
        if pays(task, board.history, policy):
            own = policy.profiles.get(task.row.profile)
            profile = (own.escalate if own else None) or task.row.profile
            begins.append((task, Begin(Mode.RESTART, fresh=True, why=f"starts over: {defer.note}", profile=profile)))
        else:
            note = f"{defer.note} (starting over would not pay)"
            actions.append(Action(task.row.id, Settle(Status.FAILED, note)))
    return StartOver(None, tuple(actions), tuple(begins))
