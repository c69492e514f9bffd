"""The words of agentjobs as frozen types: rows, facts, steps, outcomes, actions. Nothing here reads or writes.

Durations end in ``_s`` (seconds), instants in ``_at`` (seconds since the epoch), paths in ``_path`` or ``_dir``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    from agentjobs.model.reviews import ReviewEnd, ReviewPlan



class Status(StrEnum):
    """The ``status`` column."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    VERIFYING = "VERIFYING"
    REVIEWING = "REVIEWING"
    LANDING = "LANDING"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


SETTLED = frozenset({Status.DONE, Status.FAILED, Status.SKIPPED})
"""What a task is when nothing more will be done for it."""


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


class Outcome(StrEnum):
    """The class of an attempt's outcome (docs/design.md, section 6)."""

    OK = "ok"
    CRASHED = "crashed"
    LOST = "lost"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    NO_SESSION = "no_session"
    SESSION_BUSY = "session_busy"
    VERIFY_FAILED = "verify_failed"
    GATE_FAILED = "gate_failed"
    REJECTED = "rejected"
    OUT_OF_SCOPE = "out_of_scope"
    NO_CHANGE = "no_change"
    CONFLICT = "conflict"
    RUNAWAY = "runaway"
    CONTEXT_FULL = "context_full"
    LIMIT = "limit"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    AUTH = "auth"
    INFRA = "infra"
    STOPPED = "stopped"


# --- a row of the table -----------------------------------------------------------------------------------


class Row(Struct, frozen=True):
    """One task as the table gives it. ``cells`` holds every column by name, unescaped."""

    id: str
    line: int
    status: Status
    after: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    profile: str = "default"
    priority: float = 0.0
    cells: dict[str, str] = field(default_factory=dict)


# --- how a step is ----------------------------------------------------------------------------------------


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


# --- facts of an attempt ----------------------------------------------------------------------------------


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


class Spending(Struct, frozen=True, omit_defaults=True):
    """Tokens by kind, which do not overlap, and money in US dollars."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    cost: float | None = None
    """None where it is not known."""
    estimated: bool = False  # the cost is ours, from a table of prices
    partly: bool = False
    """The cost is not all of it."""

    @property
    def tokens(self) -> int:
        """All tokens together."""
        return self.input + self.cache_read + self.cache_write + self.output

    @property
    def unknown(self) -> bool:
        """Whether tokens were used whose cost is not known."""
        return self.partly or (self.cost is None and self.tokens > 0)


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


class Settled(Struct, frozen=True, omit_defaults=True):
    """Fact ``attempts/<id>/settled-<round>.json``: a round's end, for ever."""

    round: int
    status: Status
    note: str
    at: float
    commit: str = ""
    tree: str = ""
    """What the task's tree held then, as git names it, where the work has not landed."""


BY_HAND = "accepted by hand"
"""Note of a round that ended because somebody wrote DONE into the table."""


class Task(Struct, frozen=True):
    """What ``decide`` looks at: a row, and the facts of its unsettled round."""

    row: Row
    round: int = 1
    attempts: tuple[Attempt, ...] = ()
    earlier: int = 0
    """How many attempts earlier rounds took."""
    wish: Status | None = None
    """What a person asked for and is not done yet: TODO (a new round), SKIPPED, DONE, FAILED."""
    in_play: bool = True
    """``stop`` takes a task out of play: what runs is ended, nothing is begun."""
    void: tuple[str, ...] = ()
    """Marks of attempts of the round that were started and have no facts any more: somebody deleted or spoilt them."""

    @property
    def last(self) -> Attempt | None:
        """The newest attempt of the round."""
        return self.attempts[-1] if self.attempts else None


class Halt(Struct, frozen=True, omit_defaults=True):
    """State ``halt.json``: a person is needed; ``dispatch`` clears it."""

    why: str
    detail: str
    at: float


class Scope(Struct, frozen=True, omit_defaults=True):
    """State ``scope.json``: what ``dispatch`` put in play, and when it last spoke."""

    at: float
    everything: bool = False
    ids: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    """Ids that ``stop`` took out again."""
    forced: bool = False
    """A red baseline was accepted."""
    phases: tuple[str, ...] = ()
    """Profiles whose rows are in play, also those that are planned later."""


Json = dict[str, Any]
