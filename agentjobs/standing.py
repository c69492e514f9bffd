"""How far things are, read without the lock: counts, what runs, what waits, what failed and in which way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.batches import QUEUE_ID
from agentjobs.board import overspent
from agentjobs.decide import verified_at
from agentjobs.errors import UserError
from agentjobs.model import SETTLED, Exited, Halt, Lost, Pause, Running, Scope, Status
from agentjobs.progress import spent_of
from agentjobs.queue import DEFAULT, Queue, in_play
from agentjobs.table import parse_status

if TYPE_CHECKING:
    from agentjobs.board import Spent
    from agentjobs.model import Attempt
    from agentjobs.project import Project


class Live(Struct, frozen=True):
    """A step that runs."""

    id: str
    attempt: int
    mode: str
    step: str
    started_at: float
    output_at: float
    """When it last said something."""
    output_bytes: int
    ending: str = ""
    """Why it is being ended, where it is."""


class Between(Struct, frozen=True):
    """A task with an open round in which nothing runs just now."""

    id: str
    attempt: int
    what: str


class Standing(Struct, frozen=True):
    """All that ``status`` tells."""

    counts: dict[str, int]
    total: int
    scope: Scope | None
    outside: int
    """Tasks that are not settled and not in play."""
    running: tuple[Live, ...]
    between: tuple[Between, ...]
    blocked: dict[str, str]
    """Rows that cannot begin, each with the id that stands in the way."""
    pauses: dict[str, Pause]
    """Of each account that has one; of ``RUN`` for all of them."""
    halt: Halt | None
    held: str
    """Why nothing starts although something could: a budget that is spent, memory."""
    tokens: int
    cost: float
    estimated: bool
    """Some agents do not tell what they cost: for them the cost is an estimate, where their prices are known."""
    now: float

    @property
    def finished(self) -> bool:
        """Whether every task is DONE or SKIPPED."""
        return self.counts.get("DONE", 0) + self.counts.get("SKIPPED", 0) == self.total


class Failures(Struct, frozen=True):
    """FAILED tasks that ended alike."""

    outcome: str
    check: str
    signature: str
    detail: str
    """Of the first of them."""
    errors: str
    """What the first of them failed with."""
    ids: tuple[str, ...]


def standing(project: Project, now: float) -> Standing:
    """Read how far things are. UserError where there is no table, or one that cannot be read."""
    project.file.load()
    store, table = project.store, project.file.table
    counts = {status.value: count for status, count in table.counts().items()}
    active = store.active()
    scope = store.scope()
    running: list[Live] = []
    between: list[Between] = []
    for task_id in active:
        numbers = store.numbers(task_id)
        attempt = store.attempt(task_id, numbers[-1]) if numbers else None
        live = live_of(attempt) if attempt else None
        if live is not None:
            running.append(live)
        else:
            playing = scope is not None and in_play(scope, task_id, _profile(project, task_id))
            marker = store.marker(task_id)
            anew = attempt is not None and marker is not None and (
                marker.round > attempt.intent.round or marker.wish is Status.TODO
            )
            what = _between(attempt, playing=playing, anew=anew)
            between.append(Between(task_id, attempt.number if attempt else 0, what))
    numbers = store.numbers(QUEUE_ID)
    gate = store.attempt(QUEUE_ID, numbers[-1]) if numbers else None
    if gate is not None and (live := live_of(gate)) is not None:
        running.append(live)
    pauses, halt = store.pauses(), store.halt()
    waits = any(pause.stuck or pause.until > now for pause in pauses.values())
    spent = spent_of(project.file, store.unspent())
    return Standing(
        counts=counts,
        total=len(table),
        scope=scope,
        outside=_outside(project, scope),
        running=tuple(running),
        between=tuple(between),
        blocked=_blocked(project, active),
        pauses=pauses,
        halt=halt,
        held=_held(project, spent) if scope and counts["TODO"] and not (running or waits or halt) else "",
        tokens=spent.tokens,
        cost=spent.cost,
        estimated=bool(spent.cost) and _estimated(project),
        now=now,
    )


def _estimated(project: Project) -> bool:
    try:
        policy = project.policy
    except UserError:  # how things stand is told all the same
        return False
    agents = (policy.agents.get(profile.agent) for profile in policy.profiles.values())
    return any(agent and agent.prices and not (agent.usage and agent.usage.cost) for agent in agents)


def _outside(project: Project, scope: Scope | None) -> int:
    if scope is not None and scope.everything and not scope.out:
        return 0
    cells = project.file.table.cells("status")
    open_ids = (task_id for task_id, text in cells if (parse_status(text) or Status.TODO) not in SETTLED)
    if scope is None:
        return sum(1 for _ in open_ids)
    return sum(not in_play(scope, task_id, _profile(project, task_id)) for task_id in open_ids)


def _profile(project: Project, task_id: str) -> str:
    table = project.file.table
    return (table.cell(task_id, "profile").strip() if task_id in table else "") or DEFAULT


def _held(project: Project, spent: Spent) -> str:
    from agentjobs.launch import local  # noqa: PLC0415

    try:
        limits = project.policy.limits
    except UserError:  # how things stand can be told without it
        return ""
    return overspent(limits, spent) or limits.starved(local.free_memory())


def live_of(attempt: Attempt) -> Live | None:
    """Return the step of an attempt that runs."""
    for step in attempt.steps:
        if isinstance(step.phase, Running):
            intent, phase = attempt.intent, step.phase
            why = step.kill.why if step.kill else ""
            mode = "" if intent.id == QUEUE_ID else intent.mode.value
            return Live(
                intent.id, intent.number, mode, step.name, step.started_at, phase.output_at,
                phase.output_bytes, why,
            )  # fmt: skip
    return None


def _between(attempt: Attempt | None, *, playing: bool, anew: bool) -> str:
    then = "waits for its turn" if playing else "not in play (agentjobs dispatch)"
    if attempt is None:
        return then
    if anew:
        return f"new round after attempt {attempt.number}, {then}"
    if attempt.result is not None:
        return f"attempt {attempt.number} {attempt.result.outcome.value}, {then}"
    if verified_at(attempt):
        return "verified, waits to land"
    last = attempt.steps[-1] if attempt.steps else None
    if last is not None and isinstance(last.phase, Exited):
        return f"{last.name} has ended (exit {last.phase.code}), waits for poll"
    if last is not None and isinstance(last.phase, Lost):
        return f"{last.name} was killed, waits for poll"
    return "begun, waits for poll"


def _blocked(project: Project, active: list[str]) -> dict[str, str]:
    table = project.file.table
    if "after" not in table.header:
        return {}
    statuses = {i: parse_status(text) or Status.TODO for i, text in table.cells("status")}
    queue = Queue(table, statuses, Scope(0.0, everything=True), frozenset(active))
    return queue.blocked(frozenset(active))


def failures(project: Project) -> tuple[Failures, ...]:
    """Return the FAILED tasks in groups that ended alike (class, check, error signature), largest first."""
    project.file.load()
    table, store = project.file.table, project.store
    groups: dict[tuple[str, str, str], list[str]] = {}
    first: dict[tuple[str, str, str], tuple[str, str]] = {}
    for task_id, text in table.cells("status"):
        if parse_status(text) is not Status.FAILED:
            continue
        results = [a.result for a in store.attempts(task_id) if a.result is not None]
        result = results[-1] if results else None
        key = (result.outcome.value, result.check, result.signature) if result else ("by hand", "", "")
        groups.setdefault(key, []).append(task_id)
        note = table.cell(task_id, "note")
        first.setdefault(key, (result.detail or note, result.errors) if result else (note, ""))
    found = [Failures(*key, *first[key], tuple(ids)) for key, ids in groups.items()]
    return tuple(sorted(found, key=lambda group: -len(group.ids)))
