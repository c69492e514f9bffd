"""The account of an agent (its limits and login), and when the next attempt of an account may start. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agentjobs.core.pauses import in_force, told_of
from agentjobs.core.reviews import at_work, runs
from agentjobs.model.decisions import RUN, Action, Conclude, Judge, Weigh
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import TROUBLE, Outcome
from agentjobs.model.steps import Running, StepKind

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

    from agentjobs.core.pauses import Pause
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Row, Task
    from agentjobs.policy.policy import Policy

CAREFUL_INTERVAL_S = 1.0
"""Least time between two starts of an account after a limit, until one attempt has ended well."""

PROBE_S = 60.0
"""An agent that has run for this long after a limit or a 401 shows that the trouble is over."""

SILENT_PROBE_S = 600.0
"""The same for an agent that does not report its tokens, after its service could not be reached."""


def account_of(policy: Policy, agent: str) -> str:
    """Return the account of an agent: its `account`, or else its name."""
    found = policy.agents.get(agent)
    return (found.account if found is not None else None) or agent


def account_for(policy: Policy, profile: str, row: Row) -> str:
    """Return the account of an attempt of ``row`` with this profile; ``RUN`` if no such profile exists.

    If the profile was removed, the profile of the row is used, as when an attempt starts.
    """
    found = policy.profiles.get(profile) or policy.profiles.get(row.profile)
    return account_of(policy, found.agent) if found is not None else RUN


def is_suspect(pauses: Mapping[str, Pause], policy: Policy, task: Task) -> bool:
    """Return True if a task's last attempt failed without an answer of the model, perhaps because of its account."""
    pause = pauses.get(account_of(policy, task.last.intent.agent)) if task.last is not None else None
    return pause is not None and pause.outcome is Outcome.CRASHED and is_among(pause, task) and task.wish is None


def is_among(pause: Pause | None, task: Task) -> bool:
    """Return True if a task met this trouble. Another task then shows whether the account is the cause."""
    last = task.last
    return pause is not None and last is not None and f"{task.row.id}/{last.number}" in pause.alike


def was_refused(last: Attempt | None) -> bool:
    """Return True if a task's last attempt was to find out whether a trouble is over, and failed by one."""
    return isinstance(last, Over) and last.intent.probe and last.outcome in TROUBLE


