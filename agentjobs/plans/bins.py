"""Sizes into as few bins as can be found (pure): best fit decreasing; where that is not the least, fill and refill.

A bin is filled by a bounded search for what wastes least (minimum bin slack: Gupta and Ho, "A new heuristic algorithm
for the one-dimensional bin-packing problem", Production Planning and Control 10, 1999; Fleszar and Hindi, "New
heuristics for one-dimensional bin-packing", Computers and Operations Research 29, 2002). What counts as waste is not
room, but worth in the sense of the best lower bound (``packbound``): of sizes between a quarter and a half of a bin two
large ones waste nothing, though they leave room, and three that fill the bin may waste much. Then the worst bins are
emptied and all others refilled from their own and what lies there, round after round, until the bound is met. Steps
are counted, not time, so the same sizes give the same bins on every machine.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Final

from agentjobs.plans.lower_bound import Worth, bound

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK: Final = 100
"""So many steps one bin is looked for at most."""

LOOKS: Final = 16
"""So many looks at each bin the steps are to be enough for, be it with less of them for one."""

PART: Final = 1000
"""Of more sizes every second, third and so on is packed by itself first: as good, and it takes no more for each."""

ROUNDS: Final = 12
"""So many rounds without a bin less, and it is given up."""


def pack_sizes(sizes: Sequence[int], budget: int, steps: int) -> list[list[int]]:
    """Return the sizes in bins; each is within the budget. ``steps``: what may be spent on searching, about."""
    falling = sorted(sizes, reverse=True)
    quick = _best_fit(falling, budget)
    if len(quick) <= -(-sum(falling) // budget):
        return quick
    known = bound(falling, budget)
    if len(quick) <= known.bins:
        return quick
    search = _Search(known.worth)
    parts = -(-len(falling) // PART)
    found = []
    for at in range(parts):
        search.allow(steps // (parts + (parts > 1)), len(quick) // parts)
        found += search.packed(falling[at::parts], known.bins if parts == 1 else 0)
    if parts > 1:
        search.allow(steps // (parts + 1), len(quick) // parts)
        found = search.improved(found, known.bins)
    if len(found) > known.bins and search.left > 0 and known.worth != Worth(budget):
        other = _Search(Worth(budget))  # what wastes none of the worth may still be full or not
        other.allow(search.left, len(quick))
        found = min(found, other.packed(falling, known.bins), key=len)
    return found if len(found) < len(quick) else quick


def _best_fit(falling: Sequence[int], budget: int) -> list[list[int]]:
    """Put each size where it leaves the least room."""
    bins: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # what is left, and the number of the bin; sorted
    for size in falling:
        at = bisect_left(rooms, (size, -1))
        if at == len(rooms):
            bins.append([size])
            left, number = budget - size, len(bins) - 1
        else:
            room, number = rooms.pop(at)
            bins[number].append(size)
            left = room - size
        insort(rooms, (left, number))
    return bins


class _Worths(dict[int, int]):
    """What each size is worth, once asked for."""

    def __init__(self, worth: Worth) -> None:
        super().__init__()
        self.worth = worth

    def __missing__(self, size: int) -> int:
        value = self[size] = self.worth(size)
        return value


class _Search:
    """Bins that waste little, as long as there are steps left."""

    def __init__(self, worth: Worth) -> None:
        self.worths = _Worths(worth)
        self.budget = worth.budget
        self.left = self.look = 0

    def allow(self, steps: int, bins: int) -> None:
        """Say how many steps there are for so many bins."""
        self.left, self.look = steps, max(1, min(LOOK, steps // max(1, bins) // LOOKS))

    def packed(self, falling: Sequence[int], least: int) -> list[list[int]]:
        """Return the sizes in bins; ``least`` is known to be needed."""
        worth = sum(map(self.worths.__getitem__, falling))
        return self.improved(self.filled(list(falling[::-1])), max(least, -(-worth // self.worths[self.budget])))

    def filled(self, rising: list[int]) -> list[list[int]]:
        """Fill one bin after the other: the largest that is left, and what wastes least with it. Empties ``rising``."""
        bins = []
        while rising:
            size = rising.pop()
            room = self.budget - size
            chosen = self.best(rising, room, self.worths[room] + 1) or []
            bins.append([size, *_taken(rising, chosen)])
        return bins

    def improved(self, bins: list[list[int]], least: int) -> list[list[int]]:
        """Return bins, as few as ``least`` if it comes to that; never more than there are."""
        best = now = bins
        stale = 0
        while len(best) > least and self.left > 0 and stale < ROUNDS:
            now = sorted(now, key=lambda one: (self.waste(one), one))
            emptied = min(len(now), len(now) - least + 1 + stale)
            pool = sorted(size for one in now[-emptied:] for size in one)
            kept = [self.refilled(one, pool) for one in reversed(now[:-emptied])]
            now = kept + self.filled(pool)
            stale += 1
            if len(now) < len(best):
                best, stale = now, 0
        return best

    def refilled(self, one: list[int], pool: list[int]) -> list[int]:
        """Return what wastes less than a bin does, of it and the pool; what is not used is in the pool then."""
        waste = self.waste(one)
        if waste <= 0 or self.left <= 0:
            return one
        both = sorted(pool + one)
        chosen = self.best(both, self.budget, waste)
        if chosen is None:
            return one
        better = _taken(both, chosen)
        pool[:] = both
        return better

    def waste(self, one: Sequence[int]) -> int:
        """Return how much less the sizes of a bin are worth than a bin can be."""
        worths = self.worths
        return worths[self.budget] - sum(worths[size] for size in one)

    def best(self, rising: Sequence[int], room: int, waste: int) -> list[int] | None:
        """Return the positions, falling, of sizes that waste least of the room; None: none less than ``waste`` seen.

        Depth first from the large ones, without what already wastes too much: room is never worth less than all that
        can be put there.
        """
        if not rising:
            return None
        worths, smallest = self.worths, rising[0]
        found: list[int] | None = None
        outer: list[tuple[int, int, int]] = []  # where a size was taken: its position, the room before, the waste
        wasted, worth = 0, worths[room]
        at = bisect_right(rising, room) - 1
        steps = look = max(0, min(self.look, self.left))
        while steps:
            steps -= 1
            if at < 0:
                if not outer:
                    break
                at, room, wasted = outer.pop()
                worth = worths[room]
                at = bisect_left(rising, rising[at], 0, at) - 1
                continue
            size = rising[at]
            rest = room - size
            then = worths[rest]
            more = wasted + worth - worths[size] - then
            if more >= waste:
                at = bisect_left(rising, size, 0, at) - 1
                continue
            if more + then < waste:
                waste = more + then
                found = [*(taken for taken, _, _ in outer), at]
                if waste <= 0:
                    break
            if rest < smallest:  # nor is another size better that leaves as little
                at = bisect_right(rising, room - smallest, 0, at) - 1
                continue
            outer.append((at, room, wasted))
            room, wasted, worth = rest, more, then
            at = bisect_right(rising, room, 0, at) - 1
        self.left -= look - steps
        return found


def _taken(rising: list[int], positions: Sequence[int]) -> list[int]:
    """Take what is at the positions, which fall, out of the list."""
    return [rising.pop(at) for at in positions]
