"""The facts of one attempt of a task: how it started, how its agent ended, and its result."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Running, Step, StepKind


class Mode(StrEnum):
    """Why an attempt was started; the agent gets it as ``AGENTJOBS_MODE``."""

    FIRST = "first"
    RESUME = "resume"
    REPAIR = "repair"
    RESTART = "restart"
    REVIEW = "review"
    """Mode of a review step. Reviews are steps of the attempt they judge; no attempt has this mode."""


FRESH = frozenset({Mode.FIRST, Mode.RESTART})
"""Modes that reset the tree to the base of the attempt."""


class Intent(Struct, frozen=True, omit_defaults=True):
    """Fact ``attempt.json``, written before anything starts."""

    id: str
    number: int
    round: int
    mode: Mode
    profile: str
    agent: str
    started_at: float
    why: str
    fresh: bool = True
    """A new conversation; otherwise ``session`` is resumed."""
    argv: tuple[str, ...] = ()
    session: str = ""
    """The id of the conversation; empty until the agent has reported it."""
    model: str = ""
    """The model that the profile asked for."""
    base: str = ""
    """The commit the tree started from; empty without a tree."""
    tree: str = ""
    """Absolute path of the directory the agent works in."""
    port: int = 0
    marker: str = ""
    """Value of ``AGENTJOBS_MARK`` in the environment of every process of this attempt."""
    restarts: int = 0
    """How often this round has started over before this attempt (layer 3)."""
    setup: str = ""
    """The shell command that prepares the tree before the agent starts."""
    checks: tuple[str, ...] = ()
    """The shell commands that will verify it, as they were when it started."""
    review: tuple[str, ...] = ()
    """The profiles of its reviewers."""
    review_pass: str = "all"  # noqa: S105 - a rule
    review_blocks: str = "high"
    probe: bool = False
    """Started to find out whether the account's limit or login problem is over. Failing the same way again does not
    count against the task."""
    context: int = 0
    """Expected tokens in its context window; 0 without ``limits.tokens_in_flight``."""
    edited: tuple[str, ...] = ()
    """Files that a person edited in the tree after the previous attempt; this attempt continues with them."""


class AgentEnd(Struct, frozen=True, omit_defaults=True):
    """Fact ``agent.end.json``: how the agent step ended, before any check ran."""

    outcome: Outcome
    at: float
    detail: str = ""
    signature: str = ""
    session: str = ""
    unwritten: bool = False
    """The agent stored nothing of its conversation, so that it cannot be resumed."""
    tokens: int = 0
    cost: float = 0.0
    spent: Spending = Spending()
    """What this attempt alone used; ``tokens`` and ``cost`` are its sums."""
    in_flight: Spending = Spending()
    """The most that requests which were open when it was killed used in addition; for budgets."""
    tree: str = ""
    commit: str = ""
    changed: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    reset_at: float = 0.0
    findings: tuple[str, ...] = ()
    """Differences between the changes it reported and its commit."""
    removed: tuple[str, ...] = ()
    """Ignored files and directories that the agent made. They do not land, so they were removed before the checks."""
    inside: bool = False
    """Submodules of the tree hold work that a commit cannot: the task must not start over in another tree."""
    setup: str = ""
    """The setup command, if it must run again before the checks because the agent changed what it had made."""


class Result(Struct, frozen=True, omit_defaults=True):
    """Fact ``result.json``: how the attempt ended."""

    outcome: Outcome
    at: float
    detail: str = ""
    """One line for people: the ``note`` column."""
    check: str = ""
    """The shell command that failed."""
    signature: str = ""
    tree: str = ""
    commit: str = ""
    tokens: int = 0
    cost: float = 0.0
    session: str = ""
    reset_at: float = 0.0
    errors: str = ""
    """The errors that the next attempt reads (bounded)."""
    base: str = ""
    """The commit from which the next attempt's work is measured; empty: the base of this one."""
    landed: str = ""
    """The commit on the target branch, if it landed."""


class Attempt(Struct, frozen=True):
    """All facts of one attempt as one value: its agent has not ended yet, unless it is a `Made` or an `Over`."""

    intent: Intent
    steps: tuple[Step, ...] = ()
    approved: bool = False
    """A person approved that it lands."""
    asked_at: float = 0.0
    """Time of the last ``dispatch``: reviewers that failed before it are asked again."""

    @property
    def end(self) -> AgentEnd | None:
        """How its agent ended."""
        return None

    @property
    def result(self) -> Result | None:
        """How it ended."""
        return None

    @property
    def number(self) -> int:
        """Position among all attempts of the task, from 1."""
        return self.intent.number

    def runs(self, *kinds: StepKind) -> list[Step]:
        """Return the steps of these kinds, oldest first."""
        return [step for step in self.steps if step.kind in kinds]

    def first(self, kind: StepKind) -> Step | None:
        """Return the oldest step of a kind."""
        return next((step for step in self.steps if step.kind is kind), None)

    def last(self, *kinds: StepKind) -> Step | None:
        """Return the newest step of these kinds."""
        found = self.runs(*kinds)
        return found[-1] if found else None

    def step(self, name: str) -> Step | None:
        """Return the step of that name."""
        return next((step for step in self.steps if step.name == name), None)

    @property
    def running(self) -> tuple[tuple[Step, Running], ...]:
        """The steps that run, each with its state; there is at most one."""
        return tuple((step, step.state) for step in self.steps if isinstance(step.state, Running))

    def agent_of(self, step: Step) -> str:
        """Return the name of the agent that a step runs: its reviewer, or the one that does the work."""
        return step.review.agent if step.review is not None else self.intent.agent


class Made(Attempt, frozen=True, kw_only=True):
    """An attempt at the end of its agent: checks and reviews follow, or it waits to land."""

    end: AgentEnd


class Over(Attempt, frozen=True, kw_only=True):
    """An attempt that has a result. ``end`` is None if it ended before its agent did."""

    end: AgentEnd | None = None
    result: Result

    @property
    def outcome(self) -> Outcome:
        """The class of its result."""
        return self.result.outcome


def attempt_of(
    intent: Intent,
    steps: tuple[Step, ...] = (),
    end: AgentEnd | None = None,
    result: Result | None = None,
    *,
    approved: bool = False,
) -> Attempt:
    """Return the attempt that these facts are of."""
    if result is not None:
        return Over(intent, steps, approved, end=end, result=result)
    return Attempt(intent, steps, approved) if end is None else Made(intent, steps, approved, end=end)


Json = dict[str, Any]
