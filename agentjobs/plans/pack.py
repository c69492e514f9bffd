"""Put documents into batches under a hard budget of tokens (pure): best fit decreasing.

Each document is in one batch. No batch is over the budget, except for a document that is larger than the budget.
Usually that is within a few percent of the smallest possible number of batches; in the worst case 22 % above it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from posixpath import dirname
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL: Final = 4
"""A directory with less than a quarter of the budget counts as part of its parent directory."""


class Document(Struct, frozen=True):
    """A file, or a range of its lines. A batch has all of it."""

    path: str
    tokens: int
    digest: str = ""
    """Hash of the content. Different content is a different document."""
    first: int = 0
    """First line, from 1. 0: the whole file."""
    last: int = 0

    @property
    def name(self) -> str:
        """The name in a row: the path, or ``path:first-last``."""
        return f"{self.path}:{self.first}-{self.last}" if self.first else self.path


class Batch(Struct, frozen=True):
    """The documents of one task, sorted by path."""

    documents: tuple[Document, ...]

    @property
    def tokens(self) -> int:
        """The sum over the documents."""
        return sum(document.tokens for document in self.documents)


def pack(documents: Sequence[Document], budget: int, *, by_directory: bool = False) -> list[Batch]:
    """Put each document into a batch of at most ``budget`` tokens; a larger document gets its own batch.

    ``by_directory``: documents of different directories share a batch only if the directories are small. The order of
    ``documents`` does not matter. Batches are sorted by their first document.
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
    bins = [[one] for one in large] + [one for place in places for one in _best_fit(place, budget)]
    batches = [Batch(tuple(sorted(one, key=lambda document: (document.path, document.first)))) for one in bins]
    return sorted(batches, key=lambda batch: (batch.documents[0].path, batch.documents[0].first))


def _best_fit(documents: Sequence[Document], budget: int) -> list[list[Document]]:
    """Take the documents from large to small; put each into the batch where it leaves the least room."""
    bins: list[list[Document]] = []
    rooms: list[tuple[int, int]] = []  # tokens left, number of the batch; sorted
    for one in sorted(documents, key=lambda document: -document.tokens):
        at = bisect_left(rooms, (one.tokens, -1))
        if at == len(rooms):
            bins.append([])
            room, number = budget, len(bins) - 1
        else:
            room, number = rooms.pop(at)
        bins[number].append(one)
        insort(rooms, (room - one.tokens, number))
    return bins


def _homes(documents: Sequence[Document], budget: int) -> dict[str, str]:
    """Return the directory whose batches take the documents of each directory: itself, or one above if it is small."""
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
