"""What an agent used: running totals are subtracted, events added up, prices only where nobody told a cost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.evidence import Tariff, Usage
from agentjobs.model import Spending
from agentjobs.tomlfile import FieldError
from agentjobs.usage import Measured, add, measure, priced, since

COUNTS = st.integers(0, 10**6)
SPENDINGS = st.builds(Spending, COUNTS, COUNTS, COUNTS, COUNTS, st.one_of(st.none(), st.floats(0, 100)))
SPLIT = {"input": ("in",), "cache_read": ("read",), "cache_write": ("write",), "output": ("out",)}


def lines(*events: dict[str, object]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def event(**figures: object) -> dict[str, object]:
    return {"type": "u", **figures}


def test_the_last_of_running_totals_counts() -> None:
    output = lines(event(**{"in": 5, "out": 1}), {"type": "x", "in": 900}, event(**{"in": 9, "out": 2}))
    found = measure(output, Usage(event={"type": "u"}, scope="session", **SPLIT))  # type: ignore[arg-type]
    assert found == Measured(Spending(9, 0, 0, 2), whole=True, whole_cost=True)


def test_events_are_added_up_and_of_one_id_the_last_counts() -> None:
    told = [("a", 1), ("a", 5), ("b", 7), (None, 2)]
    output = lines(*(event(id=name, **{"in": count}) for name, count in told))
    found = measure(output, Usage(event={"type": "u"}, scope="event", key="id", **SPLIT))  # type: ignore[arg-type]
    assert found is not None
    assert found.spending.input == 5 + 7 + 2


def test_tokens_of_the_cache_that_the_input_counts_too_count_once() -> None:
    output = lines(event(**{"in": 100, "read": 60, "write": 10, "out": 5}))
    found = measure(output, Usage(event={"type": "u"}, inclusive=True, **SPLIT))  # type: ignore[arg-type]
    assert found is not None
    assert found.spending == Spending(30, 60, 10, 5)
    assert found.spending.tokens == 105


def test_thoughts_that_the_output_leaves_out_are_what_is_missing_in_the_total() -> None:
    output = lines(event(**{"in": 100, "read": 60, "out": 5, "all": 120}))
    where = Usage(event={"type": "u"}, inclusive=True, total=("all",), **SPLIT)  # type: ignore[arg-type]
    found = measure(output, where)
    assert found is not None
    assert found.spending == Spending(40, 60, 0, 20)
    short = measure(lines(event(**{"in": 100, "out": 5, "all": 0})), where)
    assert short is not None
    assert short.spending == Spending(100, 0, 0, 5), "a total that says less takes nothing away"


def test_a_star_goes_through_all_models() -> None:
    output = lines(event(by={"one": {"usd": 0.5, "in": 3}, "two": {"usd": 0.25, "in": 4}}))
    found = measure(output, Usage(event={"type": "u"}, input=("by.*.in",), cost="by.*.usd"))
    assert found is not None
    assert (found.spending.input, found.spending.cost) == (7, 0.75)


def test_the_cost_of_a_conversation_beside_the_tokens_of_a_process() -> None:
    output = lines(event(**{"in": 7}, usd=0.75))
    where = Usage(event={"type": "u"}, input=("in",), cost="usd", cost_scope="session")
    found = measure(output, where)
    assert found is not None
    assert since(found, [Spending(input=100, cost=0.5)]) == Spending(input=7, cost=0.25)


def test_a_total_below_what_was_there_has_begun_anew() -> None:
    found = Measured(Spending(input=10, cost=0.1), whole=True, whole_cost=True)
    assert since(found, [Spending(input=500, cost=2.0)]) == Spending(input=10, cost=0.1)


@given(st.lists(SPENDINGS, min_size=1, max_size=6))
def test_differences_of_running_totals_add_up_to_the_total(parts: list[Spending]) -> None:
    """Whatever each process used, and also where an attempt that was killed told nothing: the sum is the last total."""
    recorded: list[Spending] = []
    for number in range(1, len(parts) + 1):
        total = add(parts[:number])
        recorded.append(since(Measured(total, whole=True, whole_cost=True), recorded))
    assert add(recorded).tokens == add(parts).tokens
    assert add(recorded).cost == pytest.approx(add(parts).cost)


def test_a_killed_attempt_that_told_nothing_is_in_the_next_difference() -> None:
    second = since(Measured(Spending(input=300), whole=True), [Spending()])
    assert second.tokens == 300


def test_prices_are_for_those_who_tell_no_cost() -> None:
    tariffs = [Tariff(model="m-.*", as_of="2026-11", input=1.0, output=10.0, cache_read=0.1)]
    spent = Spending(1_000_000, 2_000_000, 500_000, 100_000)
    assert priced(spent, "m-1", tariffs) == Spending(1_000_000, 2_000_000, 500_000, 100_000, 1 + 0.2 + 0.5 + 1, True)
    assert priced(spent, "other", tariffs) == spent
    told = Spending(input=5, cost=0.0)
    assert priced(told, "m-1", tariffs) == told, "an agent that says it cost nothing is believed"


def test_what_a_tariff_must_say() -> None:
    with pytest.raises(FieldError, match="not a month"):
        Tariff(model="m", as_of="today", input=1, output=1)
    with pytest.raises(FieldError, match="either tokens"):
        Usage(event={"type": "u"}, tokens=("a",), input=("b",))
