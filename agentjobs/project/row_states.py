"""The rows of the table and their states, kept in memory and written to tasks.tsv.

Everything that has to read every row is computed at first use: a poll that only waits for running agents needs none
of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.core.ready_rows import Queue
from agentjobs.model.state import Scope
from agentjobs.model.tasks import Status
from agentjobs.project.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from agentjobs.model.tasks import Row, Task
    from agentjobs.project.project import Project

BLOCKED = "blocked: "


class Roster:
    """tasks.tsv in memory, with the changes not yet written. The caller holds the lock."""

    def __init__(self, project: Project) -> None:
        self.store = project.store
        self.file = project.file
        self.rounds = Rounds(project)
        self.scope = Scope(0.0)
        self._statuses: dict[str, Status] | None = None
        self._queue: Queue | None = None
        self._closing: set[str] = set()
        self._blocked: frozenset[str] | None = None
        self._touched: set[str] | None = None
        """The rows whose status may have changed since the last call of ``touched``; None: any."""
        self._stale = True
        """True if the set of blocked rows may have changed."""

    def load(self, scope: Scope, now: float) -> None:
        """Read the table again if people or other polls have written it."""
        edits = self.file.load()
        if edits is not None:
            self.rounds.absorb(edits, now)
            self._forget()
            self._blocked = None
        if scope != self.scope:
            self.scope = scope
            self._forget()
        self.rounds.take_up()

    def _forget(self) -> None:
        self._statuses = None
        self._queue = None
        self._touched = None
        self._stale = True

    def counts(self) -> dict[Status, int]:
        """Count the rows of each status, as the table has them now."""
        return self.file.table.counts()

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of every row, in the order of the rows, including changes not yet written."""
        if self._statuses is None:
            self._statuses = {task_id: Status(text) for task_id, text in self.rounds.statuses()}
        return self._statuses

    def touched(self) -> set[str] | None:
        """Return the rows whose status may have changed since the last call; None: any."""
        found, self._touched = self._touched, set()
        return found

    @property
    def queue(self) -> Queue:
        """The rows that have not started."""
        if self._queue is None:
            active = frozenset(self.store.active())
            self._queue = Queue(self.file.table, self.statuses, self.scope, active)
        return self._queue

    def ready(self, closed: Container[str] = ()) -> Iterator[Row]:
        """Yield the rows that may start, best first, without those of the profiles in ``closed``."""
        if self._queue is None:
            known = self._statuses
            if not (self.counts()[Status.TODO] if known is None else Status.TODO in known.values()):
                return
        for task_id in self.queue.ready(closed):
            yield self.file.table.row(task_id)

    def share(self, open_tasks: int) -> tuple[int, int]:
        """Return how many rows in play failed, and how many are settled or being worked on."""
        found = [status for i, status in self.statuses.items() if self._counts(i)]
        failed = found.count(Status.FAILED)
        return failed, failed + found.count(Status.DONE) + found.count(Status.SKIPPED) + open_tasks

    def _counts(self, task_id: str) -> bool:
        """Return whether a row is in play, or was until ``stop`` took it out."""
        scope = self.scope
        if scope.everything or task_id in scope.ids:
            return True
        return bool(scope.phases) and self.file.table.profile(task_id) in scope.phases

    # --- changes

    def show(self, task: Task) -> None:
        """Write the state of an open round into the row."""
        from agentjobs.project.cells import cells_of

        cells = cells_of(task, self.rounds.all_attempts(task.row.id))
        self.file.set(task.row.id, cells)
        status = Status(cells["status"])
        if self._statuses is not None and self._statuses.get(task.row.id) is not status:
            self._statuses[task.row.id] = status
            self._touch(task.row.id)

    def begun(self, task_id: str) -> None:
        """Note that a row has started."""
        if self._queue is not None:
            self._queue.take(task_id)

    def settled(self, task_id: str) -> None:
        """Write into the row how its round ended; ``save`` closes the round after the table is written."""
        if task_id in self._closing:
            return
        cells = self.rounds.settled_cells(task_id)
        if cells is None:
            return
        self.file.set(task_id, cells)
        self._closing.add(task_id)
        self._stale = True
        if self._statuses is not None:
            if task_id in self._statuses:
                self._statuses[task_id] = Status(cells["status"])
                self._touch(task_id)
            if self._queue is not None:
                self._queue.take(task_id)
                self._queue.settled(task_id)

    def _touch(self, task_id: str) -> None:
        if self._touched is not None:
            self._touched.add(task_id)

    def is_closing(self, task_id: str) -> bool:
        """Return whether its round is settled and only the table still has to be written."""
        return task_id in self._closing

    @property
    def owes(self) -> bool:
        """True if cells or closed rounds still have to be written to tasks.tsv."""
        return bool(self.file.pending or self._closing)

    def save(self) -> None:
        """Write the table, then close the rounds that are settled."""
        if self._queue is not None and self._stale:
            self._show_blocked(self._queue)
        self.file.save()
        for task_id in self._closing:
            self.rounds.close(task_id)
        self._closing.clear()

    def _show_blocked(self, queue: Queue) -> None:
        """Write in ``note`` why a row cannot start; clear the note if it is no longer true."""
        self._stale = False
        if "after" not in self.file.table.header:
            return
        blocked = queue.blocked(frozenset(self.store.active()) - self._closing)
        if self._blocked is None:
            notes = self.file.table.cells("note") if "note" in self.file.table.header else ()
            self._blocked = frozenset(task_id for task_id, note in notes if note.startswith(BLOCKED))
        for task_id, culprit in blocked.items():
            status = self.statuses.get(culprit)
            what = f"is {status.value}" if status else "is not in the table"
            if status in {Status.TODO, None} and culprit in self.file.table and culprit not in blocked:
                what = "is not in play"
            self.file.set(task_id, {"note": f"{BLOCKED}{culprit} {what}"})
        for task_id in self._blocked - blocked.keys():
            if self.statuses.get(task_id) is Status.TODO and self.file.cell(task_id, "note").startswith(BLOCKED):
                self.file.set(task_id, {"note": ""})
        self._blocked = frozenset(blocked)
