"""How long tasks take in parallel, and what finished tasks say about the open ones (pure).

``slots`` agents take the tasks in order of rank as soon as everything that a task waits for is done (Graham's list
scheduling, 1966). No schedule is shorter than ``least_time``: the longest chain, or all work shared by all slots.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SURE: Final = 2.0
"""Standard errors on each side of the mean."""


class Range(Struct, frozen=True):
    """A likely lowest and highest value."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Return the range with both ends multiplied."""
        return Range(self.low * factor, self.high * factor)


class Measured(Struct, frozen=True):
    """Count, mean and standard deviation of a value over finished tasks."""

    count: int
    mean: float
    deviation: float

    def sum_of(self, tasks: int) -> Range:
        """Estimate the sum over more tasks: n x (mean +- 2 s sqrt(1/k + 1/n)). From one task: half to double."""
        if self.count < 2 or not tasks:  # noqa: PLR2004 - one value has no deviation
            return Range(self.mean * tasks / 2, self.mean * tasks * 2)
        off = SURE * self.deviation * math.sqrt(1 / self.count + 1 / tasks)
        return Range(max(0.0, self.mean - off) * tasks, (self.mean + off) * tasks)


def measured(values: Sequence[float]) -> Measured | None:
    """Return the figures of some values; None if there are none."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Measured(len(values), mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0)


def in_order(needs: Sequence[Iterable[int]], ranks: Sequence[float]) -> list[int]:
    """Return the tasks (numbers from 0), each after those it needs, otherwise best rank first; circles are left out."""
    left = [len(set(one)) for one in needs]
    followers = _followers(needs)
    heap = [(ranks[task], task) for task, count in enumerate(left) if not count]
    heapq.heapify(heap)
    found = []
    while heap:
        _, task = heapq.heappop(heap)
        found.append(task)
        for follower in followers[task]:
            left[follower] -= 1
            if not left[follower]:
                heapq.heappush(heap, (ranks[follower], follower))
    return found


def longest(needs: Sequence[Iterable[int]], durations: Sequence[float], order: Sequence[int]) -> float:
    """Return the time of the longest chain of tasks that need each other; ``order`` is from ``in_order``."""
    ends = [0.0] * len(needs)
    for task in order:
        ends[task] = max((ends[need] for need in needs[task]), default=0.0) + durations[task]
    return max(ends, default=0.0)


def widest(needs: Sequence[Iterable[int]], order: Sequence[int]) -> int:
    """Return how many tasks can run at once if there are slots for all and all take the same time."""
    levels: dict[int, int] = {}
    counts: dict[int, int] = {}
    for task in order:
        levels[task] = 1 + max((levels[need] for need in needs[task]), default=0)
        counts[levels[task]] = counts.get(levels[task], 0) + 1
    return max(counts.values(), default=0)


def schedule(
    needs: Sequence[Iterable[int]], durations: Sequence[float], order: Sequence[int], slots: int
) -> float:
    """Return when the last task ends. ``slots`` agents take the ready tasks, the first in ``order`` first."""
    rank = {task: at for at, task in enumerate(order)}
    left = [len(set(one)) for one in needs]
    followers = _followers(needs)
    ready = [rank[task] for task in order if not left[task]]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            task = order[heapq.heappop(ready)]
            heapq.heappush(running, (now + durations[task], task))
        now, task = heapq.heappop(running)
        for follower in followers[task]:
            left[follower] -= 1
            if not left[follower]:
                heapq.heappush(ready, rank[follower])
    return now


def least_time(work: float, path: float, slots: int) -> float:
    """Return a time that no schedule can beat; ``path`` is the time of the longest chain."""
    return max(path, work / slots)


def speed_up(work: float, path: float, slots: int) -> float:
    """Return how many times faster than in sequence it can be at best; 1 without any work."""
    return work / least_time(work, path, slots) if work > 0 else 1.0


def _followers(needs: Sequence[Iterable[int]]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {task: [] for task in range(len(needs))}
    for task, one in enumerate(needs):
        for need in set(one):
            found[need].append(task)
    return found
