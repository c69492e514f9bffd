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
    """Prints the rows of a phase; it belongs to no task."""


AGENTS = frozenset({StepKind.AGENT, StepKind.REVIEW})
"""Steps that are agents at work."""


class Prepared(Struct, frozen=True, tag="prepared"):
    """Written down, but certainly not started yet."""


class Gauge(Struct, frozen=True):
    """What the output of a running agent shows about it."""

    used: int = 0
    """Tokens in its context window; 0 if not known."""
    window: int = 0
    """Size of the context window in tokens, if the agent reports it; otherwise the policy has it."""
    errors: int = 0
    """How many times in a row the same error came."""
    error: str = ""
    """That error, for people."""
    idle: int = 0
    """Answers of the model since the tree last changed; 0 until the tree was looked at."""
    tokens: int = 0
    """Tokens used by this attempt so far, as far as known."""
    cost: float = 0.0
    """US dollars used by this attempt so far, as far as known."""
    final: bool = False
    """Its final event has come and nothing after it."""
    trouble: str = ""
    """Outcome class of the trouble because of which it retries, with no answer since; ``told`` has its words."""
    troubles: int = 0
    """How many times in a row it reported this trouble."""
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


StepState = Prepared | Running | Exited | Lost


class KillReason(StrEnum):
    """Why we ended a running step. The values are in files; a value that this version does not know can be read too."""

    TIMEOUT = "timeout"
    """It ran for longer than its time limit."""
    SILENT = "stalled"
    """It wrote no output for too long."""
    RUNAWAY = "runaway"
    """It wrote too much, cost too much, or worked on without changing a file."""
    SAME_ERROR = "same_error"
    """It met one error again and again; if a rule knows that error, it is the cause."""
    ACCOUNT_TROUBLE = "trouble"
    """It retried again and again because of trouble of its account; ``detail`` is the class and the agent's words."""
    CONTEXT_FULL = "context"
    """Its context window passed ``context_stop``."""
    OVER_BUDGET = "over_budget"
    """The run is past its hard cap."""
    NOT_EXITING = "hung"
    """It reported its end, but its process did not exit."""
    STOPPED = "stopped"
    """A person asked for it, or nothing needs the step any more."""

    @classmethod
    def _missing_(cls, value: object) -> KillReason | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = "UNKNOWN", value
        return unknown


class Kill(Struct, frozen=True):
    """Fact ``<step>.kill.json``: we ended the step, and why."""

    why: KillReason
    at: float
    sent: int = 1
    """How many of the agent's polite signals were sent (facts ``<step>.kill-2.json`` …)."""
    detail: str = ""
    """The reason in more detail, for people."""


class Prepare(Struct, frozen=True, omit_defaults=True):
    """Fact ``<step>.plan.json`` of a check: the commit it judges and the target tip that the commit is based on."""

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
    state: StepState
    started_at: float = 0.0
    kill: Kill | None = None
    commit: str = ""
    """The commit that a check or a gate judges."""
    review: ReviewPlan | None = None
    verdict: ReviewEnd | None = None
    """The result of a review, once it is written down."""
    checks: int = 0
    """How many commands this run of the checks has."""
    rest: int = 0
    """How many commands still have to run, each in a separate run."""
    seen: Seen | None = None
    """The state of the tree after the checks, once it is written down."""
