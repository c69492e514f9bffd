"""One turn: read the facts, plan, apply, write the table. And waiting for the next one.

A turn takes the lock, never blocks on a child, and leaves the table true. ``Engine`` keeps what it has read, so
that a resident ``run`` pays for what changes; every turn begins by looking whether somebody else was here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.attempts import Attempts
from agentjobs.errors import ExitCode, UserError
from agentjobs.launch import local
from agentjobs.model import (
    Begin,
    Conclude,
    End,
    Halt,
    Row,
    Running,
    Scope,
    Settle,
    Status,
    Task,
)
from agentjobs.plan import Board, Plan, plan
from agentjobs.progress import cells_of, spent_of
from agentjobs.queue import Queue
from agentjobs.rounds import Rounds
from agentjobs.sweep import history
from agentjobs.store import step_files

if TYPE_CHECKING:
    from agentjobs.project import Project

LOOK_S = 1.0
"""How often a waiting poll looks at the clock, the sizes of logs and the table."""

BURST_S = 0.2
"""A resident run writes the table at most so often."""

PASSES_MAX = 200
"""A turn ends after so many rounds of plan and apply even if there is more to do."""


class Turn(Struct, frozen=True):
    """What one turn came to."""

    acted: int
    """How many actions were carried out."""
    code: ExitCode
    """0: call again; 2: nothing left; 3: halted."""
    until: float
    """Nothing is due before this instant, unless a step ends."""
    why: str = ""
    """For people: why it halted, or what it waits for."""
    running: tuple[str, ...] = ()
    """Ids with a live step."""
    starting: bool = False
    """Something could begin as soon as the time has come."""


class Engine:
    """Drives one project. ``clock`` gives the time; it is asked once for each pass."""

    def __init__(self, project: Project, clock: Callable[[], float] = time.time) -> None:
        self.project = project
        self.store = project.store
        self.file = project.file
        self.clock = clock
        self.attempts = Attempts(project)
        self.rounds = Rounds(project)
        self.statuses: dict[str, Status] = {}
        self._queue: Queue | None = None
        self._scope = Scope(0.0)
        self._closing: list[str] = []
        self._saved_at = 0.0
        self._running: list[tuple[int, str, int, str]] = []
        self._active: list[str] = []

    # --- a turn

    def turn(self, *, resident: bool = False) -> Turn:
        """Do all that can be done now. The caller holds the lock.

        ``resident``: another turn of this engine follows soon, so the table may be written a moment later.
        UserError where the table or the policy cannot be read: then nothing was done.
        """
        scope = self.store.scope()
        if scope is None:
            raise UserError("nothing is in play yet; `agentjobs dispatch` says what is and starts it")
        self._load(scope)
        if not self._saved_at:
            self.file.check_writable()
        acted = 0
        made = Plan()
        for _ in range(PASSES_MAX):
            now = self.clock()
            tasks = self._tasks()
            board = self._board(tasks, now)
            made = plan(board, self._ready(), self.project.policy, now)
            if made.halt is not None:
                self.store.set_state("halt", made.halt)
                self.store.event(now, "", "halt", why=made.halt.why, detail=made.halt.detail)
            if not made.actions:
                break
            by_id = {task.row.id: task for task in tasks}
            ended = False
            for action in made.actions:
                task = by_id.get(action.id)
                if task is None:
                    task = self._new_task(self.file.table.row(action.id))
                    if task is None:
                        continue
                self.attempts.apply(task, action.decision, now)
                acted += 1
                ended = ended or isinstance(action.decision, End)
                self._note(action.id, action.decision)
                if isinstance(action.decision, Conclude) and self.store.halt():
                    break
            if ended and all(isinstance(a.decision, End) for a in made.actions):
                break
        self._write(resident=resident)
        return self._summary(acted, made)

    def _load(self, scope: Scope) -> None:
        edits = self.file.load()
        if edits is not None:
            self.rounds.absorb(edits, self.clock())
        if edits is not None or not self.statuses:
            self.statuses = {
                task_id: Status(status) for task_id, status in self.rounds.statuses()
            }
            self._queue = None
        if scope != self._scope:
            self._scope = scope
            self._queue = None
        self._active = self.store.active()

    def _ready(self) -> Iterator[Row]:
        if self._queue is None:
            self._queue = Queue(self.file.table, self.statuses, self._scope, frozenset(self._active))
        for task_id in self._queue.ready():
            yield self.file.table.row(task_id)

    def _tasks(self) -> list[Task]:
        """Read every task with an open round; one whose round is settled already only waits for the table."""
        tasks = []
        self._running = []
        for task_id in self.store.active():
            task = self.rounds.task(task_id, self._scope)
            if task is None:
                if task_id not in self._closing:
                    self._settled(task_id)
                continue
            tasks.append(task)
            last = task.last
            for step in last.steps if last else ():
                if isinstance(step.phase, Running):
                    self._running.append((step.phase.pid, task_id, last.number if last else 0, step.name))
            self._show(task)
        return tasks

    def _new_task(self, row: Row) -> Task | None:
        """Open a round for a row that says TODO; None where the facts say that it is settled."""
        task = self.rounds.open(row, self._scope)
        if task is None:
            self._settled(row.id)
        if self._queue is not None:
            self._queue.take(row.id)
        return task

    def _board(self, tasks: list[Task], now: float) -> Board:
        store, limits = self.store, self.project.policy.limits
        policy = self.project.policy
        starts = [a.intent.started_at for t in tasks for a in t.attempts[-1:]]
        capped = limits.run_cost_usd is not None or limits.run_tokens is not None or limits.run_attempts is not None
        failed, total = self._counts(tasks)
        deferred = bool(tasks) and not self._running and policy.retry.restarts > 0
        return Board(
            tasks=tuple(tasks),
            pause=store.pause(),
            halt=store.halt(),
            last_start_at=max(starts, default=0.0),
            free_memory=local.free_memory() if len(self._running) < policy.slots else 1 << 62,
            spent=spent_of(self.file) if capped else Board().spent,
            tally=store.tally() if limits.breaker else (),
            failed=failed,
            total=total,
            history=history(self.project) if deferred else Board().history,
        )

    def _counts(self, tasks: list[Task]) -> tuple[int, int]:
        statuses = self.statuses
        if self._scope.everything:
            found = list(statuses.values()) if tasks else []
        else:
            found = [statuses[i] for i in self._scope.ids if i in statuses]
        failed = found.count(Status.FAILED)
        settled = failed + found.count(Status.DONE) + found.count(Status.SKIPPED)
        return failed, settled + len(tasks)

    # --- the table

    def _note(self, task_id: str, decision: object) -> None:
        """Keep the queue and the cells up with what was just done."""
        if isinstance(decision, Settle):
            if decision.status is not Status.TODO:
                self._settled(task_id)
        elif isinstance(decision, Begin) and self._queue is not None:
            self._queue.take(task_id)

    def _show(self, task: Task) -> None:
        cells = cells_of(task, self.rounds.all_attempts(task.row.id))
        self.file.set(task.row.id, cells)
        self.statuses[task.row.id] = Status(cells["status"])

    def _settled(self, task_id: str) -> None:
        """Show a settled round, and close it once the table has been told."""
        cells = self.rounds.settled_cells(task_id)
        if cells is None:
            return
        self.file.set(task_id, cells)
        if task_id in self.statuses:
            self.statuses[task_id] = Status(cells["status"])
        self._closing.append(task_id)
        if self._queue is not None:
            self._queue.take(task_id)
            self._queue.settled(task_id)

    def _write(self, *, resident: bool) -> None:
        now = self.clock()
        if resident and now - self._saved_at < BURST_S:
            return
        self._saved_at = now
        self._show_blocked()
        self.file.save()
        for task_id in self._closing:
            self.rounds.close(task_id)
        self._closing = []

    @property
    def owes(self) -> bool:
        """Whether the table has not been told of everything yet."""
        return bool(self.file.pending or self._closing)

    def flush(self) -> None:
        """Write what a resident run still owes the table. The caller holds the lock."""
        self._write(resident=False)

    def _show_blocked(self) -> None:
        if self._queue is None or "after" not in self.file.table.header:
            return
        open_ids = frozenset(self.store.active()) - frozenset(self._closing)
        blocked = self._queue.blocked(open_ids)
        for task_id, culprit in blocked.items():
            status = self.statuses.get(culprit)
            self.file.set(task_id, {"note": f"blocked: {culprit} is {status.value if status else 'not in the table'}"})
        for task_id, note in self.file.table.cells("note"):
            if note.startswith("blocked: ") and task_id not in blocked and self.statuses[task_id] is Status.TODO:
                self.file.set(task_id, {"note": ""})

    # --- the answer, and waiting

    def _summary(self, acted: int, made: Plan) -> Turn:
        running = tuple(sorted({task_id for _, task_id, _, _ in self._running}))
        halt: Halt | None = self.store.halt()
        if made.alive or running:
            pause = self.store.pause()
            why = ""
            if pause is not None and pause.until > self.clock():
                why = f"paused until {_clock_time(pause.until)}: {pause.outcome.value}: {pause.detail}"
            return Turn(acted, ExitCode.OK, made.until, why, running, made.waiting)
        if halt is not None:
            return Turn(acted, ExitCode.HALTED, made.until, f"{halt.why}: {halt.detail}")
        if made.short and made.waiting:
            return Turn(acted, ExitCode.HALTED, made.until, made.short)
        return Turn(acted, ExitCode.NOTHING_LEFT, made.until)

    def wait(self, until: float) -> None:
        """Sleep until ``until``, until a step ends, or until it is time to look at the logs again."""
        now = self.clock()
        steps = [
            (pid, step_files(self.store.attempt_dir(task_id, number), name))
            for pid, task_id, number, name in self._running
        ]
        local.wait_any(steps, max(0.0, min(until - now, LOOK_S)))


def _clock_time(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
