"""The advice whether to run tasks in parallel, as text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.text.for_people import columns, duration, many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.checkup.forecast import Range
    from agentjobs.checkup.parallel_advice import Advice, Checks, Estimate, Fit, Forecast, Order


def lines(advice: Advice, phases: Sequence[str] = ()) -> list[str]:
    """Return the verdict, and a line for each reason. ``phases``: profiles that plan their own tasks."""
    if advice.verdict == "nothing to do":
        later = f"; those of the phases ({', '.join(phases)}) are planned after `agentjobs dispatch`" if phases else ""
        return [f"parallel: nothing to do, no task is open{later}"]
    if advice.verdict == "no":
        first = f"parallel: no: {'; '.join(advice.why)}"
    else:
        why = f": {'; '.join(advice.why)}" if advice.why else ""
        first = f"parallel: {advice.verdict}, {many(advice.tasks, 'task')}, {advice.at_once} at once{why}"
    rows: list[tuple[str, str]] = []
    if advice.order is not None:
        rows += [("order", text) for text in _order(advice.order)]
    if advice.fit is not None:
        rows.append(("fit", _fit(advice.fit, advice.tasks)))
    if advice.checks is not None:
        rows.append(("checks", _checks(advice.checks)))
    rows += [("forecast", text) for text in _forecast(advice.forecast, advice.at_once, advice.tasks)]
    shown = [("" if at and rows[at - 1][0] == name else name, text) for at, (name, text) in enumerate(rows)]
    return [first, *columns(shown, "  ")]


def _order(order: Order) -> list[str]:
    best = f"at most {order.speed_up:.1f} times as fast as in sequence"
    found = [f"longest chain {order.chain:,}, {order.wide:,} could run at once, {order.slots} slots: {best}"]
    if order.pairs:
        more = "more than " if order.more_pairs else ""
        pairs = "1 pair of tasks names" if order.pairs == 1 else f"{more}{order.pairs:,} pairs of tasks name"
        found.append(f"{pairs} the same paths and never run at once; up to {order.crowd:,} tasks wait for each other")
    if order.flying is not None:
        found.append(f"limits.tokens_in_flight lets about {order.flying:,} of the median size run at once")
    return found


def _fit(fit: Fit, tasks: int) -> str:
    one = "one conversation would hold it" if fit.total <= fit.room else "more than one conversation holds"
    seen = f" ({fit.rendered} prompts measured)" if fit.rendered < tasks else ""
    return (
        f"median {amount(fit.median)} tokens, largest {amount(fit.largest)} ({fit.largest_id}), {amount(fit.limit)} fit"
        f"; together {amount(fit.total)}: {one}{seen}"
    )


def _checks(checks: Checks) -> str:
    total = checks.checked + checks.unchecked
    bare = f"; none in profile {', '.join(checks.profiles)}" if checks.unchecked else ""
    return f"{checks.checked:,} of {total:,} tasks are checked by commands, not by their agent's report{bare}"


def _forecast(forecast: Forecast | None, at_once: int, tasks: int) -> list[str]:
    if forecast is None:
        return ["none before a task has finished: try a few (`agentjobs dispatch --only 3`), then check again"]
    ways = [(f"{at_once} at once:", _estimate(forecast.parallel))] if at_once > 1 else []
    ways.append(("one at a time:" if tasks > 1 else "the one task:", _estimate(forecast.in_turn)))
    return [*columns(ways), *(f"estimate: {text}" for text in forecast.basis)]


def _estimate(estimate: Estimate) -> str:
    low, high = duration(estimate.seconds.low), duration(estimate.seconds.high)
    found = [f"{low} to {high}"]
    if estimate.tokens is not None:
        found.append(f"{amount(estimate.tokens.low)} to {amount(estimate.tokens.high)} tokens")
    if estimate.cost is not None:
        found.append(f"${_money(estimate.cost)}")
    return ", ".join(found)


def _money(cost: Range) -> str:
    places = 2 if cost.high < 10 else 0  # noqa: PLR2004 - where cents say something
    return f"{cost.low:,.{places}f} to ${cost.high:,.{places}f}"


def amount(tokens: float) -> str:
    """Return a number of tokens with two or three significant digits: ``850``, ``12k``, ``3.4M``."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if tokens >= size * 0.9995:
            value = tokens / size
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:,.0f}{unit}"  # noqa: PLR2004 - see above
    return f"{tokens:.0f}"
