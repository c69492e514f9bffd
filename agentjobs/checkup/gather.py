"""Should this be parallel at all: the rows, sizes and history of a project gathered, and what they come to."""

from __future__ import annotations

import math
from collections import Counter
from statistics import median_low
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.agents.usage import add, priced
from agentjobs.checkup.forecast import (
    QUICK,
    SLOW,
    Load,
    Range,
    fresh,
    in_one,
    in_order,
    longest,
    measured,
    schedule,
    speed_up,
    widest,
)
from agentjobs.checkup.parallel import Advice, Checks, Estimate, Fit, Forecast, Order, judged
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited
from agentjobs.model.tasks import SETTLED
from agentjobs.policy.agent_output import Tariff
from agentjobs.policy.policy import window_of
from agentjobs.prompts.context import limit_of
from agentjobs.run.steps import footprint
from agentjobs.table.overlaps import PathClaims
from agentjobs.tokens.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agentjobs.checkup.forecast import Measured, Work
    from agentjobs.model.facts import Attempt
    from agentjobs.model.spending import Spending
    from agentjobs.model.tasks import Row
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.tokens.fit import Scale

RENDERED_MAX: Final = 300
"""So many prompts are looked at, evenly spread; the others are taken for their mean."""

FINISHED_MAX: Final = 300
"""Likewise of tasks that are done."""

PAIRS_MAX: Final = 100_000

USUAL: Final = Tariff(model=".*", as_of="2026-11", input=1.0, cache_read=0.1, cache_write=1.25, output=5.0)
"""How the prices of kinds of tokens stand to one another, where only that matters."""


class TooLarge(Struct, frozen=True):
    """A task whose prompt fits and whose files do not."""

    row: Row
    tokens: int
    """Of the files and documents it names, as its agent counts."""
    limit: int
    """So many fit beside its prompt."""
    files: int
    """Files they are in."""
    ours: int
    """The limit as agentjobs itself counts, which is how `plan files` does."""


class _Task(Struct, frozen=True):
    row: Row
    profile: Profile
    scale: Scale
    load: Load
    window: int
    limit: int
    paths: tuple[str, ...]

    @property
    def size(self) -> int:
        return self.load.prompt + self.load.files


class Look(Struct, frozen=True):
    """What a look at all open tasks came to."""

    advice: Advice
    too_large: tuple[TooLarge, ...] = ()


def look(project: Project) -> Look:
    """Weigh up all open tasks. The table is sound; UserError where files cannot be read."""
    rows = [row for row in map(project.file.table.row, project.file.table.ids) if row.status not in SETTLED]
    if not rows:
        return Look(Advice("nothing to do", (), 0, 0))
    tasks, total, rendered = _tasks(project, rows)
    large = tuple(_too_large(task) for task in tasks if task.load.prompt <= task.limit < task.size)
    largest = max(tasks, key=lambda task: task.size)
    usual = _usual(tasks)
    fit = Fit(
        median_low(task.size for task in tasks), largest.size, largest.row.id, largest.limit, total, usual.limit,
        rendered, sum(task.size > task.limit for task in tasks),
    )  # fmt: skip
    order, units = _order(project, tasks)
    return Look(judged(len(tasks), order, fit, _checks(project, tasks), _forecast(project, tasks, units)), large)


# --- sizes


