"""What an agent used, from its own lines: of running totals the differences, never the sums. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.jsonlines import every, lookup, matches, read_events, scalar_text
from agentjobs.model import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentjobs.evidence import Tariff, Usage
    from agentjobs.jsonlines import Event

MOST: Final = float(2**53)
"""No count of tokens and no cost is above it; a larger figure in the output is nonsense."""

MILLION: Final = 1_000_000


class Measured(Struct, frozen=True):
    """What the lines say."""

    spending: Spending
    model: str = ""
    whole: bool = False
    """The tokens are those of the conversation so far, not of this process alone."""
    whole_cost: bool = False
    """Likewise the cost."""


def measure(output: bytes, where: Usage | None, *, conversation: bool = False) -> Measured | None:
    """Return what the lines of ``output`` say; None where none of them speaks of it.

    ``conversation``: the lines are a transcript, and so of all processes that went on with the conversation. What is
    missing, negative or no number counts as 0.
    """
    if where is None:
        return None
    found = [event for event in read_events(output) if matches(event.fields, where.event)]  # newest first
    if not found:
        return None
    scope, cost_scope = where.scope, where.cost_scope or where.scope
    counted = _counted(found, where) if "event" in (scope, cost_scope) else found[:1]
    tokens = [tokens_in(event, where) for event in (counted if scope == "event" else found[:1])]
    total = [int(min(sum(figures), MOST)) for figures in zip(*tokens, strict=True)]
    cost = None
    if where.cost is not None:
        told = [money_in(event, where.cost) for event in (counted if cost_scope == "event" else found[:1])]
        cost = sum(value for value in told if value is not None) if any(v is not None for v in told) else None
    names = (scalar_text(lookup(event.fields, where.model)) for event in found) if where.model else iter(())
    return Measured(
        spending=Spending(total[0], total[1], total[2], total[3], cost),
        model=next((name for name in names if name), ""),
        whole=scope == "session" or conversation,
        whole_cost=cost_scope == "session" or conversation,
    )


def together(steps: Sequence[Measured | None]) -> tuple[Measured | None, bool]:
    """Return what all agent steps of an attempt said, and whether that is all: one that was killed says nothing.

    Of running totals it is the last, of all others the sum.
    """
    told = [one for one in steps if one is not None]
    if not told:
        return None, False
    total, newest = add(one.spending for one in told), told[-1]
    spending = newest.spending if newest.whole else total
    cost = newest.spending.cost if newest.whole_cost else total.cost
    complete = len(told) == len(steps) or (newest.whole and steps[-1] is not None)
    return replace(newest, spending=replace(spending, cost=cost)), complete


def since(now: Measured, earlier: Iterable[Spending]) -> Spending:
    """Return what this process alone used: all of the conversation, less what earlier attempts of it did.

    A running total that is below what was there before has begun anew: then it is this process's own.
    """
    before = add(earlier)
    spent = now.spending
    if now.whole and spent.tokens >= before.tokens:
        spent = Spending(
            max(0, spent.input - before.input),
            max(0, spent.cache_read - before.cache_read),
            max(0, spent.cache_write - before.cache_write),
            max(0, spent.output - before.output),
            spent.cost,
        )
    if now.whole_cost and spent.cost is not None and before.cost is not None and spent.cost >= before.cost:
        spent = Spending(spent.input, spent.cache_read, spent.cache_write, spent.output, spent.cost - before.cost)
    return spent


def add(amounts: Iterable[Spending]) -> Spending:
    """Return the sum; a cost is known where at least one is, and estimated where one is."""
    total = Spending()
    for one in amounts:
        cost = total.cost if one.cost is None else (total.cost or 0.0) + one.cost
        total = Spending(
            total.input + one.input,
            total.cache_read + one.cache_read,
            total.cache_write + one.cache_write,
            total.output + one.output,
            cost,
            total.estimated or one.estimated,
        )
    return total


def priced(spent: Spending, model: str, prices: Sequence[Tariff]) -> Spending:
    """Return the spending with an estimate of its cost, where the agent told none and the model's price is known.

    tokens / 1,000,000 x price, for each of the four kinds of tokens; a price of the cache that is not given is that of
    the input.
    """
    if spent.cost is not None or not spent.tokens:
        return spent
    tariff = next((one for one in prices if re.fullmatch(one.model, model)), None)
    if tariff is None:
        return spent
    read = tariff.input if tariff.cache_read is None else tariff.cache_read
    write = tariff.input if tariff.cache_write is None else tariff.cache_write
    cost = (
        spent.input * tariff.input + spent.cache_read * read + spent.cache_write * write + spent.output * tariff.output
    ) / MILLION
    return Spending(spent.input, spent.cache_read, spent.cache_write, spent.output, cost, estimated=True)


def _counted(found: Sequence[Event], where: Usage) -> list[Event]:
    """Return the lines to add up: of those with one id only the last."""
    if where.key is None:
        return list(found)
    seen: set[str] = set()
    kept = []
    for event in found:
        key = scalar_text(lookup(event.fields, where.key)) or ""
        if not key or key not in seen:
            kept.append(event)
        seen.add(key)
    return kept


def tokens_in(event: Event, where: Usage) -> tuple[int, int, int, int]:
    """Return what one line says: tokens read, read from a cache, written to a cache, written."""

    def total(paths: Sequence[str]) -> int:
        return int(min(sum(amount(value) for path in paths for value in every(event.fields, path)), MOST))

    if where.tokens:
        return total(where.tokens), 0, 0, 0
    read, write = total(where.cache_read), total(where.cache_write)
    plain = total(where.input)
    if where.inclusive:
        plain = max(0, plain - read - write)
    written = max(total(where.output), total(where.total) - plain - read - write)
    return plain, read, write, written


def money_in(event: Event, path: str) -> float | None:
    """Return the dollars one line speaks of; None where it speaks of none."""
    found = [value for value in every(event.fields, path) if isinstance(value, int | float)]
    return sum(amount(value) for value in found) if found else None


def amount(value: object) -> float:
    """Return a number that can be added up: 0 for what is missing, negative, infinite or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return min(float(value), MOST) if 0 <= value <= MOST * MOST and math.isfinite(value) else 0.0
