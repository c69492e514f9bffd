"""Phases: which is open, which is planned next, and what one waits for. Pure.

A phase is *over* when it is planned and none of its rows can go on by itself: all are settled, or blocked for good.
The next one is open then, if enough of them are DONE. Rows of a phase that is not open, or not planned, do not begin.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.core.steps import CHECK_RUNS_MAX, Ended, concluded, next_run, watched
from agentjobs.model.decisions import Conclude, Launch
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import KillReason, StepKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.model.decisions import Decision
    from agentjobs.model.facts import Attempt
    from agentjobs.policy.policy import Policy

PLANS = "+plan."
"""What the ids begin with that plannings are kept under, among the attempts; no row can have one."""

STEP = "plan"
SHOWN = 3
ROUNDING = 1e-9


def plan_id(phase: str) -> str:
    """Return the id that the plannings of a phase are kept under."""
    return PLANS + phase


class Planning(StrEnum):
    """How far the planning of a phase has come."""

    BY_HAND = "by hand"
    """It has no `plan`: people write its rows."""
    DUE = "not planned"
    RUNS = "being planned"
    DONE = "planned"


class Planned(Struct, frozen=True, omit_defaults=True):
    """Fact ``planned.json``: what a planning came to."""

    rows: tuple[str, ...] = ()
    """The ids that its command printed."""
    added: int = 0
    """How many rows of the phase there are that were not there before."""
    again: bool = False
    """To be planned once more, when all rows of the phase have settled."""


class Stage(Struct, frozen=True):
    """How one phase stands."""

    name: str
    planning: Planning = Planning.BY_HAND
    again: bool = False
    """The last planning asks for another, when all rows have settled."""
    min_done: float = 1.0
    in_play: bool = True
    total: int = 0
    """Rows, those SKIPPED aside."""
    done: int = 0
    going: int = 0
    """Rows that are neither settled nor blocked for good."""
    undone: tuple[str, ...] = ()
    """The first of those of ``total`` that are not DONE."""

    @property
    def planned(self) -> bool:
        """Whether its rows are there."""
        return self.planning in {Planning.BY_HAND, Planning.DONE}

    @property
    def wants_plan(self) -> bool:
        """Whether its command is to run, once the phase is open."""
        return self.planning is Planning.DUE or (self.planning is Planning.DONE and self.again and not self.going)

    @property
    def over(self) -> bool:
        """Whether nothing of it can go on by itself."""
        return self.planned and not self.going and not self.again

    def suffices(self, share: float) -> bool:
        """Return True if at least this share of it is DONE."""
        return self.done >= share * self.total - ROUNDING


class Due(Struct, frozen=True):
    """What follows from how the phases stand."""

    closed: frozenset[str] = frozenset()
    """Profiles of which no row begins."""
    plan: str = ""
    """The phase whose command is to run; at most one."""


def due(stages: Sequence[Stage]) -> Due:
    """Return which phases are closed, and which is planned next."""
    closed: set[str] = set()
    plan = ""
    first = reached(stages)
    for at, stage in enumerate(stages):
        if at >= first or stage.wants_plan or stage.planning is Planning.RUNS:
            closed.add(stage.name)
        if at < first and stage.wants_plan and stage.in_play:
            plan = stage.name
    return Due(frozenset(closed), plan)


def reached(stages: Sequence[Stage]) -> int:
    """Return how many phases are open: the first always, each other when the one before is over and enough is DONE."""
    for at in range(1, len(stages)):
        before = stages[at - 1]
        if not (before.over and before.suffices(stages[at].min_done)):
            return at
    return len(stages)


def waits(stages: Sequence[Stage]) -> str:
    """Say what a phase in play waits for, where nothing goes on by itself; empty where all in play are over."""
    first = reached(stages)
    at = next((i for i, stage in enumerate(stages) if stage.in_play and not (i < first and stage.over)), None)
    if at is None:
        return ""
    stage = stages[at]
    if at < first:
        if stage.going:
            why = "not in play (`agentjobs dispatch`), or wait for a later phase (`agentjobs check`)"
            return f"phase {stage.name} waits: {stage.going} of its tasks are {why}"
        return f"phase {stage.name} must be planned: `agentjobs dispatch`"
    return _shut(stages, first, f"phase {stage.name}")


def holds(stages: Sequence[Stage], task_id: str, phase: str) -> str:
    """Say what a task in play waits for whose phase is closed, where nothing goes on by itself."""
    first = reached(stages)
    if phase in {stage.name for stage in stages[:first]}:
        return f"{task_id} waits: phase {phase} must be planned: `agentjobs dispatch --phase {phase}`"
    return _shut(stages, first, task_id)


def _shut(stages: Sequence[Stage], first: int, who: str) -> str:
    """Say why the phase ``first`` is not open."""
    before, blocked = stages[first - 1], stages[first]
    if before.over:
        shown = ", ".join(before.undone[:SHOWN]) + (", …" if len(before.undone) > SHOWN else "")
        lacking = f"{before.total - before.done} of {before.total} tasks of {before.name} are not DONE"
        return (
            f"phase {blocked.name} waits: {lacking} ({shown}; min_done = {blocked.min_done:g}): "
            "retry or skip them, or lower min_done"
        )
    hint = f"`agentjobs dispatch --phase {before.name}`"
    return f"{who} waits for phase {before.name}, which is not over and not in play: {hint}"


def go_on(stages: Sequence[Stage]) -> bool:
    """Return True if phases without an open row still need an action or a message."""
    return any(stage.planning is Planning.RUNS for stage in stages) or bool(due(stages).plan or waits(stages))


# --- one run of a plan command ----------------------------------------------------------------------------


def next_of_planning(run: Attempt, policy: Policy, now: float, *, wanted: bool) -> Decision:
    """Return what a planning needs next; not ``wanted``: it is out of play, or of a generation that is over."""
    live = watched(run, policy, now, wanted=wanted)
    if live is not None:
        return live
    found = next_run(run.steps, StepKind.PLAN)
    if not wanted and found is not Ended.PASSED:
        return Conclude(Outcome.STOPPED)
    if isinstance(found, Launch):
        return found
    kill = run.steps[-1].kill
    killed = Outcome.RUNAWAY if kill is not None and kill.why is KillReason.RUNAWAY else Outcome.TIMEOUT
    special = {Ended.LOST: Conclude(Outcome.LOST), Ended.KILLED: Conclude(killed)}
    return special.get(found) or concluded(found, Outcome.CRASHED)


def lost_too_often(runs: Sequence[Attempt]) -> bool:
    """Return True if the newest planning runs of a generation (oldest first) were all lost: a person must look."""
    newest = [run.result.outcome if run.result else None for run in runs[-(CHECK_RUNS_MAX - 1) :]]
    return len(newest) == CHECK_RUNS_MAX - 1 and all(outcome is Outcome.LOST for outcome in newest)
