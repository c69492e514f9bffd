"""The cells of tasks.tsv that agentjobs writes."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING

from agentjobs.core.decide import told, verified_at
from agentjobs.core.reviews import cost_unknown, passed, spent_on
from agentjobs.model.facts import Over
from agentjobs.model.tasks import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Settled, Task

NOTE_MAX = 200

AT_LEAST = "+"
"""Suffix of a cost that is a lower bound: the cost of some tokens is not known."""


def instant(at: float) -> str:
    """Return a time as the table shows it: UTC, in seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) if at else ""


def parse_instant(text: str) -> float:
    """Return the time that a cell shows (see ``instant``); 0 for anything else."""
    try:
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def stage(attempt: Attempt) -> Status:
    """Return the status of an attempt that is not over."""
    if attempt.end is None:
        return Status.IN_PROGRESS
    if verified_at(attempt):
        return Status.LANDING if passed(attempt) else Status.REVIEWING
    return Status.VERIFYING


def cells_of(task: Task, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the cells of a task with an open round; ``attempts`` are those of all its rounds."""
    last = task.last
    cells = _sums(attempts)
    cells["ended"] = ""
    cells["commit"] = ""
    if last is None:
        return {**cells, "status": Status.TODO.value, "note": ""}
    cells["started"] = instant(task.attempts[0].intent.started_at)
    if isinstance(last, Over):
        return {**cells, "status": Status.TODO.value, "note": _note(told(last.result))}
    return {**cells, "status": stage(last).value, "note": _note("" if last.number == 1 else last.intent.why)}


def settled_cells(settled: Settled, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the cells of a task whose newest round is settled."""
    mine = [a for a in attempts if a.intent.round == settled.round] or list(attempts)
    return {
        **_sums(attempts),
        "status": settled.status.value,
        "started": instant(mine[0].intent.started_at),
        "ended": instant(settled.at),
        "commit": settled.commit[:12],
        "note": _note(settled.note),
    }


def settled_only(settled: Settled) -> dict[str, str]:
    """Return the cells of a task that was settled without an attempt."""
    return {"status": settled.status.value, "ended": instant(settled.at), "note": _note(settled.note)}


def _sums(attempts: Sequence[Attempt]) -> dict[str, str]:
    reviews = [spent_on(attempt) for attempt in attempts]
    tokens = sum(a.end.tokens for a in attempts if a.end) + sum(tokens for tokens, _ in reviews)
    cost = sum(a.end.cost for a in attempts if a.end) + sum(cost for _, cost in reviews)
    unknown = any(map(cost_unknown, attempts))
    number = attempts[-1].number if attempts else 0
    return {
        "attempt": str(number) if number else "",
        "tokens": str(tokens) if tokens else "",
        "cost": f"{cost:.4f}{AT_LEAST if unknown else ''}" if cost or (tokens and not unknown) else "",
    }


def _note(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= NOTE_MAX else line[: NOTE_MAX - 1] + "…"
