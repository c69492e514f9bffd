"""The actions that ``decide`` and ``schedule`` can return, one frozen type each."""

from __future__ import annotations

from msgspec import Struct

from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import KillReason, StepKind
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
    """True if the account was in trouble; set by ``schedule`` (see ``Intent.probe``)."""
    context: int = 0
    """Expected tokens in the context window; 0 without ``limits.tokens_in_flight``. Set by ``schedule``."""


class Launch(Struct, frozen=True, tag="launch"):
    """Start a step of the last attempt; a check needs a verify slot, a review needs an agent slot."""

    name: str
    kind: StepKind


class Judge(Struct, frozen=True, tag="judge"):
    """The agent step ended: kill left-over processes, commit, classify, write ``agent.end.json``."""


class Look(Struct, frozen=True, tag="look"):
    """All checks of a step passed: find out whether they changed tracked files, write ``<step>.seen.json``."""

    step: str


class Weigh(Struct, frozen=True, tag="weigh"):
    """A review step ended: kill left-over processes, restore the tree, read the verdict, write ``<step>.end.json``."""

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
    """That command printed nothing, so failing the same way twice does not mean going in circles."""


class End(Struct, frozen=True, tag="end"):
    """Stop a running step: with its next polite signal, or (``hard``) kill it and all its processes at once."""

    step: str
    why: KillReason
    hard: bool
    detail: str = ""
    """The reason in more detail, for people."""


class Settle(Struct, frozen=True, tag="settle"):
    """Close the round."""

    status: Status
    note: str


class Defer(Struct, frozen=True, tag="defer"):
    """Layers 1 and 2 are used up; the task waits until layer 3 may start it over."""

    note: str


class Wait(Struct, frozen=True, tag="wait"):
    """Nothing to do before ``until`` (0: until a running step ends)."""

    until: float
    why: str


Decision = Begin | Launch | Judge | Look | Weigh | Conclude | Land | SendBack | End | Settle | Defer | Wait


class Action(Struct, frozen=True):
    """One decision for one task, to carry out now."""

    id: str
    decision: Decision
