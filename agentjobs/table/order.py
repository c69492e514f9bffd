"""Cycles among tasks that wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def find_cycle(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the nodes of a cycle, each of which waits for the next and the last for the first; empty if there is none.

    A node that is not a key waits for nothing. Linear time, no recursion: chains of 100,000 are fine.
    """
    done: set[str] = set()
    for start in after:
        if start in done:
            continue
        path = {start: None}
        stack: list[Iterator[str]] = [iter(after[start])]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                done.add(path.popitem()[0])
            elif node in path:
                nodes = list(path)
                return nodes[nodes.index(node) :]
            elif node not in done:
                path[node] = None
                stack.append(iter(after.get(node, ())))
    return []
