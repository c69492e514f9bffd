"""The tasks before a task, by distance: those in its ``after``, those they waited for in turn, and so on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANCESTORS_MAX: Final = 60
"""Beyond the tasks in ``after`` themselves so many are looked at: a prompt has no room for more."""


class Ancestor(Struct, frozen=True):
    """A task before another one."""

    id: str
    distance: int
    """1: it is in ``after``; 2: in the ``after`` of one of those; …"""
    place: int
    """Where it stands in the table: only compared."""


def ancestors(
    start: Iterable[str],
    after: Callable[[str], Iterable[str]],
    place: Callable[[str], int | None],
    most: int = ANCESTORS_MAX,
) -> tuple[list[Ancestor], bool]:
    """Return the tasks before one that waits for ``start``, and whether there are more than these.

    Each is there once, at its nearest distance; they are ordered by distance and then by ``place``, which is None for
    what is no task (left out). The ``start`` themselves are all there, and ``most`` farther ones.
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
