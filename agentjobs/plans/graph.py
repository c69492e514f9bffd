"""Directed graphs for planning (pure): circles, contraction without making one, what follows from the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

SEARCH_MAX: Final = 300
"""Most nodes that ``may_join`` visits; past that it answers that the two do not fit, which is always safe."""


def components(edges: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the strongly connected components, each sorted, what others need first (Tarjan, without recursion).

    An edge leads from a node to what it needs; an edge to a node that is not a key is ignored. The result depends on
    the graph alone, not on the order in which it is given.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_nodes: list[str] = []
    is_open: set[str] = set()
    found: list[tuple[str, ...]] = []

    def enter(node: str) -> tuple[str, Iterator[str]]:
        index[node] = low[node] = len(index)
        open_nodes.append(node)
        is_open.add(node)
        return node, iter(sorted(edges[node]))

    for start in sorted(edges):
        path = [] if start in index else [enter(start)]
        while path:
            node, targets = path[-1]
            for target in targets:
                if target not in edges:
                    continue
                if target not in index:
                    path.append(enter(target))
                    break
                if target in is_open:
                    low[node] = min(low[node], index[target])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    members: list[str] = []
                    while not members or members[-1] != node:
                        members.append(open_nodes.pop())
                    is_open.difference_update(members)
                    found.append(tuple(sorted(members)))
    return found


def backward_edges(nodes: Collection[str], edges: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """Return edges among ``nodes`` without which no circle is left: those that lead back on a walk, depth first."""
    inside = set(nodes)
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for start in sorted(inside):
        if start in done:
            continue
        on_path = {start: None}
        stack = [iter(sorted(edges[start]))]
        while stack:
            node = next(reversed(on_path))
            target = next(stack[-1], None)
            if target is None:
                stack.pop()
                done.add(on_path.popitem()[0])
            elif target in on_path:
                back.add((node, target))
            elif target in inside and target not in done:
                on_path[target] = None
                stack.append(iter(sorted(edges[target])))
    return back


class Quotient:
    """A graph without circles whose nodes are joined, two by two, as long as none arises."""

    def __init__(self, needs: Mapping[int, Iterable[int]]) -> None:
        self.needs: dict[int, set[int]] = {node: set(targets) - {node} for node, targets in needs.items()}
        """What each node needs; a node that was joined to another is gone."""
        self._needed_by: dict[int, set[int]] = {node: set() for node in self.needs}
        for node, targets in self.needs.items():
            for target in targets:
                self._needed_by[target].add(node)

    def reaches(self, node: int, goal: int) -> bool:
        """Whether ``node`` needs ``goal``, directly or not."""
        return goal in self.needs[node] or self._detour(node, goal, len(self.needs))

    def may_join(self, one: int, other: int) -> bool:
        """Whether joining the two makes no circle: neither needs the other by way of a third."""
        return not self._detour(one, other) and not self._detour(other, one)

    def join(self, kept: int, gone: int) -> None:
        """Make the two one node, ``kept``. The caller has asked ``may_join``."""
        for target in self.needs.pop(gone):
            self._needed_by[target].discard(gone)
            if target != kept:
                self.needs[kept].add(target)
                self._needed_by[target].add(kept)
        for source in self._needed_by.pop(gone):
            self.needs[source].discard(gone)
            if source != kept:
                self.needs[source].add(kept)
                self._needed_by[kept].add(source)

    def add(self, node: int, target: int) -> None:
        """Let ``node`` need ``target``. The caller knows that the target does not need the node."""
        self.needs[node].add(target)
        self._needed_by[target].add(node)

    def _detour(self, node: int, goal: int, most: int = SEARCH_MAX) -> bool:
        """Whether a way leads from ``node`` to ``goal`` of more than one edge, or there is too much to visit."""
        if not self._needed_by[goal] - {node}:
            return False
        todo = [target for target in self.needs[node] if target != goal]
        seen = set(todo)
        while todo:
            found = self.needs[todo.pop()]
            if goal in found or len(seen) > most:
                return True
            fresh = found - seen
            seen |= fresh
            todo += fresh
        return False


def depths(needs: Sequence[Iterable[int]]) -> list[int]:
    """Return how long the longest way down from each node is; a node's targets come before it."""
    found: list[int] = []
    for targets in needs:
        found.append(1 + max((found[target] for target in targets), default=-1))
    return found


def reduced(needs: Sequence[Collection[int]]) -> list[tuple[int, ...]]:
    """Return each node's targets without those that follow from the others; a node's targets come before it."""
    below: list[int] = []  # as bits: what a node reaches
    kept: list[tuple[int, ...]] = []
    for targets in needs:
        reached, mine = 0, []
        for target in sorted(targets, reverse=True):
            if not reached >> target & 1:
                mine.append(target)
                reached |= below[target] | 1 << target
        below.append(reached)
        kept.append(tuple(sorted(mine)))
    return kept
