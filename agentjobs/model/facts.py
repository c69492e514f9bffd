"""What is on disk about one attempt of a task: how it began, how its agent ended, how it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Step, StepKind


class Mode(StrEnum):
    """Why an attempt was begun; ``AGENTJOBS_MODE`` of the agent."""

    FIRST = "first"
    RESUME = "resume"
    REPAIR = "repair"
    RESTART = "restart"
    REVIEW = "review"
    """Of the step that judges an attempt; no attempt is begun for it."""


FRESH = frozenset({Mode.FIRST, Mode.RESTART})
"""Modes in which the tree is put on the base of the attempt."""


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
    """The id of the conversation; empty as long as only the agent knows it."""
    model: str = ""
    """The model that the profile asked for."""
    base: str = ""
    """The commit the tree started from; empty where there is no tree."""
    tree: str = ""
    """Absolute path of the directory the agent works in."""
    port: int = 0
    marker: str = ""
    """Value of ``AGENTJOBS_MARK`` in the environment of all that this attempt starts."""
    restarts: int = 0
    """How often this round has started over before this attempt (layer 3)."""
    setup: str = ""
    """The shell command that prepares the tree before the agent starts."""
    checks: tuple[str, ...] = ()
    """The shell commands that will verify it, as they were when it began."""
    review: tuple[str, ...] = ()
    """The profiles that will judge it then."""
    review_pass: str = "all"  # noqa: S105 - a rule
    review_blocks: str = "high"
    probe: bool = False
    """Begun before its account was known to be over a trouble: to meet it again is not the task's doing."""
    context: int = 0
    """Tokens it was expected to hold, where ``limits.tokens_in_flight`` asked for that."""
    edited: tuple[str, ...] = ()
    """What a person had edited in the tree since the attempt before: it goes on from there."""


class AgentEnd(Struct, frozen=True, omit_defaults=True):
    """Fact ``agent.end.json``: what the agent step came to, before any check ran."""

    outcome: Outcome
    at: float
    detail: str = ""
    signature: str = ""
    session: str = ""
    unwritten: bool = False
    """The agent has kept nothing of its conversation, so that it cannot be resumed."""
    tokens: int = 0
    cost: float = 0.0
    spent: Spending = Spending()
    """What this attempt alone used; ``tokens`` and ``cost`` are its sums."""
    in_flight: Spending = Spending()
    """What requests that were open when it was killed used at most, beside that: for budgets."""
    tree: str = ""
    commit: str = ""
    changed: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    reset_at: float = 0.0
    findings: tuple[str, ...] = ()
    """Where what it said it changed is not what it changed."""
    removed: tuple[str, ...] = ()
    """Ignored files and directories of the agent's, removed because they do not land: the checks run without them."""
    inside: bool = False
    """Submodules of the tree hold work that no commit can: it is not started over with another tree."""
    setup: str = ""
    """The setup command, if it has to run again before the checks: the agent had changed what it made."""


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
    """What the next attempt is told (bounded)."""
    base: str = ""
    """The commit the next attempt's work is measured from; empty: the same as this one's."""
    landed: str = ""
    """The commit on the target, when it landed."""


class Attempt(Struct, frozen=True):
    """All facts of one attempt as one value."""

    intent: Intent
    steps: tuple[Step, ...] = ()
    end: AgentEnd | None = None
    result: Result | None = None
    approved: bool = False
    """A person has said that it may land."""
    asked_at: float = 0.0
    """When ``dispatch`` last spoke: reviewers that had failed before are asked again."""

    @property
    def number(self) -> int:
        """Position among all attempts of the task, from 1."""
        return self.intent.number

    def first(self, kind: StepKind) -> Step | None:
        """Return the oldest step of a kind."""
        return next((step for step in self.steps if step.kind is kind), None)

    def last(self, *kinds: StepKind) -> Step | None:
        """Return the newest step of these kinds."""
        found = [step for step in self.steps if step.kind in kinds]
        return found[-1] if found else None


Json = dict[str, Any]
