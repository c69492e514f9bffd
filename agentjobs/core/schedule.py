"""What to do now for the whole board: slots, pauses, budgets, the order of things. Pure.

``schedule`` asks ``decide`` for each task, and grants what there is room for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.accounts import Gate, account_for, account_of, bad_news, is_among, is_suspect, was_refused
from agentjobs.core.board import Board, Schedule
from agentjobs.core.breaker import tripped
from agentjobs.core.budget import ends, overspent
from agentjobs.core.decide import APPROVAL, SETUP_AGAIN, decide, verified_at
from agentjobs.core.in_flight import Flight
from agentjobs.core.pauses import work_waits_until
from agentjobs.core.reviews import UNREVIEWED, judged_at, next_agent, without_review
from agentjobs.core.start_over import start_over
from agentjobs.core.watchdog import FIRST
from agentjobs.model.decisions import (
    RUN,
    Action,
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
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Running, StepKind
from agentjobs.model.tasks import Row, Task
from agentjobs.text.path_patterns import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from agentjobs.core.in_flight import Expected
    from agentjobs.model.facts import Attempt
    from agentjobs.model.state import Halt
    from agentjobs.policy.policy import Policy

    Ready = Callable[[Container[str]], Iterable[Row]]
    """The rows that may begin, best first, but those of the profiles it is given, which may grow meanwhile."""

STAGGER_S = 2.0
"""A start that is due within this many seconds counts as begun."""

MEMORY_CHECK_S = 15.0


def schedule(board: Board, ready: Ready, policy: Policy, now: float, expected: Expected = lambda *_: 0) -> Schedule:
    """Return the actions that are right and possible now; ``ready`` gives the rows that may begin.

    ``expected`` is asked only where the context of running agents has a cap.
    """
    flight = Flight(policy.limits.flight_tokens, board.tasks, expected)
    made = _Scheduler(board, policy, now, flight).schedule(ready)
    ending = ends(board.tasks, {action.id for action in made.actions}, policy.limits, board.spent)
    return replace(made, actions=made.actions + ending, alive=True) if ending else made


class _Scheduler:
    """The running totals of one call of ``schedule``."""

    def __init__(self, board: Board, policy: Policy, now: float, flight: Flight) -> None:
        self.flight = flight
        self.board = board
        self.policy = policy
        self.now = now
        self.actions: list[Action] = []
        self.until = math.inf
        self.begins: list[tuple[Task, Begin]] = []
        self.deferred: list[tuple[Task, Defer]] = []
        self.doubts: list[tuple[Task, Settle]] = []
        """Tasks that have failed, if their account is not to blame: others show it."""
        self.lands: list[tuple[float, Task, Land]] = []
        self.launches: list[tuple[float, Task, Launch]] = []
        self.reviews: list[tuple[float, Task, Launch]] = []
        self.staggered = False
        """A reviewer begins in this pass: no attempt beside it."""
        self.agents = 0
        self.checks = int(board.gating)
        self.held_until = work_waits_until(board.halt, board.hold, now)
        self.alive = board.gating and self.held_until < math.inf
        self.paused = board.paused_until > now
        self.starving = True
        """No agent slot that is free will have work soon."""
        self.unapproved = 0
        self.unreviewed: list[str] = []
        self.batch: tuple[str, ...] | None = None
        self.gate: Gate

    def schedule(self, ready: Ready) -> Schedule:
        for task in self.board.tasks:
            self._count(task)
            self._sort(task)
        halt = self.board.halt or tripped(self.policy.limits.breaker, self.board.tally, self.now)
        new_halt = halt if self.board.halt is None else None
        short = overspent(self.policy.limits, self.board.spent)
        news = bad_news(self.policy, self.board.tasks, self.actions)
        self.gate = Gate(self.policy, self.board.tasks, self.board.pauses, news, self.now)
        may = halt is None and not short
        asked = self._grant_reviews(may=may and not self.paused)
        room = self.agents < self.policy.slots
        waiting = self._waiting(ready if room else None)
        if may and not self.paused:
            self._begin_all(waiting, ready)
            self._settle_doubts(waiting)
            if room and self.deferred and not waiting and not news:
                found, waiting = self._start_over()
                new_halt = new_halt or found
        if news:
            self.starving = False
        self._grant_batch()
        self._grant_launches()
        alive = self.alive or bool(self.actions) or self.batch is not None
        waiting |= asked
        starting = bool(waiting or self.deferred or (self.paused and self.doubts))
        if starting and may:
            short = self.gate.stuck(waiting)
            # A task that waits for the sweep or for files of other tasks waits for those; they may wait for a person.
            stuck = self.gate.stuck(asked)
            person = (self.unapproved or self.unreviewed or stuck) and not self.actions and self.until == math.inf
            person = person and not self.paused
            alive = alive or (not short and not person and (bool(waiting) or self.paused))
            short = short or (stuck if person else "")
        if self.unapproved and not alive and not (short and starting):
            short, starting = f"{self.unapproved} verified tasks wait for `agentjobs approve`", True
        if self.unreviewed and not alive and not (short and starting):
            short, starting = without_review(self.unreviewed), True
        gate, batch = self.batch is not None, self.batch or ()
        until = min(self.until, self.board.paused_until) if self.paused and alive else self.until
        return Schedule(tuple(self.actions), until, new_halt, alive, short, starting, gate, batch)

    # --- tasks with an open round

    def _count(self, task: Task) -> None:
        last = task.open
        if last is None:
            return
        if last.end is None or any(step.kind is StepKind.REVIEW for step, _ in last.running):
            self.agents += 1
        setup = () if last.end is None else (StepKind.SETUP,)  # run again after the agent, it is part of checking
        check = last.last(*setup, StepKind.VERIFY)
        self.checks += check is not None and isinstance(check.state, Running)

    def _sort(self, task: Task) -> None:
        decision = self._decide(task)
        last = task.last
        since = last.intent.started_at if last else 0.0
        match decision:
            case Begin() if self._gate_first(last):
                self.alive = self.alive or self.held_until < math.inf
            case Begin():
                self.begins.append((task, decision))
            case Defer():
                self.deferred.append((task, decision))
            case Land() | Judge() | Launch(kind=StepKind.VERIFY | StepKind.REVIEW) if self._held():
                pass
            case Launch(kind=StepKind.REVIEW):
                self.reviews.append((since, task, decision))
            case Land():
                if last is not None:
                    since = max(verified_at(last), judged_at(last))
                self.lands.append((since, task, decision))
                self.alive = True
            case Launch(name=name, kind=kind) if kind is StepKind.VERIFY or name == SETUP_AGAIN:
                self.launches.append((since, task, decision))
                self.alive = True
            case Wait():
                self._wait(task, decision)
            case Settle() if is_suspect(self.board.pauses, self.policy, task):
                self.doubts.append((task, decision))
            case Launch() | Judge() | Look() | Weigh() | Conclude() | End() | Settle():
                self.actions.append(Action(task.row.id, decision))

    def _decide(self, task: Task) -> Decision:
        found = decide(task, self.policy, self.now)
        if self.paused and isinstance(found, Launch) and found.name == FIRST:
            return Wait(self.board.paused_until, "paused")  # its setup ran, or a poll was killed after it began
        return found

    def _wait(self, task: Task, wait: Wait) -> None:
        self.unapproved += wait.why == APPROVAL
        self.unreviewed += [task.row.id] if wait.why == UNREVIEWED else []
        if wait.until:
            self.until = min(self.until, wait.until)
            self.alive = True

    def _gate_first(self, last: Attempt | None) -> bool:
        """Whether a repair waits for the run of the gate that follows: its errors may need what that one lands."""
        blamed = isinstance(last, Over) and last.outcome is Outcome.GATE_FAILED
        return blamed and self.policy.landing.together > 1 and (self.board.gating or self.board.asked)

    def _held(self) -> bool:
        """Return whether finished work waits; if so, this pass waits for it too."""
        if self.held_until:
            self.until = min(self.until, self.held_until)
            self.alive = self.alive or self.held_until < math.inf
        return self.held_until > 0

    def _grant_launches(self) -> None:
        free = self.policy.verify_slots - self.checks
        for _, task, launch in sorted(self.launches, key=lambda item: item[:1]):
            if free <= 0:
                break
            self.actions.append(Action(task.row.id, launch))
            free -= 1

    def _grant_batch(self) -> None:
        """Start the gate when it pays: for a full batch, or when nothing is gained by waiting for more."""
        if self.board.gating or not (self.lands or self.board.asked) or (self.board.asked and self._held()):
            return
        landing = self.policy.landing
        waiting = sorted(self.lands, key=lambda item: item[:1])
        until = min((since + landing.wait_s for since, _, _ in waiting), default=0.0)
        # Verified in a future that this pass has not reached: the clock was put back, so it has waited long enough.
        early = any(since > self.now + STAGGER_S + landing.wait_s for since, _, _ in waiting)
        coming = self.checks > 0 or self.launches or any(isinstance(a.decision, Look) for a in self.actions)
        due = self.board.asked or len(waiting) >= landing.together or early or self.now >= until
        due = due or (self.starving and not coming)
        if not due:
            self.until = min(self.until, until)
        elif self.checks < self.policy.verify_slots:
            self.batch = tuple(task.row.id for _, task, _ in waiting[: landing.together])
            self.checks += 1

    # --- what holds everything back

    def _may_begin_at(self) -> float:
        """Return when the next start is allowed, as far as it depends on the last one alone."""
        if self.board.last_start_at > self.now:  # the clock was put back
            return 0.0
        return self.board.last_start_at + self.policy.limits.start_interval_s

    # --- starts

    def _account(self, task: Task, begin: Begin) -> str:
        return account_for(self.policy, begin.profile, task.row)

    def _grant_reviews(self, *, may: bool) -> set[str]:
        """Let reviewers begin, before new attempts do; return the accounts of those that could not."""
        left: set[str] = set()
        limits, begun = self.policy.limits, 0
        for _, task, launch in sorted(self.reviews, key=lambda item: item[:1]):
            account = account_of(self.policy, next_agent(task, self.policy.profiles))
            due = [at for at in (self._may_begin_at(), self.gate.opens_at(account)) if at > self.now]
            due += [self.now + limits.start_interval_s] if begun and limits.start_interval_s else []
            due += [self.now + MEMORY_CHECK_S] if self.board.free_memory < limits.min_free_memory_bytes else []
            if may and not due and self.agents < self.policy.slots and self.gate.may_begin(account):
                self.actions.append(Action(task.row.id, launch))
                self.gate.begun(account)
                self.agents += 1
                begun += 1
            else:
                left.add(account)
                self.until = min([self.until, *(at for at in due if may)])
        self.staggered = bool(begun and limits.start_interval_s)
        return left

    def _waiting(self, ready: Ready | None) -> set[str]:
        """Return the accounts that something could begin for; rows are looked at one for each account at most."""
        found = {self._account(task, begin) for task, begin in self.begins}
        if ready is None:
            return found
        if self.gate.is_open:
            first = next(iter(ready(())), None)
            return found if first is None else found | {account_for(self.policy, first.profile, first)}
        found |= {a for a in self.gate.profiles if a not in found and any(True for _ in ready(self.gate.but(a)))}
        return found | {RUN} if any(True for _ in ready(self.policy.profiles)) else found

    def _in_turn(self) -> tuple[list[tuple[Task, Begin]], list[tuple[Task, Begin]]]:
        """Return the tasks that begin before new rows, and those that begin after them.

        Where there is trouble, the task that was tried longest ago comes first: the same task is not always the
        probe. A single one that was refused as a probe lets a new row try: it may be the only one that is refused.
        """
        if not self.board.pauses:
            return self.begins, []
        begins = sorted(self.begins, key=lambda item: item[0].last.intent.started_at if item[0].last else 0.0)
        accounts = [self._account(*item) for item in begins]
        after = [
            item
            for item, account in zip(begins, accounts, strict=True)
            if (accounts.count(account) == 1 and self.gate.is_wary(account) and was_refused(item[0].last))
            or is_among(self.board.pauses.get(account), item[0])
        ]
        return [item for item in begins if item not in after], after

    def _settle_doubts(self, waiting: set[str]) -> None:
        """Let tasks fail that nobody else of their account can clear: none runs, and none is left to begin."""
        last = [task.open for task in self.board.tasks if task.open is not None]
        others = waiting | {account_of(self.policy, attempt.intent.agent) for attempt in last}
        for task, settle in self.doubts:
            if task.last is None or account_of(self.policy, task.last.intent.agent) not in others:
                self.actions.append(Action(task.row.id, settle))
            else:
                self.alive = True

    def _begin_all(self, waiting: set[str], ready: Ready) -> None:
        if self.staggered:
            self.until = min(self.until, self.now + self.policy.limits.start_interval_s)
            return
        free = self.policy.slots - self.agents
        if free <= 0 or not waiting:
            self.starving = free > 0
            return
        due = self._may_begin_at()
        later = [max(due, self.gate.opens_at(account)) for account in waiting if not self.gate.may_begin(account)]
        if self.now < due or len(later) == len(waiting):
            due = due if self.now < due else min(later)
            self.starving = due - self.now > STAGGER_S
            self.until = min([self.until, *(at for at in (due, *later) if at > self.now)])
            return
        self.until = min([self.until, *(at for at in later if at > self.now)])
        if self.board.free_memory < self.policy.limits.min_free_memory_bytes:
            self.until = min(self.until, self.now + MEMORY_CHECK_S)
            return
        staggered = self.policy.limits.start_interval_s > 0
        room = min(free, 1) if staggered else free
        limit = self.policy.limits.run_attempts
        if limit is not None:
            room = min(room, limit - self.board.spent.attempts)
        # A task at work holds its files against all others; one between two attempts only against new rows,
        # and not even that if it waits for a person.
        idle = {task.row.id for task, _ in (*self.deferred, *self.doubts)}
        idle |= {t.row.id for t, begin in self.begins if self.gate.opens_at(self._account(t, begin)) == math.inf}
        held = [t.row.files for t in self.board.tasks if t.open is not None]
        before, after = self._in_turn()
        begun = self._grant_begins(before, held, room)
        claims = held + [t.row.files for t in self.board.tasks if t.in_play and t.row.id not in idle]
        rows, rows_room = iter(ready(self.gate.closed)), min(room, self._room_for_rows())
        while begun < rows_room and not self.flight.full and (row := next(rows, None)) is not None:
            if not _meets(row.files, claims):
                begun += self._grant_begin(Task(row), decide(Task(row), self.policy, self.now))
                claims.append(row.files)
        begun += self._grant_begins(after, held, room - begun)
        soon = any(at - self.now <= STAGGER_S for at in later) or bool(begun and self.board.pauses)
        self.starving = begun < room and not soon and not self.flight.full  # a full window is like having no slot
        if staggered and begun and begun < free:
            self.until = min(self.until, self.now + self.policy.limits.start_interval_s)

    def _room_for_rows(self) -> int:
        """Return how many new rows may begin before finished work, each with its tree, has to land."""
        landing = self.policy.landing
        if not landing.enabled or self.policy.workspace.kind == "none" or self.held_until:
            return self.policy.slots  # while nothing can land, agents go on
        behind = len(self.lands) + len(self.launches) + self.checks - self.board.gating
        return self.policy.slots + landing.together - behind

    def _grant_begins(self, begins: Iterable[tuple[Task, Begin]], held: list[tuple[str, ...]], room: int) -> int:
        begun = 0
        for task, begin in begins:
            if begun < room and not _meets(task.row.files, held) and self._grant_begin(task, begin):
                held.append(task.row.files)
                begun += 1
        return begun

    def _grant_begin(self, task: Task, begin: Decision) -> bool:
        """Let an attempt begin, unless its account may not, or too much is in flight."""
        if not isinstance(begin, Begin):
            return False
        account = self._account(task, begin)
        if not self.gate.may_begin(account) or (context := self.flight.admit(task, begin)) is None:
            return False
        self.actions.append(Action(task.row.id, replace(begin, probe=self.gate.is_wary(account), context=context)))
        self.gate.begun(account)
        return True

    def _start_over(self) -> tuple[Halt | None, set[str]]:
        """Settle or start over what layers 1 and 2 could not do, once all else has settled.

        Returns the accounts that something could start over for.
        """
        made = start_over(self.board, self.deferred, self.policy, self.now)
        if made is None:
            return None, set()
        self.actions += made.actions
        if made.halt is not None:
            return made.halt, set()
        self.begins = list(made.begins)
        waiting = self._waiting(None)
        self._begin_all(waiting, lambda _: ())
        return None, waiting


def _meets(files: Sequence[str], claims: Iterable[Sequence[str]]) -> bool:
    return bool(files) and any(overlap(files, claim) for claim in claims)
