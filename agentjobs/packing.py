"""Documents into batches under a hard budget of tokens (pure): few batches, none over it, each document once."""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL: Final = 4
"""A directory with less than this part of the budget is counted to the one above it."""

STEPS: Final = 1000
"""So many choices are looked at to fill one batch; past that the fullest found is taken."""

MANY: Final = 1500
"""Of more documents small ones fill what is left anyhow: best fit is enough, and quick."""


class Document(Struct, frozen=True):
    """A text, or lines of one, that goes into a batch as a whole."""

    path: str
    tokens: int
    digest: str = ""
    """Of the content: another one is another document."""
    first: int = 0
    """The first of its lines, from 1; 0: it is all of the file."""
    last: int = 0

    @property
    def name(self) -> str:
        """What a row calls it: the path, or ``path:first-last``."""
        return f"{self.path}:{self.first}-{self.last}" if self.first else self.path


class Batch(Struct, frozen=True):
    """Documents for one task, in the order of their paths."""

    documents: tuple[Document, ...]

    @property
    def tokens(self) -> int:
        """All of it together."""
        return sum(document.tokens for document in self.documents)


def pack(documents: Sequence[Document], budget: int, *, by_directory: bool = False) -> list[Batch]:
    """Put every document into one batch of at most ``budget`` tokens; one that is larger alone has one to itself.

    ``by_directory``: documents of different directories share a batch only where theirs are small. The result
    depends on the documents alone, not on their order; batches come in the order of their first documents.
    """
    ordered = sorted(documents, key=lambda one: (one.path, one.first, one.digest))
    large = [one for one in ordered if one.tokens > budget]
    fitting = [one for one in ordered if one.tokens <= budget]
    places = [fitting]
    if by_directory:
        home = _homes(fitting, budget)
        found: dict[str, list[Document]] = {}
        for one in fitting:
            found.setdefault(home[dirname(one.path)], []).append(one)
        places = list(found.values())
    bins = [[one] for one in large]
    for place in places:
        bins += _pack(place, budget)
    batches = [Batch(tuple(sorted(one, key=lambda document: (document.path, document.first)))) for one in bins]
    return sorted(batches, key=lambda batch: (batch.documents[0].path, batch.documents[0].first))


def lower_bound(sizes: Sequence[int], budget: int) -> int:
    """Return a number of batches that no packing goes below (Martello and Toth's L2); each size is within the budget.

    For a threshold k: what is larger than budget - k shares with nothing of size k or more, what is above half shares
    with none of its like; the rest, down to k, at best fills what these leave.
    """
    best = -(-sum(sizes) // budget)
    for k in {size for size in sizes if 2 * size <= budget} | {0}:
        alone = sum(size > budget - k for size in sizes)
        halves = [size for size in sizes if budget - k >= size and 2 * size > budget]
        rest = sum(size for size in sizes if k <= size and 2 * size <= budget)
        room = len(halves) * budget - sum(halves)
        best = max(best, alone + len(halves) + max(0, -(-(rest - room) // budget)))
    return best


def _pack(documents: Sequence[Document], budget: int) -> list[list[Document]]:
    """Return the better of two packings: best fit decreasing, and batches filled to the brim one after the other."""
    falling = sorted(documents, key=lambda one: (-one.tokens, one.path, one.first))
    quick = _best_fit(falling, budget)
    if len(falling) > MANY or len(quick) <= -(-sum(one.tokens for one in documents) // budget):
        return quick  # good enough, or as few as there can be
    full = _filled(falling, budget)
    return full if len(full) < len(quick) else quick


def _best_fit(falling: Sequence[Document], budget: int) -> list[list[Document]]:
    """Put each document where it leaves the least room."""
    import bisect  # noqa: PLC0415 - only planning needs it

    bins: list[list[Document]] = []
    rooms: list[tuple[int, int]] = []  # what is left, and the number of the bin; sorted
    for one in falling:
        at = bisect.bisect_left(rooms, (one.tokens, -1))
        if at == len(rooms):
            bins.append([one])
            left, number = budget - one.tokens, len(bins) - 1
        else:
            room, number = rooms.pop(at)
            bins[number].append(one)
            left = room - one.tokens
        bisect.insort(rooms, (left, number))
    return bins


def _filled(falling: Sequence[Document], budget: int) -> list[list[Document]]:
    """Fill one batch at a time as full as it gets: the largest that is left, and what best goes with it."""
    left = list(falling)
    bins = []
    while left:
        first, rest = left[0], left[1:]
        chosen = _fullest([one.tokens for one in rest], budget - first.tokens)
        bins.append([first, *(rest[at] for at in chosen)])
        taken = set(chosen)
        left = [one for at, one in enumerate(rest) if at not in taken]
    return bins


def _fullest(sizes: Sequence[int], room: int) -> list[int]:
    """Return the positions of sizes (falling) that fill ``room`` best, of those that ``STEPS`` steps come to."""
    below = [0] * (len(sizes) + 1)  # all from here on together
    for at in range(len(sizes) - 1, -1, -1):
        below[at] = below[at + 1] + sizes[at]
    best: list[int] = []
    best_sum = 0
    chosen: list[int] = []
    total = at = steps = 0
    while best_sum < room and steps < STEPS:
        steps += 1
        if at < len(sizes) and total + below[at] > best_sum:
            if total + sizes[at] <= room:
                total += sizes[at]
                chosen.append(at)
                if total > best_sum:
                    best, best_sum = chosen.copy(), total
                at += 1
            else:
                at = _next_fitting(sizes, at, room - total)
            continue
        if not chosen:
            break
        dropped = chosen.pop()  # and next without it, or any of the same size
        total -= sizes[dropped]
        at = dropped + 1
        while at < len(sizes) and sizes[at] == sizes[dropped]:
            at += 1
    return best


def _next_fitting(sizes: Sequence[int], start: int, room: int) -> int:
    """Return the first position from ``start`` on whose size is within ``room``; the sizes fall."""
    low, high = start, len(sizes)
    while low < high:
        middle = (low + high) // 2
        if sizes[middle] <= room:
            high = middle
        else:
            low = middle + 1
    return low


def _homes(documents: Sequence[Document], budget: int) -> dict[str, str]:
    """Return where the documents of each directory are counted: in it or, if it is small, in one above."""
    weight: dict[str, int] = {"": 0}
    for one in documents:
        directory = dirname(one.path)
        weight[directory] = weight.get(directory, 0) + one.tokens
    for directory in list(weight):
        above = directory
        while above := dirname(above):
            weight.setdefault(above, 0)
    moved: dict[str, str] = {}
    for directory in sorted(weight, key=lambda name: (-name.count("/"), name)):
        if directory and weight[directory] * SMALL < budget:
            weight[dirname(directory)] += weight[directory]
            moved[directory] = dirname(directory)
    homes = {}
    for directory in weight:
        home = directory
        while home in moved:
            home = moved[home]
        homes[directory] = home
    return homes
