"""How few batches there can be at least (pure): lower bounds of bin packing by dual feasible functions.

A dual feasible function gives each size a worth such that no bin, however filled, holds more than one bin's worth. All
sizes together are then worth no more than the bins of any packing: their sum, rounded up, is a lower bound that is
certain. The functions here are Burdett and Johnson's f(BJ,1) ("A subadditive approach to solve linear integer
programs", 1977; in Clautiaux, Alves and Valério de Carvalho, "A survey of dual-feasible and superadditive functions",
Annals of Operations Research 179, 2010) behind the threshold f0 of Fekete and Schepers ("New classes of fast lower
bounds for bin packing problems", Mathematical Programming 91, 2001). Among them are, for C = 1, Martello and Toth's L2,
and for C just below k + 1 Fekete and Schepers' u(k). Everything is a whole number: nothing is rounded the wrong way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FACTORS: Final = 150
"""So many C are tried, besides those of the u(k)."""

THRESHOLDS: Final = 8
"""Likewise, for each C; all there are for C = 1."""

SHARES_MAX: Final = 20
"""More of one size do not fit into a bin that is worth looking at: the sum alone says it for small ones."""


class Worth(Struct, frozen=True):
    """A dual feasible function of sizes within a budget. It never falls; two are worth no more than their sum."""

    budget: int
    times: int = 1
    per: int = 1
    """Of C = times / per, at least 1."""
    least: int = 0
    """What is smaller is worth nothing, and what leaves less than this of the budget is worth all of it."""

    @property
    def full(self) -> int:
        """What a whole bin is worth."""
        return self.times // self.per * self._step

    @property
    def _step(self) -> int:
        return (self.per - self.times % self.per) * self.budget

    def __call__(self, size: int) -> int:
        """Return what a size is worth, in parts of ``full``."""
        if size < self.least:
            return 0
        if size > self.budget - self.least:
            return self.full
        whole, over = divmod(self.times * size, self.per * self.budget)
        return whole * self._step + max(0, over - self.times % self.per * self.budget)


class Bound(Struct, frozen=True):
    """What is known of the packings of a set of sizes."""

    bins: int
    """No packing has fewer."""
    worth: Worth
    """By which the sizes are worth most, before rounding: a bin that wastes none of it is a good one."""


def bound(sizes: Sequence[int], budget: int) -> Bound:
    """Return a number of batches that no packing goes below, each size being within the budget.

    Functions of both kinds are tried; O(n log n), and O(log n) for each of some thousands.
    """
    rising = sorted(sizes)
    sums = [0, *accumulate(rising)]
    bins, most, best = 0, -1.0, Worth(budget)
    for worth in _functions(rising, budget):
        whole, parts = _total(worth, rising, sums)
        bins = max(bins, whole - (-parts // worth.full))
        if (total := whole + parts / worth.full) > most:
            most, best = total, worth
    return Bound(bins, best)


def _total(worth: Worth, rising: Sequence[int], sums: Sequence[int]) -> tuple[int, int]:
    """Return how many sizes are worth a whole bin because of the threshold, and what all others are worth.

    The function is made of few pieces, each flat and then steep; a piece takes two look-ups, not one for each size.
    """
    at = bisect_left(rising, worth.least)
    end = bisect_right(rising, worth.budget - worth.least, at)
    times, step = worth.times, worth.full // (worth.times // worth.per)
    unit, flat = worth.per * worth.budget, worth.times % worth.per * worth.budget
    alone, parts, piece = len(rising) - end, 0, 0
    while at < end:
        steep = bisect_right(rising, (piece * unit + flat) // times, at, end)
        after = bisect_right(rising, ((piece + 1) * unit - 1) // times, steep, end)
        parts += (after - at) * piece * step
        parts += times * (sums[after] - sums[steep]) - (after - steep) * (piece * unit + flat)
        at, piece = after, piece + 1
    return alone, parts


def _functions(rising: Sequence[int], budget: int) -> Iterator[Worth]:
    """Yield those to try. Steps of a good one are where sizes are, so C is the budget in shares of a size or two."""
    half = sorted({size for size in rising[: bisect_right(rising, budget // 2)] if size})
    yield Worth(budget)
    yield from (Worth(budget, least=least) for least in half)
    large = sorted(set(rising[bisect_left(rising, max(1, budget // SHARES_MAX)) :]))
    few = (0, *_some(half, THRESHOLDS))
    for least in few:
        for shares in range(2, SHARES_MAX + 2):
            per = 2 * budget * shares
            yield Worth(budget, shares * per - 1, per, least)
        for size in _some(large, FACTORS):
            yield Worth(budget, budget, size, least)
            yield Worth(budget, 2 * budget, size, least)


def _some(values: Sequence[int], most: int) -> Iterable[int]:
    """Return at most about so many of the values, evenly."""
    return values[:: max(1, len(values) // most)]
