"""Should the tasks run in parallel? Reasons for and against, and a verdict (pure)."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from agentjobs.checkup.forecast import Range  # noqa: TC001 - msgspec's

FEW: Final = 3
"""Up to this many tasks, if one conversation can hold them: one agent in one conversation is simpler."""

WORTH: Final = 1.5
"""A smaller speed-up than this is not worth a second agent."""

CROWDED: Final = 0.5
"""Warn if less than this share of the slots can be used."""

Verdict = Literal["yes", "with care", "no", "nothing to do"]


class Order(Struct, frozen=True):
    """Which task waits for which."""

    chain: int
    """Tasks of the longest chain through ``after``; these run one after another."""
    wide: int
    """Tasks of the widest level: they could run at once, were there slots for all; of tasks that name the same paths
    the one that ranks first comes first."""
    slots: int
    pairs: int
    """Pairs of tasks that name the same paths, and so never run at once."""
    more_pairs: bool
    """There are more: counting stopped."""
    crowd: int
    """Tasks of the largest group of which no two run at once for their files."""
    speed_up: float
    """Times as fast as one after the other, at best."""
    flying: int | None = None
    """Tasks of the usual size that ``limits.tokens_in_flight`` lets run at once; None without it."""


class Fit(Struct, frozen=True):
    """Size of the tasks: prompt and files, in tokens as their agents count."""

    median: int
    largest: int
    largest_id: str
    limit: int
    """fit x window of the largest task."""
    total: int
    """All prompts, and each file once."""
    room: int
    """fit x window of the most common profile: what one conversation holds."""
    rendered: int
    """Number of prompts rendered; the others count as their mean."""
    too_large: int = 0
    """Number of tasks that do not fit."""


class Checks(Struct, frozen=True):
    """How many tasks have checks."""

    checked: int
    unchecked: int
    profiles: tuple[str, ...] = ()
    """Profiles without a check."""


class Estimate(Struct, frozen=True):
    """Time, tokens and cost of the open tasks."""

    seconds: Range
    tokens: Range | None
    """None if the finished tasks reported none."""
    cost: Range | None
    """US dollars; None if the finished tasks reported none."""


class Forecast(Struct, frozen=True):
    """What the open tasks take, estimated from finished ones."""

    parallel: Estimate
    in_turn: Estimate
    """One task at a time."""
    basis: tuple[str, ...]
    """Where the figures come from, as text."""


class Advice(Struct, frozen=True):
    """The answer and its reasons."""

    verdict: Verdict
    why: tuple[str, ...]
    tasks: int
    """Number of open tasks."""
    at_once: int
    order: Order | None = None
    fit: Fit | None = None
    checks: Checks | None = None
    forecast: Forecast | None = None


def judged(tasks: int, order: Order, fit: Fit, checks: Checks, forecast: Forecast | None) -> Advice:
    """Return the verdict with its reasons."""
    at_once = max(1, min(tasks, order.slots, order.wide, *(() if order.flying is None else (order.flying,))))
    against, care = _against(tasks, order, fit), _care(tasks, order, fit, checks)
    verdict: Verdict = "no" if against else "with care" if care else "yes"
    return Advice(verdict, against or care, tasks, at_once, order, fit, checks, forecast)


def _against(tasks: int, order: Order, fit: Fit) -> tuple[str, ...]:
    if tasks == 1:
        return ("it is one task",)
    if order.slots == 1:
        return ("slots = 1",)
    if order.speed_up < WORTH:
        return (f"tasks wait for one another: {order.speed_up:.1f} times as fast at best",)
    if tasks <= FEW and fit.total <= fit.room:
        return (f"{tasks} tasks of {fit.total:,} tokens fit one conversation: one agent in one is simpler",)
    return ()


def _care(tasks: int, order: Order, fit: Fit, checks: Checks) -> tuple[str, ...]:
    found = []
    if checks.unchecked:
        whose = "no task has a check" if not checks.checked else f"{checks.unchecked} tasks have no check"
        found.append(f"{whose}: do not leave it alone, success would be the agents' word")
    if fit.too_large:
        found.append(f"{fit.too_large} tasks name more than fits: split them")
    if order.speed_up < CROWDED * min(order.slots, tasks):
        reason = "files that several name" if order.crowd > order.chain else "tasks that wait for one another"
        found.append(f"{reason} leave slots idle: {order.speed_up:.1f} times as fast at best, with {order.slots} slots")
    if order.flying is not None and order.flying < CROWDED * min(order.slots, tasks):
        found.append(f"limits.tokens_in_flight lets {order.flying} of {order.slots} run at once")
    return tuple(found)
