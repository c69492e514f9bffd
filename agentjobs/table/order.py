"""The graph of what waits for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def find_cycle(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return nodes of which each waits for the next and the last for the first; empty if there are none.

    Nodes that are no key wait for nothing. Linear time and no recursion: a chain of 100,000 is no problem.
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
