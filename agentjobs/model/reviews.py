"""The facts of reviews: which reviewer judges which commit, the findings, and how the review ended."""

from __future__ import annotations

from msgspec import Struct

from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending


class Finding(Struct, frozen=True, omit_defaults=True):
    """One problem that a reviewer found."""

    file: str
    severity: str
    trigger: str
    """What causes it."""
    impact: str
    line: int = 0
    """From 1; 0 if it is not about one line."""
    title: str = ""
    blob: str = ""
    """Git blob id of the reviewed file; empty if the file was deleted."""
    disputed: bool = False
    """Reported repeatedly while the file did not change: it does not block any more."""


class ReviewPlan(Struct, frozen=True, omit_defaults=True):
    """Fact ``review-<n>.plan.json``: which reviewer judges which commit."""

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
    """Fact ``review-<n>.end.json``: how a run of a reviewer ended."""

    outcome: Outcome
    at: float
    valid: bool = False
    """It gave a verdict: ``findings``, possibly empty."""
    findings: tuple[Finding, ...] = ()
    summary: str = ""
    detail: str = ""
    """Why a verdict is missing: one line for people and for the next run of the reviewer."""
    touched: tuple[str, ...] = ()
    """Files that it changed in the tree; the changes were undone."""
    spent: Spending = Spending()
