"""Should the tasks run in parallel? Collects rows, sizes and finished tasks of a project for ``parallel.judged``."""

from __future__ import annotations

from collections import Counter
from statistics import median_low
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.agents.usage import add
from agentjobs.checkup.forecast import Range, in_order, longest, measured, schedule, speed_up, widest
from agentjobs.checkup.parallel_advice import Advice, Checks, Estimate, Fit, Forecast, Order, judged
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited
from agentjobs.model.tasks import SETTLED
from agentjobs.policy.policy import window_of
from agentjobs.prompts.context import limit_of
from agentjobs.run.steps import context_size
from agentjobs.table.overlaps import PathClaims
from agentjobs.tokens.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agentjobs.checkup.forecast import Measured
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Row
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.tokens.fit import Scale

RENDERED_MAX: Final = 300
"""At most this many prompts are rendered, evenly spread; the others count as their mean."""

FINISHED_MAX: Final = 300
"""At most this many finished tasks are read, evenly spread."""

PAIRS_MAX: Final = 100_000
"""Pairs of tasks with the same paths are counted up to here."""


class TooLarge(Struct, frozen=True):
    """A task with a prompt that fits the window, but not together with its files."""

    row: Row
    tokens: int
    """Tokens of its files and documents, as its agent counts."""
    limit: int
    """Tokens that fit beside its prompt."""
    files: int
    """Number of files."""
    ours: int
    """The limit as agentjobs counts; `plan files` uses this count."""


class _Task(Struct, frozen=True):
    """Tokens of prompt and files are as the agent counts them."""

    row: Row
    profile: Profile
    scale: Scale
    prompt: int
    files: int
    window: int
    limit: int
    paths: tuple[str, ...]

    @property
    def size(self) -> int:
        return self.prompt + self.files


class Look(Struct, frozen=True):
    """The advice, and the tasks that are too large."""

    advice: Advice
    too_large: tuple[TooLarge, ...] = ()


