"""Stops a running step: too long, too silent, a full context, a runaway, retries by the agent itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.model.decisions import Decision, End, Wait
from agentjobs.model.outcomes import rules_of
from agentjobs.model.steps import AGENTS, KillReason, Running, StepKind
from agentjobs.policy.limits import dollars
from agentjobs.policy.policy import finish_grace_s, window_of

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.policy.policy import Policy

WAITS_S = 120.0
"""Seconds. An agent that reported a limit or a lost login and then is silent this long only waits for that to end:
its account can pause instead, and another task can use the slot."""

FIRST = "agent"
"""The step that does the work; a second one only writes a handoff."""


def astray(attempt: Attempt, step: Step, policy: Policy, spent: float) -> End | None:
    """Return how to stop a running agent, or None; ``spent``: dollars that earlier attempts cost.

    A runaway is killed at once. A full context is stopped politely, because its agent does nothing wrong. An agent
    whose final event has come may end by itself.
    """
    running = step.state
    if step.kind is not StepKind.AGENT or not isinstance(running, Running) or running.finished or running.gauge.final:
        return None
    if policy.limits.same_errors and running.gauge.errors >= policy.limits.same_errors:
        detail = f"the same error {running.gauge.errors} times: {running.gauge.error}"
        return End(step.name, KillReason.SAME_ERROR, hard=True, detail=detail)
    gauge = running.gauge
    if 0 < rules_of(gauge.trouble).retries_max <= gauge.troubles:
        return End(step.name, KillReason.ACCOUNT_TROUBLE, hard=False, detail=f"{gauge.trouble}: {gauge.told}")
    cause = _runaway(running, policy, spent)
    if cause:
        return End(step.name, KillReason.RUNAWAY, hard=True, detail=cause)
    profile = policy.profiles.get(attempt.intent.profile)
    if profile is None or step.name != FIRST:
        return None
    used, window = running.gauge.used, running.gauge.window or window_of(policy, profile)
    if used < profile.context_stop * window:
        return None
    detail = f"its context is full: {used} of {window} tokens (context_stop = {profile.context_stop:g})"
    return End(step.name, KillReason.CONTEXT_FULL, hard=False, detail=detail)


def _runaway(running: Running, policy: Policy, spent: float) -> str:
    gauge, limits = running.gauge, policy.limits
    if limits.idle_requests and gauge.idle >= limits.idle_requests:
        return f"{gauge.idle} requests without an edit"
    cost = spent + gauge.cost
    if limits.task_cost_usd is not None and gauge.cost and cost > limits.task_cost_usd:
        return f"over limits.task_cost_usd ({dollars(cost)} of {dollars(limits.task_cost_usd)})"
    return ""


def watch(attempt: Attempt, step: Step, policy: Policy, now: float, spent: float = 0.0) -> Decision:
    """End a step that takes too long, is silent too long, says too much, goes astray, or is over but still there.

    ``spent``: dollars that earlier attempts of the task cost.
    """
    if step.kill is not None:
        return _ending(attempt, step, policy, now)
    running, limits = step.state, policy.limits
    if not isinstance(running, Running):
        raise TypeError(f"{step.name} does not run")
    if running.output_bytes > limits.output_bytes:
        return End(step.name, KillReason.RUNAWAY, hard=True)
    end = astray(attempt, step, policy, spent)
    if end is not None:
        return end
    quiet_at = max(running.output_at, step.started_at) + running.unheard_s
    began_at = step.started_at + running.asleep_s
    deadlines = []
    if step.kind in AGENTS:
        if running.finished:
            grace_s = finish_grace_s(policy, attempt.agent_of(step))
            deadlines.append((quiet_at + grace_s, KillReason.NOT_EXITING))
        else:
            deadlines.append((quiet_at + limits.idle_s, KillReason.SILENT))
            if rules_of(running.gauge.trouble).seen_in_events and not running.gauge.final:
                deadlines.append((quiet_at + WAITS_S, KillReason.ACCOUNT_TROUBLE))
        asked = step.kind is StepKind.AGENT and step.name != FIRST
        longest_s = limits.handoff_s if asked else limits.attempt_s
        deadlines.append((began_at + longest_s, KillReason.NOT_EXITING if running.finished else KillReason.TIMEOUT))
    elif step.kind is StepKind.SETUP:
        deadlines.append((began_at + limits.setup_s, KillReason.TIMEOUT))
    else:
        deadlines.append((began_at + limits.verify_s, KillReason.TIMEOUT))
    due, why = min(deadlines)
    detail = f"{running.gauge.trouble}: {running.gauge.told}" if why is KillReason.ACCOUNT_TROUBLE else ""
    return End(step.name, why, hard=False, detail=detail) if now >= due else Wait(due, f"{step.name} runs")


def _ending(attempt: Attempt, step: Step, policy: Policy, now: float) -> Decision:
    """Go through the agent's polite signals, ``stop_grace_s`` apart; what is still there then is killed."""
    kill = step.kill
    if kill is None:
        raise TypeError(f"{step.name} is not being ended")
    due = kill.at + policy.limits.stop_grace_s * kill.sent
    if kill.at <= now < due:  # a signal of the future: the clock was put back
        return Wait(due, f"{step.name} is ending")
    hard = kill.sent >= len(stop_signals(attempt, step, policy))
    return End(step.name, kill.why, hard=hard, detail=kill.detail)


def stop_signals(attempt: Attempt, step: Step, policy: Policy) -> tuple[str, ...]:
    """Return the polite signals a step is ended with, in order."""
    agent = policy.agents.get(attempt.agent_of(step))
    return agent.stop if agent is not None and step.kind in AGENTS else ("TERM",)
