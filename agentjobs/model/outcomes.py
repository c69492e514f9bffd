"""How an attempt can end, and what follows from each end: one row per outcome.

This table is the only place that groups outcomes. A new outcome needs a member of ``Outcome``, a row in ``RULES``, the
code that finds it, and its row in the table of outcomes in the documents.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Outcome(StrEnum):
    """How an attempt ended. ``rules`` has the row of the table for it."""

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
    GAVE_UP = "gave_up"
    LIMIT = "limit"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    AUTH = "auth"
    INFRA = "infra"
    STOPPED = "stopped"

    @property
    def rules(self) -> OutcomeRules:
        """What follows from this outcome."""
        return RULES[self]


class OutcomeRules(Struct, frozen=True, kw_only=True):
    """What follows from one outcome. Each default is what holds for most outcomes."""

    layer: Literal[0, 1, 2] = 0
    """1: the attempt was interrupted; its conversation continues. 2: the work is wrong; a fresh conversation gets the
    errors. 0: success, an attempt that does not count, or an agent that gave up."""
    counts: bool = True
    """The attempt counts against the limits of its task."""
    trouble: bool = False
    """The agent's account (or, for ``infra``, perhaps the machine) cannot work: the account pauses."""
    outside: bool = False
    """The cause lies outside the task. It says nothing about the work, nor that the machine is well. It trips no
    breaker, and a reviewer or a plan command that ends like this has not failed."""
    served: Literal["yes", "no", "unclear"] = "unclear"
    """Whether the model service answered normally, even if the work was wrong: "yes" proves that a limit is over, "no"
    proves nothing (the model was not asked), "unclear" lets other tasks start one at a time."""
    retries_max: int = 0
    """How many times in a row an agent may report that it retries because of this trouble before it is stopped.
    0: such retries are not looked for."""
    seen_in_events: bool = False
    """Retries because of this trouble are also counted in the JSON events of a running agent."""
    refusals_max: int = 0
    """An account that meets this trouble this often in a row waits for a person. 0: the general limit of pauses."""
    by_rule: bool = False
    """A rule of an agent in agentjobs.toml may give this class; the others come from measurements and checks."""
    how_only: bool = False
    """Describes how a step ended but not why: a cause that a rule finds in the output is preferred."""
    alike: bool = False
    """All failures of this class are the same failure, whatever the agent wrote before: only the class is compared."""
    circles: bool = False
    """A tree or an error that comes back with this outcome shows that the task goes in circles."""
    keeps_session: bool = True
    """The conversation can still be resumed."""
    resume: str = ""
    """What a resumed conversation reads as the reason of its interruption."""
    resume_advice: str = ""
    """What a resumed conversation reads in addition."""


_HANGS = "Avoid commands that do not exit by themselves (servers, watchers, prompts for input)."

RULES: dict[Outcome, OutcomeRules] = {
    Outcome.OK: OutcomeRules(served="yes", by_rule=True),
    Outcome.CRASHED: OutcomeRules(
        layer=1, by_rule=True, how_only=True, resume="the agent process ended with an error",
    ),
    Outcome.LOST: OutcomeRules(
        layer=1, outside=True, served="no", how_only=True, resume="the agent process was killed",
    ),
    Outcome.TIMEOUT: OutcomeRules(
        layer=1, by_rule=True, how_only=True, alike=True,
        resume="it ran out of time", resume_advice=_HANGS,
    ),
    Outcome.STALLED: OutcomeRules(
        layer=1, how_only=True, alike=True, resume="it printed nothing for too long", resume_advice=_HANGS,
    ),
    Outcome.NO_SESSION: OutcomeRules(layer=1, served="no", by_rule=True, keeps_session=False),
    Outcome.SESSION_BUSY: OutcomeRules(layer=1, served="no", by_rule=True),
    Outcome.VERIFY_FAILED: OutcomeRules(layer=2, served="yes", circles=True),
    Outcome.GATE_FAILED: OutcomeRules(layer=2, served="yes", circles=True),
    Outcome.REJECTED: OutcomeRules(layer=2, served="yes", circles=True),
    Outcome.OUT_OF_SCOPE: OutcomeRules(layer=2, served="yes", alike=True, circles=True),
    Outcome.NO_CHANGE: OutcomeRules(layer=2, served="yes", alike=True, circles=True),
    Outcome.CONFLICT: OutcomeRules(layer=2, served="yes", circles=True),
    Outcome.RUNAWAY: OutcomeRules(layer=2, by_rule=True, how_only=True, alike=True, circles=True),
    Outcome.CONTEXT_FULL: OutcomeRules(layer=2, served="yes", by_rule=True, alike=True, keeps_session=False),
    Outcome.GAVE_UP: OutcomeRules(served="yes", by_rule=True),
    Outcome.LIMIT: OutcomeRules(
        counts=False, trouble=True, outside=True, retries_max=2, seen_in_events=True, by_rule=True,
        resume="a usage limit was reached, which is over now",
    ),
    Outcome.OVERLOADED: OutcomeRules(
        counts=False, trouble=True, outside=True, retries_max=6, by_rule=True,
        resume="the model service was overloaded",
    ),
    Outcome.UNREACHABLE: OutcomeRules(
        counts=False, trouble=True, outside=True, retries_max=6, seen_in_events=True, by_rule=True,
        resume="the model service could not be reached",
    ),
    Outcome.AUTH: OutcomeRules(
        counts=False, trouble=True, outside=True, retries_max=2, seen_in_events=True, refusals_max=3, by_rule=True,
        resume="the login failed",
    ),
    Outcome.INFRA: OutcomeRules(counts=False, trouble=True, outside=True, refusals_max=2, by_rule=True),
    Outcome.STOPPED: OutcomeRules(counts=False, outside=True, served="no", resume="it was stopped"),
}  # fmt: skip


def rules_of(name: str) -> OutcomeRules:
    """Return the row of an outcome by its name, as a file gives it; an empty row for no outcome or an unknown one."""
    return RULES[Outcome(name)] if name in RULES else OutcomeRules()


LAYER_1 = frozenset(outcome for outcome in Outcome if outcome.rules.layer == 1)
"""The attempt was interrupted: its conversation continues."""

LAYER_2 = frozenset(outcome for outcome in Outcome if outcome.rules.layer == 2)  # noqa: PLR2004
"""The work is wrong: a fresh conversation gets the errors."""

UNSPENT = frozenset(outcome for outcome in Outcome if not outcome.rules.counts)
"""Not the fault of the task: the attempt does not count."""

TROUBLE = frozenset(outcome for outcome in Outcome if outcome.rules.trouble)
"""The account (or the machine) cannot work: other tasks are affected too."""
