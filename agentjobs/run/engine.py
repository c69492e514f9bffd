"""One turn: read the facts, plan, apply, write the table. And waiting for the next one.

A turn takes little time, never blocks on a child, and leaves the table true. ``Engine`` keeps what it has read,
so that a resident ``run`` pays for what changes; every turn begins by looking whether somebody else was here.
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
from agentjobs.core.pauses import in_force, told_of
from agentjobs.core.reviews import last_start
from agentjobs.disk.files import read_raw
from agentjobs.launch.step import is_held
from agentjobs.model.decisions import RUN, Begin, Conclude, Defer, End, Judge, Look, Settle, Weigh
from agentjobs.model.errors import ExitCode, UserError
from agentjobs.model.state import Halt
from agentjobs.model.steps import AGENTS, Running
from agentjobs.model.tasks import Status
from agentjobs.project.roster import Roster
from agentjobs.project.store import step_files
from agentjobs.text.columns import until_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentjobs.core.board import Board, Plan
    from agentjobs.core.pauses import Pause
    from agentjobs.model.decisions import Action, Decision
    from agentjobs.model.tasks import Row, Task
    from agentjobs.project.project import Project
    from agentjobs.run.attempts import Attempts
    from agentjobs.run.landing.queue import MergeQueue
    from agentjobs.run.phases.runs import PhaseRuns
    from agentjobs.run.steps.footprint import Expectations

LOOK_S = 1.0
"""How often a waiting poll looks at the clock, the sizes of logs and the table."""

BURST_S = 0.2
"""A resident run writes the table at most so often."""

TURN_S = 0.5
"""A turn begins no further pass after so long: the lock is for short work, and quick agents could keep it for ever."""

NEVER = float("inf")


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
    """Ids with a live step; ``QUEUE_ID`` for the gate of a batch."""
    starting: bool = False
    """Something could begin as soon as the time has come."""


class Engine:
    """Drives one project. ``clock`` gives the time; it is asked once for each pass.

    Without ``starts`` its turns begin no attempt: what was begun is ended, checked, landed and settled.
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
        self._running: list[tuple[int, str, int, str]] = []
        self._put_off: dict[str, str] = {}
        """Tasks that wait for the lock of a tree, and why: no more of them is done in this turn."""
        self._kept: dict[str, Task] = {}
        """Tasks as this turn read them, for as long as nothing can have changed: we hold the lock, their step runs."""

    @cached_property
    def attempts(self) -> Attempts:
        """The hands; a poll with nothing to do needs none."""
        from agentjobs.run.attempts import Attempts

        return Attempts(self.project)

    @cached_property
    def _expectations(self) -> Expectations:
        from agentjobs.run.steps.footprint import Expectations  # only with limits.tokens_in_flight

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
        """Whether there are phases; the policy is read only where the file has the word."""
        from agentjobs.project.project import POLICY

        return b"phases" in read_raw(self.project.root / POLICY, follow=True) and bool(self.project.policy.phases)

    @cached_property
    def phases(self) -> PhaseRuns:
        """The phases."""
        from agentjobs.run.phases.runs import PhaseRuns  # only where there are some

        return PhaseRuns(self.project, self.roster, self.attempts)

    @property
    def ends_gate(self) -> bool:
        """Whether a run of the gate was told to stop and is not over."""
        return self._queued and self.queue.runs.is_ending()

    @property
    def _queued(self) -> bool:
        """Whether the gate ever ran here."""
        return bool(self.store.numbers(QUEUE_ID))

    # --- a turn

    def turn(self, *, resident: bool = False) -> Turn:
        """Do all that can be done now. The caller holds the lock.

        ``resident``: another turn of this engine follows soon, so the table may be written a moment later.
        UserError where the table or the policy cannot be read: then nothing was done.
        """
        scope = self.store.scope()
        if scope is None:
            raise UserError("nothing is in play yet; `agentjobs dispatch` says what is and starts it")
        if self.project.file.unfinished(self.store.dir / "table.cut"):
            why = "ends in the middle of a line, as if it were being written; it is read again"
            return Turn(0, ExitCode.OK, self.clock() + LOOK_S, f"{self.project.file.path.name} {why}")
        self.roster.load(scope, self.clock())
        settled = not self.roster.owes and not self.store.active() and not self._unsettled()
        gating = self._queued and self.queue.runs.open() is not None
        if settled and not gating and not (self._phased and self._phases_go_on()):
            return self._rest()
        self.project.file.check_writable()
        from agentjobs.project.looks import Lookout  # not where every row is settled

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
        """Whether phases whose rows are all settled have something to plan, or to say."""
        from agentjobs.core.phases import go_on  # only where there are some
        from agentjobs.project.phase_state import stages_now

        return go_on(stages_now(self.project, self.roster.statuses, self.roster.scope, frozenset()))

    def _rest(self) -> Turn:
        """Answer where every row is settled: where there are no phases, the policy is not even read."""
        self._running = []
        halt = self.store.halt()
        if halt is not None:
            return Turn(0, ExitCode.HALTED, NEVER, f"{halt.why}: {halt.detail}")
        return Turn(0, ExitCode.NOTHING_LEFT, NEVER)

    def _passes(self) -> tuple[int, Plan]:
        """Plan and apply until nothing more can be done, or the turn has taken long enough."""
        from agentjobs.core.plan import plan

        begun_at = time.monotonic()
        acted = 0
        self._kept.clear()
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
            board = self._board(tasks, now)
            ready = self.phases.ready if self._phased else self.roster.ready
            made = plan(board, ready, self.project.policy, now, self._expected)
            made = replace(made, actions=tuple(action for action in made.actions if action.id not in put_off))
            if made.halt is not None:
                self.store.set_state("halt", made.halt)
                self.store.event(now, "", "halt", why=made.halt.why, detail=made.halt.detail)
            if made.gate:  # first: what begins in this pass stands on what lands in it
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
                    self._tasks(self.clock())  # a slow pass began something: the table is to say so
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
                continue  # what was just begun or concluded ran into it: this need not
            task = tasks.get(action.id) or self._new_task(row)
            if task is None:
                continue
            acted += self._carry_out(task, action.decision, now)
        return acted

    def _met_trouble(self, row: Row, begin: Begin, before: Mapping[str, Pause]) -> bool:
        """Whether it turned out meanwhile that the account of this attempt, or the whole run, is in trouble."""
        if self.store.halt() is not None:
            return True
        account, now = account_for(self.project.policy, begin.profile, row), self.store.pauses()
        return any(now.get(name) != before.get(name) for name in (account, RUN))

    def _carry_out(self, task: Task, decision: Decision, now: float) -> int:
        """Apply a decision, and what follows from it for the same task as far as that needs no slot."""
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
        """Open a round for a row that says TODO; None where the facts say that it is settled, or at work already."""
        task = self.roster.rounds.open(row, self.roster.scope)
        if task is None and not self.store.is_active(row.id):
            self.roster.settled(row.id)
        self.roster.begun(row.id)
        return task

    # --- reading

    def _tasks(self, now: float) -> list[Task]:
        """Read every task with an open round; one whose round is settled already only waits for the table."""
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
            last = task.last
            for step in last.steps if last and last.result is None else ():
                if isinstance(step.phase, Running):
                    self._running.append((step.phase.pid, task_id, task.attempts[-1].number, step.name))
                    if step.phase.pid:
                        self._kept[task_id] = task
            self.roster.show(task)
        if self._queued:
            self._running += self.queue.runs.steps()
        return tasks

    def _runs_on(self, task: Task) -> bool:
        """Whether the step that ran when this turn read the task still does; its place in the list is kept too."""
        last = task.attempts[-1]
        for step in last.steps:
            if isinstance(step.phase, Running):
                files = step_files(self.store.attempt_dir(task.row.id, last.number), step.name)
                if is_held(files):
                    self._running.append((step.phase.pid, task.row.id, last.number, step.name))
                    return True
        return False

    def _waits(self, task: Task) -> bool:
        """Whether a round that a person asked for has not begun, and needs what is not DONE (again)."""
        if task.last is not None or not task.row.after or task.wish not in {None, Status.TODO}:
            return False
        return any(self.roster.statuses.get(need) is not Status.DONE for need in task.row.after)

    def _gauged(self, task: Task, now: float) -> Task:
        """Note of a running agent whether it is through, how full its window is, and whether it goes astray."""
        last = task.last
        if last is None or not any(isinstance(s.phase, Running) and s.kind in AGENTS for s in last.steps):
            return task
        from agentjobs.run.steps.gauges import finished_of, gauged  # only while agents run

        return gauged(self.project, finished_of(self.project, task, now))

    def _board(self, tasks: list[Task], now: float) -> Board:
        from agentjobs.core.board import Board
        from agentjobs.core.restarts import sweep_due
        from agentjobs.launch import local
        from agentjobs.project.cells import spent_of

        store, policy = self.store, self.project.policy
        limits = policy.limits
        board = Board(
            tasks=tuple(tasks),
            pauses=store.pauses(),
            hold=store.hold(),
            halt=store.halt() or (None if self.starts else Halt("stop", "this turn begins nothing", now)),
            last_start_at=max((last_start(t.attempts[-1]) for t in tasks if t.attempts), default=0.0),
            tally=store.tally() if limits.breaker else (),
        )
        if self._queued:
            gating = self.queue.runs.open() is not None
            board = replace(board, gating=gating, asked=not gating and self.queue.runs.asked() is not None)
        if len(self._running) < policy.slots and limits.min_free_memory_bytes:
            board = replace(board, free_memory=local.free_memory())
        if limits.run_cost_usd is not None or limits.run_tokens is not None or limits.run_attempts is not None:
            from agentjobs.core.budget import with_running  # only where there is a budget

            spent = spent_of(self.project.file, store.unspent(), store.open_requests())
            board = replace(board, spent=with_running(spent, tasks))
        deferred = {task.row.id for task in tasks if isinstance(decide(task, policy, now), Defer)}
        if deferred and sweep_due(tasks, deferred):
            from agentjobs.project.restart_history import history  # layer 3 only

            failed, total = self.roster.share(len(tasks))
            board = replace(board, failed=failed, total=total, history=history(self.project))
        return board

    # --- the answer, and waiting

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of every row as of the last turn."""
        return self.roster.statuses

    @property
    def owes(self) -> bool:
        """Whether the table has not been told of everything yet."""
        return self.roster.owes

    def flush(self) -> None:
        """Write what a resident run still owes the table. The caller holds the lock."""
        self._saved_at = self.clock()
        self.roster.save()

    def _summary(self, acted: int, made: Plan) -> Turn:
        running = tuple(sorted({task_id for _, task_id, _, _ in self._running}))
        halt = self.store.halt()
        if made.alive or running:
            why = "; ".join([*filter(None, [self._paused()]), *self._put_off.values()])
            if not why and made.waiting and not running and not acted and halt is None:
                why = self._starved()
            return Turn(acted, ExitCode.OK, made.until, why, running, made.waiting)
        if halt is not None:
            return Turn(acted, ExitCode.HALTED, made.until, f"{halt.why}: {halt.detail}")
        if made.short and made.waiting:
            return Turn(acted, ExitCode.HALTED, made.until, made.short)
        if self._phased and (why := self.phases.waits()):
            return Turn(acted, ExitCode.HALTED, made.until, why)
        return Turn(acted, ExitCode.NOTHING_LEFT, made.until)

    def _paused(self) -> str:
        """Say who waits for what and until when, for people."""
        now, hold = self.clock(), self.store.hold()
        pauses = [*sorted(in_force(self.store.pauses()).items()), *([(RUN, hold)] if hold is not None else [])]
        said = []
        for account, pause in pauses:
            if pause.stuck:
                said.append(f"stopped: {told_of(account, pause)}")
            elif pause.until > now:
                said.append(f"paused until {until_text(pause.until)}: {told_of(account, pause)}")
        return "; ".join(said)

    def _starved(self) -> str:
        from agentjobs.launch import local

        limits = self.project.policy.limits
        return limits.starved(local.free_memory()) if limits.min_free_memory_bytes else ""

    def wait(self, until: float) -> None:
        """Sleep until ``until``, until a step ends, or until it is time to look at the logs again."""
        from agentjobs.launch import local

        now = self.clock()
        steps = [
            (pid, step_files(self.store.attempt_dir(task_id, number), name))
            for pid, task_id, number, name in self._running
        ]
        local.wait_any(steps, max(0.0, min(until - now, LOOK_S)))
