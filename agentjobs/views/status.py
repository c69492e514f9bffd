"""The state of all tasks, read without the lock: counts, what runs, what waits, what failed and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.core import reviews
from agentjobs.core.budget import overspent
from agentjobs.core.decide import verified_at
from agentjobs.core.gate import QUEUE_ID
from agentjobs.core.pauses import Pause, in_force
from agentjobs.core.phases import PLANS, reached
from agentjobs.core.ready_rows import Queue, in_play
from agentjobs.disk.processes import free_memory
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt, Paused, Scope
from agentjobs.model.steps import Exited, Lost, StepKind
from agentjobs.model.tasks import BY_HAND, SETTLED, Status
from agentjobs.project.spent import spent_of
from agentjobs.table.table import DEFAULT, parse_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentjobs.core.budget import Spent
    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project


class Live(Struct, frozen=True):
    """A step that runs."""

    id: str
    attempt: int
    mode: str
    step: str
    started_at: float
    output_at: float
    """Time of its last output."""
    output_bytes: int
    ending: str = ""
    """Why it is being stopped, if it is."""
    doing: str = ""
    """The last action of an agent, if its output shows it."""


class Between(Struct, frozen=True):
    """A task with an open round and no running step."""

    id: str
    attempt: int
    what: str


class PhaseStand(Struct, frozen=True):
    """The state of a phase."""

    name: str
    planning: str
    """One of: by hand, not planned, being planned, planned."""
    state: str
    """One of: waits, open, over."""
    counts: dict[str, int]
    """Rows by status; only statuses that occur."""


class Standing(Struct, frozen=True):
    """Everything that ``status`` shows."""

    counts: dict[str, int]
    total: int
    by_hand: tuple[str, ...]
    """Tasks that are DONE because a person wrote that into the table, and whose work has not landed."""
    scope: Scope | None
    outside: int
    """Tasks that are not settled and not in play."""
    running: tuple[Live, ...]
    between: tuple[Between, ...]
    blocked: dict[str, str]
    """Rows that cannot start, each with the id that blocks it."""
    pauses: dict[str, Pause]
    """Of each account that has one; key ``RUN`` for a pause of all accounts."""
    paused: Paused | None
    """The pause by a person."""
    slots: int
    """Agents that may run at once; 0 if agentjobs.toml cannot be read."""
    slots_of_policy: int
    """The same as agentjobs.toml has it, without `agentjobs slots`."""
    halt: Halt | None
    phases: tuple[PhaseStand, ...]
    """In their order; empty without phases."""
    held: str
    """Why nothing starts although something could: a spent budget, memory."""
    tokens: int
    cost: float
    unknown: int
    """Tasks with an unknown or partly unknown cost; ``cost`` is the known part."""
    open_tokens: int
    """Most tokens of requests that were open when their agents were killed, in addition to ``tokens``."""
    estimated: bool
    """Some agents do not report their cost: the cost contains estimates from prices."""
    now: float

    @property
    def finished(self) -> bool:
        """Return whether every task is DONE or SKIPPED."""
        return self.counts.get("DONE", 0) + self.counts.get("SKIPPED", 0) == self.total


class Failures(Struct, frozen=True):
    """FAILED tasks that ended in the same way."""

    outcome: str
    check: str
    signature: str
    detail: str
    """Of the first of them."""
    errors: str
    """Errors of the first of them."""
    ids: tuple[str, ...]


def standing(project: Project, now: float, only: tuple[str, ...] = ()) -> Standing:
    """Read the state of all rows, or of the rows of these phases.

    UserError if there is no table, or one that cannot be read.
    """
    project.file.load()
    store, table = project.store, project.file.table
    counts = {status.value: count for status, count in table.counts().items()}
    active = store.active()
    if only:
        mine = {i for i in table.ids if _profile(project, i) in only}
        counts = {**dict.fromkeys(counts, 0), **_counted(table.statuses(), mine)}
        active = [i for i in active if i in mine]
    scope = store.scope()
    running, between = at_work(project, active, scope)
    for own in (*([] if only else [QUEUE_ID]), *(PLANS + name for name in only or _phases(project))):
        numbers = store.numbers(own)
        run = store.attempt(own, numbers[-1]) if numbers else None
        if run is not None and (live := live_of(run)) is not None:
            running.append(live)
    pauses, halt, slots = in_force(store.pauses()), store.halt(), _slots(project)
    waits = any(pause.stuck or pause.until > now for pause in pauses.values())
    spent = spent_of(project.file, store.tally.unspent(), store.tally.open_requests())
    return Standing(
        counts=counts,
        total=len(mine) if only else len(table),
        by_hand=tuple(i for i in accepted_by_hand(project) if not only or i in mine),
        scope=scope,
        outside=_outside(project, scope, mine if only else None),
        running=tuple(running),
        between=tuple(between),
        blocked={i: why for i, why in blocked_by(project, store.active()).items() if not only or i in mine},
        pauses=pauses,
        paused=store.paused(now),
        slots=store.slots() or slots,
        slots_of_policy=slots,
        halt=halt,
        phases=tuple(stand for stand in _stands(project, scope) if not only or stand.name in only),
        held=_held(project, spent) if scope and counts["TODO"] and not (running or waits or halt) else "",
        tokens=spent.tokens,
        cost=spent.cost,
        unknown=spent.unknown,
        open_tokens=spent.open_tokens,
        estimated=bool(spent.cost) and _estimated(project),
        now=now,
    )


def accepted_by_hand(project: Project) -> tuple[str, ...]:
    """Return the tasks that are DONE because a person wrote that into the table, and whose work has not landed."""
    table, store = project.file.table, project.store
    done = (i for i, text in table.cells("status") if parse_status(text) is Status.DONE)
    said = [i for i in done if not table.cell(i, "ended") or table.cell(i, "note") == BY_HAND]
    return tuple(i for i in said if not any(isinstance(a, Over) and a.result.landed for a in store.attempts(i)))


def at_work(project: Project, active: Sequence[str], scope: Scope | None) -> tuple[list[Live], list[Between]]:
    """Return the running steps of tasks that are not settled, and what the other tasks wait for."""
    running: list[Live] = []
    between: list[Between] = []
    for task_id in active:
        numbers = project.store.numbers(task_id)
        attempt = project.store.attempt(task_id, numbers[-1]) if numbers else None
        live = live_of(attempt) if attempt else None
        if live is not None:
            running.append(replace(live, doing=_doing(project, attempt)))
        else:
            playing = scope is not None and in_play(scope, task_id, _profile(project, task_id))
            open_round = project.store.open_round(task_id)
            anew = attempt is not None and open_round is not None and (
                open_round.round > attempt.intent.round or open_round.wish is Status.TODO
            )
            what = _between(attempt, playing=playing, anew=anew, approve=project.policy.landing.approve)
            between.append(Between(task_id, attempt.number if attempt else 0, what))
    return running, between


def _doing(project: Project, attempt: Attempt | None) -> str:
    from agentjobs.run.steps.gauges import doing_at  # imports much; only needed if something runs

    step = attempt.steps[-1] if attempt is not None and attempt.steps else None
    try:
        return doing_at(project, attempt, step) if attempt is not None and step is not None else ""
    except UserError:  # the status is shown without it
        return ""


def _slots(project: Project) -> int:
    try:
        return project.policy.slots
    except UserError:  # the status is shown without it
        return 0


def _estimated(project: Project) -> bool:
    try:
        policy = project.policy
    except UserError:  # the status is shown without it
        return False
    agents = (policy.agents.get(profile.agent) for profile in policy.profiles.values())
    return any(agent and agent.prices and not (agent.usage and agent.usage.cost) for agent in agents)


def _phases(project: Project) -> tuple[str, ...]:
    try:
        return project.policy.phases
    except UserError:  # the status is shown without it
        return ()


def _counted(statuses: Mapping[str, Status], ids: Iterable[str]) -> dict[str, int]:
    return dict(Counter(statuses[task_id].value for task_id in ids))


def _stands(project: Project, scope: Scope | None) -> list[PhaseStand]:
    """Return the state of the phases."""
    if not _phases(project):
        return []
    from agentjobs.project.phase_state import rows_of, stages_now  # only if there are phases

    statuses = project.file.table.statuses()
    begun = frozenset(i for i in project.store.active() if i in statuses and project.file.table.cell(i, "started"))
    stages = stages_now(project, statuses, scope or Scope(0.0), begun)
    rows, first = rows_of(project), reached(stages)
    return [
        PhaseStand(
            stage.name,
            stage.planning.value,
            "waits" if at >= first else "over" if stage.over else "open",
            _counted(statuses, rows[stage.name]),
        )
        for at, stage in enumerate(stages)
    ]


def _outside(project: Project, scope: Scope | None, only: set[str] | None = None) -> int:
    if scope is not None and scope.everything and not scope.out:
        return 0
    statuses = project.file.table.statuses().items()
    open_ids = [i for i, status in statuses if status not in SETTLED and (only is None or i in only)]
    if scope is None:
        return len(open_ids)
    return sum(not in_play(scope, task_id, _profile(project, task_id)) for task_id in open_ids)


def _profile(project: Project, task_id: str) -> str:
    table = project.file.table
    return table.profile(task_id) if task_id in table else DEFAULT  # its row was removed


def _held(project: Project, spent: Spent) -> str:
    try:
        limits = project.policy.limits
    except UserError:  # the status is shown without it
        return ""
    return overspent(limits, spent) or limits.starved(free_memory())


def live_of(attempt: Attempt) -> Live | None:
    """Return the running step of an attempt."""
    for step, running in attempt.running:
        intent, why = attempt.intent, step.kill.why if step.kill else ""
        mode = "" if intent.id.startswith("+") else intent.mode.value
        return Live(
            intent.id, intent.number, mode, step.name, step.started_at, running.output_at, running.output_bytes, why
        )
    return None


def _between(attempt: Attempt | None, *, playing: bool, anew: bool, approve: bool) -> str:
    then = "waits for its turn" if playing else "not in play (agentjobs dispatch)"
    if attempt is None:
        return then
    if anew:
        return f"new round after attempt {attempt.number}, {then}"
    if isinstance(attempt, Over):
        then = "waits for poll" if attempt.outcome is Outcome.OK else then
        return f"attempt {attempt.number} {attempt.outcome.value}, {then}"
    if verified_at(attempt):
        if reviews.lacking(attempt) and not attempt.approved:
            return "verified, its reviewers gave no verdict"
        if not reviews.passed(attempt):
            return "verified, waits for a reviewer"
        if approve and not attempt.approved:
            return "verified, waits for a person: agentjobs approve"
        return "verified, waits to land"
    last = attempt.steps[-1] if attempt.steps else None
    if last is not None and isinstance(last.state, Exited):
        if attempt.end is not None and last.kind is StepKind.AGENT:
            return "the agent is done, waits for a check (limited by verify_slots)"
        return f"{last.name} has ended (exit {last.state.code}), waits for poll"
    if last is not None and isinstance(last.state, Lost):
        return f"{last.name} was killed, waits for poll"
    return "started, waits for poll"


def blocked_by(project: Project, active: list[str]) -> dict[str, str]:
    """Return the rows that cannot start, each with the id that blocks it."""
    table = project.file.table
    if "after" not in table.header:
        return {}
    statuses = table.statuses()
    queue = Queue(table, statuses, Scope(0.0, everything=True), frozenset(active))
    return queue.blocked(frozenset(active))


def failures(project: Project, only: tuple[str, ...] = ()) -> tuple[Failures, ...]:
    """Return the FAILED tasks (of these phases) in groups that ended alike (class, check, signature), largest first."""
    project.file.load()
    table, store = project.file.table, project.store
    groups: dict[tuple[str, str, str], list[str]] = {}
    first: dict[tuple[str, str, str], tuple[str, str]] = {}
    for task_id, text in table.cells("status"):
        if parse_status(text) is not Status.FAILED or (only and _profile(project, task_id) not in only):
            continue
        results = [a.result for a in store.attempts(task_id) if isinstance(a, Over)]
        result = results[-1] if results else None
        key = (result.outcome.value, result.check, result.signature) if result else ("by hand", "", "")
        groups.setdefault(key, []).append(task_id)
        note = table.cell(task_id, "note")
        first.setdefault(key, (result.detail or note, result.errors) if result else (note, ""))
    found = [Failures(*key, *first[key], tuple(ids)) for key, ids in groups.items()]
    return tuple(sorted(found, key=lambda group: -len(group.ids)))
