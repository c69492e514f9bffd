"""What ``decide`` and ``plan`` say is to be done: one value for each kind of deed. Nothing here reads or writes."""

from __future__ import annotations

from msgspec import Struct

from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import StepKind
from agentjobs.model.tasks import Status

RUN = ""
"""In place of an account: all of them, because the machine is at fault."""


class Begin(Struct, frozen=True, tag="begin"):
    """Start a new attempt; needs an agent slot."""

    mode: Mode
    fresh: bool
    why: str
    profile: str
    probe: bool = False
    """See ``Intent``; ``plan`` knows it."""
    context: int = 0
    """Likewise."""


class Launch(Struct, frozen=True, tag="launch"):
    """Start a step of the last attempt; a check needs a verify slot, a review the slot of an agent."""

    name: str
    kind: StepKind


class Judge(Struct, frozen=True, tag="judge"):
    """The agent step is over: sweep, commit, classify, write ``agent.end.json``."""


class Look(Struct, frozen=True, tag="look"):
    """All checks of a step passed: see whether they changed tracked files, write ``<step>.seen.json``."""

    step: str


class Weigh(Struct, frozen=True, tag="weigh"):
    """A review step is over: sweep, put the tree back, read the verdict, write ``<step>.end.json``."""

    step: str


class Conclude(Struct, frozen=True, tag="conclude"):
    """Write ``result.json``."""

    outcome: Outcome


class Land(Struct, frozen=True, tag="land"):
    """The work is verified and may land: the merge queue merges and lands it, alone or in a batch."""


class SendBack(Struct, frozen=True, tag="send-back"):
    """The merge queue could not land the work: put its tree onto the target's tip, write ``result.json``."""

    errors: str = ""
    """What the gate said of it; empty: it conflicts with the target."""
    check: str = ""
    """The command that failed."""
    silent: bool = False
    """That command printed nothing, so failing the same way twice is no sign of going in circles."""


class End(Struct, frozen=True, tag="end"):
    """End a running step: with its next polite signal, or (``hard``) at once with all that belongs to it."""

    step: str
    why: str
    hard: bool
    detail: str = ""
    """More of why, for people."""


class Settle(Struct, frozen=True, tag="settle"):
    """Close the round."""

    status: Status
    note: str


class Defer(Struct, frozen=True, tag="defer"):
    """Layers 1 and 2 are spent; layer 3 waits for the sweep."""

    note: str


class Wait(Struct, frozen=True, tag="wait"):
    """Nothing to do before ``until`` (0: until a running step ends)."""

    until: float
    why: str


Decision = Begin | Launch | Judge | Look | Weigh | Conclude | Land | SendBack | End | Settle | Defer | Wait


class Action(Struct, frozen=True):
    """One decision, for one task, to carry out now."""

    id: str
    decision: Decision
