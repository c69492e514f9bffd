"""What running agents have used so far, and the hard cap at which they are stopped. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.model.decisions import Action, End
from agentjobs.model.steps import AGENTS, KillReason, Running
from agentjobs.policy.agent_output import tariff_of
from agentjobs.policy.limits import dollars

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agentjobs.model.steps import Step
    from agentjobs.model.tasks import Task
    from agentjobs.policy.limits import Limits
    from agentjobs.policy.policy import Policy


UNKNOWN_COST = "unknown_cost"
"""Reason of a halt after an attempt of unknown cost."""


class Spent(Struct, frozen=True):
    """Sums over all rows and attempts so far."""

    cost: float = 0.0
    tokens: int = 0
    attempts: int = 0
    unknown: int = 0
    """Rows of which the cost is not known, or not all of it."""
    open_cost: float = 0.0
    """What requests used at most that were open when their agents were killed, in US dollars; it is in no other sum."""
    open_tokens: int = 0
    """The same in tokens."""

    @property
    def most_cost(self) -> float:
        """US dollars that budgets count."""
        return self.cost + self.open_cost

    @property
    def most_tokens(self) -> int:
        """Tokens that budgets count."""
        return self.tokens + self.open_tokens


def used_up(limits: Limits, spent: Spent, times: float = 1) -> str:
    """Return which budget of money or tokens is used up, ``times`` over; empty if none is."""
    if limits.run_cost_usd is not None and spent.most_cost >= limits.run_cost_usd * times:
        return f"limits.run_cost_usd is spent ({dollars(spent.most_cost)} of {dollars(limits.run_cost_usd)})"
    if limits.run_tokens is not None and spent.most_tokens >= limits.run_tokens * times:
        return f"limits.run_tokens is spent ({spent.most_tokens} of {limits.run_tokens})"
    return ""


def overspent(limits: Limits, spent: Spent) -> str:
    """Return which budget of the run is spent; empty if none is."""
    if money := used_up(limits, spent):
        return money
    if limits.run_attempts is not None and spent.attempts >= limits.run_attempts:
        return f"limits.run_attempts is spent ({spent.attempts} of {limits.run_attempts})"
    return ""


def beyond(policy: Policy, names: Iterable[str]) -> tuple[str, str] | None:
    """Return a profile of unknown cost, and why; None if a budget of money can count all profiles.

    ``names``: profiles that rows use. The profiles they escalate to and their reviewers are checked as well.
    """
    budget = policy.limits.money
    used = [name for name in names if name in policy.profiles] if budget else []
    for name in used:  # grows
        profile = policy.profiles[name]
        used += [other for other in (profile.escalate, *profile.review) if other and other not in used]
        agent = policy.agents[profile.agent]
        if agent.reports_cost or (agent.reports_tokens and tariff_of(profile.model or "", agent.prices) is not None):
            continue
        if not agent.reports_tokens:
            why = f'agent "{profile.agent}" does not say what it uses'
        elif profile.model:
            price = f"give it a price in [[agents.{profile.agent}.prices]]"
            why = f'what model "{profile.model}" of agent "{profile.agent}" costs is not known: {price}'
        else:
            why = f'agent "{profile.agent}" does not say what it costs: name a "model" that has a price'
        what = f'limits.{budget} cannot be kept with profile "{name}"'
        return name, f'{what}: {why}, or set limits.unknown_cost = "allow"'
    return None


def with_running(spent: Spent, tasks: Iterable[Task]) -> Spent:
    """Return the sums including what running agents have used so far, as far as known."""
    gauges = [running.gauge for _, _, running in _agents(tasks)]
    return replace(
        spent, cost=spent.cost + sum(g.cost for g in gauges), tokens=spent.tokens + sum(g.tokens for g in gauges)
    )


def past_hard_cap(limits: Limits, spent: Spent) -> str:
    """Return which budget of the run is exceeded by ``hard_cap``; empty if none is."""
    return used_up(limits, spent, limits.hard_cap).replace(" is spent ", " is exceeded ")


def ends(tasks: Iterable[Task], ending: Collection[str], limits: Limits, spent: Spent) -> tuple[Action, ...]:
    """Return the actions that stop running agents once the run is past its hard cap.

    ``ending``: ids of tasks that have another action already.
    """
    detail = past_hard_cap(limits, spent)
    if not detail:
        return ()
    return tuple(
        Action(task.row.id, End(step.name, KillReason.OVER_BUDGET, hard=False, detail=detail))
        for task, step, running in _agents(tasks)
        if task.row.id not in ending and step.kill is None and not (running.finished or running.gauge.final)
    )


def _agents(tasks: Iterable[Task]) -> Iterator[tuple[Task, Step, Running]]:
    for task in tasks:
        for step, running in task.open.running if task.open is not None else ():
            if step.kind in AGENTS:
                yield task, step, running
