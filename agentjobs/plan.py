"""What to do now for the whole board: slots, pauses, budgets, the order of things. Pure.

``plan`` asks ``decide`` for each task, and grants what there is room for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.caps import ends
from agentjobs.decide import APPROVAL, UNSPENT, decide, verified_at
from agentjobs.model import (
    Action,
    Attempt,
    Begin,
    Conclude,
    Defer,
    End,
    Halt,
    Judge,
    Land,
    Launch,
    Mode,
    Outcome,
    Pause,
    Row,
    Running,
    Settle,
    Status,
    StepKind,
    Task,
    Wait,
)
from agentjobs.pauses import LANDING, PROBED
from agentjobs.scope import overlap

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from agentjobs.limits import Limits
    from agentjobs.policy import Policy

CAREFUL_INTERVAL_S = 1.0
"""Least time between two starts after a limit, until one attempt has come back well."""

PROBE_S = 60.0
"""An attempt that has run so long after a 401 has got past it."""

STAGGER_S = 2.0
"""A start that is due so soon is as good as begun."""

MEMORY_CHECK_S = 15.0
DIAGNOSE_MIN = 3
"""So many failed tasks before their share of all means anything."""


class Spent(Struct, frozen=True):
    """Sums over all rows and attempts so far."""

    cost: float = 0.0
    tokens: int = 0
    attempts: int = 0


class History(Struct, frozen=True):
    """What this run's own past says about layer 3."""

    wins: dict[str, int] = {}
    """Restarts that ended DONE, by the class of failure they followed."""
    losses: dict[str, int] = {}
    cost: float = 0.0
    """Mean cost of a started task, in dollars."""


class Board(Struct, frozen=True):
    """All that was read in one poll."""

    tasks: tuple[Task, ...] = ()
    """Every task with an unsettled round."""
    pause: Pause | None = None
    hold: Pause | None = None
    """Nothing is checked or landed before its end."""
    halt: Halt | None = None
    last_start_at: float = 0.0
    free_memory: int = 1 << 62
    """Bytes."""
    spent: Spent = Spent()
    tally: tuple[tuple[str, str], ...] = ()
    """First results of distinct tasks since the last ``dispatch``, as (class, signature)."""
    failed: int = 0
    """Rows in play that are FAILED."""
    total: int = 0
    """Rows in play that are settled or being worked on."""
    history: History = History()
    gating: bool = False
    """The gate runs for a batch."""
    asked: bool = False
    """What the last run of the gate said asks for another."""


class Plan(Struct, frozen=True):
    """What to do now, and when to look again."""

    actions: tuple[Action, ...] = ()
    until: float = math.inf
    """Nothing is due before this, unless a step ends."""
    halt: Halt | None = None
    """Write this down: a person is needed."""
    alive: bool = False
    """Something runs, is due, or has a known time to wait for."""
    short: str = ""
    """Why nothing may begin although something could (a budget that is spent)."""
    waiting: bool = False
    """Something could begin, were there room."""
    gate: bool = False
    """The gate may be started for a batch."""
    batch: tuple[str, ...] = ()
    """Whose work is to go into it, unless one was asked for: verified, the longest waiting first."""


def overspent(limits: Limits, spent: Spent) -> str:
    """Say which budget of the run is spent; empty where none is."""
    if limits.run_cost_usd is not None and spent.cost >= limits.run_cost_usd:
        return f"limits.run_cost_usd is spent ({spent.cost:.2f} of {limits.run_cost_usd:.2f})"
    if limits.run_tokens is not None and spent.tokens >= limits.run_tokens:
        return f"limits.run_tokens is spent ({spent.tokens} of {limits.run_tokens})"
    if limits.run_attempts is not None and spent.attempts >= limits.run_attempts:
        return f"limits.run_attempts is spent ({spent.attempts} of {limits.run_attempts})"
    return ""


