"""Which layer follows which class of outcome, and when a task goes in circles. Pure."""

from __future__ import annotations

import re
from posixpath import basename
from typing import TYPE_CHECKING

from agentjobs.model.outcomes import Outcome
from agentjobs.text.excerpt import signature

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt, Result
    from agentjobs.model.tasks import Row

LAYER_1 = frozenset(
    {Outcome.CRASHED, Outcome.LOST, Outcome.TIMEOUT, Outcome.STALLED, Outcome.NO_SESSION, Outcome.SESSION_BUSY}
)
"""Interrupted: the conversation is worth going on with."""

LAYER_2 = frozenset(
    {
        Outcome.VERIFY_FAILED,
        Outcome.GATE_FAILED,
        Outcome.REJECTED,
        Outcome.OUT_OF_SCOPE,
        Outcome.NO_CHANGE,
        Outcome.CONFLICT,
        Outcome.RUNAWAY,
        Outcome.CONTEXT_FULL,
    }
)
"""Finished and wrong: a fresh conversation gets the errors."""

UNSPENT = frozenset(
    {Outcome.LIMIT, Outcome.OVERLOADED, Outcome.UNREACHABLE, Outcome.AUTH, Outcome.INFRA, Outcome.STOPPED}
)
"""Not the task's fault: the attempt does not count."""

SIGNATURE_RUN_MAX = 3
"""The same error this many times running counts as going in circles."""


def oscillating(segment: tuple[Attempt, ...]) -> bool:
    """Whether the newest failure is one the task has been through: the same tree again, or the same error.

    The same error as the attempt just before is progress in doubt, not proof: it counts from the third time
    running, or when another error stood between. A full context says nothing of the work that was left.
    """
    wrong = LAYER_2 - {Outcome.CONTEXT_FULL}
    failures = [a.result for a in segment if a.result is not None and a.result.outcome in wrong]
    if len(failures) < 2:  # noqa: PLR2004
        return False
    newest, before = failures[-1], failures[:-1]
    if newest.tree and any(newest.tree == other.tree for other in before):
        return True
    if not newest.signature:
        return False
    if before[-1].signature != newest.signature:
        return any(other.signature == newest.signature for other in before)
    run = failures[-SIGNATURE_RUN_MAX:]
    return len(run) == SIGNATURE_RUN_MAX and all(other.signature == newest.signature for other in run)


MUTE = frozenset(
    {
        Outcome.TIMEOUT, Outcome.STALLED, Outcome.RUNAWAY, Outcome.NO_CHANGE, Outcome.OUT_OF_SCOPE,
        Outcome.CONTEXT_FULL,
    }
)  # fmt: skip
"""Failures that are alike whatever was said before: what an agent said until then is no error."""


def likeness(row: Row, tree: str, result: Result) -> str:
    """Return what makes failures of different tasks alike: the error without the names that are the task's own."""
    if result.outcome in MUTE or result.outcome is Outcome.OK:
        return ""
    text = result.errors or result.detail
    names = {row.id, *row.files, *(basename(path) for path in row.files)} - {""}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "<task>", text)
    return signature(text.encode("utf-8", "surrogateescape"), tree)
