"""One detached process of an attempt: its kind, its state, and the facts about it.

Durations end in ``_s`` (seconds), instants in ``_at`` (seconds since the epoch), paths in ``_path`` or ``_dir``.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from agentjobs.model.reviews import ReviewEnd, ReviewPlan


class StepKind(StrEnum):
    """What a detached process of an attempt is for."""

    SETUP = "setup"
    AGENT = "agent"
    VERIFY = "verify"
    REVIEW = "review"
    GATE = "gate"
    PLAN = "plan"
    """Makes the rows of a phase; no task has one."""


AGENTS = frozenset({StepKind.AGENT, StepKind.REVIEW})
"""Steps that are agents at work."""


class Prepared(Struct, frozen=True, tag="prepared"):
    """Intended, and certainly never started."""


class Gauge(Struct, frozen=True):
    """What the lines of a running agent say of it."""

    used: int = 0
    """Tokens in its window; 0 where nothing says so."""
    window: int = 0
    """Tokens that the window holds, where the agent says it; else the policy does."""
    errors: int = 0
    """How often the same error has come, with nothing between."""
    error: str = ""
    """That error, for people."""
    idle: int = 0
    """Answers of the model since the tree was last changed; 0 as long as nobody looked at the tree."""
    tokens: int = 0
    """Used by this attempt so far, as far as it is known."""
    cost: float = 0.0
    """Likewise, in US dollars."""
    final: bool = False
    """It has said its last word."""
    trouble: str = ""
    """The class of the trouble that it tries again for, with no answer since; ``told``: its own words."""
    troubles: int = 0
    """How often it has said so."""
    told: str = ""


class Running(Struct, frozen=True, tag="running"):
    """Its runner holds the lock."""

    pid: int
    output_at: float
    output_bytes: int = 0
    finished: bool = False
    """The agent's final event is in its output, although the process is still there."""
    gauge: Gauge = Gauge()
    asleep_s: float = 0.0
    """Seconds since its start that do not count: the machine slept, or its clock was set (see ``elapsed``)."""
    unheard_s: float = 0.0
    """Seconds since its last output that do not count as silence."""


class Exited(Struct, frozen=True, tag="exited"):
    """The runner wrote the exit down."""

    code: int
    at: float
    output_bytes: int = 0


class Lost(Struct, frozen=True, tag="lost"):
    """Started, no longer running, and no exit was written: killed with its runner, or the machine went down."""

    at: float


Phase = Prepared | Running | Exited | Lost


class Kill(Struct, frozen=True):
    """Fact ``<step>.kill.json``: we ended the step, and why.

    ``why``: timeout, stalled, runaway, same_error, trouble, context, over_budget, hung, stopped.
    """

    why: str
    at: float
    sent: int = 1
    """How many of the agent's polite signals it has been sent (facts ``<step>.kill-2.json`` …)."""
    detail: str = ""
    """More of why, for people."""


class Prepare(Struct, frozen=True, omit_defaults=True):
    """Fact ``<step>.plan.json`` of a check: the commit it judges and the target tip that commit stands on."""

    commit: str
    parent: str
    checks: tuple[str, ...]
    at: float
    rest: tuple[str, ...] = ()
    """Checks that have to run after these, each alone on the commit: see ``Seen``."""


class Seen(Struct, frozen=True):
    """Fact ``<step>.seen.json``: the tracked files that differed from the commit when its checks had all passed.

    A check that changed a tracked file hid from the later ones what would land. So these run once more, each on the
    commit itself.
    """

    changed: tuple[str, ...]


class Handoff(Struct, frozen=True, omit_defaults=True):
    """Fact ``agent-2.plan.json``: a conversation that was stopped is asked for a handoff, in one short turn."""

    argv: tuple[str, ...]
    session: str
    at: float


class Step(Struct, frozen=True):
    """One detached process of an attempt. ``name`` is the kind, with ``-2``, ``-3`` … when run again."""

    name: str
    kind: StepKind
    phase: Phase
    started_at: float = 0.0
    kill: Kill | None = None
    commit: str = ""
    """What a check looks at; the same for a gate."""
    review: ReviewPlan | None = None
    verdict: ReviewEnd | None = None
    """What a review came to, once that was written down."""
    checks: int = 0
    """How many commands this run of the checks has."""
    rest: int = 0
    """How many commands remain that have to run one by one, each in a run of its own."""
    seen: Seen | None = None
    """What the tree was like after the checks, once that was written down."""