def _tasks(project: Project, rows: Sequence[Row]) -> tuple[list[_Task], int, int]:
    """Return the tasks, the tokens of all prompts with each file once, and how many prompts were rendered."""
    sizes = footprint.Sizes(project)
    reads = [sizes.reads(row) for row in rows]
    counts = sizes.count(list(dict.fromkeys(path for one in reads for path in one.paths)))
    profiles = [project.profile(row) for row in rows]
    scales = {name: scale_of(project, name) for name in {profile.agent for profile in profiles}}
    some = range(0, len(rows), -(-len(rows) // RENDERED_MAX))
    prompts = dict(zip(some, footprint.prompt_sizes(project, [(rows[at], profiles[at]) for at in some]), strict=True))
    mean = round(sum(prompts.values()) / len(prompts))
    tasks = []
    for at, (row, profile, read) in enumerate(zip(rows, profiles, reads, strict=True)):
        scale, window = scales[profile.agent], window_of(project.policy, profile)
        files = scale.tokens(sum(counts[path] for path in read.paths)) + (read.told or 0)
        load = Load(scale.tokens(prompts.get(at, mean)), files, scale.overhead)
        tasks.append(_Task(row, profile, scale, load, window, limit_of(profile, window, scale), read.paths))
    told = sum(read.told or 0 for read in reads)
    shared = _usual(tasks).scale.tokens(sum(counts.values()))
    return tasks, sum(task.load.prompt for task in tasks) + shared + told, len(prompts)


def _usual(tasks: Sequence[_Task]) -> _Task:
    """Return a task of the agent and window that most have."""
    counts = Counter((task.profile.agent, task.window) for task in tasks)
    most = counts.most_common(1)[0][0]
    return next(task for task in tasks if (task.profile.agent, task.window) == most)


def _too_large(task: _Task) -> TooLarge:
    left = task.limit - task.load.prompt
    return TooLarge(task.row, task.load.files, left, len(task.paths), task.scale.budget(left))


# --- order


def _order(project: Project, tasks: Sequence[_Task]) -> tuple[Order, float]:
    """Return who waits for whom, and the time of the whole as the slots allow it, in tasks that take equally long."""
    policy = project.policy
    at = {task.row.id: number for number, task in enumerate(tasks)}
    after = [[at[need] for need in task.row.after if need in at] for task in tasks]
    best = sorted(range(len(tasks)), key=lambda number: (-tasks[number].row.priority, number))
    ranks = [0.0] * len(tasks)
    for rank, number in enumerate(best):
        ranks[number] = rank
    ordered = in_order(after, ranks)
    claims = PathClaims([task.row.files for task in tasks])
    ones = [1.0] * len(tasks)
    pairs = claims.pairs(PAIRS_MAX)
    needs = [[*one, *turns] for one, turns in zip(after, claims.in_turn(ordered), strict=True)]
    chain, crowd = longest(after, ones, ordered), claims.heaviest(ones)
    cap, flying, slots = policy.limits.flight_tokens, None, policy.slots
    if cap is not None:
        held = median_low(min(task.window, task.size + task.load.own) for task in tasks)
        flying = max(1, cap // max(1, held))
        slots = min(slots, flying)
    order = Order(
        round(chain), widest(needs, ordered), policy.slots, pairs, pairs >= PAIRS_MAX, round(crowd),
        round(speed_up(len(tasks), max(chain, crowd), slots), 2), flying,
    )  # fmt: skip
    return order, schedule(needs, ones, ordered, slots)


def _checks(project: Project, tasks: Sequence[_Task]) -> Checks:
    gated = project.lands and bool(project.policy.landing.gate)
    bare = [task for task in tasks if not (gated or task.profile.verify)]
    return Checks(len(tasks) - len(bare), len(bare), tuple(sorted({task.row.profile for task in bare})))


# --- the forecast


class _Past(Struct, frozen=True):
    """What finished tasks took, each with all its attempts."""

    seconds: Measured
    tokens: Measured | None
    cost: Measured | None
    attempts: Measured


def _forecast(project: Project, tasks: Sequence[_Task], units: float) -> Forecast:
    count = len(tasks)
    past = _past(project, {task.profile.agent for task in tasks})
    afresh = [_afresh(tasks, work) for work in (QUICK, SLOW)]
    sent = Range(*(float(sum(spent.tokens for spent in kinds.values())) for kinds in afresh))
    cost = _cost(project, afresh)
    window, loads = _usual(tasks).window, [task.load for task in tasks]
    together = [in_one(loads, work, window) for work in (QUICK, SLOW)]
    pairs = [(add(kinds.values()), one) for kinds, one in zip(afresh, together, strict=True)]
    more = _ratio([(all_.tokens, one.tokens) for all_, one in pairs])
    dearer = _ratio([(_worth(all_), _worth(one)) for all_, one in pairs])
    each = Range(QUICK.seconds, SLOW.seconds)
    basis = [_assumed()]
    if past is not None:
        each = past.seconds.sum_of(count).times(1 / count)
        sent = past.tokens.sum_of(count) if past.tokens else sent
        cost = past.cost.sum_of(count) if past.cost else cost
        said = f"{past.attempts.mean:.1f} attempts and {past.seconds.mean / 60:.1f} minutes of work each"
        basis = [f"from {past.seconds.count} finished tasks of this run: {said}"]
        if past.tokens is None or (past.cost is None and cost is not None):
            basis.append(f"they reported no {'tokens' if past.tokens is None else 'cost'}: {_assumed()}")
    if cost is None:
        basis.append("no cost: the price of what the profiles name as `model` is not known")
    if not any(task.load.own for task in tasks):
        basis.append("what agents send of their own (system prompt, tools) is left out; `tokens --calibrate` learns it")
    stagger = project.policy.limits.start_interval_s * (count - 1)
    serial, at_once = each.times(count), each.times(units)
    parallel = Estimate(Range(max(at_once.low, stagger), max(at_once.high, stagger)), sent, cost)
    one = Estimate(serial, _by(sent, more), _by(cost, dearer) if cost is not None else None)
    return Forecast(parallel, Estimate(serial, sent, cost), one, tuple(basis))


def _assumed() -> str:
    return (
        f"assumed for a task: {QUICK.requests} to {SLOW.requests} requests with answers of {QUICK.answer} to "
        f"{SLOW.answer} tokens, {QUICK.request_s:g} to {SLOW.request_s:g} s each, {QUICK.attempts:g} to "
        f"{SLOW.attempts:g} attempts"
    )


def _afresh(tasks: Sequence[_Task], work: Work) -> dict[tuple[str, str], Spending]:
    """Return what fresh conversations use, by agent and model."""
    kinds: dict[tuple[str, str], list[Spending]] = {}
    for task in tasks:
        spent = fresh(task.load, work, task.window)
        kinds.setdefault((task.profile.agent, task.profile.model or ""), []).append(spent)
    return {kind: add(spent) for kind, spent in kinds.items()}


def _cost(project: Project, ends: Sequence[dict[tuple[str, str], Spending]]) -> Range | None:
    """Return what is spent on each model at its price; None where one is not known."""
    sums = []
    for kinds in ends:
        agents = project.policy.agents
        costs = [priced(spent, model, agents[agent].prices).cost for (agent, model), spent in kinds.items()]
        if any(cost is None for cost in costs):
            return None
        sums.append(math.fsum(cost or 0.0 for cost in costs))
    return Range(*sums)


def _worth(spent: Spending) -> float:
    return priced(spent, "", (USUAL,)).cost or 0.0


def _ratio(pairs: Sequence[tuple[float, float]]) -> Range:
    """Return how many times as much the second is."""
    found = [second / first if first else 1.0 for first, second in pairs]
    return Range(min(found), max(found))


def _by(amount: Range, factor: Range) -> Range:
    return Range(amount.low * factor.low, amount.high * factor.high)


def _past(project: Project, agents: Collection[str]) -> _Past | None:
    """Return what the finished tasks of these agents took; None where there are none."""
    store = project.store
    if not store.exists():
        return None
    ids = sorted(store.started_ids())
    done = []
    for task_id in ids[:: max(1, -(-len(ids) // FINISHED_MAX))]:
        attempts = store.attempts(task_id)
        last = attempts[-1] if attempts else None
        if last is not None and last.intent.agent in agents and last.result and last.result.outcome is Outcome.OK:
            done.append(attempts)
    seconds = measured([sum(map(_seconds, attempts)) for attempts in done])
    tries = measured([float(len(attempts)) for attempts in done])
    if seconds is None or tries is None:
        return None
    spent = [add(attempt.end.spent for attempt in attempts if attempt.end) for attempts in done]
    tokens = measured([float(one.tokens) for one in spent if one.tokens])
    return _Past(seconds, tokens, measured([one.cost for one in spent if one.cost and not one.unknown]), tries)


def _seconds(attempt: Attempt) -> float:
    """Return how long the steps of an attempt ran; it may have waited for a slot between them."""
    ran = [(step.phase.at - step.started_at) for step in attempt.steps if isinstance(step.phase, Exited)]
    return sum(max(0.0, one) for one in ran)
