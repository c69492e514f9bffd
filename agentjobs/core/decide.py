"""What one task needs next. Pure: the facts, the policy and the clock go in, one decision comes out.

``decide`` knows nothing of other tasks: slots, pauses and budgets are ``schedule``'s business, so a decision to
begin an attempt says what would be right, not that there is room for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.core import reviews
from agentjobs.core.repetition import oscillating
from agentjobs.core.steps import Ended, concluded, next_check, next_run, next_setup, watched
from agentjobs.core.watchdog import FIRST
from agentjobs.model.decisions import Begin, Conclude, Decision, Defer, Judge, Land, Settle, Wait
from agentjobs.model.facts import FRESH, Attempt, Made, Mode, Over, Result
from agentjobs.model.outcomes import LAYER_1, LAYER_2, UNSPENT, Outcome
from agentjobs.model.steps import Exited, Prepared, StepKind
from agentjobs.model.tasks import BY_HAND, Status, Task
from agentjobs.policy.limits import dollars

if TYPE_CHECKING:
    from agentjobs.policy.policy import Policy

UNSPENT_MAX = 25
"""Uncounted attempts in a round before the task is given up."""

PROBES_MAX = 200
"""As many that met a trouble others had met before: the bound that holds whatever happens."""

SETUP_AGAIN = "setup-2"
"""The step in which setup runs once more, after an agent that changed what the first run of it had made."""

VOID_MAX = 3
"""At this many attempts of a round with deleted or spoilt facts the task is given up."""

CONTEXT_FULL_MAX = 2

APPROVAL = "waits for approval"
"""Why a task waits that only a person can let land."""

REMOVED = "row removed"
"""Note of a round that ended because its row is gone from the table: should the row return, so does the task."""


def decide(task: Task, policy: Policy, now: float) -> Decision:
    """Return the one thing this task needs, as if it were alone in the world."""
    last = task.last
    if task.wish is not None and not (task.wish is Status.TODO and last is None):
        return _grant(task, task.wish, last, policy, now)
    landed = isinstance(last, Over) and last.outcome is Outcome.OK
    if not task.in_play and not landed:
        return _stop(last, policy, now)
    if last is None:
        if over := _over_its_limits(task, policy):
            return Settle(Status.FAILED, over)
        return Begin(Mode.FIRST, fresh=True, why="first attempt", profile=task.row.profile)
    return _after(task, last, policy, now) if isinstance(last, Over) else _advance(last, policy, now, _cost(task))


# --- what a person asked for ------------------------------------------------------------------------------


def _grant(task: Task, wish: Status, last: Attempt | None, policy: Policy, now: float) -> Decision:
    """Stop what runs, write down how it ended, then do as the person said."""
    stopping = _stop(last, policy, now)
    if not isinstance(stopping, Wait) or stopping.until:
        return stopping
    note = {
        Status.DONE: BY_HAND,
        Status.SKIPPED: "skipped by hand" if task.row.line else REMOVED,
        Status.FAILED: "given up by hand",
    }.get(wish, "")
    return Settle(wish, note)


def _stop(last: Attempt | None, policy: Policy, now: float) -> Decision:
    """End what runs and write down that it was stopped; ``Wait(0)`` once nothing is open."""
    if last is None or isinstance(last, Over):
        return Wait(0.0, "not in play")
    return watched(last, policy, now, wanted=False) or Conclude(Outcome.STOPPED)


# --- an attempt that is not over --------------------------------------------------------------------------


def _advance(attempt: Attempt, policy: Policy, now: float, spent: float) -> Decision:
    live = watched(attempt, policy, now, spent=spent)
    if live is not None:
        return live
    if not isinstance(attempt, Made):
        return _advance_agent(attempt)
    if attempt.end.outcome is not Outcome.OK:
        return Conclude(attempt.end.outcome)
    return _advance_checks(attempt, policy, attempt.end.setup)


def _advance_agent(attempt: Attempt) -> Decision:
    agent = next_run(attempt.runs(StepKind.AGENT), StepKind.AGENT)
    if isinstance(agent, Ended):
        return Judge()
    wanted = agent.name == FIRST and (attempt.intent.setup or attempt.first(StepKind.SETUP) is not None)
    return (next_setup(attempt, "setup") if wanted else None) or agent


def _advance_checks(attempt: Attempt, policy: Policy, setup: str) -> Decision:
    """Return what the checks need, and before them the command ``setup``, if it has to run again."""
    wanted = setup or attempt.step(SETUP_AGAIN)
    if wanted and (again := next_setup(attempt, SETUP_AGAIN)) is not None:
        return again
    if attempt.first(StepKind.VERIFY) is None and not attempt.intent.checks:
        return _passed(attempt, policy)
    found = next_check(attempt, StepKind.VERIFY)  # gate steps here are of older versions: the queue checks again
    if found is Ended.PASSED:
        return _passed(attempt, policy)
    return concluded(found, Outcome.VERIFY_FAILED) if isinstance(found, Ended) else found


def _passed(attempt: Attempt, policy: Policy) -> Decision:
    review = reviews.next_of(attempt)
    if review is not None:
        return review
    if not (policy.landing.enabled and attempt.intent.base):
        return Conclude(Outcome.OK)
    if policy.landing.approve and not attempt.approved:
        return Wait(0.0, APPROVAL)
    return Land()


# --- an attempt that is over: the three layers ------------------------------------------------------------


def _after(task: Task, last: Over, policy: Policy, now: float) -> Decision:
    result = last.result
    if result.outcome is Outcome.OK:
        return Settle(Status.DONE, result.detail)
    over = _over_its_limits(task, policy)
    if over:
        return Settle(Status.FAILED, over)
    if result.outcome in UNSPENT:
        return _again(task, last, policy)
    if result.outcome is Outcome.GAVE_UP:
        # what it cannot repair it may still do from the beginning
        again = last.intent.mode is Mode.REPAIR
        return _layer_3(last, told(result), policy) if again else Settle(Status.FAILED, told(result))
    segment = _segment(task)
    interrupted = sum(attempt.outcome in LAYER_1 for attempt in segment)
    wrong = sum(attempt.outcome in LAYER_2 for attempt in segment)
    retry = policy.retry
    if result.outcome in LAYER_1 and interrupted <= retry.resumes:
        due = result.at + min(60.0, 2.0 ** min(interrupted - 1, 6))
        if result.at <= now < due:  # a result of the future: the clock was put back
            return Wait(due, "backs off before it resumes")
        return Begin(
            Mode.RESUME,
            fresh=not can_resume(last, policy),
            why=f"attempt {last.number} was interrupted: {told(result)}",
            profile=last.intent.profile,
        )
    full = sum(attempt.outcome is Outcome.CONTEXT_FULL for attempt in task.over)
    if full >= CONTEXT_FULL_MAX:
        said = f" ({result.detail})" if result.outcome is Outcome.CONTEXT_FULL and result.detail else ""
        return Settle(Status.FAILED, f"context full twice: split this task{said}")
    if oscillating(segment):
        return _layer_3(last, f"oscillating: {told(result)}", policy)
    if wrong + max(0, interrupted - retry.resumes) <= retry.repairs:
        return Begin(
            Mode.REPAIR,
            fresh=True,
            why=f"attempt {last.number} was wrong: {told(result)}",
            profile=last.intent.profile,
        )
    return _layer_3(last, told(result), policy)


def _layer_3(last: Attempt, note: str, policy: Policy) -> Decision:
    inside = last.end is not None and last.end.inside
    if inside or last.intent.restarts >= policy.retry.restarts:
        return Settle(Status.FAILED, note)
    return Defer(note)


def _again(task: Task, last: Over, policy: Policy) -> Decision:
    """Go on after an attempt that does not count: the same thing again, in the same conversation if it can be."""
    result = last.result
    again = [attempt for attempt in task.over if attempt.outcome in UNSPENT]
    probes = sum(attempt.intent.probe and attempt.outcome is not Outcome.STOPPED for attempt in again)
    uncounted = len(again) - probes
    if uncounted > UNSPENT_MAX or probes > PROBES_MAX:
        return Settle(Status.FAILED, f"gave up after {len(again)} attempts that did not count: {told(result)}")
    if can_resume(last, policy) and result.outcome is not Outcome.INFRA:
        mode, fresh = Mode.RESUME, False
    else:
        mode, fresh = last.intent.mode, True
        if mode in FRESH and has_begun(last):
            mode = Mode.RESUME  # its work so far is in the tree
    return Begin(
        mode, fresh=fresh, why=f"attempt {last.number} did not count: {told(result)}", profile=last.intent.profile
    )


def verified_at(attempt: Attempt) -> float:
    """Return when an attempt that is not over passed its checks; 0 where it has not."""
    if attempt.end is None or attempt.end.outcome is not Outcome.OK:
        return 0.0
    check = attempt.last(StepKind.VERIFY)
    if check is None:
        return 0.0 if attempt.intent.checks else attempt.end.at
    return check.state.at if isinstance(check.state, Exited) and check.state.code == 0 else 0.0


def can_resume(attempt: Attempt, policy: Policy) -> bool:
    """Whether the conversation of this attempt can be gone on with."""
    agent = policy.agents.get(attempt.intent.agent)
    result = attempt.result
    session = (result.session if result else "") or attempt.intent.session
    lost = result is not None and not result.outcome.rules.keeps_session
    lost = lost or (attempt.end is not None and attempt.end.unwritten)
    return bool(agent and agent.resume and session and has_begun(attempt) and not lost)


def has_begun(attempt: Attempt) -> bool:
    """Whether the agent of this attempt was started: its tree may hold work."""
    agent = attempt.last(StepKind.AGENT)
    return agent is not None and not isinstance(agent.state, Prepared)


def restarts_after(last: Attempt | None, mode: Mode) -> int:
    """Return how often a round has started over, once an attempt of this mode follows ``last``.

    Starting over again because that attempt did not count (a full disk, a limit) is the same restart.
    """
    if last is None:
        return 0
    again = last.intent.mode is Mode.RESTART and isinstance(last, Over) and last.outcome in UNSPENT
    return last.intent.restarts + (mode is Mode.RESTART and not again)


def told(result: Result) -> str:
    """Return an outcome in one line for people."""
    return f"{result.outcome.value}: {result.detail}" if result.detail else result.outcome.value


def _segment(task: Task) -> tuple[Over, ...]:
    """Return the attempts since the last restart: layers 1 and 2 are counted anew after one."""
    restarts = task.attempts[-1].intent.restarts
    return tuple(attempt for attempt in task.over if attempt.intent.restarts == restarts)


def _cost(task: Task) -> float:
    """Return what the attempts cost, and at most the requests that were open when they were killed."""
    known = sum(attempt.result.cost for attempt in task.over)
    return known + sum(a.end.in_flight.cost or 0.0 for a in task.attempts if a.end is not None)


def _over_its_limits(task: Task, policy: Policy) -> str:
    limits, void = policy.limits, len(task.void)
    lost = f"facts of {void} attempts in .agentjobs/attempts/{task.row.id} were deleted or damaged, maybe by the agent"
    if void >= VOID_MAX:
        return f"gave up: {lost}"
    results = [attempt.result for attempt in task.over]
    spent = task.earlier + void + sum(r.outcome not in UNSPENT for r in results)
    if limits.task_attempts is not None and spent >= limits.task_attempts and (results or void):
        return f"limits.task_attempts reached ({spent}): {told(results[-1]) if results else lost}"
    cost = _cost(task)
    if limits.task_cost_usd is not None and cost >= limits.task_cost_usd:
        return f"limits.task_cost_usd reached ({dollars(cost)}): {told(results[-1])}"
    return ""
