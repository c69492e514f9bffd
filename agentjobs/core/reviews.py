"""Review rules: the next step of a verified attempt that has reviewers. Pure.

Its reviewers are asked one after the other, in its tree. Each run is a separate step, ``review-1``, ``review-2`` …;
the fact of the step names the reviewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from agentjobs.core.review_findings import Standing, blocking, combined, disputes
from agentjobs.core.steps import Ended, again, next_run
from agentjobs.model.decisions import Conclude, Launch, Wait, Weigh
from agentjobs.model.facts import AgentEnd, Attempt, Result, attempt_of
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Lost, Prepared, StepKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.model.decisions import Decision
    from agentjobs.model.steps import Step
    from agentjobs.model.tasks import Task
    from agentjobs.policy.policy import Profile

TRIES_MAX: Final = 2
"""How often a reviewer is asked that gives no verdict; ``dispatch`` lets it be asked again."""

LOST_MAX: Final = 3
"""How often one that was killed with its runner is."""

RUNS_MAX: Final = 60
"""Runs of one reviewer in one attempt, limits and lost logins included: the bound that holds whatever happens."""

UNREVIEWED: Final = "has no review"
"""Why a task waits whose reviewers gave no verdict."""


def next_of(attempt: Attempt) -> Decision | None:
    """Return what the reviews of an attempt with no running step need; None: they do not keep it back."""
    if not attempt.intent.review:
        return None
    steps = runs(attempt)
    if steps:
        found = next_run(steps, StepKind.REVIEW)
        if isinstance(found, Launch):
            return found
        if steps[-1].verdict is None:
            return Weigh(steps[-1].name)
        if found is Ended.STOPPED:
            return Conclude(Outcome.STOPPED)
    stands = standing(attempt)
    if stands is Standing.PASSED or (stands is Standing.ABSENT and attempt.approved):
        return None
    if stands is Standing.REJECTED:
        return Conclude(Outcome.REJECTED)
    if stands is Standing.ABSENT:
        return Wait(0.0, UNREVIEWED)
    return again(steps, StepKind.REVIEW)


def runs(attempt: Attempt) -> list[Step]:
    """Return the review steps of an attempt, oldest first."""
    return attempt.runs(StepKind.REVIEW)


def standing(attempt: Attempt) -> Standing:
    """Return how the reviews of an attempt stand."""
    intent, passed, rejected, absent = attempt.intent, 0, 0, 0
    for reviewer in intent.review:
        mine = _runs_of(attempt, reviewer)
        verdict = next((step.verdict for step in mine if step.verdict is not None and step.verdict.valid), None)
        if verdict is not None:
            held = blocking(verdict.findings, intent.review_blocks)
            passed, rejected = passed + (not held), rejected + bool(held)
        else:
            absent += _given_up(mine, attempt.asked_at)
    return combined(intent.review_pass, len(intent.review), passed, rejected, absent)


def passed(attempt: Attempt) -> bool:
    """Whether the reviews do not keep a verified attempt back any more."""
    return not attempt.intent.review or standing(attempt) is Standing.PASSED or (lacking(attempt) and attempt.approved)


def lacking(attempt: Attempt) -> bool:
    """Whether an attempt waits for a person because its reviewers gave no verdict."""
    return bool(attempt.intent.review) and standing(attempt) is Standing.ABSENT


def unheard(attempt: Attempt) -> Step | None:
    """Return a review that has ended and was not written down yet."""
    return next((s for s in runs(attempt) if s.verdict is None and isinstance(s.state, Exited | Lost)), None)


def due(attempt: Attempt) -> str:
    """Return the reviewer to ask next; empty if there is none."""
    for reviewer in attempt.intent.review:
        mine = _runs_of(attempt, reviewer)
        given = any(step.verdict is not None and step.verdict.valid for step in mine)
        if not given and not _given_up(mine, attempt.asked_at):
            return reviewer
    return ""


def next_agent(task: Task, profiles: Mapping[str, Profile]) -> str:
    """Return the name of the agent that the next run of a review of a task is for."""
    last = task.last
    if last is None:
        return ""
    steps = runs(last)
    if steps and steps[-1].review is not None and steps[-1].verdict is None:
        return steps[-1].review.agent
    found = profiles.get(due(last))
    return found.agent if found is not None else last.intent.agent


def without_review(ids: Sequence[str]) -> str:
    """Say what a person is to do about tasks whose reviewers gave no verdict."""
    names = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")  # noqa: PLR2004 - to find them
    return (
        f"reviewers gave no verdict on {names}; `agentjobs show` says why, `agentjobs dispatch` asks them again, "
        "`agentjobs approve` lets verified work land without"
    )


def failures(attempt: Attempt) -> tuple[str, ...]:
    """Return why the last run of each reviewer that gave no verdict came to nothing, for people."""
    found = []
    for reviewer in attempt.intent.review:
        ends = [step.verdict for step in _runs_of(attempt, reviewer) if step.verdict is not None]
        if ends and not any(end.valid for end in ends):
            found.append(f"{reviewer}: {ends[-1].detail}")
    return tuple(found)


def _runs_of(attempt: Attempt, reviewer: str) -> list[Step]:
    return [step for step in runs(attempt) if step.review is not None and step.review.reviewer == reviewer]


def _given_up(mine: list[Step], asked_at: float) -> bool:
    """Whether a reviewer that gave no verdict is not asked again."""
    if len(mine) >= RUNS_MAX:
        return True
    ends = [step.verdict for step in mine if step.verdict and step.review and step.review.at > asked_at]
    lost = sum(end.outcome is Outcome.LOST for end in ends)
    failed = sum(not end.outcome.rules.outside for end in ends)
    return failed >= TRIES_MAX or lost >= LOST_MAX


# --- seen as others see an agent --------------------------------------------------------------------------


def as_attempt(attempt: Attempt, step: Step) -> Attempt:
    """Return a review as an attempt, so that the code for outcomes, cost and accounts can be reused for reviews."""
    plan = step.review
    if plan is None:
        raise TypeError(f"{step.name} is not a review")
    intent = replace(
        attempt.intent, agent=plan.agent, profile=plan.reviewer, session=plan.session, model=plan.model, argv=plan.argv,
        started_at=plan.at, fresh=True,
    )  # fmt: skip
    over = step.verdict
    end = AgentEnd(over.outcome, over.at, over.detail) if over is not None else None
    result = Result(over.outcome, over.at) if over is not None else None
    return attempt_of(intent, (replace(step, kind=StepKind.AGENT),), end, result)


def at_work(attempt: Attempt) -> Iterator[tuple[Attempt, Step]]:
    """Yield the reviews of an attempt that have been started, each as an attempt (see ``as_attempt``).

    One that was only planned asks nobody anything: it must not be waited for.
    """
    for step in runs(attempt):
        if step.review is not None and not isinstance(step.state, Prepared):
            yield as_attempt(attempt, step), step


def last_start(attempt: Attempt) -> float:
    """Return when an attempt last started an agent, its own or a reviewer."""
    return max([attempt.intent.started_at, *(step.review.at for step in attempt.steps if step.review is not None)])


def judged_at(attempt: Attempt) -> float:
    """Return when the last of an attempt's reviews ended; 0 where there was none."""
    return max((step.verdict.at for step in runs(attempt) if step.verdict is not None), default=0.0)


