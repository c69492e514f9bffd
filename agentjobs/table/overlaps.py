"""Paths that many tasks name: which files they are, and which tasks overlap. Pure, and quick for 10,000 tasks.

Two entries overlap if the beginning of one is the beginning of the other: for a plain path its name and a slash, for a
glob the part before its first special character. So entries are found by their beginnings, without comparing every
pair. ``path_patterns.overlap`` answers the same for two tasks; it also reports a glob and a plain path that only
resembles its beginning (``src/ab*`` and ``src/a``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import combinations, product
from typing import TYPE_CHECKING, Final

from agentjobs.text.path_patterns import before_glob, in_scope, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LAST: Final = "\U0010ffff"
"""Sorts behind every name."""


class Names:
    """The existing files; answers which of them the entries of ``files`` cover."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names)
        self._known: dict[str, tuple[str, ...]] = {}

    def covered(self, files: Sequence[str]) -> list[str]:
        """Return the files that the entries cover, sorted. Raises UserError for an entry outside the tree."""
        found: set[str] = set()
        for entry in files:
            if entry not in self._known:
                self._known[entry] = self._look(entry)
            found.update(self._known[entry])
        return sorted(found)

    def _look(self, entry: str) -> tuple[str, ...]:
        path = normalise(entry)
        near = self._from(_beginning(path))
        if before_glob(path) is None:
            return (*self._exactly(path.rstrip("/")), *near)
        outside = set(in_scope(near, [entry]))
        return tuple(name for name in near if name not in outside)

    def _from(self, start: str) -> list[str]:
        return self._names[bisect_left(self._names, start) : bisect_left(self._names, start + LAST)]

    def _exactly(self, name: str) -> list[str]:
        at = bisect_left(self._names, name)
        return [name] if at < len(self._names) and self._names[at] == name else []


class PathClaims:
    """The paths in ``files`` of many tasks; tasks are numbers, from 0, in the order given."""

    def __init__(self, files: Sequence[Sequence[str]]) -> None:
        entries = [{normalise(entry) for entry in one} for one in files]
        self._globs = {len(start) for one in entries for path in one if (start := before_glob(path)) is not None}
        self._keys = [self._apart({_beginning(path) for path in one}) for one in entries]
        self._members: dict[str, list[int]] = defaultdict(list)
        for task, keys in enumerate(self._keys):
            for key in keys:
                self._members[key].append(task)

    def pairs(self, most: int) -> int:
        """Return how many pairs of tasks overlap; counts up to ``most``."""
        found: set[tuple[int, int]] = set()
        for key, members in self._members.items():
            within = combinations(members, 2)
            above = (p for up in self._above(key) for p in product(self._members.get(up, ()), members))
            for pairs in (within, above):
                for a, b in pairs:
                    if a != b:
                        found.add((min(a, b), max(a, b)))
                        if len(found) >= most:
                            return most
        return len(found)

    def heaviest(self, weights: Sequence[float]) -> float:
        """Return the greatest total weight of tasks that all overlap at one path."""
        own = {key: sum(weights[task] for task in members) for key, members in self._members.items()}
        return max((own[key] + sum(own.get(up, 0.0) for up in self._above(key)) for key in own), default=0.0)

    def in_turn(self, order: Sequence[int]) -> list[tuple[int, ...]]:
        """Return for each task the earlier tasks (in ``order``) it overlaps, without those that follow from others.

        A task that waits for these waits for all earlier tasks it overlaps.
        """
        last: dict[str, int] = {}
        beneath: dict[str, set[int]] = defaultdict(set)
        """Tasks that claimed something beneath a path since the path itself was claimed."""
        found: list[tuple[int, ...]] = [()] * len(self._keys)
        for task in order:
            needs: set[int] = set()
            for key in self._keys[task]:
                above = [up for up in self._above(key) if up in self._members]
                needs.update(last[up] for up in (key, *above) if up in last)
                needs |= beneath.pop(key, set())
            for key in self._keys[task]:
                last[key] = task
                for up in self._above(key):
                    if up in self._members:
                        beneath[up].add(task)
            needs.discard(task)
            found[task] = tuple(sorted(needs))
        return found

    def _above(self, key: str) -> Iterator[str]:
        """Yield the proper prefixes of a key that other keys may have: those of directories, and of globs."""
        ends = {at + 1 for at, letter in enumerate(key) if letter == "/"} | self._globs | {0}
        return (key[:end] for end in ends if end < len(key))

    def _apart(self, keys: set[str]) -> tuple[str, ...]:
        """Return the keys without those that another entry of the same task covers."""
        return tuple(sorted(key for key in keys if not any(up in keys for up in self._above(key))))


def _beginning(path: str) -> str:
    """Return what all paths start with that an entry may cover, with a slash after its own name; empty for the top."""
    glob = before_glob(path)
    if glob is not None:
        return glob
    plain = path.rstrip("/")
    return f"{plain}/" if plain else ""
