"""The state machine of a step: start it, wait, stop it, start it again if it was lost, or say how it ended. Pure.

Setups, agents, checks, reviews, gate runs and plan runs all go through it. What the end of one means is up to them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from agentjobs.core.watchdog import watch
from agentjobs.model.decisions import Conclude, Decision, End, Launch, Look
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, KillReason, Lost, Prepared, StepKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.policy.policy import Policy

CHECK_RUNS_MAX = 3
"""After this many runs of a check that were lost (killed with their runner), it is not started again."""


class Ended(Enum):
    """How a step ended."""

    PASSED = "passed"
    """It exited with 0."""
    FAILED = "failed"
    """It exited with another code."""
    KILLED = "killed"
    """We ended it; ``Step.kill`` has the reason."""
    STOPPED = "stopped"
    """We ended it because a person asked for that, or because nothing needed it any more."""
    LOST = "lost"
    """It was killed with its runner, or the machine went down; it is not started again."""


def watched(
    attempt: Attempt, policy: Policy, now: float, *, wanted: bool = True, spent: float = 0.0
) -> Decision | None:
    """Return what the running step of an attempt needs; None if no step runs.

    ``wanted=False``: nothing needs the step any more; ``spent``: dollars that earlier attempts cost.
    """
    if not attempt.running:
        return None
    step, _ = attempt.running[0]
    if not wanted and step.kill is None:
        return End(step.name, KillReason.STOPPED, hard=False)
    return watch(attempt, step, policy, now, spent)


def ended(step: Step) -> Ended:
    """Return how a step ended that neither runs nor waits for its start."""
    if step.kill is not None:
        return Ended.STOPPED if step.kill.why is KillReason.STOPPED else Ended.KILLED
    if isinstance(step.state, Lost):
        return Ended.LOST
    return Ended.PASSED if isinstance(step.state, Exited) and step.state.code == 0 else Ended.FAILED


def next_run(runs: Sequence[Step], kind: StepKind, first: str = "", *, runs_max: int = 1) -> Launch | Ended:
    """Return the run of a step to start, or how its newest run ended.

    ``runs``: its runs so far, oldest first, of which none is running; ``first``: the name of the first one, that of
    the kind by default; ``runs_max``: after this many lost runs it is not started again.
    """
    if not runs:
        return Launch(first or kind.value, kind)
    if isinstance(runs[-1].state, Prepared):
        return Launch(runs[-1].name, kind)
    lost = sum(ended(run) is Ended.LOST for run in runs)
    how = ended(runs[-1])
    return again(runs, kind) if how is Ended.LOST and lost < runs_max else how


def again(runs: Sequence[Step], kind: StepKind) -> Launch:
    """Return the start of one more run of a step."""
    return Launch(f"{kind.value}-{len(runs) + 1}", kind)


def next_setup(attempt: Attempt, name: str) -> Launch | Conclude | None:
    """Return what a run of the setup command needs, or what follows if it failed; None once it succeeded."""
    found = next_run([step for step in attempt.steps if step.name == name], StepKind.SETUP, name)
    if isinstance(found, Launch):
        return found
    return None if found is Ended.PASSED else concluded(found, Outcome.INFRA)


def next_check(attempt: Attempt, kind: StepKind) -> Launch | Look | Ended:
    """Return what the checks of an attempt need next, or how they ended: PASSED if they saw the commit itself."""
    runs = attempt.runs(kind)
    found = next_run(runs, kind, runs_max=CHECK_RUNS_MAX)
    if found is not Ended.PASSED:
        return found
    check = runs[-1]
    if check.checks > 1 and check.seen is None and attempt.intent.base:
        return Look(check.name)
    if check.rest or (check.seen is not None and check.seen.changed):
        return again(runs, kind)
    return found


def concluded(how: Ended, failed: Outcome) -> Conclude:
    """Return the end of an attempt whose last step ended; ``failed``: its outcome if the step did not pass."""
    fixed = {Ended.PASSED: Outcome.OK, Ended.STOPPED: Outcome.STOPPED, Ended.LOST: Outcome.INFRA}
    return Conclude(fixed.get(how, failed))
