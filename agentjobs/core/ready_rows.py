"""Which rows may start: not started yet, in play, everything in ``after`` DONE; best first. Pure.

Built once from a table and then updated, so that the cost of a long ``run`` depends on the rows that change, not on all
rows.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from agentjobs.model.tasks import Status
from agentjobs.table.table import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from agentjobs.model.state import Scope
    from agentjobs.table.table import Table


def in_play(scope: Scope, task_id: str, profile: str) -> bool:
    """Return True if ``dispatch`` put this row in play."""
    return task_id not in scope.out and (scope.everything or task_id in scope.ids or profile in scope.phases)


class Queue:
    """Rows that wait to start. ``statuses`` is shared with the caller, which keeps it up to date."""

    def __init__(
        self, table: Table, statuses: Mapping[str, Status], scope: Scope, active: Container[str]
    ) -> None:
        self._statuses = statuses
        self._heaps: dict[str, list[tuple[float, int, str]]] = {}
        """One heap per profile, so that the rows of a paused account are not searched."""
        self._profiles: dict[str, str] = {}
        """Profiles of the rows that do not have the default one."""
        self._keys: dict[str, tuple[float, int, str]] = {}
        self._needs: dict[str, tuple[str, ...]] = {}
        self._dependents: dict[str, list[str]] = {}
        self._taken: set[str] = set()
        self._build(table, scope, active)

    def _build(self, table: Table, scope: Scope, active: Container[str]) -> None:
        ids = None if scope.everything else frozenset(scope.ids)
        out = frozenset(scope.out)
        after = dict(table.cells("after")) if "after" in table.header else {}
        priority = dict(table.cells("priority")) if "priority" in table.header else {}
        named = table.cells("profile") if "profile" in table.header else ()
        self._profiles = {i: name for i, text in named if (name := text.strip()) not in {"", DEFAULT}}
        usual = self._heaps.setdefault(DEFAULT, [])
        for index, (task_id, status) in enumerate(self._statuses.items()):
            if status is not Status.TODO or task_id in active or task_id in out:
                continue
            if ids is not None and task_id not in ids and self._profiles.get(task_id, DEFAULT) not in scope.phases:
                continue
            text = priority.get(task_id, "")
            # Anything but plain digits is parsed (and refused if it is not a number) with its row.
            rank = -float(text) if text.isascii() and text.isdigit() else -table.row(task_id).priority if text else 0.0
            self._keys[task_id] = (rank, index, task_id)
            needs = tuple(after[task_id].split()) if after.get(task_id) else ()
            if needs:
                self._needs[task_id] = needs
                for need in needs:
                    self._dependents.setdefault(need, []).append(task_id)
            if self._met(task_id):
                heap = self._heap_of(task_id) if task_id in self._profiles else usual
                heap.append(self._keys[task_id])
        for heap in self._heaps.values():
            heapq.heapify(heap)

    def _heap_of(self, task_id: str) -> list[tuple[float, int, str]]:
        return self._heaps.setdefault(self._profiles.get(task_id, DEFAULT), [])

    def _met(self, task_id: str) -> bool:
        return all(self._statuses.get(n) is Status.DONE for n in self._needs.get(task_id, ()))

    def __len__(self) -> int:
        """Return the number of rows that have not started, ready or not."""
        return len(self._keys) - len(self._taken)

    def ready(self, closed: Container[str] = ()) -> Iterator[str]:
        """Yield the ids that may start, best first; the caller may take some during the iteration.

        Skips the profiles in ``closed``, which may grow during the iteration.
        """
        put_back = []
        seen: set[str] = set()
        try:
            while heaps := [heap for profile, heap in self._heaps.items() if heap and profile not in closed]:
                key = heapq.heappop(min(heaps, key=lambda heap: heap[0]))
                if key[2] in self._taken or key[2] in seen:
                    continue
                seen.add(key[2])
                put_back.append(key)
                yield key[2]
        finally:
            for key in put_back:
                if key[2] not in self._taken:
                    heapq.heappush(self._heap_of(key[2]), key)

    def take(self, task_id: str) -> None:
        """Record that this row has started or is finished."""
        if task_id in self._keys:
            self._taken.add(task_id)

    def settled(self, task_id: str) -> None:
        """Record that a row became DONE: rows that waited for it may be ready now."""
        for dependent in self._dependents.get(task_id, ()):
            if dependent not in self._taken and self._met(dependent):
                heapq.heappush(self._heap_of(dependent), self._keys[dependent])

    def blocked(self, unsettled: Container[str]) -> dict[str, str]:
        """Return the rows that cannot start, each with the id that blocks it.

        ``unsettled``: ids of tasks at work, which may still become DONE.
        """
        verdicts: dict[str, str] = {}
        for task_id in self._needs:
            if task_id not in self._taken:
                self._judge(task_id, unsettled, verdicts)
        return {task_id: culprit for task_id, culprit in verdicts.items() if culprit}

    def _judge(self, task_id: str, unsettled: Container[str], verdicts: dict[str, str]) -> None:
        """Find what blocks a row, depth first without recursion; a row that is already on the path is a cycle."""
        path = [task_id]
        on_path = {task_id}
        while path:
            current = path[-1]
            if current in verdicts:
                on_path.discard(path.pop())
                continue
            culprit, pending = self._look(current, unsettled, verdicts, on_path)
            if pending:
                path.append(pending)
                on_path.add(pending)
            else:
                verdicts[current] = culprit

    def _look(
        self, task_id: str, unsettled: Container[str], verdicts: dict[str, str], on_path: set[str]
    ) -> tuple[str, str]:
        for need in self._needs.get(task_id, ()):
            if self._statuses.get(need) is Status.DONE or need in unsettled:
                continue
            waits = need in self._keys and need not in self._taken
            if not waits or need in on_path:
                return need, ""
            if need not in verdicts:
                if need in self._needs:
                    return "", need
                verdicts[need] = ""
            if verdicts[need]:
                return need, ""
        return "", ""
