"""Whether starting over (layer 3) is due, and whether it pays. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.facts import Over

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from agentjobs.model.tasks import Task
    from agentjobs.policy.policy import Policy


class History(Struct, frozen=True):
    """How restarts (layer 3) of this run ended so far."""

    wins: dict[str, int] = {}
    """Restarts that ended DONE, by the class of failure they followed."""
    losses: dict[str, int] = {}
    """Restarts that did not end DONE, by the same class."""
    cost: float = 0.0
    """Mean cost of a started task in dollars; 0 if no cost is known."""


def sweep_due(tasks: Iterable[Task], deferred: Container[str]) -> bool:
    """Return True if only deferred tasks and tasks that started over already are left."""
    others = (task for task in tasks if task.row.id not in deferred and task.in_play)
    return all(task.last is not None and task.last.intent.restarts > 0 for task in others)


def pays(task: Task, history: History, policy: Policy) -> bool:
    """Return True if starting over is worth its expected cost: ``p * value >= cost``.

    ``p`` is the mean of a Beta(1 + wins, 1 + losses) posterior over this run's restarts after the same class
    of failure; the cost is the mean cost of a task so far.
    """
    last = task.last
    if not isinstance(last, Over):
        return False
    key = last.outcome.value
    wins, losses = history.wins.get(key, 0), history.losses.get(key, 0)
    p = (1 + wins) / (2 + wins + losses)
    value = policy.retry.task_value_usd
    return value > 0 and p * value >= history.cost