# --- what it costs ----------------------------------------------------------------------------------------


def spent_on(attempt: Attempt) -> tuple[int, float]:
    """Return the tokens and the dollars that the reviews of an attempt have cost so far."""
    spent = [step.verdict.spent if step.verdict is not None else Spending() for step in runs(attempt)]
    return sum(one.tokens for one in spent), sum(one.cost or 0.0 for one in spent)


def cost_unknown(attempt: Attempt) -> bool:
    """Whether an attempt, or one of its reviews, used tokens whose cost is not known."""
    reviews = (step.verdict.spent for step in runs(attempt) if step.verdict is not None)
    end = attempt.end
    mine = end is not None and (end.spent.partly or (end.tokens > 0 and not end.cost and end.spent.cost is None))
    return mine or any(one.unknown for one in reviews)


def with_reviews(result: Result, attempt: Attempt) -> Result:
    """Return an attempt's result with the cost of its reviews, and with what was passed over in them."""
    if not attempt.intent.review:
        return result
    tokens, cost = spent_on(attempt)
    detail = result.detail or (disputes(attempt) if result.outcome is Outcome.OK else "")
    return replace(result, tokens=result.tokens + tokens, cost=result.cost + cost, detail=detail)


# --- the policy -------------------------------------------------------------------------------------------
