"""Should this be parallel at all: what speaks for it and what against, and a verdict. Pure."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from agentjobs.checkup.forecast import Range  # noqa: TC001 - msgspec's

FEW: Final = 3
"""So few tasks that all fit one conversation are done more simply by one agent in one."""

WORTH: Final = 1.5
"""Less speed than this times that of one agent pays for no second one."""

CROWDED: Final = 0.5
"""Below this share of what the slots could do the order of the tasks is what holds them up."""

Verdict = Literal["yes", "with care", "no", "nothing to do"]


class Order(Struct, frozen=True):
    """Who waits for whom."""

    chain: int
    """Tasks of the longest chain through ``after``: so many are done in sequence at least."""
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
    """How large tasks are: prompt and files, in tokens as their agents count."""

    median: int
    largest: int
    largest_id: str
    limit: int
    """What fits the largest: its fit x window."""
    total: int
    """All prompts, and each file once."""
    room: int
    """What one conversation of the usual profile holds: its fit x window."""
    rendered: int
    """Prompts that were looked at; the others are taken for their mean."""
    too_large: int = 0
    """Tasks that do not fit."""


class Checks(Struct, frozen=True):
    """Whose success is more than their agent's word."""

    checked: int
    unchecked: int
    profiles: tuple[str, ...] = ()
    """Those without a check."""


class Estimate(Struct, frozen=True):
    """What one way to do it takes."""

    seconds: Range
    tokens: Range
    cost: Range | None
    """US dollars; None where no price is known."""


class Forecast(Struct, frozen=True):
    """What three ways to do all that is open take."""

    parallel: Estimate
    in_turn: Estimate
    """One task at a time, each in a fresh context."""
    in_one: Estimate
    """One agent in one conversation."""
    basis: tuple[str, ...]
    """What the figures rest on, for people."""


class Advice(Struct, frozen=True):
    """The answer, and what it rests on."""

    verdict: Verdict
    why: tuple[str, ...]
    tasks: int
    """Tasks that are open."""
    at_once: int
    order: Order | None = None
    fit: Fit | None = None
    checks: Checks | None = None
    forecast: Forecast | None = None


def judged(tasks: int, order: Order, fit: Fit, checks: Checks, forecast: Forecast) -> Advice:
    """Weigh it all up."""
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
