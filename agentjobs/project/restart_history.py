"""What this project's past says about starting over: read once, when layer 3 is due."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from agentjobs.core.restarts import History
from agentjobs.core.reviews import cost_unknown, spent_on
from agentjobs.model.outcomes import Outcome

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def history(project: Project) -> History:
    """Return how restarts went so far, by the class of failure they followed, and what a task costs on average.

    Tasks whose cost is not known, or not all of it, are left out of the average: they did not cost nothing.
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
            if after.intent.restarts <= before.intent.restarts or before.result is None:
                continue
            segment = [a for a in attempts if a.intent.restarts == after.intent.restarts]
            last = segment[-1].result
            if last is not None:
                (wins if last.outcome is Outcome.OK else losses)[before.result.outcome.value] += 1
    return History(dict(wins), dict(losses), cost / counted if counted else 0.0)