def look(project: Project) -> Look:
    """Judge all open tasks. The table must be valid; UserError if files cannot be read."""
    rows = [row for row in map(project.file.table.row, project.file.table.ids) if row.status not in SETTLED]
    if not rows:
        return Look(Advice("nothing to do", (), 0, 0))
    tasks, total, rendered = _tasks(project, rows)
    large = tuple(_too_large(task) for task in tasks if task.prompt <= task.limit < task.size)
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
    sizes = context_size.Sizes(project)
    reads = [sizes.reads(row) for row in rows]
    counts = sizes.count(list(dict.fromkeys(path for one in reads for path in one.paths)))
    profiles = [project.profile(row) for row in rows]
    scales = {name: scale_of(project, name) for name in {profile.agent for profile in profiles}}
    some = range(0, len(rows), -(-len(rows) // RENDERED_MAX))
    sample = [(rows[at], profiles[at]) for at in some]
    prompts = dict(zip(some, context_size.prompt_sizes(project, sample), strict=True))
    mean = round(sum(prompts.values()) / len(prompts))
    tasks = []
    for at, (row, profile, read) in enumerate(zip(rows, profiles, reads, strict=True)):
        scale, window = scales[profile.agent], window_of(project.policy, profile)
        files = scale.tokens(sum(counts[path] for path in read.paths)) + (read.told or 0)
        prompt, limit = scale.tokens(prompts.get(at, mean)), limit_of(profile, window, scale)
        tasks.append(_Task(row, profile, scale, prompt, files, window, limit, read.paths))
    told = sum(read.told or 0 for read in reads)
    shared = _usual(tasks).scale.tokens(sum(counts.values()))
    return tasks, sum(task.prompt for task in tasks) + shared + told, len(prompts)


def _usual(tasks: Sequence[_Task]) -> _Task:
    """Return a task with the most common agent and window."""
    counts = Counter((task.profile.agent, task.window) for task in tasks)
    most = counts.most_common(1)[0][0]
    return next(task for task in tasks if (task.profile.agent, task.window) == most)


def _too_large(task: _Task) -> TooLarge:
    left = task.limit - task.prompt
    return TooLarge(task.row, task.files, left, len(task.paths), task.scale.budget(left))


# --- order


def _order(project: Project, tasks: Sequence[_Task]) -> tuple[Order, float]:
    """Return how tasks wait for each other, and the length of the schedule in tasks that take the same time."""
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
    cap, flying, slots = policy.limits.flight_tokens, None, project.slots
    if cap is not None:
        held = median_low(min(task.window, task.size + task.scale.overhead) for task in tasks)
        flying = max(1, cap // max(1, held))
        slots = min(slots, flying)
    order = Order(
        round(chain), widest(needs, ordered), project.slots, pairs, pairs >= PAIRS_MAX, round(crowd),
        round(speed_up(len(tasks), max(chain, crowd), slots), 2), flying,
    )  # fmt: skip
    return order, schedule(needs, ones, ordered, slots)


def _checks(project: Project, tasks: Sequence[_Task]) -> Checks:
    gated = project.lands and bool(project.policy.landing.gate)
    bare = [task for task in tasks if not (gated or task.profile.verify)]
    return Checks(len(tasks) - len(bare), len(bare), tuple(sorted({task.row.profile for task in bare})))


# --- the forecast


class _Past(Struct, frozen=True):
    """Figures of finished tasks, each with all its attempts."""

    seconds: Measured
    tokens: Measured | None
    cost: Measured | None
    attempts: Measured


def _forecast(project: Project, tasks: Sequence[_Task], units: float) -> Forecast | None:
    """Estimate the open tasks from the finished ones; None if none has finished.

    ``units``: length of the schedule in tasks that take the same time.
    """
    count = len(tasks)
    past = _past(project, {task.profile.agent for task in tasks})
    if past is None:
        return None
    tokens = past.tokens.sum_of(count) if past.tokens else None
    cost = past.cost.sum_of(count) if past.cost else None
    said = f"{past.attempts.mean:.1f} attempts and {past.seconds.mean / 60:.1f} minutes of work each"
    basis = [f"from {past.seconds.count} finished tasks of this run: {said}"]
    basis += [f"they reported no {what}" for what, known in (("tokens", tokens), ("cost", cost)) if known is None]
    serial = past.seconds.sum_of(count)
    at_once = serial.times(units / count)
    stagger = project.policy.limits.start_interval_s * (count - 1)
    parallel = Range(max(at_once.low, stagger), max(at_once.high, stagger))
    return Forecast(Estimate(parallel, tokens, cost), Estimate(serial, tokens, cost), tuple(basis))


def _past(project: Project, agents: Collection[str]) -> _Past | None:
    """Return the figures of the finished tasks of these agents; None if there are none."""
    store = project.store
    if not store.exists():
        return None
    ids = sorted(store.started_ids())
    done = []
    for task_id in ids[:: max(1, -(-len(ids) // FINISHED_MAX))]:
        attempts = store.attempts(task_id)
        last = attempts[-1] if attempts else None
        if isinstance(last, Over) and last.intent.agent in agents and last.outcome is Outcome.OK:
            done.append(attempts)
    seconds = measured([sum(map(_seconds, attempts)) for attempts in done])
    tries = measured([float(len(attempts)) for attempts in done])
    if seconds is None or tries is None:
        return None
    spent = [add(attempt.end.spent for attempt in attempts if attempt.end) for attempts in done]
    tokens = measured([float(one.tokens) for one in spent if one.tokens])
    return _Past(seconds, tokens, measured([one.cost for one in spent if one.cost and not one.unknown]), tries)


def _seconds(attempt: Attempt) -> float:
    """Return how long the steps of an attempt ran, without the time between them: it may have waited for a slot."""
    ran = [(step.state.at - step.started_at) for step in attempt.steps if isinstance(step.state, Exited)]
    return sum(max(0.0, one) for one in ran)