class Gate:
    """Which accounts may start attempts in this pass: none that is paused; one at a time after a pause.

    ``news``: accounts for which this pass may find or record a limit; nothing of them starts in this pass.
    """

    def __init__(
        self, policy: Policy, tasks: Iterable[Task], pauses: Mapping[str, Pause], news: Collection[str], now: float
    ) -> None:
        self._policy = policy
        self._pauses = pauses = in_force(pauses)
        self._now = now
        self._busy = set(news)
        last = [task.last for task in tasks if task.last is not None] if pauses else []
        self._last = [*last, *(review for attempt in last for review, _ in at_work(attempt))]
        self._opens = {name: self._opening(name, pause) for name, pause in pauses.items()}
        self.profiles: dict[str, set[str]] = {}
        """The profiles of each account in use."""
        for name, profile in policy.profiles.items():
            self.profiles.setdefault(account_of(policy, profile.agent), set()).add(name)
        self.closed: set[str] = set()
        """Profiles with which nothing may start now; grows while attempts start."""
        self._close()

    @property
    def is_open(self) -> bool:
        """True if no account is paused or busy."""
        return not self._pauses and not self._busy

    def but(self, account: str) -> Container[str]:
        """Return the profiles of all other accounts."""
        return {name for other, names in self.profiles.items() if other != account for name in names}

    def opens_at(self, account: str) -> float:
        """Return when the next attempt of an account may start, as far as known; infinity if it is stuck."""
        return max(self._opens.get(account, 0.0), self._opens.get(RUN, 0.0))

    def may_begin(self, account: str) -> bool:
        """Return True if an attempt of this account may start in this pass."""
        return not self._busy & {account, RUN} and self.opens_at(account) <= self._now

    def is_wary(self, account: str) -> bool:
        """Return True if an attempt of this account tests whether a trouble is over."""
        return account in self._pauses or RUN in self._pauses

    def begun(self, account: str) -> None:
        """Record that an attempt of this account starts. After trouble, no second one starts in the same pass."""
        self._busy |= {account, RUN} & self._pauses.keys()
        self._close()

    def stuck(self, accounts: Iterable[str]) -> str:
        """Return why all these accounts need a person, in words; empty if one of them does not."""
        names = sorted(accounts)
        if not names or any(self.opens_at(name) < math.inf for name in names):
            return ""
        found = {name for account in names for name in (account, RUN) if self._opens.get(name) == math.inf}
        # Starts with the class of the trouble, because views/advice.py reads it.
        return "; ".join(told_of(name, self._pauses[name], first="outcome") for name in sorted(found))

    def _close(self) -> None:
        for account, names in self.profiles.items():
            if not self.may_begin(account):
                self.closed |= names

    def _opening(self, name: str, pause: Pause) -> float:
        if pause.stuck:
            return math.inf
        # A start in the future (the clock was set back) proves nothing.
        mine = [a for a in self._last if name in (RUN, account_of(self._policy, a.intent.agent))]
        due = pause.until
        if pause.outcome is not Outcome.OVERLOADED and not pause.passed:
            since = [a for a in mine if pause.at < a.intent.started_at <= self._now]
            if not any(self._got_past(attempt, pause) for attempt in since):
                probes = [self._past_at(attempt, pause) for attempt in since if not isinstance(attempt, Over)]
                due = max(due, min(probes, default=0.0))
        last = max((attempt.intent.started_at for attempt in mine), default=0.0)
        return max(due, last + CAREFUL_INTERVAL_S) if last <= self._now else due

    def _got_past(self, attempt: Attempt, pause: Pause) -> bool:
        """Return True if an attempt that started after a trouble shows that it is over."""
        if isinstance(attempt, Over) and attempt.outcome in TROUBLE:
            return False
        if attempt.end is not None:
            return not attempt.end.outcome.rules.trouble and attempt.end.outcome.rules.served != "no"
        return not isinstance(attempt, Over) and self._now >= self._past_at(attempt, pause)

    def _past_at(self, attempt: Attempt, pause: Pause) -> float:
        """Return when a running agent will have run long enough; its setup command proves nothing.

        If the service could not be reached, time proves nothing, because agents retry for minutes. Only an answer
        does, if the agent reports answers.
        """
        step = attempt.last(StepKind.AGENT)
        if step is None or not isinstance(step.state, Running):
            return self._now + PROBE_S
        began_at = max(step.started_at, attempt.intent.started_at)
        agent = self._policy.agents.get(attempt.intent.agent)
        if pause.outcome is not Outcome.UNREACHABLE or agent is None:
            return began_at + PROBE_S
        if step.state.gauge.used or step.state.gauge.tokens:
            return self._now
        return self._now + PROBE_S if agent.reports_tokens else began_at + SILENT_PROBE_S


def bad_news(policy: Policy, tasks: Iterable[Task], actions: Iterable[Action]) -> set[str]:
    """Return the accounts of which these actions may come upon a limit, or write one down."""
    last = {task.row.id: task.last for task in tasks}
    found = set()
    for action in actions:
        attempt = last[action.id]
        if attempt is None:
            continue
        if isinstance(action.decision, Weigh):
            found |= {account_of(policy, attempt.agent_of(step)) for step in runs(attempt)[-1:]}
        elif isinstance(action.decision, Judge):
            found.add(account_of(policy, attempt.intent.agent))
        elif isinstance(action.decision, Conclude) and action.decision.outcome in TROUBLE:
            agents = attempt.end is not None and attempt.end.outcome in TROUBLE
            found.add(account_of(policy, attempt.intent.agent) if agents else RUN)
    return found
