"""Rounds: which are open, what people asked for since, and what the table says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.decide import REMOVED
from agentjobs.core.layers import UNSPENT
from agentjobs.core.ready import in_play
from agentjobs.model.tasks import BY_HAND, SETTLED, Row, Settled, Status, Task
from agentjobs.project.store import Marker
from agentjobs.table.table import PERSONAL, parse_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.model.facts import Attempt
    from agentjobs.model.state import Scope
    from agentjobs.project.project import Project
    from agentjobs.table.table import Edits

NUMBER_DIGITS = 6


def newest_in_table(row: Row) -> int:
    """Return the number of the newest attempt, as the table has it; 0 for none, or what cannot be one."""
    text = row.cells.get("attempt", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS else 0


class Rounds:
    """The open and settled rounds of a project's tasks. The caller holds the lock."""

    def __init__(self, project: Project) -> None:
        self.store = project.store
        self.file = project.file
        self._read: dict[str, list[Attempt]] = {}

    # --- what people wrote

    def refresh(self, now: float) -> None:
        """Read the table and take in what people wrote since it was last written."""
        edits = self.file.load()
        if edits is not None:
            self.absorb(edits, now)
        self.take_up()

    def take_up(self) -> None:
        """Open the rounds again that are at work by the table, and whose markers are gone.

        A person may have removed them, or a power cut: they are not flushed, and the table is.
        """
        table, active = self.file.table, self.store.active()
        busy = sum(count for status, count in table.counts().items() if status not in PERSONAL)
        if busy <= sum(self._is_busy(task_id, table.cell(task_id, "status")) for task_id in active if task_id in table):
            return
        for task_id, text in table.cells("status"):
            if self._is_busy(task_id, text) and task_id not in active:
                number, newest = self._newest(task_id)
                lost = newest_in_table(table.row(task_id)) > newest
                self.store.set_marker(task_id, Marker(self.next_round(task_id) if lost else number))

    def _is_busy(self, task_id: str, text: str) -> bool:
        """Whether a row says that it is at work, with what is still to be written."""
        text = self.file.pending[task_id].get("status", text) if task_id in self.file.pending else text
        return parse_status(text) not in PERSONAL

    def _newest(self, task_id: str) -> tuple[int, int]:
        """Return the round of the newest attempt that there are facts of, and its number; (1, 0) for none."""
        attempts = self.store.attempts(task_id)
        return (attempts[-1].intent.round, attempts[-1].number) if attempts else (1, 0)

    def absorb(self, edits: Edits, now: float) -> None:
        """Note every wish in the facts, then take the table as read. May be killed anywhere and done again."""
        for task_id, wish in edits.wishes.items():
            self._wish(task_id, wish, now)
        # Rows that are gone need no note: ``task`` sees that they are, and that they are back.
        known = self.store.started_ids() if edits.new else frozenset()
        for task_id in edits.new:
            if task_id in known:
                self._returned(task_id)
        self.file.absorb(edits)
        counts = self.file.table.counts()
        if any(counts[status] for status in Status if status not in PERSONAL):
            for task_id in edits.new:
                if task_id not in known:
                    self._tidy(task_id)

    def _wish(self, task_id: str, wish: Status, now: float) -> None:
        marker = self.store.marker(task_id)
        if marker is not None:
            self.store.set_marker(task_id, replace(marker, wish=wish, note=""))
        elif wish is Status.TODO:
            self.store.set_marker(task_id, Marker(self.next_round(task_id)))
        else:
            note = {Status.DONE: BY_HAND, Status.SKIPPED: "skipped by hand"}.get(wish, "by hand")
            self.store.settle(task_id, Settled(self.next_round(task_id), wish, note, now))
            self.file.set(task_id, {"note": note})

    def _returned(self, task_id: str) -> None:
        """Take a row back: what was settled stays settled, what was removed may be wanted again."""
        if self.store.marker(task_id) is not None:
            return
        rounds = self.store.settled(task_id)
        if not rounds:
            return
        if self.file.table.row(task_id).status in {Status.DONE, Status.SKIPPED}:
            return
        if rounds[-1].note == REMOVED:
            self.store.set_marker(task_id, Marker(self.next_round(task_id)))
        else:
            cells = self.settled_cells(task_id)
            if cells:
                self.file.set(task_id, cells)

    def _tidy(self, task_id: str) -> None:
        """Correct a new row that claims to be at work: it is not."""
        if self.file.table.row(task_id).status not in PERSONAL:
            self.file.set(task_id, {"status": Status.TODO.value})

    def statuses(self) -> Iterator[tuple[str, str]]:
        """Yield each id with its status, what is still to be written included."""
        pending = self.file.pending
        for task_id, text in self.file.table.cells("status"):
            shown = pending[task_id].get("status", text) if task_id in pending else text
            yield task_id, shown.strip().upper() or Status.TODO.value

    # --- reading and opening

    def all_attempts(self, task_id: str) -> list[Attempt]:
        """Return the attempts of all rounds, as ``task`` last read them."""
        return self._read.get(task_id) or self.store.attempts(task_id)

    def next_round(self, task_id: str) -> int:
        """Return the number of a round that has not been used."""
        used = [s.round for s in self.store.settled(task_id)]
        used += [a.intent.round for a in self.store.attempts(task_id)]
        return max(used, default=0) + 1

    def task(self, task_id: str, scope: Scope) -> Task | None:
        """Return a task with an open round; None where that round is settled."""
        marker = self.store.marker(task_id)
        if marker is None:
            # Only a power cut leaves a marker that cannot be read; the facts say which round it was.
            rounds = [a.intent.round for a in self.store.attempts(task_id)]
            marker = Marker(max(rounds, default=1))
        names = self.store.names(task_id)
        marker = self._with_lost(task_id, marker, names)
        known = f"settled-{marker.round}.json" in names
        settled = self.store.settled_round(task_id, marker.round) if known else None
        if settled is not None:
            if marker.wish in {None, settled.status}:
                return None
            marker = Marker(self.next_round(task_id), None if marker.wish is Status.TODO else marker.wish)
            self.store.set_marker(task_id, marker)
        elif marker.wish is None and self._told(task_id, marker.round, known=known):
            return None
        return self._build(task_id, marker, scope, names)

    def _with_lost(self, task_id: str, marker: Marker, names: list[str]) -> Marker:
        """Note in the marker an attempt that no fact knows: the table, which was flushed, says that its round began."""
        table = self.file.table
        if task_id not in table or not table.cell(task_id, "started") or table.cell(task_id, "ended"):
            return marker
        number = newest_in_table(table.row(task_id))
        if number > max(marker.told, *self.store.numbers(task_id, names), 0):
            marker = replace(marker, told=number)
            self.store.set_marker(task_id, marker)
        return marker

    def _told(self, task_id: str, number: int, *, known: bool) -> bool:
        """Write again the end of a round that a power cut took, where the table (which is flushed) tells of it.

        ``known``: the fact is there but cannot be read. Otherwise the table must speak of an end after the round's
        last attempt began, or it would be the end of the round before.
        """
        from agentjobs.project.cells import parse_instant

        base = self.file.base
        if base is None or task_id not in base or parse_status(base.cell(task_id, "status")) not in SETTLED:
            return False
        started = [a.intent.started_at for a in self.store.attempts(task_id) if a.intent.round == number]
        ended_at = parse_instant(base.cell(task_id, "ended"))
        if not known and not (started and ended_at > started[-1]):
            return False
        status = parse_status(base.cell(task_id, "status")) or Status.DONE
        note, commit = base.cell(task_id, "note"), base.cell(task_id, "commit")
        self.store.settle(task_id, Settled(number, status, note, ended_at, commit))
        return True

    def _build(self, task_id: str, marker: Marker, scope: Scope, names: list[str]) -> Task:
        row = self.file.table.row(task_id) if task_id in self.file.table else None
        attempts = self.store.attempts(task_id, names)
        self._read[task_id] = attempts
        mine = tuple(a for a in attempts if a.intent.round == marker.round)
        if mine and mine[-1].intent.review and mine[-1].result is None:
            mine = (*mine[:-1], replace(mine[-1], asked_at=scope.at))
        others = (a for a in attempts if a.intent.round != marker.round)
        earlier = sum(a.result is not None and a.result.outcome not in UNSPENT for a in others)
        wish = marker.wish
        if row is None:
            row = Row(task_id, 0, Status.SKIPPED, profile=mine[-1].intent.profile if mine else "default")
            wish = Status.SKIPPED
        # Only the newest attempt of a round may be without a result.
        known = {a.intent.marker for a in mine if a.result is not None or a is mine[-1]}
        void = tuple(mark for mark in marker.begun if mark not in known)
        return Task(row, marker.round, mine, earlier, wish, in_play(scope, task_id, row.profile), void)

    def open(self, row: Row, scope: Scope) -> Task | None:
        """Return the first round of a row that says TODO; None where the facts say that it is settled, or at work.

        The facts win over a TODO that nobody asked for: a table restored from an old copy starts nothing again.
        """
        if not self.store.names(row.id):
            return Task(row, in_play=in_play(scope, row.id, row.profile))
        settled = self.store.settled(row.id)
        number, newest = self._newest(row.id)
        if newest and number > (settled[-1].round if settled else 0):
            self.store.set_marker(row.id, Marker(number))  # it has begun: only its marker is gone
            return None
        if settled and settled[-1].note != REMOVED:
            return None
        return Task(row, self.next_round(row.id), (), 0, None, in_play(scope, row.id, row.profile))

    # --- settled

    def settled_cells(self, task_id: str) -> dict[str, str] | None:
        """Return what the table says of the newest settled round."""
        from agentjobs.project.cells import settled_cells, settled_only

        rounds = self.store.settled(task_id)
        if not rounds:
            return None
        attempts = self.store.attempts(task_id)
        return settled_cells(rounds[-1], attempts) if attempts else settled_only(rounds[-1])

    def close(self, task_id: str) -> None:
        """Forget the marker of a settled round, unless a new one was asked for."""
        marker = self.store.marker(task_id)
        settled = self.store.settled_round(task_id, marker.round) if marker is not None else None
        if marker is not None and settled is not None and marker.wish in {None, settled.status}:
            self.store.set_marker(task_id, None)
