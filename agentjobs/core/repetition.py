"""Detect tasks that go in circles, and failures of different tasks that are the same. Pure."""

from __future__ import annotations

import re
from posixpath import basename
from typing import TYPE_CHECKING

from agentjobs.model.outcomes import Outcome
from agentjobs.text.excerpt import signature

if TYPE_CHECKING:
    from agentjobs.model.facts import Over, Result
    from agentjobs.model.tasks import Row

SIGNATURE_RUN_MAX = 3
"""The same error this many times in a row counts as going in circles."""


def oscillating(segment: tuple[Over, ...]) -> bool:
    """Return True if the newest failure repeats an earlier one: the same tree, or the same error.

    The same error twice in a row does not prove it. It counts from the third time in a row, or if another error came
    between. A full context does not count: it says nothing about the work.
    """
    failures = [attempt.result for attempt in segment if attempt.outcome.rules.circles]
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


def likeness(row: Row, tree: str, result: Result) -> str:
    """Return the error without the names of the task, so that the same failure of other tasks compares equal."""
    if result.outcome.rules.alike or result.outcome is Outcome.OK:
        return ""
    text = result.errors or result.detail
    names = {row.id, *row.files, *(basename(path) for path in row.files)} - {""}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "<task>", text)
    return signature(text.encode("utf-8", "surrogateescape"), tree)
