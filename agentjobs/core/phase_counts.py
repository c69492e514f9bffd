"""How many rows of each phase are DONE, and which are open: kept true row by row. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from agentjobs.model.tasks import SETTLED, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Census:
    """The rows of phases. ``profiles``: that of every row, in the order of the table."""

    def __init__(
        self, phases: Sequence[str], profiles: Iterable[tuple[str, str]], statuses: Mapping[str, Status]
    ) -> None:
        self.done = dict.fromkeys(phases, 0)
        """How many are DONE."""
        self.open: dict[str, set[str]] = {name: set() for name in phases}
        """Those that are not settled."""
        self._undone: dict[str, dict[str, None]] = {name: {} for name in phases}
        self._rows: dict[str, tuple[str, Status]] = {}
        for task_id, phase in profiles:
            if phase in self.done:
                self._add(task_id, phase, statuses.get(task_id, Status.TODO))

    def note(self, task_id: str, status: Status) -> None:
        """Take in that a row has another status."""
        if task_id not in self._rows:
            return
        phase, before = self._rows[task_id]
        if before is Status.DONE:
            self.done[phase] -= 1
        self.open[phase].discard(task_id)
        if status in {Status.DONE, Status.SKIPPED}:
            self._undone[phase].pop(task_id, None)
        self._add(task_id, phase, status)

    def _add(self, task_id: str, phase: str, status: Status) -> None:
        self._rows[task_id] = (phase, status)
        if status is Status.DONE:
            self.done[phase] += 1
        elif status is not Status.SKIPPED:
            self._undone[phase][task_id] = None
        if status not in SETTLED:
            self.open[phase].add(task_id)

    def total(self, phase: str) -> int:
        """Return how many rows a phase has, those SKIPPED aside."""
        return self.done[phase] + len(self._undone[phase])

    def undone(self, phase: str, most: int) -> tuple[str, ...]:
        """Return the first of those that are neither DONE nor SKIPPED."""
        return tuple(islice(self._undone[phase], most))
