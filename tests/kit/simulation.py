"""A world in memory for the pure core: tasks, agents that behave at random, a clock, kills, and edits by people.

``World(seed, …).run()`` takes turns as the engine does (plan, apply, plan again) until the plan says that nothing
is alive, and checks at every step what must hold whatever happens. A broken promise is a ``Broken``. The world
knows by itself which agents live, what a limit said and which task holds which file. It does not ask the core.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.core.accounts import account_for, account_of
from agentjobs.core.board import Board, Schedule
from agentjobs.core.budget import Spent, with_running
from agentjobs.core.decide import PROBES_MAX, SETUP_AGAIN, UNSPENT_MAX, decide, restarts_after
from agentjobs.core.pauses import SEVERAL, Unanswered, in_force, lifted, pause_after, pauses_after
from agentjobs.core.review_findings import weighed
from agentjobs.core.reviews import RUNS_MAX, at_work, due, last_start, next_agent, passed, runs, unheard
from agentjobs.core.schedule import schedule
from agentjobs.core.start_over_pays import History
from agentjobs.model.decisions import (
    RUN,
    Begin,
    Conclude,
    Decision,
    Defer,
    End,
    Judge,
    Land,
    Launch,
    Look,
    Settle,
    Wait,
    Weigh,
)
from agentjobs.model.facts import AgentEnd, Attempt, Intent, Mode, Result, attempt_of
from agentjobs.model.outcomes import LAYER_1, UNSPENT, Outcome
from agentjobs.model.reviews import Finding, ReviewEnd, ReviewPlan
from agentjobs.model.state import Halt
from agentjobs.model.steps import Exited, Gauge, Kill, Lost, Prepared, Running, Seen, Step, StepKind, StepState
from agentjobs.model.tasks import SETTLED, Row, Status, Task
from agentjobs.policy.severities import SEVERITIES
from agentjobs.text.path_patterns import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from agentjobs.core.pauses import Pause
    from agentjobs.policy.policy import Policy

START = 1_000_000.0
TURNS_MAX = 4000
PASSES_MAX = 200
STRANGE = frozenset({Outcome.LIMIT, Outcome.OVERLOADED, Outcome.UNREACHABLE, Outcome.AUTH, Outcome.INFRA})


ASTRAY = (Gauge(used=10**9), Gauge(errors=10**3), Gauge(idle=10**4), Gauge(cost=2.0, tokens=900))


class Broken(AssertionError):
    """The core broke a promise."""


def hold(fact: object, promise: str) -> None:
    """Raise unless ``fact``."""
    if not fact:
        raise Broken(promise)


def listed(rows: Iterable[Row]) -> Callable[[Container[str]], Iterable[Row]]:
    """Return rows as ``schedule`` wants them."""
    return lambda closed: (row for row in rows if row.profile not in closed)


def _at_work(board: Board) -> list[Attempt]:
    """Return the newest attempt of each task, and each of its reviews as an attempt of the reviewer's agent."""
    last = [task.last for task in board.tasks if task.last is not None]
    return [*last, *(review for attempt in last for review, _ in at_work(attempt))]


class Odds(Struct, frozen=True):
    """How likely things are in one world."""

    ok: float = 0.5
    trouble: float = 0.05
    hang: float = 0.05
    stubborn: float = 0.3
    check_fails: float = 0.3
    lost: float = 0.05
    conflict: float = 0.1
    poll_killed: float = 0.1
    meddling: float = 0.0
    gate: bool = False
    clock_back: float = 0.0
    same_error: float = 0.2
    full: float = 0.05
    unanswered: float = 0.3
    cost: float = 0.5
    paused: float = 0.0


class Proc:
    """A process of the world: when it ends, and whether it goes when it is asked to."""

    def __init__(self, ends_at: float, code: int, *, stubborn: bool, loses: bool) -> None:
        self.ends_at = ends_at
        self.code = code
        self.stubborn = stubborn
        self.loses = loses


class Batch:
    """A run of the gate for several tasks: their attempts, and how the run will end."""

    def __init__(self, members: dict[str, int], ends_at: float, *, green: bool, asked: bool) -> None:
        self.members = members
        self.ends_at = ends_at
        self.green = green
        self.asked = asked