def plan(board: Board, ready: Iterable[Row], policy: Policy, now: float) -> Plan:
    """Return the actions that are right and possible now; ``ready`` yields rows that may begin, best first."""
    made = _Planner(board, policy, now).plan(ready)
    ending = ends(board.tasks, {action.id for action in made.actions}, policy.limits, board.spent)
    return replace(made, actions=made.actions + ending, alive=True) if ending else made


class _Planner:
    """The running totals of one call of ``plan``."""

    def __init__(self, board: Board, policy: Policy, now: float) -> None:
        self.board = board
        self.policy = policy
        self.now = now
        self.actions: list[Action] = []
        self.until = math.inf
        self.begins: list[tuple[Task, Begin]] = []
        self.deferred: list[tuple[Task, Defer]] = []
        self.lands: list[tuple[float, Task, Land]] = []
        self.launches: list[tuple[float, Task, Launch]] = []
        self.agents = 0
        self.checks = int(board.gating)
        self.gating = board.gating
        self.alive = board.gating and not (board.halt is not None and board.halt.why == LANDING)
        self.starving = True
        """No agent slot that is free will have work soon."""
        self.unapproved = 0
        self.batch: tuple[str, ...] | None = None

    def plan(self, ready: Iterable[Row]) -> Plan:
        for task in self.board.tasks:
            self._count(task)
            self._sort(task)
        queued = self.policy.landing.queued
        if not queued:
            self._grant_checks()
        halt = self.board.halt or self._trip()
        new_halt = halt if self.board.halt is None else None
        short = overspent(self.policy.limits, self.board.spent)
        waiting = bool(self.begins or self.deferred)
        rows = iter(ready)
        room = self.agents < self.policy.slots
        first = next(rows, None) if room else None
        waiting = waiting or first is not None
        if self._bad_news():
            self.starving = False
        elif halt is None and not short:
            self._begin_all(first, rows)
            if room and self.deferred and not self.begins and first is None:
                found = self._sweep()
                new_halt = new_halt or found
        if queued:
            self._grant_batch()
            self._grant_launches()
        alive = self.alive or bool(self.actions) or self.batch is not None
        if waiting and halt is None and not short:
            alive = True
        if self.unapproved and not alive and not waiting:
            short, waiting = f"{self.unapproved} verified tasks wait for `agentjobs approve`", True
        gate, batch = self.batch is not None, self.batch or ()
        return Plan(tuple(self.actions), self.until, new_halt, alive, short, waiting, gate, batch)

    # --- tasks with an open round

    def _count(self, task: Task) -> None:
        last = task.last
        if last is None or last.result is not None:
            return
        if last.end is None:
            self.agents += 1
        check = last.last(StepKind.VERIFY, StepKind.GATE)
        if check is not None and isinstance(check.phase, Running):
            self.checks += 1
            self.gating = self.gating or check.kind is StepKind.GATE

    def _sort(self, task: Task) -> None:
        decision = decide(task, self.policy, self.now)
        last = task.last
        since = last.intent.started_at if last else 0.0
        match decision:
            case Begin() if self._gate_first(last):
                self.alive = self.alive or self.board.halt is None or self.board.halt.why != LANDING
            case Begin():
                self.begins.append((task, decision))
            case Defer():
                self.deferred.append((task, decision))
            case Land() | Launch(kind=StepKind.VERIFY) if self._held():
                pass
            case Land():
                self.lands.append((verified_at(last) if last and self.policy.landing.queued else since, task, decision))
                self.alive = True
            case Launch(kind=StepKind.VERIFY):
                self.launches.append((since, task, decision))
                self.alive = True
            case Wait(until=until, why=why):
                self.unapproved += why == APPROVAL
                if until:
                    self.until = min(self.until, until)
                    self.alive = True
            case Launch() | Judge() | Conclude() | End() | Settle():
                self.actions.append(Action(task.row.id, decision))

    def _gate_first(self, last: Attempt | None) -> bool:
        """Whether a repair waits for the run of the gate that follows: its errors may need what that one lands."""
        blamed = last is not None and last.result is not None and last.result.outcome is Outcome.GATE_FAILED
        return blamed and self.policy.landing.queued and (self.board.gating or self.board.asked)

    def _held(self) -> bool:
        """Whether finished work waits, because git or the machine has just refused to check or land some."""
        halt, hold = self.board.halt, self.board.hold
        if halt is not None and halt.why == LANDING:
            return True
        if hold is None or not hold.at <= self.now < hold.until:  # a hold of the future: the clock was put back
            return False
        self.until = min(self.until, hold.until)
        self.alive = True
        return True

    def _grant_checks(self) -> None:
        """Landing first, one at a time: who is being gated stands on a tip that must not move under it."""
        free = self.policy.verify_slots - self.checks
        for _, task, land in sorted(self.lands, key=lambda item: item[:1]):
            if self.gating or free <= 0:
                break
            self.actions.append(Action(task.row.id, land))
            self.gating = True
            self.checks += 1
            free -= 1
        self._grant_launches()

    def _grant_launches(self) -> None:
        free = self.policy.verify_slots - self.checks
        for _, task, launch in sorted(self.launches, key=lambda item: item[:1]):
            if free <= 0:
                break
            self.actions.append(Action(task.row.id, launch))
            free -= 1

    def _grant_batch(self) -> None:
        """Start the gate when it pays: for a full batch, or when nothing is gained by waiting for more."""
        if self.gating or not (self.lands or self.board.asked) or (self.board.asked and self._held()):
            return
        landing = self.policy.landing
        waiting = sorted(self.lands, key=lambda item: item[:1])
        until = min((since + landing.wait_s for since, _, _ in waiting), default=0.0)
        # Verified in a future that this pass has not reached: the clock was put back, so it has waited long enough.
        early = any(since > self.now + STAGGER_S + landing.wait_s for since, _, _ in waiting)
        coming = self.checks > 0 or self.launches
        due = self.board.asked or len(waiting) >= landing.batch or early or self.now >= until
        due = due or (self.starving and not coming)
        if not due:
            self.until = min(self.until, until)
        elif self.checks < self.policy.verify_slots:
            self.batch = tuple(task.row.id for _, task, _ in waiting[: landing.batch])
            self.checks += 1

    # --- what holds everything back

    def _bad_news(self) -> bool:
        """Whether this very pass may come upon a limit, or writes one down: nothing starts beside that."""
        return any(
            isinstance(action.decision, Judge)
            or (isinstance(action.decision, Conclude) and action.decision.outcome in TROUBLE)
            for action in self.actions
        )

    def _trip(self) -> Halt | None:
        wanted = self.policy.limits.breaker
        tally = self.board.tally
        if not wanted or len(tally) < wanted:
            return None
        first = tally[0]
        if first[0] == Outcome.OK.value or any(entry != first for entry in tally[:wanted]):
            return None
        return Halt("breaker", f"the first {wanted} tasks all ended alike ({first[0]})", self.now)

    def _may_begin_at(self) -> float:
        """Return when the next start is allowed, as far as the whole run is concerned."""
        interval = self.policy.limits.start_interval_s
        pause = self.board.pause
        due = 0.0
        if pause is not None:
            due = pause.until
            interval = max(interval, CAREFUL_INTERVAL_S)
            if pause.outcome in PROBED:
                due = max(due, self._probe_until(pause))
        if self.board.last_start_at > self.now:  # the clock was put back
            return due
        return max(due, self.board.last_start_at + interval)

    def _probe_until(self, pause: Pause) -> float:
        """Return how long the one attempt begun since the trouble is given to run into it again."""
        return max(
            (
                task.last.intent.started_at + PROBE_S
                for task in self.board.tasks
                if task.last and task.last.result is None and task.last.intent.started_at > pause.at
            ),
            default=0.0,
        )

    # --- starts

    def _begin_all(self, first: Row | None, rows: Iterable[Row]) -> None:
        free = self.policy.slots - self.agents
        if free <= 0 or (not self.begins and first is None):
            self.starving = free > 0
            return
        due = self._may_begin_at()
        if self.now < due:
            self.starving = due - self.now > STAGGER_S
            self.until = min(self.until, due)
            return
        if self.board.free_memory < self.policy.limits.min_free_memory_bytes:
            self.until = min(self.until, self.now + MEMORY_CHECK_S)
            return
        careful = self.board.pause is not None or self.policy.limits.start_interval_s > 0
        room = min(free, 1) if careful else free
        limit = self.policy.limits.run_attempts
        if limit is not None:
            room = min(room, limit - self.board.spent.attempts)
        # Whoever is at work holds its files against all; whoever is between two attempts only against new rows.
        idle = {task.row.id for task, _ in self.deferred}
        held = [t.row.files for t in self.board.tasks if t.last is not None and t.last.result is None]
        begun = 0
        for task, begin in self.begins:
            if begun < room and not _meets(task.row.files, held):
                self.actions.append(Action(task.row.id, begin))
                held.append(task.row.files)
                begun += 1
        claims = held + [t.row.files for t in self.board.tasks if t.in_play and t.row.id not in idle]
        row = first
        while row is not None and begun < room:
            if not _meets(row.files, claims):
                self.actions.append(Action(row.id, decide(Task(row), self.policy, self.now)))
                claims.append(row.files)
                begun += 1
            row = next(iter(rows), None)
        self.starving = begun < free and row is None and not (careful and begun)
        if careful and begun and begun < free:
            self.until = min(self.until, self.now + self.policy.limits.start_interval_s)

    # --- layer 3

    def _sweep(self) -> Halt | None:
        """Settle or start over what layers 1 and 2 could not do, once all else has settled."""
        deferred = {task.row.id for task, _ in self.deferred}
        if not sweep_due(self.board.tasks, deferred):
            return None
        others = [t for t in self.board.tasks if t.row.id not in deferred and t.in_play]
        failed = self.board.failed + len(self.deferred)
        swept = any(t.last is not None and t.last.intent.restarts for t in others)
        share = failed / max(1, self.board.total)
        if not swept and failed >= DIAGNOSE_MIN and share > self.policy.retry.diagnose_above:
            for task, defer in self.deferred:
                self.actions.append(Action(task.row.id, Settle(Status.FAILED, defer.note)))
            return Halt("diagnose", f"{failed} of {self.board.total} tasks failed", self.now)
        restarts = []
        for task, defer in self.deferred:
            if pays(task, self.board.history, self.policy):
                own = self.policy.profiles.get(task.row.profile)
                profile = (own.escalate if own else None) or task.row.profile
                restarts.append(
                    (task, Begin(Mode.RESTART, fresh=True, why=f"layer 3: {defer.note}", profile=profile))
                )
            else:
                note = f"{defer.note} (starting over would not pay)"
                self.actions.append(Action(task.row.id, Settle(Status.FAILED, note)))
        if restarts:
            self.begins = restarts
            self.alive = True
            self._begin_all(None, ())
        return None


TROUBLE = UNSPENT - {Outcome.STOPPED}
"""Outcomes that mean something for the whole run."""


def _meets(files: Sequence[str], claims: Iterable[Sequence[str]]) -> bool:
    return bool(files) and any(overlap(files, claim) for claim in claims)


def sweep_due(tasks: Iterable[Task], deferred: Container[str]) -> bool:
    """Whether only the deferred tasks, and those that started over already, are left."""
    others = (task for task in tasks if task.row.id not in deferred and task.in_play)
    return all(task.last is not None and task.last.intent.restarts > 0 for task in others)


def pays(task: Task, history: History, policy: Policy) -> bool:
    """Whether starting over is worth its expected cost: ``p * value >= cost``.

    ``p`` is the mean of a Beta(1 + wins, 1 + losses) posterior over this run's restarts after the same class
    of failure; the cost is the mean cost of a task so far.
    """
    last = task.last
    if last is None or last.result is None:
        return False
    key = last.result.outcome.value
    wins, losses = history.wins.get(key, 0), history.losses.get(key, 0)
    p = (1 + wins) / (2 + wins + losses)
    value = policy.retry.task_value_usd
    return value > 0 and p * value >= history.cost
