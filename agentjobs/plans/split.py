"""A text that is too large for a batch, cut into parts at its headings (pure): lines from, lines to."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLANK: Final = 7
"""The rank of a cut behind a blank line; those of headings are their levels, 1 to 6."""

ANYWHERE: Final = 8
"""The rank of a cut between any two lines."""

_HEADING: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_NUMBERED: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?[ \t]+\S")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


class Part(NamedTuple):
    """Lines of a text, from 1, both included, and what they count."""

    first: int
    last: int
    tokens: int


def split(lines: Sequence[str], budget: int, count: Callable[[str], int]) -> list[Part]:
    """Cut a text (its lines with their ends) into parts of at most ``budget``, as few as the best cuts allow.

    Cut is where the highest headings are, then lower ones where a part is still too large, then behind blank lines,
    then anywhere. A single line that is over the budget becomes a separate part, and stays over it.
    """
    ranks = _ranks(lines)

    def size(first: int, last: int) -> int:
        return count("".join(lines[first:last]))

    def cut(first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield ranges within [first, last) that are within the budget, or one line."""
        tokens = size(first, last)
        if tokens <= budget or last - first <= 1:
            yield first, last, tokens
            return
        rank = min(ranks[first + 1 : last])
        at = [first, *(line for line in range(first + 1, last) if ranks[line] == rank), last]
        pieces = [piece for start, end in pairwise(at) for piece in cut(start, end)]
        yield from _joined(pieces, budget, size)

    return [Part(first + 1, last, tokens) for first, last, tokens in cut(0, len(lines))] if lines else []


def _joined(
    pieces: Sequence[tuple[int, int, int]], budget: int, size: Callable[[int, int], int]
) -> list[tuple[int, int, int]]:
    """Join neighbours as long as they are within the budget.

    What they come to together is counted where their sum leaves room for no other one, not at each: it may be less
    than the sum, and then there is more room; where it is more, the last ones are taken off again.
    """
    found: list[tuple[int, int, int]] = []
    start = 0
    while start < len(pieces):
        first, _, tokens = pieces[start]
        end = start + 1
        while end < len(pieces) and tokens + pieces[end][2] <= budget:
            known = end
            while end < len(pieces) and tokens + pieces[end][2] <= budget:
                tokens += pieces[end][2]
                end += 1
            tokens = size(first, pieces[end - 1][1])
            if tokens > budget:
                while end > known and tokens > budget:
                    end -= 1
                    tokens = size(first, pieces[end - 1][1])
                break
        found.append((first, pieces[end - 1][1], tokens))
        start = end
    return found


def _ranks(lines: Sequence[str]) -> list[int]:
    """Return how good a cut is before each line; the lower the better."""
    ranks = [ANYWHERE] * len(lines)
    fence = ""
    for at, raw in enumerate(lines):
        line = raw.rstrip("\r\n")
        fenced = _FENCE.match(line)
        if fence:
            if fenced and fenced[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if at and not lines[at - 1].strip() and line.strip():
            ranks[at] = BLANK
        if fenced:
            fence = fenced[1]
        elif heading := _HEADING.match(line):
            ranks[at] = len(heading[1])
        elif ranks[at] == BLANK and (numbered := _NUMBERED.match(line)):
            ranks[at] = min(6, 1 + numbered[1].count("."))  # as in an RFC
        elif at and ranks[at] == ANYWHERE and (under := _UNDERLINE.match(line)):
            above = at - 1
            if lines[above].strip() and (above == 0 or not lines[above - 1].strip()):
                ranks[above] = 1 if under[1][0] == "=" else 2
    return ranks
