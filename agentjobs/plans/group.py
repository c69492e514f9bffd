"""Files into groups that wait for each other without circles (pure): by directory, size, imports and history.

The unit is a circle of files that import each other, most often one file alone. Units are taken in the order of
what they need, and one joins an open group of its directory only if all it needs sits in that group or in an older
one: so no group ever needs a later one, which groups made by directory alone often do.
"""

from __future__ import annotations

import heapq
from collections import Counter
from posixpath import dirname
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.plans.graph import Quotient, backward_edges, components, depths, reduced
from agentjobs.plans.rows import slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

SMALL: Final = 4
"""A directory, or a group, below this part of the limit is small: it is put together with its neighbours."""

NEIGHBOURS_MAX: Final = 8
"""A small group is tried with at most this many others."""

LONGEST_NAME: Final = 88
"""Of an id made from a path; leaves room for a number behind it."""


class Size(Struct, frozen=True):
    """How large something is."""

    lines: int = 0
    tokens: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.lines + other.lines, self.tokens + other.tokens)


class Limit(Struct, frozen=True):
    """How large a group may be, unless it is a single file."""

    lines: int = 3000
    tokens: int | None = None

    def holds(self, size: Size) -> bool:
        """Whether ``size`` is within the limit."""
        return size.lines <= self.lines and (self.tokens is None or size.tokens <= self.tokens)

    def is_small(self, size: Size) -> bool:
        """Whether ``size`` is only a small part of the limit."""
        return self.holds(Size(size.lines * SMALL, size.tokens * SMALL))


class Group(Struct, frozen=True):
    """Files for one task."""

    files: tuple[str, ...]
    """Sorted."""
    needs: tuple[int, ...]
    """The groups it comes after, by position, without those that follow from the others."""
    wave: int
    """How many groups come before it, one after the other; from 0."""
    size: Size


class Grouping(Struct, frozen=True):
    """Every file in one group, each group after all that it needs."""

    groups: tuple[Group, ...] = ()
    circles: tuple[tuple[str, ...], ...] = ()
    """Files that import each other, and are in one group."""
    split: tuple[tuple[str, ...], ...] = ()
    """Files that import each other, but more than a group may hold: not kept together."""
    ignored: tuple[tuple[str, str], ...] = ()
    """Imports within ``split`` that the order of groups goes against."""
    joined: tuple[tuple[str, str], ...] = ()
    """Coupled files that are in one group."""
    apart: tuple[tuple[str, str], ...] = ()
    """Coupled files in two groups, one of which waits for the other."""

    @property
    def waves(self) -> Counter[int]:
        """How many groups each wave has."""
        return Counter(group.wave for group in self.groups)


def group_files(
    edges: Mapping[str, Iterable[str]],
    sizes: Mapping[str, Size],
    *,
    limit: Limit,
    one_per_file: bool = False,
    by_directory: bool = True,
    loose: bool = False,
    coupled: Sequence[tuple[str, str]] = (),
) -> Grouping:
    """Put the files of ``sizes`` into groups within ``limit``.

    ``edges``: what each file imports; files that are not in ``sizes`` do not count. ``one_per_file``: only files of
    one circle share a group. ``loose``: groups wait for coupled files alone, and not for what they import (``wave``
    still gives the order). ``coupled``: pairs that change together, the strongest first; they share a group
    where that makes no circle and stays within the limit, and are put one after the other where not.
    """
    packing = _Packing(edges, sizes, limit)
    if not one_per_file:
        packing.join_coupled(coupled)
        packing.pack(by_directory=by_directory)
        packing.join_small(by_directory=by_directory)
    return packing.result(coupled, loose=loose)


