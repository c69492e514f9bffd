"""What follows from one gate run: which tasks land, which are at fault, and what to run next. Pure.

A batch of verified tasks is checked once. Green: all of it lands. Red: the task that changed the files with the errors
is at fault, and the rest is run without them. Where no file says whose fault it is, the same is run once more (a
flaky test is nobody's fault), then half of the suspects at a time. Those thought innocent are in each run as well, so
that a green one lands them too. After log2(n) runs one of n suspects is left.

Nobody is blamed on suspicion: the last suspect is at fault where all but it pass, or where it fails on a target that
is known to pass; a target that is not is run by itself first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.core.steps import Ended, concluded, next_check, next_setup, watched
from agentjobs.model.decisions import Conclude
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import StepKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agentjobs.model.decisions import Decision
    from agentjobs.model.facts import Attempt
    from agentjobs.policy.policy import Policy

QUEUE_ID = "+gate"
"""The id that runs of the gate are kept under, among the attempts; no row can have it."""

GATE_RUNS_MAX = 20
"""After this many runs of the gate in a row during which the target moved, a person is called."""


class Probe(StrEnum):
    """Why the gate runs."""

    BATCH = "batch"
    """Work that has just been verified."""
    SINGLE = "single"
    """One task in its own tree, because tasks land one by one: its own checks run as well if the target has moved.

    In the second run, after a red one, it is a suspect.
    """
    AGAIN = "again"
    """The same once more: it was red, and no file shows the cause."""
    HALF = "half"
    """Half of the suspects, and all tasks that are cleared."""
    REST = "rest"
    """All but the accused: where that is green, the accused is at fault, and the rest lands."""
    ALONE = "alone"
    """The accused, because the rest is red as well."""
    TIP = "tip"
    """The target by itself."""


class Member(Struct, frozen=True):
    """One task in a batch."""

    id: str
    attempt: int
    commit: str
    """Its work, as the one commit that is to land."""


class Case(Struct, frozen=True, omit_defaults=True):
    """What is known when the gate starts."""

    probe: Probe = Probe.BATCH
    ids: tuple[str, ...] = ()
    """Whose work is in the tree, in the order in which it is merged."""
    suspects: tuple[str, ...] = ()
    """One of these is at fault; empty before anything was red."""
    others: tuple[str, ...] = ()
    """Not in the tree; what becomes of them hangs on this run."""
    proved: bool = False
    """The target is known to pass the gate."""
    accused: tuple[str, ...] = ()
    """At fault, unless the target is red by itself."""
    errors: str = ""
    """What the last red run said."""

    @property
    def names(self) -> tuple[str, ...]:
        """All tasks that this run is about."""
        return (*self.ids, *self.others, *self.accused)


class Batch(Struct, frozen=True, omit_defaults=True):
    """Fact ``batch.json``: a case, merged onto a tip."""

    case: Case
    tip: str
    members: tuple[Member, ...] = ()
    attempts: dict[str, int] = {}
    """Which attempt is meant of each task that the case names: what is known of one says nothing of the next."""

    @property
    def head(self) -> str:
        """The commit that the gate runs on."""
        return self.members[-1].commit if self.members else self.tip


class Verdict(Struct, frozen=True, omit_defaults=True):
    """Fact ``verdict.json``: what follows from one run of the gate."""

    landed: bool = False
    """All that was in the tree has landed."""
    blamed: dict[str, str] = {}
    """The tasks at fault, each with the errors of the gate."""
    follow: Case | None = None
    """The run that comes next, before anything new."""
    red_tip: bool = False
    """The target fails the gate by itself: a person is needed."""
    why: str = ""
    """For people."""


def judge(case: Case, *, green: bool, owned: Mapping[str, str], errors: str) -> Verdict:
    """Return what follows from a run.

    ``owned``: the tasks that changed files in the output, each with the errors in its files; ``errors``: all errors.
    """
    if green:
        return _green(case)
    owned = {id_: text for id_, text in owned.items() if id_ in case.ids}
    if owned:
        rest = tuple(dict.fromkeys(i for i in (*case.ids, *case.others, *case.accused) if i not in owned))
        return Verdict(blamed=owned, follow=_anew(rest, proved=case.proved), why="the errors are in their files")
    return _red(case, errors)


def _green(case: Case) -> Verdict:
    left = tuple(id_ for id_ in case.suspects if id_ not in case.ids)
    if case.probe in {Probe.REST, Probe.TIP}:
        why = "the rest passes" if case.ids else "the target itself passes"
        return Verdict(landed=True, blamed=dict.fromkeys(case.accused, case.errors), why=why)
    if case.probe is Probe.HALF and len(left) == 1:
        return Verdict(landed=True, blamed={left[0]: case.errors}, why="all others pass")
    if case.probe is Probe.HALF:
        return Verdict(landed=True, follow=halve(left, (), case.errors, proved=True))
    if case.probe is Probe.ALONE:
        return Verdict(landed=True, follow=_anew(case.others, proved=True))
    again = case.probe is Probe.AGAIN or case.suspects
    return Verdict(landed=True, why="passes when run again" if again else "")


def _red(case: Case, errors: str) -> Verdict:
    if case.probe is Probe.TIP:
        return Verdict(red_tip=True, why=errors)
    if case.probe in {Probe.BATCH, Probe.SINGLE} and not case.suspects:
        probe = Probe.AGAIN if case.probe is Probe.BATCH else Probe.SINGLE
        again = Case(probe, case.ids, suspects=case.ids, proved=case.proved, errors=errors)
        return Verdict(follow=again, why="no file shows the cause")
    if case.probe is Probe.REST:
        alone = Case(Probe.ALONE, case.accused, others=case.ids, proved=case.proved, errors=case.errors)
        return Verdict(follow=alone, why="the rest fails as well")
    suspects = tuple(id_ for id_ in case.suspects or case.ids if id_ in case.ids)
    cleared = tuple(id_ for id_ in (*case.ids, *case.others) if id_ not in suspects)
    if case.probe is not Probe.ALONE and len(suspects) > 1:
        return Verdict(follow=halve(suspects, cleared, errors, proved=case.proved))
    if case.probe is not Probe.ALONE and cleared:
        # Not blamed yet: of two culprits, the other one may have been among those thought innocent.
        rest = Case(Probe.REST, cleared, proved=case.proved, accused=suspects, errors=errors)
        return Verdict(follow=rest, why="the last suspect")
    if case.proved:
        blamed = dict.fromkeys(case.ids, errors)
        return Verdict(blamed=blamed, follow=_anew(case.others, proved=True), why="it fails alone")
    return Verdict(follow=Case(Probe.TIP, accused=case.ids, errors=errors), why="it fails alone")


def _anew(ids: tuple[str, ...], *, proved: bool) -> Case | None:
    return Case(Probe.BATCH, ids, proved=proved) if ids else None


def halve(suspects: tuple[str, ...], cleared: tuple[str, ...], errors: str, *, proved: bool) -> Case:
    """Return the run that shows which half of the suspects is at fault."""
    half = len(suspects) // 2
    ids = (*suspects[:half], *cleared)
    return Case(Probe.HALF, ids, suspects=suspects, others=suspects[half:], proved=proved, errors=errors)


def still(case: Case, waiting: Collection[str]) -> Case | None:
    """Return the case as it is when only ``waiting`` tasks are left; None where it has lost its point.

    Somebody skipped a task, or its work conflicts by now: what was known about the others does not hold without it.
    """
    if all(id_ in waiting for id_ in case.names):
        return case
    if case.probe is Probe.BATCH:
        ids = tuple(id_ for id_ in case.ids if id_ in waiting)
        return Case(Probe.BATCH, ids, proved=case.proved) if ids else None
    return None


def next_of_gate(run: Attempt, policy: Policy, now: float, *, wanted: bool) -> Decision:
    """Return what a run of the gate for a batch needs next; not ``wanted``: nobody waits for it any more."""
    live = watched(run, policy, now, wanted=wanted)
    if live is not None or not wanted:
        return live or Conclude(Outcome.STOPPED)
    setup = next_setup(run, "setup") if run.intent.setup and run.first(StepKind.GATE) is None else None
    if setup is not None:
        return setup
    found = next_check(run, StepKind.GATE)
    return concluded(found, Outcome.GATE_FAILED) if isinstance(found, Ended) else found
