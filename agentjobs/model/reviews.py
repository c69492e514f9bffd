"""The facts of reviews as frozen types: who is asked to judge which commit, what was found, how it ended."""

from __future__ import annotations

from msgspec import Struct

from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that a reviewer found."""

    file: str
    severity: str
    trigger: str
    """What makes it happen."""
    impact: str
    line: int = 0
    """0 where it is about no single line."""
    title: str = ""
    blob: str = ""
    """The id of the file's content that was looked at; empty for a file that is gone."""
    disputed: bool = False
    """Raised again and again while the file stayed as it is: it blocks no more."""


class ReviewPlan(Struct, frozen=True, omit_defaults=True):
    """Fact ``review-<n>.plan.json``: who is to judge which commit."""

    reviewer: str
    """The name of a profile."""
    agent: str
    commit: str
    parent: str
    argv: tuple[str, ...]
    session: str
    at: float
    model: str = ""


class ReviewEnd(Struct, frozen=True, omit_defaults=True):
    """Fact ``review-<n>.end.json``: what a run of a reviewer came to."""

    outcome: Outcome
    at: float
    valid: bool = False
    """It gave a verdict: ``findings``, which may be none."""
    findings: tuple[Finding, ...] = ()
    summary: str = ""
    detail: str = ""
    """Why there is no verdict, in one line for people and for its next run."""
    touched: tuple[str, ...] = ()
    """What it had changed in the tree; that was put back."""
    spent: Spending = Spending()
