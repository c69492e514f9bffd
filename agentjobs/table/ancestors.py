"""The tasks before a task, by distance: those in its ``after``, those in the ``after`` of these, and so on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANCESTORS_MAX: Final = 60
"""Most tasks returned beyond those in ``after`` itself: a prompt has no room for more."""


class Ancestor(Struct, frozen=True):
    """A task before another one."""

    id: str
    distance: int
    """1: it is in ``after``; 2: in the ``after`` of one of those; …"""
    place: int
    """Place in the table, only for sorting."""


def ancestors(
    start: Iterable[str],
    after: Callable[[str], Iterable[str]],
    place: Callable[[str], int | None],
    most: int = ANCESTORS_MAX,
) -> tuple[list[Ancestor], bool]:
    """Return the tasks before one that waits for ``start``, and whether there are more.

    Each appears once, at its smallest distance. They are sorted by distance, then by ``place``, which is None for an
    unknown task (left out). All of ``start`` are included, and at most ``most`` farther ones.
    """
    found: list[Ancestor] = []
    seen: set[str] = set()
    level = list(dict.fromkeys(start))
    distance, room = 1, most
    while level:
        placed = sorted((at, name) for name in level if name not in seen and (at := place(name)) is not None)
        seen.update(name for _, name in placed)
        if distance > 1:
            if len(placed) > room:
                found += [Ancestor(name, distance, at) for at, name in placed[:room]]
                return found, True
            room -= len(placed)
        found += [Ancestor(name, distance, at) for at, name in placed]
        level = list(dict.fromkeys(need for _, name in placed for need in after(name) if need not in seen))
        distance += 1
    return found, False
