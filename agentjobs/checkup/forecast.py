"""What a run will take: time by list scheduling, tokens by how conversations grow. Pure.

**Time.** ``slots`` agents take the tasks in order of rank as soon as all that a task waits for is done (Graham's list
scheduling, 1966). No order of work is done before ``least_time``: the longest chain, and the whole work shared by all
slots. No greedy order takes longer than path + (work - path) / slots: at every moment either all slots are at work or
the longest chain of what is left gets shorter. Both bounds fall as slots grow; the schedule between them need not
(Graham's anomalies).

**Tokens.** A model is stateless: each of the R requests of a task sends the whole conversation again. It begins with b
tokens (the agent's own, what went before, the prompt) and ends with e = b + files + R x answer, so R requests send
R x (b + e) / 2, of which the new ones are written into the cache and the rest is read from it. In fresh contexts b is
the same for every task. In one conversation task i begins with what the i - 1 tasks before it left, about
(i - 1) x d of them, so that n tasks read R x d x n (n - 1) / 2 tokens more: it grows with the square, until the window
is full and a new one begins (what is carried over into it, and what is forgotten, is not counted).
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.agents.usage import add
from agentjobs.model.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SURE: Final = 2.0
"""Standard errors on either side of a mean."""


class Range(Struct, frozen=True):
    """Between these it is likely to lie."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Return both ends, so many times as great."""
        return Range(self.low * factor, self.high * factor)


class Work(Struct, frozen=True):
    """How an agent goes about a task: a guess, as long as none has finished."""

    requests: int
    """Requests to the model in one attempt."""
    answer: int
    """Tokens of each answer."""
    request_s: float
    """Seconds that one request and what it makes the agent do take."""
    attempts: float
    """Attempts a task."""

    @property
    def seconds(self) -> float:
        """Seconds of a task."""
        return self.requests * self.request_s * self.attempts


QUICK: Final = Work(requests=8, answer=300, request_s=5.0, attempts=1.0)
SLOW: Final = Work(requests=40, answer=800, request_s=15.0, attempts=1.5)
"""Small and large pieces of work, as agents are seen to do them; the truth of a job is mostly between the two."""


class Load(Struct, frozen=True):
    """What a task brings into its agent's context, in tokens as the agent counts them."""

    prompt: int
    files: int
    own: int = 0
    """What the agent says to its model besides (system prompt, tools), as far as it is known."""


class Measured(Struct, frozen=True):
    """A figure of finished tasks."""

    count: int
    mean: float
    deviation: float

    def sum_of(self, tasks: int) -> Range:
        """Foretell the sum over so many more: n x (mean +- 2 s sqrt(1/k + 1/n)); of one alone half to double."""
        if self.count < 2 or not tasks:  # noqa: PLR2004 - one says nothing of how far others are from it
            return Range(self.mean * tasks / 2, self.mean * tasks * 2)
        off = SURE * self.deviation * math.sqrt(1 / self.count + 1 / tasks)
        return Range(max(0.0, self.mean - off) * tasks, (self.mean + off) * tasks)


def measured(values: Sequence[float]) -> Measured | None:
    """Return what values come to; None where there are none."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Measured(len(values), mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0)


# --- tokens


def fresh(load: Load, work: Work, window: int) -> Spending:
    """Return what a task of its own conversation uses, all its attempts."""
    return _sent(load.own + load.prompt, load, work, window, new=load.own + load.prompt)


def in_one(loads: Iterable[Load], work: Work, window: int) -> Spending:
    """Return what tasks use, done one after the other in one conversation that begins anew when the window is full."""
    used: list[Spending] = []
    held = 0
    for load in loads:
        brings = load.prompt + load.files + work.requests * work.answer
        anew = held == 0 or held + brings > window
        before = load.own if anew else held
        new = load.prompt + (load.own if anew else 0)
        used.append(_sent(before + load.prompt, load, work, window, new=new))
        held = before + brings
    return add(used)


def _sent(begins: int, load: Load, work: Work, window: int, *, new: int) -> Spending:
    answers = work.requests * work.answer
    ends = min(window, begins + load.files + answers)
    sent = work.requests * (min(begins, window) + ends) / 2
    written = min(sent, new + load.files + answers)
    parts = (written, sent - written, answers)
    write, read, output = (math.ceil(part * work.attempts) for part in parts)
    return Spending(cache_write=write, cache_read=read, output=output)


# --- time


def in_order(needs: Sequence[Iterable[int]], ranks: Sequence[float]) -> list[int]:
    """Return the tasks (numbers from 0), each after those it needs, else best rank first; of a circle nothing."""
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
    """Return the time of the longest chain of tasks of which each needs the one before; ``order``: see ``in_order``."""
    ends = [0.0] * len(needs)
    for task in order:
        ends[task] = max((ends[need] for need in needs[task]), default=0.0) + durations[task]
    return max(ends, default=0.0)


def widest(needs: Sequence[Iterable[int]], order: Sequence[int]) -> int:
    """Return how many run at once at most where there are slots for all and all take equally long."""
    levels: dict[int, int] = {}
    counts: dict[int, int] = {}
    for task in order:
        levels[task] = 1 + max((levels[need] for need in needs[task]), default=0)
        counts[levels[task]] = counts.get(levels[task], 0) + 1
    return max(counts.values(), default=0)


def schedule(
    needs: Sequence[Iterable[int]], durations: Sequence[float], order: Sequence[int], slots: int
) -> float:
    """Return when the last task ends, where ``slots`` agents take what is ready, the first in ``order`` first."""
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
    """Return the time below which no order of work is done; ``path``: of the longest chain."""
    return max(path, work / slots)


def speed_up(work: float, path: float, slots: int) -> float:
    """Return how many times as fast as one after the other it can be at best; 1 where there is nothing to do."""
    return work / least_time(work, path, slots) if work > 0 else 1.0


def _followers(needs: Sequence[Iterable[int]]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {task: [] for task in range(len(needs))}
    for task, one in enumerate(needs):
        for need in set(one):
            found[need].append(task)
    return found
