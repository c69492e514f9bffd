"""When a running agent is to be ended though it is neither silent nor late: a full context, a runaway. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agentjobs.model.decisions import End
from agentjobs.model.steps import Running, StepKind
from agentjobs.model.trouble import BOUNDS, SAME_ERROR, TROUBLE
from agentjobs.policy.limits import dollars
from agentjobs.policy.policy import window_of

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.policy.policy import Policy

FIRST = "agent"
"""The step that does the work; a second one only writes a handoff."""


def astray(attempt: Attempt, step: Step, policy: Policy, spent: float) -> End | None:
    """Return how a running agent is to be ended, or None; ``spent``: dollars that earlier attempts cost.

    A runaway is ended at once; a full context politely, since its agent does nothing wrong. One that has said its last
    word is left to end.
    """
    running = step.phase
    if step.kind is not StepKind.AGENT or not isinstance(running, Running) or running.finished or running.gauge.final:
        return None
    if policy.limits.same_errors and running.gauge.errors >= policy.limits.same_errors:
        detail = f"the same error {running.gauge.errors} times: {running.gauge.error}"
        return End(step.name, SAME_ERROR, hard=True, detail=detail)
    gauge = running.gauge
    if gauge.trouble and gauge.troubles >= BOUNDS.get(gauge.trouble, math.inf):
        return End(step.name, TROUBLE, hard=False, detail=f"{gauge.trouble}: {gauge.told}")
    cause = _runaway(running, policy, spent)
    if cause:
        return End(step.name, "runaway", hard=True, detail=cause)
    profile = policy.profiles.get(attempt.intent.profile)
    if profile is None or step.name != FIRST:
        return None
    used, window = running.gauge.used, running.gauge.window or window_of(policy, profile)
    if used < profile.context_stop * window:
        return None
    detail = f"its context is full: {used} of {window} tokens (context_stop = {profile.context_stop:g})"
    return End(step.name, "context", hard=False, detail=detail)


def _runaway(running: Running, policy: Policy, spent: float) -> str:
    gauge, limits = running.gauge, policy.limits
    if limits.idle_requests and gauge.idle >= limits.idle_requests:
        return f"{gauge.idle} requests without an edit"
    cost = spent + gauge.cost
    if limits.task_cost_usd is not None and gauge.cost and cost > limits.task_cost_usd:
        return f"over limits.task_cost_usd ({dollars(cost)} of {dollars(limits.task_cost_usd)})"
    return ""