class _Packing:
    """Units being put together: a quotient of the import graph, first by circles, then by groups."""

    def __init__(self, edges: Mapping[str, Iterable[str]], sizes: Mapping[str, Size], limit: Limit) -> None:
        self.limit = limit
        known = {
            file: tuple(sorted({target for target in edges.get(file, ()) if target in sizes and target != file}))
            for file in sorted(sizes)
        }
        self.circles: list[tuple[str, ...]] = []
        self.split: list[tuple[str, ...]] = []
        self.ignored: set[tuple[str, str]] = set()
        for members in components(known):
            if len(members) > 1:
                fits = limit.holds(_sum(sizes[file] for file in members))
                (self.circles if fits else self.split).append(members)
        for members in self.split:
            self.ignored |= backward_edges(members, known)
        if self.ignored:
            known = {f: tuple(t for t in targets if (f, t) not in self.ignored) for f, targets in known.items()}
        self.edges = known
        units = components(known)
        self.files: dict[int, tuple[str, ...]] = dict(enumerate(units))
        self.sizes = {number: _sum(sizes[file] for file in members) for number, members in self.files.items()}
        self.unit_of = {file: number for number, members in self.files.items() for file in members}
        self.quotient = Quotient({n: {self.unit_of[t] for f in m for t in known[f]} for n, m in self.files.items()})

    def join(self, kept: int, gone: int) -> None:
        """Make two units, or groups, one."""
        self.quotient.join(kept, gone)
        for file in self.files[gone]:
            self.unit_of[file] = kept
        self.files[kept] += self.files.pop(gone)
        self.sizes[kept] += self.sizes.pop(gone)

    def try_join(self, kept: int, gone: int) -> bool:
        """Join two if the limit and the order allow; return whether they are one now."""
        if not self.limit.holds(self.sizes[kept] + self.sizes[gone]) or not self.quotient.may_join(kept, gone):
            return False
        self.join(kept, gone)
        return True

    def join_coupled(self, coupled: Sequence[tuple[str, str]]) -> None:
        """Join units whose files change together."""
        for one, other in coupled:
            if one in self.unit_of and other in self.unit_of:
                first, second = sorted((self.unit_of[one], self.unit_of[other]))
                if first != second:
                    self.try_join(first, second)

    def order(self) -> list[int]:
        """Return the units, what others need first: by wave, then directory, then name."""
        waiting = {number: len(needs) for number, needs in self.quotient.needs.items()}
        needed_by: dict[int, list[int]] = {number: [] for number in waiting}
        for number, needs in self.quotient.needs.items():
            for target in needs:
                needed_by[target].append(number)
        wave = dict.fromkeys(waiting, 0)
        heap = [self._key(0, number) for number, count in waiting.items() if not count]
        heapq.heapify(heap)
        found = []
        while heap:
            at, _, _, number = heapq.heappop(heap)
            found.append(number)
            for after in needed_by[number]:
                wave[after] = max(wave[after], at + 1)
                waiting[after] -= 1
                if not waiting[after]:
                    heapq.heappush(heap, self._key(wave[after], after))
        return found

    def _key(self, wave: int, number: int) -> tuple[int, str, str, int]:
        first = min(self.files[number])
        return wave, dirname(first), first, number

    def pack(self, *, by_directory: bool) -> None:
        """Let each unit, in order, join the first group of its directory that may take it."""
        home = self._homes() if by_directory else {}
        age: dict[int, int] = {}
        groups: dict[str, list[int]] = {}
        for number in self.order():
            place = home.get(dirname(min(self.files[number])), "")
            oldest = max((age[target] for target in self.quotient.needs[number]), default=-1)
            for group in groups.setdefault(place, []):
                if age[group] >= oldest and self.limit.holds(self.sizes[group] + self.sizes[number]):
                    self.join(group, number)
                    break
            else:
                age[number] = len(age)
                groups[place].append(number)

    def _homes(self) -> dict[str, str]:
        """Return where the files of each directory are counted: in it or, if it is small, in one above."""
        weight: dict[str, Size] = {}
        for number, members in self.files.items():
            directory = dirname(min(members))
            weight[directory] = weight.get(directory, Size()) + self.sizes[number]
        for directory in list(weight):
            while directory := dirname(directory):
                weight.setdefault(directory, Size())
        weight.setdefault("", Size())
        moved: dict[str, str] = {}
        for directory in sorted(weight, key=lambda name: (-name.count("/"), name)):
            if directory and self.limit.is_small(weight[directory]):
                above = dirname(directory)
                weight[above] += weight[directory]
                moved[directory] = above
        return {directory: _end(directory, moved) for directory in weight}

    def join_small(self, *, by_directory: bool) -> None:
        """Join small groups with others, nearest directories first: the sweep leaves some behind."""
        place: dict[int, str] = {}
        near: dict[str, set[int]] = {}

        def settle(number: int) -> None:
            place[number] = _common(self.files[number]) if by_directory else ""
            for directory in {place[number], dirname(place[number])}:
                near.setdefault(directory, set()).add(number)
            if self.limit.is_small(self.sizes[number]):
                heapq.heappush(todo, (self.sizes[number].lines, min(self.files[number]), number))

        todo: list[tuple[int, str, int]] = []
        for number in self.files:
            settle(number)
        while todo:
            lines, _, number = heapq.heappop(todo)
            if number not in self.files or self.sizes[number].lines != lines:
                continue
            mine = place[number]
            around = near[mine] | (near[dirname(mine)] if mine else set())
            for other in self._neighbours(number, around, place):
                first, second = sorted((number, other))
                if self.try_join(first, second):
                    for directory in {d for n in (first, second) for d in (place[n], dirname(place[n]))}:
                        near[directory] -= {first, second}
                    settle(first)
                    break

    def _neighbours(self, number: int, around: Iterable[int], place: Mapping[int, str]) -> list[int]:
        """Return groups to try: those of the same directory first, then those linked to it, small ones first."""
        room = self.limit.lines - self.sizes[number].lines
        found = []
        for other in around:
            size = self.sizes[other].lines if other != number else room + 1
            if size <= room:
                linked = other in self.quotient.needs[number] or number in self.quotient.needs[other]
                found.append((place[other] != place[number], not linked, size, min(self.files[other]), other))
        return [item[-1] for item in heapq.nsmallest(NEIGHBOURS_MAX, found)]

    def result(self, coupled: Sequence[tuple[str, str]], *, loose: bool) -> Grouping:
        """Return the groups in order; those with coupled files wait for each other, and no edge follows from others."""
        order = self.order()
        position = {number: at for at, number in enumerate(order)}
        needs = [{position[target] for target in self.quotient.needs[number]} for number in order]
        imported = Quotient(dict(enumerate(needs)))
        waits = Quotient(dict.fromkeys(imported.needs, ())) if loose else imported
        joined: list[tuple[str, str]] = []
        apart: list[tuple[str, str]] = []
        for pair in coupled:
            if pair[0] not in self.unit_of or pair[1] not in self.unit_of:
                continue
            first, second = sorted(position[self.unit_of[file]] for file in pair)
            (joined if first == second else apart).append(pair)
            if first != second and not waits.reaches(second, first):
                waits.add(second, first)
        needs = [waits.needs[at] for at in range(len(order))]
        waves = depths([imported.needs[at] for at in range(len(order))])
        kept = reduced(needs)
        groups = tuple(
            Group(tuple(sorted(self.files[number])), kept[at], waves[at], self.sizes[number])
            for at, number in enumerate(order)
        )
        return Grouping(
            groups, tuple(sorted(self.circles)), tuple(sorted(self.split)), tuple(sorted(self.ignored)),
            tuple(joined), tuple(apart),
        )  # fmt: skip


