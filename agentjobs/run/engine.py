"""One turn: read the facts, plan, act, write the table. And wait for the next one.

A turn is short, never blocks on a child process, and leaves the table true. ``Engine`` keeps what it has read, so
that a resident ``run`` only pays for changes; every turn first checks whether another process was here.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.core.accounts import account_for, is_suspect
from agentjobs.core.decide import decide
from agentjobs.core.gate import QUEUE_ID
from agentjobs.disk.files import read_raw
from agentjobs.launch.launcher import is_held, wait_any
from agentjobs.model.decisions import RUN, Begin, Conclude, End, Judge, Look, Settle, Weigh
from agentjobs.model.errors import ExitCode, UserError
from agentjobs.model.steps import AGENTS
from agentjobs.model.tasks import Status
from agentjobs.project.row_states import Roster
from agentjobs.project.store import step_files
from agentjobs.run.read_board import paused, read_board, starved, with_example

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentjobs.core.board import Schedule
    from agentjobs.core.pauses import Pause
    from agentjobs.model.decisions import Action, Decision
    from agentjobs.model.tasks import Row, Task
    from agentjobs.project.project import Project
    from agentjobs.run.attempts import Attempts
    from agentjobs.run.landing.queue import MergeQueue
    from agentjobs.run.phases.runs import PhaseRuns
    from agentjobs.run.steps.context_size import Expectations

LOOK_S = 1.0
"""Seconds between two looks of a waiting poll at the clock, the sizes of logs and the table."""

BURST_S = 0.2
"""Fewest seconds between two writes of the table in a resident run."""

TURN_S = 0.5
"""Seconds after which a turn starts no further pass, so that quick agents cannot keep the lock for ever."""

NEVER = float("inf")


class Turn(Struct, frozen=True):
    """The result of one turn."""

    acted: int
    """Number of actions that were carried out."""
    code: ExitCode
    """0: call again; 2: nothing left; 3: halted."""
    until: float
    """Nothing is due before this time, unless a step ends."""
    why: str = ""
    """For people: why it halted, or what it waits for."""
    running: tuple[str, ...] = ()
    """Ids with a live step; ``QUEUE_ID`` for the gate of a batch."""
    starting: bool = False
    """Something could start as soon as the time has come."""


class Engine:
    """Drives one project. ``clock`` returns the time and is called once in each pass.

    ``starts=False``: start no new attempts, only finish those under way.
    """

    def __init__(
        self, project: Project, clock: Callable[[], float] = time.time, *, starts: bool = True
    ) -> None:
        self.project = project
        self.starts = starts
        self.store = project.store
        self.clock = clock
        self.roster = Roster(project)
        self._saved_at = 0.0
        self._gated = False
        self._running: list[tuple[int, str, int, str]] = []
        self._put_off: dict[str, str] = {}
        """Tasks that wait for the lock of a tree, and why: this turn does nothing more for them."""
        self._kept: dict[str, Task] = {}
        """Tasks as this turn read them. They cannot change while we hold the lock and their step runs."""

    @cached_property
    def attempts(self) -> Attempts:
        """Carries out actions; created on first use."""
        from agentjobs.run.attempts import Attempts

        return Attempts(self.project)

    @cached_property
    def _expectations(self) -> Expectations:
        from agentjobs.run.steps.context_size import Expectations  # only needed with limits.tokens_in_flight

        return Expectations(self.project)

    def _expected(self, task: Task, begin: Begin) -> int:
        return self._expectations(task, begin)

    @cached_property
    def queue(self) -> MergeQueue:
        """The merge queue."""
        from agentjobs.run.landing.queue import MergeQueue  # only where something lands

        return MergeQueue(
            self.project, self.attempts, lambda task_id: self.roster.rounds.task(task_id, self.roster.scope)
        )

    @cached_property
    def _phased(self) -> bool:
        """Return whether there are phases; reads the policy only if the file contains the word."""
        from agentjobs.project.project import POLICY

        return b"phases" in read_raw(self.project.root / POLICY, follow=True) and bool(self.project.policy.phases)

    @cached_property
    def phases(self) -> PhaseRuns:
        """The phases."""
        from agentjobs.run.phases.runs import PhaseRuns  # only if there are some

        return PhaseRuns(self.project, self.roster, self.attempts)

    @property
    def ends_gate(self) -> bool:
        """Return whether a gate run was asked to stop and is not over."""
        return self._queued and self.queue.runs.is_ending()

    @property
    def _queued(self) -> bool:
        """Return whether the gate ever ran here."""
        self._gated = self._gated or bool(self.store.numbers(QUEUE_ID))
        return self._gated

    # --- a turn

    def turn(self, *, resident: bool = False) -> Turn:
        """Do everything that can be done now. The caller holds the lock.

        ``resident``: another turn of this engine follows soon, so the table may be written a little later. UserError
        if the table or the policy cannot be read; nothing was done then.
        """
        scope = self.store.scope()
        if scope is None:
            raise UserError("nothing is in play yet; start tasks with `agentjobs dispatch`")
        if self.project.file.unfinished(self.store.dir / "table.cut"):
            why = "ends in the middle of a line, perhaps because it is being written; it will be read again"
            return Turn(0, ExitCode.OK, self.clock() + LOOK_S, f"{self.project.file.path.name} {why}")
        self.roster.load(scope, self.clock())
        settled = not self.roster.owes and not self.store.active() and not self._unsettled()
        gating = self._queued and self.queue.runs.open() is not None
        if settled and not gating and not (self._phased and self._phases_go_on()):
            return self._rest()
        self.project.file.check_writable()
        from agentjobs.project.step_clocks import Lookout  # not needed if every row is settled

        self.store.lookout = lookout = Lookout(self.store.dir, self.clock())
        acted, made = self._passes()
        lookout.save()
        now = self.clock()
        if not resident or now - self._saved_at >= BURST_S:
            self._saved_at = now
            self.roster.save()
        return self._summary(acted, made)

    def _unsettled(self) -> int:
        counts = self.roster.counts()
        return sum(counts.values()) - counts[Status.DONE] - counts[Status.FAILED] - counts[Status.SKIPPED]

    def _phases_go_on(self) -> bool:
        """Return whether phases with only settled rows have something to plan, or to report."""
        from agentjobs.core.phases import go_on  # only if there are some
        from agentjobs.project.phase_state import stages_now

        return go_on(stages_now(self.project, self.roster.statuses, self.roster.scope, frozenset()))

    def _rest(self) -> Turn:
        """Return the turn of a project with only settled rows; without phases the policy is not even read."""
        self._running = []
        halt = self.store.halt()
        if halt is not None:
            return Turn(0, ExitCode.HALTED, NEVER, f"{halt.why}: {halt.detail}")
        return Turn(0, ExitCode.NOTHING_LEFT, NEVER)

    def _passes(self) -> tuple[int, Schedule]:
        """Schedule and act until nothing more can be done, or the turn has taken long enough."""
        from agentjobs.core.schedule import schedule

        begun_at = time.monotonic()
        acted = 0
        self._kept.clear()
        self.store.swept.clear()
        self.store.standing.clear()
        put_off = self._put_off = {}
        while True:
            now = self.clock()
            if self.store.lookout is not None:
                self.store.lookout.look(now)
            queued = self.queue.advance(now) if self._queued else 0
            put_off.update(self.queue.runs.ending() if self._queued else {})
            planned = self.phases.advance(now) if self._phased else 0
            tasks = self._tasks(now)
            if self._phased:
                tasks = self.phases.look(tasks)
                planned += self.phases.begin(now) if self.starts else 0
                self._running += self.phases.steps()
                queued += planned
            board = read_board(
                self.project, tasks, now, roster=self.roster, queue=self.queue if self._queued else None,
                running=len(self._running), starts=self.starts,
            )  # fmt: skip
            ready = self.phases.ready if self._phased else self.roster.ready
            made = schedule(board, ready, replace(self.project.policy, slots=self.project.slots), now, self._expected)
            made = replace(made, actions=tuple(action for action in made.actions if action.id not in put_off))
            if made.halt is not None:
                halt = with_example(self.store, made.halt)
                self.store.set_state("halt", halt)
                self.store.event(now, "", "halt", why=halt.why, detail=halt.detail)
            if made.gate:  # first: what begins in this pass is based on what lands in it
                queued += self.queue.form(made.batch, now, starts=self.starts)
            acted += self._apply(made.actions, {task.row.id: task for task in tasks}, board.pauses, now)
            if self._queued or made.gate:
                made = replace(made, until=min(made.until, self.queue.until))
            if self._phased:
                alive = made.alive or planned > 0 or self.phases.is_planning
                made = replace(made, until=min(made.until, self.phases.until), alive=alive)
            acted += queued
            if put_off:
                made = replace(made, until=min(made.until, now + LOOK_S), alive=True)
            only_ends = not queued and all(isinstance(action.decision, End) for action in made.actions)
            if only_ends or time.monotonic() - begun_at > TURN_S:
                if not only_ends:
                    self._tasks(self.clock())  # a slow pass started something: the table has to show it
                return acted, made

    def _apply(
        self, actions: tuple[Action, ...], tasks: dict[str, Task], pauses: Mapping[str, Pause], now: float
    ) -> int:
        acted = 0
        ended = [tasks[a.id] for a in actions if isinstance(a.decision, Judge)]
        if ended:
            self.attempts.sweep_for(ended)
        for action in actions:
            row = tasks[action.id].row if action.id in tasks else self.project.file.table.row(action.id)
            if isinstance(action.decision, Begin) and self._met_trouble(row, action.decision, pauses):
                continue  # its account or the whole run met trouble in this pass
            task = tasks.get(action.id) or self._new_task(row)
            if task is None:
                continue
            acted += self._carry_out(task, action.decision, now)
        return acted

    def _met_trouble(self, row: Row, begin: Begin, before: Mapping[str, Pause]) -> bool:
        """Return whether this pass found trouble for the account of this attempt, or for the whole run."""
        if self.store.halt() is not None:
            return True
        account, now = account_for(self.project.policy, begin.profile, row), self.store.pauses()
        return any(now.get(name) != before.get(name) for name in (account, RUN))

    def _carry_out(self, task: Task, decision: Decision, now: float) -> int:
        """Carry out a decision, and what follows from it for the same task as long as that needs no slot."""
        acted = 0
        while True:
            self._kept.pop(task.row.id, None)
            if put_off := self.attempts.apply(task, decision, now):
                self._put_off[task.row.id] = put_off
                return acted
            acted += 1
            self._note(task.row.id, decision)
            if not isinstance(decision, Judge | Look | Weigh | Conclude):
                return acted
            again = self.roster.rounds.task(task.row.id, self.roster.scope)
            if again is None:
                return acted
            task = again
            decision = decide(task, self.project.policy, now)
            doubted = isinstance(decision, Settle) and is_suspect(self.store.pauses(), self.project.policy, task)
            if doubted or not isinstance(decision, Conclude | Settle):
                self.roster.show(task)
                return acted

    def _note(self, task_id: str, decision: Decision) -> None:
        if isinstance(decision, Begin):
            self.roster.begun(task_id)
        elif isinstance(decision, Settle) and decision.status is not Status.TODO:
            self.roster.settled(task_id)

    def _new_task(self, row: Row) -> Task | None:
        """Open a round for a row that is TODO; None if the facts say that it is settled or already at work."""
        task = self.roster.rounds.open(row, self.roster.scope)
        if task is None and not self.store.is_active(row.id):
            self.roster.settled(row.id)
        self.roster.begun(row.id)
        return task

    # --- reading

    def _tasks(self, now: float) -> list[Task]:
        """Read every task with an open round, except those that are settled and only not yet in the table."""
        tasks = []
        self._running = []
        for task_id in self.store.active():
            if self.roster.is_closing(task_id):
                continue
            kept = self._kept.get(task_id)
            if kept is not None and self._runs_on(kept):
                tasks.append(kept)
                continue
            task = self.roster.rounds.task(task_id, self.roster.scope)
            if task is None:
                self.roster.settled(task_id)
                continue
            if self._waits(task):
                self.roster.show(task)
                continue
            task = self._gauged(task, now)
            tasks.append(task)
            last = task.open
            for step, running in last.running if last else ():
                self._running.append((running.pid, task_id, task.attempts[-1].number, step.name))
                if running.pid:
                    self._kept[task_id] = task
            self.roster.show(task)
        if self._queued:
            self._running += self.queue.runs.steps()
        return tasks

    def _runs_on(self, task: Task) -> bool:
        """Return whether the step that ran when this turn read the task still runs; it stays in the list."""
        last = task.attempts[-1]
        for step, running in last.running:
            if is_held(step_files(self.store.attempt_dir(task.row.id, last.number), step.name)):
                self._running.append((running.pid, task.row.id, last.number, step.name))
                return True
        return False

    def _waits(self, task: Task) -> bool:
        """Return whether a round that a person asked for has not started and needs a task that is not DONE."""
        if task.last is not None or not task.row.after or task.wish not in {None, Status.TODO}:
            return False
        return any(self.roster.statuses.get(need) is not Status.DONE for need in task.row.after)

    def _gauged(self, task: Task, now: float) -> Task:
        """Return a task with what is known of its running agent: is it done, how full is its window, does it loop."""
        last = task.last
        if last is None or not any(step.kind in AGENTS for step, _ in last.running):
            return task
        from agentjobs.run.steps.gauges import finished_of, gauged  # only needed while agents run

        return gauged(self.project, finished_of(self.project, task, now))

    # --- result, and waiting

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of every row as of the last turn."""
        return self.roster.statuses

    @property
    def owes(self) -> bool:
        """True if cells or closed rounds still have to be written to tasks.tsv."""
        return self.roster.owes

    def flush(self) -> None:
        """Write everything that a resident run has not written to the table yet. The caller holds the lock."""
        self._saved_at = self.clock()
        self.roster.save()

    def _summary(self, acted: int, made: Schedule) -> Turn:
        running = tuple(sorted({task_id for _, task_id, _, _ in self._running}))
        halt = self.store.halt()
        if made.alive or running:
            why = "; ".join([*filter(None, [paused(self.store, self.clock())]), *self._put_off.values()])
            if not why and made.waiting and not running and not acted and halt is None:
                why = starved(self.project.policy)
            return Turn(acted, ExitCode.OK, made.until, why, running, made.waiting)
        if halt is not None:
            return Turn(acted, ExitCode.HALTED, made.until, f"{halt.why}: {halt.detail}")
        if made.short and made.waiting:
            return Turn(acted, ExitCode.HALTED, made.until, made.short)
        if self._phased and (why := self.phases.waits()):
            return Turn(acted, ExitCode.HALTED, made.until, why)
        return Turn(acted, ExitCode.NOTHING_LEFT, made.until)

    def wait(self, until: float) -> None:
        """Sleep until ``until``, until a step ends, or until it is time to look at the logs again."""
        now = self.clock()
        steps = [
            (pid, step_files(self.store.attempt_dir(task_id, number), name))
            for pid, task_id, number, name in self._running
        ]
        wait_any(steps, max(0.0, min(until - now, LOOK_S)))
