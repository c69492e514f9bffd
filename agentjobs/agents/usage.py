"""What an agent used, from its own lines: of running totals the differences, never the sums. Pure.

``metered`` takes in one line; a whole text (``measure``) and a growing one (``observing``) are read by it alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.model.spending import Spending
from agentjobs.policy.agent_output import tariff_of
from agentjobs.text.json_lines import every, lookup, matches, read_events, scalar_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentjobs.policy.agent_output import Tariff, Usage

MOST: Final = float(2**53)
"""No count of tokens and no cost is above it; a larger figure in the output is nonsense."""

MILLION: Final = 1_000_000

LEAST: Final = 1e-9
"""US dollars: less is what sums of fractions leave over."""

KINDS: Final = ("input", "cache_read", "cache_write", "output")

Parts = dict[str, Spending]
"""By the name of the model; empty where nobody names it."""


class Measured(Struct, frozen=True):
    """What the lines say."""

    spending: Spending
    whole: bool = False
    """The tokens are those of the conversation so far, not of this process alone."""
    whole_cost: bool = False
    """The cost is that of the conversation so far."""
    parts: Parts = {}
    """The same by model, for estimates."""


class Meter(Struct, frozen=True, omit_defaults=True):
    """What was used, by the lines so far."""

    told: bool = False
    spending: Spending = Spending()
    model: str = ""
    """The one that was named last."""
    costs: int = 0
    """How many of the lines that count told a cost: without one it is not known, rather than nothing."""
    recent: dict[str, Parts] = {}
    """What the newest lines with an id said, by that id."""
    figures: Parts = {}
    """Of running totals: what the newest line said."""
    figure: float | None = None
    """The newest running total of the cost."""
    parts: Parts = {}


def measure(output: bytes, where: Usage | None, *, conversation: bool = False) -> Measured | None:
    """Return what the lines of ``output`` say; None where none of them speaks of it.

    ``conversation``: the lines are a transcript, and so of all processes that went on with the conversation. What is
    missing, negative or no number counts as 0.
    """
    if where is None:
        return None
    meter = Meter()
    for event in reversed(list(read_events(output))):
        meter = metered(meter, event.fields, where, most=None)
    return told_by_meter(meter, where, conversation=conversation)


def told_by_meter(meter: Meter, where: Usage | None, *, conversation: bool = False) -> Measured | None:
    """Return what the lines so far come to; None where none of them spoke of it."""
    if where is None or not meter.told:
        return None
    return Measured(
        meter.spending,
        whole=where.scope == "session" or conversation,
        whole_cost=(where.cost_scope or where.scope) == "session" or conversation,
        parts=meter.parts if any(meter.parts) else {},
    )


def metered(meter: Meter, fields: Mapping[str, object], where: Usage, *, most: int | None) -> Meter:
    """Take in one line; ``most``: of so many of the newest ids it is remembered what they said (None: of all).

    ``recent`` of the meter is changed in place.
    """
    if where.model is not None and matches(fields, where.model_event or where.event):
        meter = replace(meter, model=scalar_text(lookup(fields, where.model)) or meter.model)
    if not matches(fields, where.event):
        return meter
    said = _said(fields, where)
    total = _total(said)
    key = (scalar_text(lookup(fields, where.key)) or "") if where.key else ""
    old = meter.recent.pop(key, {}) if key else {}
    if key:
        meter.recent[key] = said
        if most is not None and len(meter.recent) > most:
            del meter.recent[next(iter(meter.recent))]
    figures = meter.figures
    if where.scope == "event":
        new = old
    elif where.scope == "run":
        new, figures = figures, said
    elif any(tokens is not None for path in where.paths for tokens in every(fields, path)):
        # A running total that falls has begun anew: what it had come to before is not lost.
        new, figures = (figures if total.tokens >= _total(figures).tokens else {}), said
    else:  # a line without a figure
        new, said = {}, {}
    spending, parts = meter.spending, dict(meter.parts)
    for name in {**new, **said}:
        plus, less, named = said.get(name, Spending()), new.get(name, Spending()), name or meter.model
        spending = _moved(spending, plus, less)
        parts[named] = _moved(parts.get(named, Spending()), plus, less)
    cost, costs, figure = _cost(meter, total.cost, _total(old).cost, where)
    spending = replace(spending, cost=cost)
    return replace(meter, told=True, spending=spending, costs=costs, figures=figures, figure=figure, parts=parts)


def _said(fields: Mapping[str, object], where: Usage) -> Parts:
    """Return what one line says, by model where it holds a table of them.

    A table of money alone has the tokens beside it.
    """
    table = lookup(fields, where.models) if where.models is not None else None
    if not isinstance(table, dict):
        return {"": Spending(*tokens_in(fields, where), money_in(fields, where))}
    entries = {str(name): entry for name, entry in table.items() if isinstance(entry, dict)}
    parts = {name: Spending(*tokens_in(entry, where), money_in(entry, where)) for name, entry in entries.items()}
    beside = Spending(*tokens_in(fields, where), _total(parts).cost)
    if parts and beside.tokens and not any(part.tokens for part in parts.values()):
        return {next(iter(parts)) if len(parts) == 1 else "": beside}
    return parts


def _total(parts: Parts) -> Spending:
    return add(parts.values())


def _moved(base: Spending, plus: Spending, less: Spending) -> Spending:
    """Return ``base + plus - less``; a cost is there where one of them has one."""
    costs = [one.cost for one in (base, plus, less)]
    cost = None if costs == [None] * 3 else (base.cost or 0.0) + (plus.cost or 0.0) - (less.cost or 0.0)
    kinds = {kind: getattr(base, kind) + getattr(plus, kind) - getattr(less, kind) for kind in KINDS}
    return Spending(**kinds, cost=cost)


def _cost(meter: Meter, said: float | None, old: float | None, where: Usage) -> tuple[float | None, int, float | None]:
    """Return the cost so far, how many lines told one, and the newest running total of it."""
    scope, before = where.cost_scope or where.scope, meter.spending.cost
    if scope == "run":
        return said, 0, None
    if scope == "event":
        costs = meter.costs + (said is not None) - (old is not None)
        return ((before or 0.0) + (said or 0.0) - (old or 0.0) if costs else None), costs, None
    if said is None:
        return before, 0, meter.figure
    anew = meter.figure is None or said < meter.figure
    return (before or 0.0) + said - (0.0 if anew else meter.figure or 0.0), 0, said


def together(steps: Iterable[Measured | None]) -> Measured | None:
    """Return what all agent steps of an attempt said: of running totals the last, of all others the sum."""
    told = [one for one in steps if one is not None]
    if not told:
        return None
    total, newest = _summed(told), told[-1]
    spending = newest.spending if newest.whole else total.spending
    cost = newest.spending.cost if newest.whole_cost else total.spending.cost
    parts = newest.parts if newest.whole else total.parts
    return replace(newest, spending=replace(spending, cost=cost), parts=parts)


def beside(transcripts: Iterable[Measured | None]) -> Measured | None:
    """Return what several files of one conversation say together, such as those of sub-agents."""
    told = [one for one in transcripts if one is not None]
    return _summed(told) if told else None


def _summed(told: Sequence[Measured]) -> Measured:
    parts: Parts = {}
    for one in told:
        for name, part in one.parts.items():
            parts[name] = _moved(parts.get(name, Spending()), part, Spending())
    return replace(told[-1], spending=add(one.spending for one in told), parts=parts)


def of_attempt(
    said: Measured | None, kept: Measured | None, earlier: Sequence[Spending], model: str, prices: Sequence[Tariff]
) -> Spending:
    """Return what an attempt alone used, by what its output said and by what is kept on disk.

    Each may lack something (a killed agent has not said all, and keeps no side requests), neither makes anything
    up: the one that counts more tokens is right, the output where both say the same. ``earlier``: what earlier attempts
    of the conversation used; ``model``: what the profile asks for, where nobody says which model answered.
    """
    told = [(since(one, earlier), one) for one in (said, kept) if one is not None]
    if not told:
        return Spending()
    spent, found = max(told, key=lambda one: one[0].tokens)
    parts = found.parts or next((one.parts for _, one in told if one.parts), {})
    return priced(spent, model, prices, parts)


def since(now: Measured, earlier: Iterable[Spending]) -> Spending:
    """Return what this process alone used: all of the conversation, less what earlier attempts of it did.

    A running total that is below what was there before has begun anew: then it is this process's own.
    """
    before = add(earlier)
    spent = now.spending
    if now.whole and spent.tokens >= before.tokens:
        kinds = {kind: max(0, getattr(spent, kind) - getattr(before, kind)) for kind in KINDS}
        spent = Spending(**kinds, cost=spent.cost)
    if now.whole_cost and spent.cost is not None and before.cost is not None and spent.cost >= before.cost:
        spent = replace(spent, cost=spent.cost - before.cost)
    return spent


def add(amounts: Iterable[Spending]) -> Spending:
    """Return the sum. A cost is known where at least one is: ``unknown`` says whether it is all of it."""
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
            partly=total.unknown or one.unknown,
        )
    return total


def priced(spent: Spending, model: str, prices: Sequence[Tariff], parts: Parts | None = None) -> Spending:
    """Return the spending with its cost as the agent told it, or else with an estimate.

    Tokens cost money: a told cost of $0 for them only says that the agent knows no price. The estimate is
    tokens / 1,000,000 x price, for each of the four kinds of tokens; a price of the cache that is not given is that of
    the input. ``parts`` are the tokens by model, where that is known: with several, each kind of tokens has their
    average price. Where no model, or not every one, has a price, the cost is unknown, or partly so.
    """
    parts = parts or {}
    if not spent.tokens:
        return spent
    if spent.cost is not None and spent.cost > LEAST:
        return replace(spent, partly=any(part.tokens and not part.cost for part in parts.values()))
    models = {name or model: part for name, part in parts.items() if part.tokens} or {model: spent}
    known = {name: tariff for name in models if (tariff := tariff_of(name, prices)) is not None}
    if not known:
        return replace(spent, cost=None)
    dollars = 0.0
    for kind in KINDS:
        count = sum(getattr(part, kind) for part in models.values())
        worth = sum(getattr(models[name], kind) * _price(tariff, kind) for name, tariff in known.items())
        average = worth / count if count else max(_price(tariff, kind) for tariff in known.values())
        dollars += getattr(spent, kind) * average / MILLION
    return replace(spent, cost=dollars, estimated=True, partly=len(known) < len(models))


def _price(tariff: Tariff, kind: str) -> float:
    price: float | None = getattr(tariff, kind)
    return tariff.input if price is None else price


def tokens_in(fields: Mapping[str, object], where: Usage) -> tuple[int, int, int, int]:
    """Return what one line says: tokens read, read from a cache, written to a cache, written."""

    def total(paths: Sequence[str]) -> int:
        return int(min(sum(amount(value) for path in paths for value in every(fields, path)), MOST))

    if where.tokens:
        return total(where.tokens), 0, 0, 0
    read, write = total(where.cache_read), total(where.cache_write)
    plain = total(where.input)
    if where.inclusive:
        plain = max(0, plain - read - write)
    written = max(total(where.output), total(where.total) - plain - read - write)
    return plain, read, write, written


def money_in(fields: Mapping[str, object], where: Usage) -> float | None:
    """Return the dollars one line speaks of; None where it speaks of none, or only guesses."""
    if where.cost is None or (where.guess is not None and matches(fields, where.guess)):
        return None
    found = [value for value in every(fields, where.cost) if isinstance(value, int | float)]
    return sum(amount(value) for value in found) if found else None


def amount(value: object) -> float:
    """Return a number that can be added up: 0 for what is missing, negative, infinite or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return min(float(value), MOST) if 0 <= value <= MOST * MOST and math.isfinite(value) else 0.0