def group_names(groups: Iterable[Collection[str]], taken: Iterable[str] = ()) -> Iterator[str]:
    """Yield an id for each group of files: ``lib.utils``, ``lib.utils-2`` …, unlike all ``taken`` (in any case).

    It comes from the directory that holds most of them, and for a single file from its path without the ending.
    """
    used = {name.lower() for name in taken}
    for files in groups:
        if len(files) == 1:
            path = next(iter(files))
            head, _, last = path.rpartition("/")
            stem = last[: last.index(".", 1)] if "." in last[1:] else last
            path = f"{head}/{stem}"
        else:
            path = _main_directory(files) or "top"
        word = slug(path.strip("/").replace("/", "."), longest=LONGEST_NAME)
        name, number = word, 1
        while name.lower() in used:
            number += 1
            name = f"{word}-{number}"
        used.add(name.lower())
        yield name


def _sum(sizes: Iterable[Size]) -> Size:
    lines = tokens = 0
    for size in sizes:
        lines, tokens = lines + size.lines, tokens + size.tokens
    return Size(lines, tokens)


def _end(name: str, moved: Mapping[str, str]) -> str:
    while name in moved:
        name = moved[name]
    return name


def _main_directory(files: Collection[str]) -> str:
    """Return the deepest directory that holds at least three quarters of these files."""
    held = Counter(parent for file in files for parent in _parents(file))
    return max((name for name, count in held.items() if 4 * count >= 3 * len(files)), key=len, default="")


def _parents(file: str) -> Iterator[str]:
    while file := dirname(file):
        yield file


def _common(files: Iterable[str]) -> str:
    """Return the deepest directory that holds all of these files."""
    first, *others = {dirname(file) for file in files}
    for other in others:
        while first and other != first and not other.startswith(first + "/"):
            first = dirname(first)
    return first
