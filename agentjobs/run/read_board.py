"""The facts of one pass, read for ``schedule``; and what everything waits for, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.breaker import BREAKER
from agentjobs.core.decide import decide
from agentjobs.core.pauses import in_force, told_of
from agentjobs.core.reviews import last_start
from agentjobs.disk.processes import free_memory
from agentjobs.model.decisions import RUN, Defer
from agentjobs.model.facts import Over
from agentjobs.model.state import Halt
from agentjobs.text.for_people import paused_text, until_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.core.board import Board
    from agentjobs.model.tasks import Task
    from agentjobs.policy.policy import Policy
    from agentjobs.project.project import Project
    from agentjobs.project.row_states import Roster
    from agentjobs.project.store import Store
    from agentjobs.run.landing.queue import MergeQueue

LINE_MAX = 200
"""Most characters of a line of errors that is quoted."""


def read_board(
    project: Project,
    tasks: Sequence[Task],
    now: float,
    *,
    roster: Roster,
    queue: MergeQueue | None,
    running: int,
    starts: bool,
) -> Board:
    """Return what ``schedule`` needs to know of the whole project, as it is now.

    ``queue``: the merge queue if it ever ran here; ``running``: how many steps run; ``starts``: new attempts may start.
    """
    from agentjobs.core.board import Board
    from agentjobs.core.start_over_pays import sweep_due
    from agentjobs.project.spent import spent_of

    store, policy = project.store, project.policy
    limits = policy.limits
    board = Board(
        tasks=tuple(tasks),
        pauses=store.pauses(),
        hold=store.hold(),
        paused_until=by_person.ends_at if (by_person := store.paused(now)) is not None else 0.0,
        halt=store.halt() or (None if starts else Halt("stop", "this turn starts nothing", now)),
        last_start_at=max((last_start(t.attempts[-1]) for t in tasks if t.attempts), default=0.0),
        tally=store.tally.results() if limits.breaker else (),
    )
    if queue is not None:
        gating = queue.runs.open() is not None
        board = replace(board, gating=gating, asked=not gating and queue.runs.asked() is not None)
    if running < project.slots and limits.min_free_memory_bytes:
        board = replace(board, free_memory=free_memory())
    if limits.run_cost_usd is not None or limits.run_tokens is not None or limits.run_attempts is not None:
        from agentjobs.core.budget import with_running  # only with a budget

        spent = spent_of(project.file, store.tally.unspent(), store.tally.open_requests())
        board = replace(board, spent=with_running(spent, tasks))
    deferred = {task.row.id for task in tasks if isinstance(decide(task, policy, now), Defer)}
    if deferred and sweep_due(tasks, deferred):
        from agentjobs.project.start_over_history import history  # layer 3 only

        failed, total = roster.share(len(tasks))
        board = replace(board, failed=failed, total=total, history=history(project))
    return board


def paused(store: Store, now: float) -> str:
    """Return whether a person paused the run, and which account waits for what and until when, for people."""
    hold = store.hold()
    pauses = [*sorted(in_force(store.pauses()).items()), *([(RUN, hold)] if hold is not None else [])]
    said = [paused_text(p.by, p.at, p.ends_at, p.why)] if (p := store.paused(now)) is not None else []
    for account, pause in pauses:
        if pause.stuck:
            said.append(f"stopped: {told_of(account, pause)}")
        elif pause.until > now:
            said.append(f"paused until {until_text(pause.until)}: {told_of(account, pause)}")
    return "; ".join(said)


def starved(policy: Policy) -> str:
    """Return that memory is short, for people; empty if it is not."""
    limits = policy.limits
    return limits.starved(free_memory()) if limits.min_free_memory_bytes else ""


def with_example(store: Store, halt: Halt) -> Halt:
    """Return the halt of the breaker with the words of one of the tasks that ended alike; any other as it is."""
    ids = store.tally.ids()[:1] if halt.why == BREAKER else []
    over = next((attempt for id_ in ids for attempt in store.attempts(id_) if isinstance(attempt, Over)), None)
    if over is None:
        return halt
    result = over.result
    lines = [line.strip() for line in result.errors.splitlines() if line.strip()]
    last = lines[-1][:LINE_MAX] if lines and lines[-1] not in result.detail else ""
    said = ": ".join(filter(None, (over.intent.id, result.detail, last)))
    return replace(halt, detail=f"{halt.detail}; {said}")
