"""Rounds: which are open, what people asked for since, and what the table shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.decide import REMOVED
from agentjobs.core.ready_rows import in_play
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import UNSPENT
from agentjobs.model.tasks import BY_HAND, SETTLED, Row, Settled, Status, Task
from agentjobs.project.state import OpenRound
from agentjobs.table.table import PERSONAL, parse_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.model.facts import Attempt
    from agentjobs.model.state import Scope
    from agentjobs.project.project import Project
    from agentjobs.table.table import Edits

NUMBER_DIGITS = 6


def newest_in_table(row: Row) -> int:
    """Return the number of the newest attempt in the table; 0 for none or an impossible value."""
    text = row.cells.get("attempt", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS else 0


class Rounds:
    """The open and settled rounds of a project's tasks. The caller holds the lock."""

    def __init__(self, project: Project) -> None:
        self.store = project.store
        self.file = project.file
        self._read: dict[str, list[Attempt]] = {}

    # --- edits of people

    def refresh(self, now: float) -> None:
        """Read the table and take in what people wrote since it was last written."""
        edits = self.file.load()
        if edits is not None:
            self.absorb(edits, now)
        self.take_up()

    def take_up(self) -> None:
        """Reopen rounds that are at work according to the table but have no file under ``active/``.

        A person may have removed it, or a power cut: these files are not flushed, the table is.
        """
        table, active = self.file.table, self.store.active()
        busy = sum(count for status, count in table.counts().items() if status not in PERSONAL)
        if busy <= sum(self._is_busy(task_id, table.cell(task_id, "status")) for task_id in active if task_id in table):
            return
        for task_id, text in table.cells("status"):
            if self._is_busy(task_id, text) and task_id not in active:
                number, newest = self._newest(task_id)
                lost = newest_in_table(table.row(task_id)) > newest
                self.store.set_open_round(task_id, OpenRound(self.next_round(task_id) if lost else number))

    def _is_busy(self, task_id: str, text: str) -> bool:
        """Return whether a row is at work, including changes not yet written."""
        text = self.file.pending[task_id].get("status", text) if task_id in self.file.pending else text
        return parse_status(text) not in PERSONAL

    def _newest(self, task_id: str) -> tuple[int, int]:
        """Return the round and the number of the newest attempt with facts; (1, 0) if there is none."""
        attempts = self.store.attempts(task_id)
        return (attempts[-1].intent.round, attempts[-1].number) if attempts else (1, 0)

    def absorb(self, edits: Edits, now: float) -> None:
        """Write every wish to the facts, then accept the table as read. Safe to kill and repeat at any point."""
        for task_id, wish in edits.wishes.items():
            self._wish(task_id, wish, now)
        # Removed rows need no fact: ``task`` sees that they are gone, and that they are back.
        known = self.store.started_ids() if edits.new else frozenset()
        for task_id in edits.new:
            if task_id in known:
                self._returned(task_id, was_gone=self.file.base is not None)
        self.file.absorb(edits)
        counts = self.file.table.counts()
        if any(counts[status] for status in Status if status not in PERSONAL):
            for task_id in edits.new:
                if task_id not in known:
                    self._tidy(task_id)

    def _wish(self, task_id: str, wish: Status, now: float) -> None:
        open_round = self.store.open_round(task_id)
        if open_round is not None:
            self.store.set_open_round(task_id, replace(open_round, wish=wish, note=""))
        elif wish is Status.TODO:
            self.store.set_open_round(task_id, OpenRound(self.next_round(task_id)))
        else:
            note = {Status.DONE: BY_HAND, Status.SKIPPED: "skipped by hand"}.get(wish, "by hand")
            self.store.settle(task_id, Settled(self.next_round(task_id), wish, note, now))
            self.file.set(task_id, {"note": note})

    def _returned(self, task_id: str, *, was_gone: bool) -> None:
        """Take back a row that was removed and is there again: it stays settled, or is wanted again.

        It is wanted again if it was removed while it was open, and if it FAILED and is TODO now, as a plan adds it.
        ``was_gone``: we have seen the table without it. If our memory of the table is lost, it may be an old copy.
        """
        if self.store.open_round(task_id) is not None:
            return
        rounds = self.store.settled(task_id)
        if not rounds:
            return
        status = self.file.table.row(task_id).status
        if status in {Status.DONE, Status.SKIPPED}:
            return
        planned_anew = was_gone and status is Status.TODO and rounds[-1].status is Status.FAILED
        if planned_anew or rounds[-1].note == REMOVED:
            self.store.set_open_round(task_id, OpenRound(self.next_round(task_id)))
        else:
            cells = self.settled_cells(task_id)
            if cells:
                self.file.set(task_id, cells)

    def _tidy(self, task_id: str) -> None:
        """Correct a new row that claims to be at work: it is not."""
        if self.file.table.row(task_id).status not in PERSONAL:
            self.file.set(task_id, {"status": Status.TODO.value})

    def statuses(self) -> Iterator[tuple[str, str]]:
        """Yield each id with its status, including changes not yet written."""
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
        """Return a task with an open round; None if that round is settled."""
        open_round = self.store.open_round(task_id)
        if open_round is None:
            # Only a power cut leaves a file that cannot be read; the facts show which round it was.
            rounds = [a.intent.round for a in self.store.attempts(task_id)]
            open_round = OpenRound(max(rounds, default=1))
        names = self.store.names(task_id)
        open_round = self._with_lost(task_id, open_round, names)
        known = f"settled-{open_round.round}.json" in names
        settled = self.store.settled_round(task_id, open_round.round) if known else None
        if settled is not None:
            if open_round.wish in {None, settled.status}:
                return None
            wish = None if open_round.wish is Status.TODO else open_round.wish
            open_round = OpenRound(self.next_round(task_id), wish)
            self.store.set_open_round(task_id, open_round)
        elif open_round.wish is None and self._told(task_id, open_round.round, known=known):
            return None
        return self._build(task_id, open_round, scope, names)

    def _with_lost(self, task_id: str, open_round: OpenRound, names: list[str]) -> OpenRound:
        """Note an attempt without facts: the table, which was flushed, shows that its round began."""
        table = self.file.table
        if task_id not in table or not table.cell(task_id, "started") or table.cell(task_id, "ended"):
            return open_round
        number = newest_in_table(table.row(task_id))
        if number > max(open_round.told, *self.store.numbers(task_id, names), 0):
            open_round = replace(open_round, told=number)
            self.store.set_open_round(task_id, open_round)
        return open_round

    def _told(self, task_id: str, number: int, *, known: bool) -> bool:
        """Write again the end of a round that a power cut lost, if the table (which is flushed) shows it.

        ``known``: the fact exists but cannot be read. Otherwise the end in the table must be later than the start of
        the round's last attempt, or it would be the end of the round before.
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

    def _build(self, task_id: str, open_round: OpenRound, scope: Scope, names: list[str]) -> Task:
        row = self.file.table.row(task_id) if task_id in self.file.table else None
        attempts = self.store.attempts(task_id, names)
        self._read[task_id] = attempts
        mine = tuple(a for a in attempts if a.intent.round == open_round.round)
        if mine and mine[-1].intent.review and not isinstance(mine[-1], Over):
            mine = (*mine[:-1], replace(mine[-1], asked_at=scope.at))
        others = (a for a in attempts if a.intent.round != open_round.round)
        earlier = sum(isinstance(a, Over) and a.outcome not in UNSPENT for a in others)
        wish = open_round.wish
        if row is None:
            row = Row(task_id, 0, Status.SKIPPED, profile=mine[-1].intent.profile if mine else "default")
            wish = Status.SKIPPED
        # Only the newest attempt of a round may be without a result.
        known = {a.intent.marker for a in mine if isinstance(a, Over) or a is mine[-1]}
        void = tuple(mark for mark in open_round.begun if mark not in known)
        return Task(row, open_round.round, mine, earlier, wish, in_play(scope, task_id, row.profile), void)

    def open(self, row: Row, scope: Scope) -> Task | None:
        """Open the first round of a row that is TODO; None if the facts say that it is settled or at work.

        The facts win over a TODO that nobody asked for: a table restored from an old copy starts nothing again.
        """
        if not self.store.names(row.id):
            return Task(row, in_play=in_play(scope, row.id, row.profile))
        settled = self.store.settled(row.id)
        number, newest = self._newest(row.id)
        if newest and number > (settled[-1].round if settled else 0):
            self.store.set_open_round(row.id, OpenRound(number))  # it has started: only its file under active/ is lost
            return None
        if settled and settled[-1].note != REMOVED:
            return None
        return Task(row, self.next_round(row.id), (), 0, None, in_play(scope, row.id, row.profile))

    # --- settled

    def settled_cells(self, task_id: str) -> dict[str, str] | None:
        """Return the cells of the newest settled round."""
        from agentjobs.project.cells import settled_cells, settled_only

        rounds = self.store.settled(task_id)
        if not rounds:
            return None
        attempts = self.store.attempts(task_id)
        return settled_cells(rounds[-1], attempts) if attempts else settled_only(rounds[-1])

    def close(self, task_id: str) -> None:
        """Remove the file under ``active/`` of a settled round, unless a new round was asked for."""
        open_round = self.store.open_round(task_id)
        settled = self.store.settled_round(task_id, open_round.round) if open_round is not None else None
        if open_round is not None and settled is not None and open_round.wish in {None, settled.status}:
            self.store.set_open_round(task_id, None)
