"""What past restarts say about starting over: read once, when layer 3 is due."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from agentjobs.core.reviews import cost_unknown, spent_on
from agentjobs.core.start_over_pays import History
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def history(project: Project) -> History:
    """Return how restarts went so far, by the class of failure before them, and the average cost of a task.

    Tasks with an unknown or partly unknown cost are left out of the average: they were not free.
    """
    wins: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    cost = 0.0
    counted = 0
    for task_id in project.store.started_ids():
        attempts = project.store.attempts(task_id)
        if attempts and not any(map(cost_unknown, attempts)):
            counted += 1
            cost += sum(a.end.cost + spent_on(a)[1] for a in attempts if a.end)
        for before, after in pairwise(attempts):
            if after.intent.restarts <= before.intent.restarts or not isinstance(before, Over):
                continue
            segment = [a for a in attempts if a.intent.restarts == after.intent.restarts]
            last = segment[-1]
            if isinstance(last, Over):
                (wins if last.outcome is Outcome.OK else losses)[before.outcome.value] += 1
    return History(dict(wins), dict(losses), cost / counted if counted else 0.0)
