"""Documents into batches under a hard budget of tokens (pure): few batches, none over it, each document once."""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.plans.bins import pack_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL: Final = 4
"""A directory with less than this part of the budget is counted to the one above it."""

STEPS: Final = 300
"""So many steps may be searched for each document, where the quick way needs more batches than the lower bound."""

STEPS_MAX: Final = 1_800_000
"""For all documents together: a second or two."""


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
    each = min(STEPS, STEPS_MAX // max(1, len(fitting)))
    for place in places:
        bins += _pack(place, budget, each * len(place))
    batches = [Batch(tuple(sorted(one, key=lambda document: (document.path, document.first)))) for one in bins]
    return sorted(batches, key=lambda batch: (batch.documents[0].path, batch.documents[0].first))


def _pack(documents: Sequence[Document], budget: int, steps: int) -> list[list[Document]]:
    """Pack documents by their sizes; of those that are equally large the first go into the first batch."""
    alike: dict[int, list[Document]] = {}
    for one in reversed(documents):
        alike.setdefault(one.tokens, []).append(one)
    bins = pack_sizes([one.tokens for one in documents], budget, steps)
    return [[alike[size].pop() for size in sizes] for sizes in bins]


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