class SimTask:
    """What the facts say of one row."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.round = 1
        self.attempts: list[Attempt] = []
        self.open = False
        self.wish: Status | None = None
        self.status = Status.TODO
        self.procs: dict[str, Proc] = {}
        self.parents: dict[str, int] = {}
        self.done_commits = 0

    @property
    def mine(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if a.intent.round == self.round)

    def task(self, in_play: bool, asked_at: float) -> Task:
        earlier = sum(
            a.result is not None and a.result.outcome not in UNSPENT
            for a in self.attempts
            if a.intent.round != self.round
        )
        mine = self.mine
        if mine and mine[-1].result is None:
            mine = (*mine[:-1], replace(mine[-1], asked_at=asked_at))
        return Task(self.row, self.round, mine, earlier, self.wish, in_play)


class World:
    """Rows, processes, a target branch, a clock."""

    def __init__(self, seed: int, policy: Policy, rows: list[Row], odds: Odds) -> None:
        self.random = Random(seed)
        self.policy = policy
        self.odds = odds
        self.tasks = {row.id: SimTask(row) for row in rows}
        self.out: set[str] = set()
        self.now = START
        self.pauses: dict[str, Pause] = {}
        self.halt: Halt | None = None
        self.tally: list[tuple[str, str]] = []
        self.counted: set[str] = set()
        self.tip = 0
        self.no_start_before: dict[str, float] = {}
        """By account: what the last limit said of its end."""
        self.paused_until = 0.0
        self.asked_at = 0.0
        """When a person last dispatched."""
        self.begun = 0
        self.starts_at: list[float] = []
        self.dispatches = 2
        self.batch: Batch | None = None
        self.asked: tuple[str, ...] = ()
        """What the last run of the gate asks for."""
        self.sizes: dict[str, int] = {}
        """Tokens that an attempt of a task is expected to hold; a resumed one holds twice as many."""

    # --- the run

    def run(self) -> None:
        """Take turns to the end, and check that it is one."""
        for _ in range(TURNS_MAX):
            made = self.turn()
            if made is None:
                continue
            running = self.batch is not None or any(task.procs for task in self.tasks.values())
            if not made.alive and not running:
                if self._go_on(made):
                    continue
                self._check_end(made)
                return
            if running or made.until < math.inf:
                self._pass_time(made)
            elif self.paused_until == math.inf:
                self.paused_until = 0.0  # the person goes on
            elif not made.actions:
                hold(False, "alive, but nothing runs and no time is known to wait for")
            self._meddle()
        hold(False, f"no end after {TURNS_MAX} turns")

    def turn(self) -> Schedule | None:
        """Schedule and apply until nothing is left to do; None where the poll was killed in the middle."""
        for _ in range(PASSES_MAX):
            self._advance_batch()
            board = self._board()
            ready = self._ready()
            made = schedule(board, listed(ready), self.policy, self.now, self._expected)
            again = schedule(board, listed(ready), self.policy, self.now, self._expected)
            hold(made == again, "the same board gives the same plan")
            self._check_plan(made, board, ready)
            if made.halt is not None:
                self.halt = made.halt
            if made.gate:
                if self.random.random() < self.odds.poll_killed:
                    return None
                self._form(made.batch)
                self._check_world()
            dies_after = -1
            if self.random.random() < self.odds.poll_killed:
                dies_after = self.random.randint(0, len(made.actions))
            for number, action in enumerate(made.actions):
                if number == dies_after:
                    return None
                if isinstance(action.decision, Begin):
                    names = (self._account(self.tasks[action.id].row, action.decision), RUN)
                    if self.halt or any(self.pauses.get(n) != board.pauses.get(n) for n in names):
                        continue
                self._apply(self.tasks[action.id], action.decision)
                self._check_world()
            if not made.gate and all(isinstance(action.decision, End) for action in made.actions):
                return made
        hold(False, f"a turn does not come to rest in {PASSES_MAX} passes")
        return None

    def _pass_time(self, made: Schedule) -> None:
        ends = [p.ends_at for task in self.tasks.values() for p in task.procs.values()]
        ends += [self.batch.ends_at] if self.batch is not None else []
        due = min([*ends, made.until, *([self.now + 1.0] if made.actions else [])])
        if self.random.random() < 0.2:
            due = self.random.uniform(self.now, min(due, self.now + 100.0))
        hold(due < math.inf, "waits for ever")
        self.now = max(self.now, due) + self.random.choice([0.0, 0.001, 0.5])
        if self.random.random() < self.odds.clock_back:
            back = self.random.choice([3600.0, 86400.0])
            self.no_start_before = {a: at for a, at in self.no_start_before.items() if at > self.now}
            self.now -= back
            if self.batch is not None:
                self.batch.ends_at -= back
            for task in self.tasks.values():
                for proc in task.procs.values():
                    proc.ends_at -= back
        for task in self.tasks.values():
            self._end_processes(task)

    def _go_on(self, made: Schedule) -> bool:
        """A person dispatches again after a halt, now and then."""
        stuck = any(p.stuck for p in self.pauses.values()) or made.short.startswith("reviewers")
        if not (self.halt or self.out or stuck) or not self.dispatches:
            return False
        self.asked_at = self.now
        self.dispatches -= 1
        self.halt = None
        self.pauses = lifted(self.pauses, self.now)
        self.tally.clear()
        self.counted.clear()
        self.out.clear()
        return True

    def _meddle(self) -> None:
        if self.random.random() < self.odds.paused:
            self.paused_until = self.random.choice([0.0, self.now + 60.0, math.inf])
        if self.random.random() >= self.odds.meddling:
            return
        task = self.random.choice(list(self.tasks.values()))
        what = self.random.choice([Status.TODO, Status.SKIPPED, Status.DONE, Status.FAILED, "stop", "start"])
        if what == "stop":
            self.out.add(task.row.id)
        elif what == "start":
            self.out.discard(task.row.id)
        elif isinstance(what, Status):
            self._wish(task, what)
        self.odds = replace(self.odds, meddling=self.odds.meddling * 0.9)

    def _wish(self, task: SimTask, wish: Status) -> None:
        if task.open:
            task.wish = wish
        elif wish is Status.TODO and task.status in SETTLED:
            task.round += 1
            task.open = True
            task.status = Status.TODO
        elif wish is not Status.TODO:
            task.status = wish

    # --- what the core is shown

    def _board(self) -> Board:
        open_ = [task for task in self.tasks.values() if task.open]
        every = [a for task in self.tasks.values() for a in task.attempts]
        last = [last_start(task.attempts[-1]) for task in open_ if task.attempts]
        statuses = [t.status for t in self.tasks.values() if t.row.id not in self.out and not t.open]
        spent = Spent(sum(a.end.cost for a in every if a.end), sum(a.end.tokens for a in every if a.end), len(every))
        tasks = tuple(self._shown(task) for task in open_)
        return Board(
            tasks=tasks,
            pauses=dict(self.pauses),
            halt=self.halt,
            paused_until=self.paused_until,
            last_start_at=max(last, default=0.0),
            spent=with_running(spent, tasks),
            tally=tuple(self.tally),
            failed=statuses.count(Status.FAILED),
            total=sum(status in SETTLED for status in statuses) + len(open_),
            history=self._history(),
            gating=self.batch is not None,
            asked=self.batch is None and bool(self._wanted()),
        )

    def _shown(self, task: SimTask) -> Task:
        return task.task(task.row.id not in self.out, self.asked_at)

    def _history(self) -> History:
        started = [t for t in self.tasks.values() if t.attempts]
        cost = sum(a.end.cost for t in started for a in t.attempts if a.end)
        return History(cost=cost / len(started) if started else 0.0)

    def _ready(self) -> list[Row]:
        return [
            task.row
            for task in self.tasks.values()
            if task.status is Status.TODO
            and not task.open
            and task.row.id not in self.out
            and all(self.tasks[need].status is Status.DONE and not self.tasks[need].open for need in task.row.after)
        ]

    # --- landing in batches

    def _lands(self, task_id: str) -> bool:
        task = self.tasks[task_id]
        made = self._shown(task)
        return task.open and made.in_play and isinstance(decide(made, self.policy, self.now), Land)

    def _wanted(self) -> tuple[str, ...]:
        """Return what the last verdict asks for, if it still has a point."""
        return self.asked if all(self._lands(task_id) for task_id in self.asked) else ()

    def _form(self, ids: tuple[str, ...]) -> None:
        wanted = self._wanted()
        members = wanted or ids
        hold(self.batch is None, "one run of the gate at a time")
        hold(members, "no run of the gate for nothing")
        hold(len(ids) <= self.policy.landing.together, "a batch is at most as large as the policy allows")
        hold(all(self._lands(task_id) for task_id in members), "only what is verified goes into a batch")
        hold(self.policy.landing.enabled, "lands where there is a target")
        if self.policy.landing.together == 1 and self._landed_alone(self.tasks[members[0]]):
            return
        self.batch = Batch(
            {task_id: len(self.tasks[task_id].attempts) for task_id in members},
            self.now + self.random.uniform(0.1, 300.0),
            green=self.random.random() >= self.odds.check_fails,
            asked=bool(wanted),
        )
        self.asked = ()

    def _landed_alone(self, task: SimTask) -> bool:
        """Land a task at once where its checks saw what lands, and there is no gate; False: checks have to run."""
        hold(not task.procs, "lands nothing that lives")
        check = task.attempts[-1].last(StepKind.VERIFY)
        if check is not None and task.parents.get(check.name, 0) != self.tip:
            if self.random.random() < self.odds.conflict:
                self._close(task, self._result(task, Outcome.CONFLICT))
                return True
            return False
        if self.policy.landing.gate:
            return False
        self.tip += 1
        task.done_commits += 1
        self._close(task, self._result(task, Outcome.OK))
        return True

    def _advance_batch(self) -> None:
        """End a run that nobody waits for; land, blame, or ask for another where one has ended."""
        batch = self.batch
        if batch is None:
            return
        members = [self.tasks[task_id] for task_id in batch.members]
        there = all(self._lands(t.row.id) and len(t.attempts) == batch.members[t.row.id] for t in members)
        if there and batch.ends_at > self.now:
            return
        self.batch = None
        if not there or self.random.random() < self.odds.lost:
            return
        if batch.green:
            for task in members:
                self.tip += 1
                task.done_commits += 1
                self._close(task, self._result(task, Outcome.OK))
        elif batch.asked or self.policy.landing.together == 1 or self.random.random() < 0.5:
            task = self.random.choice(members)
            self._close(task, self._result(task, Outcome.GATE_FAILED))
        else:
            self.asked = tuple(batch.members)

    # --- what it does

    def _apply(self, task: SimTask, decision: Decision) -> None:
        if isinstance(decision, Begin):
            self._begin(task, decision)
        elif isinstance(decision, Settle):
            self._settle(task, decision)
        elif isinstance(decision, Launch):
            self._launch(task, decision)
        elif isinstance(decision, Judge):
            self._judge(task)
        elif isinstance(decision, Look):
            self._look(task, decision.step)
        elif isinstance(decision, Weigh):
            self._weigh(task, decision.step)
        elif isinstance(decision, Conclude):
            self._conclude(task, decision.outcome)
        elif isinstance(decision, End):
            self._end(task, decision)
        else:
            hold(False, f"{decision} is not an action")

    def _begin(self, task: SimTask, begin: Begin) -> None:
        mine = task.mine
        last = mine[-1] if mine else None
        hold(last is None or last.result is not None, "begins while the attempt before is open")
        hold(task.status is Status.TODO or task.open, "begins a settled task")
        hold(self.halt is None, "begins after a halt")
        account = self._account(task.row, begin)
        hold(self.now >= self.no_start_before.get(account, 0.0), "begins before a limit of its account is over")
        hold(task.row.id not in self.out, "begins what is not in play")
        hold(begin.profile in self.policy.profiles, "begins with a profile that exists")
        hold((begin.mode is Mode.FIRST) <= (last is None or last.intent.mode is Mode.FIRST), "a first attempt is first")
        hold(begin.fresh or (last is not None and bool(last.intent.session)), "resumes a conversation there is")
        if begin.mode is Mode.RESUME and not begin.fresh:
            hold(last and last.result and last.result.outcome in LAYER_1 | UNSPENT, "resumes the interrupted only")
        if self.policy.limits.run_attempts is not None:
            hold(self.begun < self.policy.limits.run_attempts, "begins within run_attempts")
        if task.wish not in {None, Status.TODO}:
            hold(False, "begins what a person does not want")
        task.wish = None
        task.open = True
        self.begun += 1
        self.starts_at.append(self.now)
        number = len(task.attempts) + 1
        setup = self.policy.workspace.setup or ""
        intent = Intent(
            task.row.id,
            number,
            task.round,
            begin.mode,
            begin.profile,
            self.policy.profiles[begin.profile].agent,
            self.now,
            begin.why,
            fresh=begin.fresh,
            session=f"s{number}",
            base="b" if self.policy.workspace.kind == "worktree" else "",
            restarts=restarts_after(last, begin.mode),
            setup=setup if begin.mode in {Mode.FIRST, Mode.RESTART} else "",
            checks=self.policy.profiles[begin.profile].verify,
            review=self.policy.profiles[begin.profile].review,
            review_pass=self.policy.profiles[begin.profile].review_pass,
            probe=begin.probe,
            context=begin.context,
        )
        task.attempts.append(Attempt(intent))
        self._check_bounds(task)
        if self.random.random() < self.odds.poll_killed:
            return  # killed between the intent and its first step
        kind = StepKind.SETUP if intent.setup else StepKind.AGENT
        self._launch(task, Launch(kind.value, kind))

    def _launch(self, task: SimTask, launch: Launch) -> None:
        attempt = task.attempts[-1]
        hold(attempt.result is None, "launches a step of an attempt that is over")
        hold(not task.procs, "never two live steps of one task")
        old = attempt.step(launch.name)
        hold(old is None or isinstance(old.state, Prepared), f"{launch.name} is started once")
        if launch.kind is StepKind.REVIEW:
            self._launch_review(task, launch.name)
            return
        if launch.kind is StepKind.VERIFY:
            hold(attempt.end is not None and attempt.end.outcome is Outcome.OK, "checks only what an agent finished")
            before = attempt.last(StepKind.VERIFY)
            if before is not None and self._rest(attempt):
                task.parents[launch.name] = task.parents.get(before.name, 0)
            else:
                self._integrate(task, launch.name)
                if task.attempts[-1].result is not None:
                    return
        elif launch.name == SETUP_AGAIN:
            hold(attempt.end is not None and attempt.end.setup != "", "setup runs again where the agent spoilt it")
            hold(attempt.last(StepKind.VERIFY) is None, "setup runs again before the checks")
        else:
            hold(attempt.end is None, "an agent that ended is not started again")
        if old is None and self.random.random() < 0.1 * self.odds.poll_killed:
            self._put(task, Step(launch.name, launch.kind, Prepared()))
            return
        self._start(task, launch.name, launch.kind)

    def _rest(self, attempt: Attempt) -> int:
        """Return how many checks have to run alone, after the newest run of the checks."""
        check = attempt.last(StepKind.VERIFY)
        if check is None or not isinstance(check.state, Exited) or check.state.code != 0:
            return 0
        return check.rest or (check.checks - 1 if check.seen is not None and check.seen.changed else 0)

    def _look(self, task: SimTask, name: str) -> None:
        attempt = task.attempts[-1]
        step = next(s for s in attempt.steps if s.name == name)
        hold(isinstance(step.state, Exited) and step.state.code == 0, "looks at the tree after checks that passed")
        hold(step.seen is None and step.checks > 1 and not task.procs, "looks once, and where a check could hide it")
        self._put(task, replace(step, seen=Seen(("f",) if self.random.random() < self.odds.check_fails else ())))

    def _launch_review(self, task: SimTask, name: str) -> None:
        attempt = task.attempts[-1]
        check = attempt.last(StepKind.VERIFY)
        verified = check is None or (isinstance(check.state, Exited) and check.state.code == 0 and check.kill is None)
        hold(attempt.end is not None and attempt.end.outcome is Outcome.OK and verified, "judges what was verified")
        hold(self.halt is None, "no reviewer begins after a halt")
        old = attempt.step(name)
        if old is None:
            reviewer = due(self._shown(task).attempts[-1])
            hold(reviewer in attempt.intent.review, "asks one of the reviewers")
            agent = self.policy.profiles[reviewer].agent
            plan_ = ReviewPlan(reviewer, agent, "c", "b", ("x",), "", self.now)
            self._put(task, Step(name, StepKind.REVIEW, Prepared(), review=plan_))
            if self.random.random() < self.odds.poll_killed:
                return  # killed between the plan and the start
        self._start(task, name, StepKind.REVIEW)
        mine = [s for s in runs(task.attempts[-1]) if s.review and s.review.reviewer == attempt.intent.review[0]]
        hold(len(mine) <= RUNS_MAX, "a reviewer is not asked for ever")

    def _weigh(self, task: SimTask, name: str) -> None:
        attempt = task.attempts[-1]
        step = next(s for s in attempt.steps if s.name == name)
        hold(isinstance(step.state, Exited | Lost) and not task.procs, "hears a reviewer that has ended")
        hold(step.verdict is None and step.review is not None, "once")
        assert step.review is not None
        outcome, reset_at = self._outcome(step)
        valid = outcome is Outcome.OK and self.random.random() < 0.8
        found: tuple[Finding, ...] = ()
        if valid:
            count = self.random.choice([0, 0, 1, 2])
            severities = [self.random.choice(SEVERITIES) for _ in range(count)]
            found = tuple(Finding("f", s, "t", "i", blob=self.random.choice("12")) for s in severities)
            earlier = [s.verdict for a in task.mine[:-1] for s in runs(a) if s.verdict is not None and s.verdict.valid]
            found = weighed(found, earlier)
        account = account_of(self.policy, step.review.agent)
        if outcome is Outcome.LIMIT and reset_at > self.now:
            self.no_start_before[account] = max(self.no_start_before.get(account, 0.0), reset_at)
        after = pause_after(
            self.pauses.get(account), outcome, started_at=step.review.at, reset_at=reset_at, detail="", key=name,
            limits=self.policy.limits, now=self.now,
        )  # fmt: skip
        self.pauses = {name: pause for name, pause in self.pauses.items() if name != account}
        if after is not None:
            self.pauses[account] = after
        self._put(task, replace(step, verdict=ReviewEnd(outcome, self.now, valid, found)))

    def _integrate(self, task: SimTask, name: str) -> None:
        lands = self.policy.landing.enabled and task.attempts[-1].intent.base
        if name not in task.parents:
            if lands and self.random.random() < self.odds.conflict and self.tip:
                self._close(task, self._result(task, Outcome.CONFLICT))
                return
            task.parents[name] = self.tip

    def _start(self, task: SimTask, name: str, kind: StepKind) -> None:
        chance = self.random.random()
        takes = self.random.uniform(0.1, 300.0)
        code = 0
        if kind is StepKind.VERIFY:
            code = int(chance < self.odds.check_fails)
        elif kind is StepKind.SETUP:
            code = int(chance < self.odds.trouble)
        if self.random.random() < self.odds.hang:
            takes = math.inf
        loses = self.random.random() < self.odds.lost
        stubborn = self.random.random() < self.odds.stubborn
        task.procs[name] = Proc(self.now + takes, code, stubborn=stubborn, loses=loses)
        old = next((step for step in task.attempts[-1].steps if step.name == name), None)
        review = old.review if old is not None else None
        step = Step(name, kind, Running(1, self.now), self.now, review=review)
        if kind is StepKind.VERIFY:
            rest = self._rest(task.attempts[-1])
            step = replace(step, checks=1 if rest else self.random.choice([1, 2, 3]), rest=max(0, rest - 1))
        self._put(task, step)

    def _put(self, task: SimTask, step: Step) -> None:
        attempt = task.attempts[-1]
        steps = [old for old in attempt.steps if old.name != step.name] + [step]
        order = list(StepKind)
        steps.sort(key=lambda s: (order.index(s.kind), len(s.name), s.name))
        task.attempts[-1] = replace(attempt, steps=tuple(steps))

    def _end_processes(self, task: SimTask) -> None:
        for name, proc in list(task.procs.items()):
            step = next(s for s in task.attempts[-1].steps if s.name == name)
            if proc.ends_at <= self.now:
                del task.procs[name]
                phase: StepState = Lost(self.now) if proc.loses else Exited(proc.code, self.now)
                self._put(task, replace(step, state=phase))
            elif isinstance(step.state, Running) and self.random.random() < 0.5:
                finished = step.kind is StepKind.AGENT and self.random.random() < 0.1
                talk = replace(step.state, output_at=self.now, finished=step.state.finished or finished)
                if step.kind is StepKind.AGENT and self.random.random() < self.odds.full:
                    talk = replace(talk, gauge=self.random.choice(ASTRAY))
                self._put(task, replace(step, state=talk))

    def _end(self, task: SimTask, end: End) -> None:
        hold(end.step in task.procs, "ends a step that lives")
        step = next(s for s in task.attempts[-1].steps if s.name == end.step)
        if end.hard and step.kill is None:
            hold(end.why in {"runaway", "same_error"}, "asks politely first")
        if end.hard and step.kill is not None and step.kill.at <= self.now:
            hold(self.now >= step.kill.at + self.policy.limits.stop_grace_s, "gives a step its time to end")
        kill = step.kill or Kill(end.why, self.now)
        self._put(task, replace(step, kill=replace(kill, sent=kill.sent + bool(step.kill))))
        proc = task.procs[end.step]
        if end.hard:
            proc.ends_at, proc.loses = self.now, True
        elif not proc.stubborn:
            proc.ends_at = min(proc.ends_at, self.now + self.random.uniform(0, 3))
        self._end_processes(task)

    def _judge(self, task: SimTask, *, ask: bool = True) -> None:
        attempt = task.attempts[-1]
        step = attempt.last(StepKind.AGENT)
        hold(step is not None and not task.procs and attempt.end is None, "judges an agent that ended, once")
        assert step is not None
        hold(isinstance(step.state, Exited | Lost) or not ask, "judges an agent that ended")
        stopped = [s.kill.why for s in attempt.steps if s.kind is StepKind.AGENT and s.kill is not None]
        if ask and stopped == ["context"] and step.name == "agent" and self.random.random() < 0.7:
            self._put(task, Step("agent-2", StepKind.AGENT, Prepared()))
            return
        outcome, reset_at = self._outcome(attempt.first(StepKind.AGENT) or step)
        same = self.random.random() < self.odds.same_error
        signature = "same" if same else f"{self.random.random()}"
        end = AgentEnd(
            outcome,
            self.now,
            signature=signature,
            reset_at=reset_at,
            cost=self.random.random() * self.odds.cost,
            tokens=self.random.randint(0, 1000),
            tree=f"t{self.random.randint(0, 30)}",
            setup="s" if outcome is Outcome.OK and self.random.random() < self.odds.trouble else "",
        )
        task.attempts[-1] = attempt_of(attempt.intent, attempt.steps, end, approved=attempt.approved)

    def _outcome(self, step: Step) -> tuple[Outcome, float]:
        if step.kill is not None and step.kill.why == "stopped":
            return Outcome.STOPPED, 0.0
        if self.random.random() < self.odds.trouble:
            outcome = self.random.choice(sorted(STRANGE))
            reset = self.now + self.random.choice([0, 60, 5000, 20000]) if outcome is Outcome.LIMIT else 0.0
            return outcome, reset if reset > self.now else 0.0
        if step.kill is not None:
            table = {"timeout": Outcome.TIMEOUT, "stalled": Outcome.STALLED, "runaway": Outcome.RUNAWAY}
            table |= {"context": Outcome.CONTEXT_FULL, "over_budget": Outcome.STOPPED}
            return table.get(step.kill.why, Outcome.OK), 0.0
        if isinstance(step.state, Lost):
            return Outcome.LOST, 0.0
        if self.random.random() < self.odds.ok:
            return Outcome.OK, 0.0
        never = UNSPENT | {Outcome.OK, Outcome.VERIFY_FAILED, Outcome.GATE_FAILED, Outcome.CONFLICT}
        return self.random.choice(sorted(set(Outcome) - never)), 0.0

    def _result(self, task: SimTask, outcome: Outcome) -> Result:
        end = task.attempts[-1].end
        signature = "same" if self.random.random() < self.odds.same_error else f"{self.random.random()}"
        return Result(
            outcome,
            self.now,
            signature=end.signature if end and end.outcome is outcome else signature,
            tree=end.tree if end else "",
            tokens=end.tokens if end else 0,
            cost=end.cost if end else 0.0,
            session=task.attempts[-1].intent.session,
            reset_at=end.reset_at if end and end.outcome is outcome else 0.0,
        )

    def _conclude(self, task: SimTask, outcome: Outcome) -> None:
        hold(not task.procs, "concludes nothing that lives")
        hold(task.attempts[-1].result is None, "a result is written once")
        if task.attempts[-1].end is None and task.attempts[-1].last(StepKind.AGENT) is not None:
            step = task.attempts[-1].first(StepKind.AGENT)
            if step is not None and isinstance(step.state, Exited | Lost):
                self._judge(task, ask=False)
        review = unheard(task.attempts[-1])
        if review is not None:
            self._weigh(task, review.name)
        result = self._result(task, outcome)
        self._close(task, replace(result, tree="") if outcome is Outcome.REJECTED else result)

    def _close(self, task: SimTask, result: Result) -> None:
        attempt = task.attempts[-1]
        if result.outcome is Outcome.OK:
            self._check_passed(attempt)
        account = account_of(self.policy, attempt.intent.agent)
        if result.outcome is Outcome.LIMIT and result.reset_at > self.now:
            self.no_start_before[account] = max(self.no_start_before.get(account, 0.0), result.reset_at)
        crashed = result.outcome is Outcome.CRASHED and attempt.end is not None
        crashed = crashed and self.random.random() < self.odds.unanswered
        unanswered = Unanswered(SEVERAL, self.random.choice("ab"), mixed=5) if crashed else None
        found = pauses_after(
            self.pauses, account, attempt.intent, attempt.end, result, self.policy.limits, self.now, unanswered
        )
        after = found.pauses
        self.halt = found.halt or self.halt
        result = self._excuse(found.excused, attempt, result)
        for name in after.keys() | self.pauses.keys():
            hold(name in {account, RUN} or after.get(name) == self.pauses.get(name), "trouble is its account's alone")
            pause = after.get(name)
            if pause is not None and pause != self.pauses.get(name) and not pause.stuck and not pause.passed:
                echo = name in self.pauses and replace(self.pauses[name], alike=pause.alike) == pause
                hold(echo or pause.until > self.now or pause.outcome is Outcome.CRASHED, "a pause lasts")
        self.pauses = after
        if result.outcome not in UNSPENT and task.row.id not in self.counted:
            self.counted.add(task.row.id)
            self.tally.append((result.outcome.value, result.signature))
        over = attempt_of(attempt.intent, attempt.steps, attempt.end, result, approved=attempt.approved)
        task.attempts[-1] = over
        task.parents.clear()

    def _excuse(self, excused: Iterable[str], attempt: Attempt, result: Result) -> Result:
        """Let attempts not count that failed for the account's trouble; only crashes are ever excused."""
        for key in excused:
            task_id, _, number = key.rpartition("/")
            own = (task_id, int(number)) == (attempt.intent.id, attempt.number)
            hold(not own or result.outcome in {Outcome.CRASHED, *STRANGE}, "only crashes are excused")
            if own:
                result = replace(result, outcome=Outcome.UNREACHABLE)
                continue
            other = self.tasks[task_id]
            for at, old in enumerate(other.attempts):
                if old.number == int(number) and old.result is not None:
                    other.attempts[at] = replace(old, result=replace(old.result, outcome=Outcome.UNREACHABLE))
        return result

    def _settle(self, task: SimTask, settle: Settle) -> None:
        last = task.mine[-1] if task.mine else None
        hold(last is None or last.result is not None, "settles nothing with an open attempt")
        hold(not task.procs, "settles nothing that lives")
        hold(task.open, "settles an open round")
        if settle.status is Status.TODO:
            hold(task.wish is Status.TODO, "a new round is a person's wish")
            task.round += 1
            task.wish = None
            return
        if task.wish is None:
            ok = last is not None and last.result is not None and last.result.outcome is Outcome.OK
            hold((settle.status is Status.DONE) == ok, "DONE when all checks passed, and only then")
            hold(settle.status in {Status.DONE, Status.FAILED}, "SKIPPED is a person's word")
        else:
            hold(settle.status is task.wish, "a wish is granted as it was made")
        task.status = settle.status
        task.wish = None
        task.open = False

    # --- what must hold

    def _check_passed(self, attempt: Attempt) -> None:
        hold(attempt.end is not None and attempt.end.outcome is Outcome.OK, "OK needs an agent that ended well")
        hold(passed(attempt), "OK needs the reviews it was to have")
        check = attempt.last(StepKind.VERIFY)
        if check is None:
            hold(not attempt.intent.checks, "OK needs its checks")
            return
        hold(isinstance(check.state, Exited) and check.state.code == 0, "OK needs a check that passed")
        hold(check.kill is None, "a check that was ended has not passed")
        clean = check.checks == 1 or not attempt.intent.base or (check.seen is not None and not check.seen.changed)
        hold(clean and not check.rest, "OK needs each check to have seen what lands")
        again = attempt.step(SETUP_AGAIN)
        redone = again is not None and isinstance(again.state, Exited) and again.state.code == 0
        hold(attempt.end is None or not attempt.end.setup or redone, "OK needs a tree with what setup makes")

    def _check_plan(self, made: Schedule, board: Board, ready: list[Row]) -> None:
        ids = [action.id for action in made.actions]
        hold(len(set(ids)) == len(ids), "one action a task in one plan")
        asked = [a.id for a in made.actions if isinstance(a.decision, Launch) and a.decision.kind is StepKind.REVIEW]
        begins = [action.id for action in made.actions if isinstance(action.decision, Begin)] + asked
        accounts = [
            self._account(self.tasks[a.id].row, a.decision) for a in made.actions if isinstance(a.decision, Begin)
        ]
        shown = {task.row.id: task for task in board.tasks}
        accounts += [account_of(self.policy, next_agent(shown[i], self.policy.profiles)) for i in asked]
        for account in accounts:
            hold(self.now >= self.no_start_before.get(account, 0.0), "begins before a limit of its account is over")
        news = {
            account_of(self.policy, self.tasks[a.id].attempts[-1].intent.agent)
            for a in made.actions
            if isinstance(a.decision, Judge)
        }
        news |= {
            account_of(self.policy, next_agent(shown[a.id], self.policy.profiles))
            for a in made.actions
            if isinstance(a.decision, Weigh)
        }
        hold(not news & set(accounts), "nothing starts beside an agent that has just ended: it may be a limit")
        self._check_accounts(board, accounts)
        if board.paused_until > self.now:
            agents = [a for a in made.actions if isinstance(a.decision, Launch) and a.decision.name == "agent"]
            hold(not begins and not agents, "no agent starts while a person has paused the run")
        else:
            self._check_others_go_on(made, board, ready, accounts, news)
        if begins:
            hold(board.halt is None and made.halt is None, "nothing starts with a halt")
            limits = self.policy.limits
            if limits.start_interval_s:
                hold(len(begins) == 1, "starts are staggered")
                if board.last_start_at <= self.now:
                    hold(self.now >= board.last_start_at + limits.start_interval_s, "starts are staggered in time")
        for task in board.tasks:
            decision = decide(task, self.policy, self.now)
            if isinstance(decision, End):
                hold(task.row.id in ids, "an end is never put off")
        self._check_flight(made, board)

    def _expected(self, task: Task, begin: Begin) -> int:
        return self.sizes.get(task.row.id, 1) * (1 if begin.fresh else 2)

    def _check_flight(self, made: Schedule, board: Board) -> None:
        """Beside what runs an attempt begins only within the cap, by what is known in this pass."""
        cap = self.policy.limits.flight_tokens
        if cap is None:
            return
        flying = []
        for task in board.tasks:
            if task.last is not None and task.last.end is None and task.last.result is None:
                running = [step.state for step in task.last.steps if isinstance(step.state, Running)]
                flying.append(max(task.last.intent.context, *(phase.gauge.used for phase in running), 0))
        for action in made.actions:
            if isinstance(action.decision, Begin):
                hold(action.decision.context >= self.sizes.get(action.id, 1), "what is expected is written down")
                hold(not flying or sum(flying) + action.decision.context <= cap, "the tokens in flight have a cap")
                flying.append(action.decision.context)

    def _check_accounts(self, board: Board, accounts: list[str]) -> None:
        for account in set(accounts):
            for name in (account, RUN):
                pause = in_force(board.pauses).get(name)
                if pause is None:
                    continue
                hold(not pause.stuck, "nothing starts of an account that is stuck")
                hold(self.now >= pause.until, "nothing starts in a pause")
                hold(accounts.count(account) == 1, "restarts are staggered after trouble")
                hold(name or len(accounts) == 1, "and so is the whole run")
                alive = [
                    last
                    for last in _at_work(board)
                    if last.end is None
                    and last.result is None
                    and pause.at < last.intent.started_at <= self.now < last.intent.started_at + 60.0
                    and name in (RUN, account_of(self.policy, last.intent.agent))
                ]
                proved = pause.passed or pause.outcome is Outcome.OVERLOADED or self._proved(board, name, pause)
                hold(proved or not alive, "one probe at a time")

    def _proved(self, board: Board, name: str, pause: Pause) -> bool:
        """Return whether an attempt that started after the trouble has come further than it."""
        for last in _at_work(board):
            if last.intent.started_at <= pause.at:
                continue
            if name not in (RUN, account_of(self.policy, last.intent.agent)):
                continue
            if last.end is not None and last.end.outcome not in STRANGE:
                return True
            if last.end is None and last.result is None and self.now >= last.intent.started_at + 60.0:
                return True
        return False

    def _check_others_go_on(
        self, made: Schedule, board: Board, ready: list[Row], accounts: list[str], news: set[str]
    ) -> None:
        """While one account is paused, what can begin of another does."""
        limits = self.policy.limits
        may = board.halt is None and made.halt is None and not made.short and limits.start_interval_s == 0
        may = may and limits.tokens_in_flight is None
        troubled = {*board.pauses, *news}
        for action in made.actions:
            if isinstance(action.decision, Conclude) and action.decision.outcome in STRANGE:
                troubled |= {RUN, account_of(self.policy, self.tasks[action.id].attempts[-1].intent.agent)}
        if not may or RUN in troubled or limits.run_attempts is not None or limits.run_cost_usd is not None:
            return
        agents = sum(t.last is not None and t.last.result is None and t.last.end is None for t in board.tasks)
        lasts = [task.last for task in board.tasks if task.last is not None]
        agents += sum(isinstance(step.state, Running) for last in lasts for step in runs(last))
        begun = {action.id for action in made.actions if isinstance(action.decision, Begin)}
        for row in ready:
            free = not row.files and account_for(self.policy, row.profile, row) not in troubled
            full = agents + len(accounts) >= self.policy.slots
            finished = sum(last.end is not None and last.result is None for last in lasts)
            full = full or finished + len(begun) >= self.policy.slots + self.policy.landing.together
            hold(not free or full or row.id in begun, f"{row.id} could begin: its account is in no trouble")

    def _account(self, row: Row, begin: Begin) -> str:
        return account_for(self.policy, begin.profile, row)

    def _check_world(self) -> None:
        live = [(t, name) for t in self.tasks.values() for name in t.procs]
        kinds = [next(s.kind for s in t.attempts[-1].steps if s.name == name) for t, name in live]
        # Setup that runs again after the agent is a part of checking.
        kinds = [StepKind.VERIFY if name == SETUP_AGAIN else kind for kind, (_, name) in zip(kinds, live, strict=True)]
        agents = sum(kind in {StepKind.AGENT, StepKind.SETUP, StepKind.REVIEW} for kind in kinds)
        hold(agents <= self.policy.slots, f"{agents} agents in {self.policy.slots} slots")
        kinds += [StepKind.GATE] if self.batch is not None else []
        checks = sum(kind in {StepKind.VERIFY, StepKind.GATE} for kind in kinds)
        hold(checks <= self.policy.verify_slots, f"{checks} checks in {self.policy.verify_slots} slots")
        hold(kinds.count(StepKind.GATE) <= 1, "one gate at a time")
        hold(all(len(t.procs) <= 1 for t in self.tasks.values()), "never two live steps of one task")
        claimed = [t.row.files for t in self.tasks.values() if t.mine and t.open and t.mine[-1].result is None]
        for at, files in enumerate(claimed):
            hold(not any(overlap(files, other) for other in claimed[:at]), "two at work never share a file")

    def _check_bounds(self, task: SimTask) -> None:
        retry = self.policy.retry
        mine = task.mine
        spent = sum(a.result is not None and a.result.outcome not in UNSPENT for a in mine)
        bound = (1 + retry.restarts) * (1 + retry.resumes + retry.repairs)
        hold(spent < bound, f"more than {bound} attempts that count in one round")
        probes = sum(
            a.intent.probe and a.result is not None and a.result.outcome in UNSPENT - {Outcome.STOPPED} for a in mine
        )
        hold(probes <= PROBES_MAX + 1, "and so are probes")
        hold(len(mine) - spent - probes <= UNSPENT_MAX + 2, "attempts that do not count are bounded too")
        hold(mine[-1].intent.restarts <= retry.restarts, "restarts are bounded")
        limit = self.policy.limits.task_attempts
        if limit is not None:
            total = sum(a.result is not None and a.result.outcome not in UNSPENT for a in task.attempts)
            if len(mine) > 1:
                hold(total < limit, "task_attempts holds over all rounds")

    def _check_end(self, made: Schedule) -> None:
        hold(self.batch is None, "no gate runs after the end")
        for task in self.tasks.values():
            hold(not task.procs, "nothing lives after the end")
        if self.halt is not None:
            return
        if made.short and made.waiting:
            stuck = {name for name, pause in self.pauses.items() if pause.stuck}
            if made.short.partition(":")[0] in {outcome.value for outcome in STRANGE}:
                self._check_stuck(stuck)
            return
        hold(made.until == math.inf, "a plan that ends names no time to wait for")
        for task in self.tasks.values():
            if task.row.id in self.out:
                continue
            hold(not task.open, f"{task.row.id} has an open round after the end")
            if task.status is Status.TODO:
                hold(self._blocked(task), f"{task.row.id} could begin and was forgotten")
            else:
                hold(task.status in SETTLED, f"{task.row.id} is {task.status} after the end")

    def _check_stuck(self, stuck: set[str]) -> None:
        """A person is asked only when nothing of another account can go on."""
        hold(stuck, "somebody is stuck")
        claimed = [t.row.files for t in self.tasks.values() if t.open and t.mine and t.mine[-1].result is None]
        for row in self._ready():
            if not any(overlap(row.files, files) for files in claimed):
                account = account_for(self.policy, row.profile, row)
                hold(account in stuck, f"{row.id} could begin: its account is not stuck")
        for task in self.tasks.values():
            made = self._shown(task)
            if not task.open or not made.in_play:
                continue
            decision = decide(made, self.policy, self.now)
            if isinstance(decision, Begin):
                hold(self._account(task.row, decision) in stuck, f"{task.row.id} could go on: its account is not stuck")
            elif isinstance(decision, Launch) and decision.kind is StepKind.REVIEW:
                agent = next_agent(made, self.policy.profiles)
                hold(account_of(self.policy, agent) in stuck, f"{task.row.id} could be judged: no account is stuck")
            else:
                hold(isinstance(decision, Defer | Wait), f"{task.row.id} is left at {decision}")

    def _blocked(self, task: SimTask) -> bool:
        return any(self.tasks[need].status is not Status.DONE for need in task.row.after)
