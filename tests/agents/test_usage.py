"""What an agent used: running totals are subtracted, events added up, prices only where no cost was reported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.agents.usage import Measured, add, measure, of_attempt, priced, since
from agentjobs.model.spending import Spending
from agentjobs.policy.agent_output import Tariff, Usage
from agentjobs.policy.agents import Agent
from agentjobs.run.steps.spending import from_output
from agentjobs.text.toml import FieldError

if TYPE_CHECKING:
    from pathlib import Path

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
    """Whatever each process used, and also if a killed attempt reported nothing: the sum is the last total."""
    recorded: list[Spending] = []
    for number in range(1, len(parts) + 1):
        total = add(parts[:number])
        recorded.append(since(Measured(total, whole=True, whole_cost=True), recorded))
    assert add(recorded).tokens == add(parts).tokens
    assert add(recorded).cost == pytest.approx(add(parts).cost)


def test_a_killed_attempt_that_told_nothing_is_in_the_next_difference() -> None:
    second = since(Measured(Spending(input=300), whole=True), [Spending()])
    assert second.tokens == 300


@given(st.lists(st.tuples(COUNTS, st.booleans()), max_size=12), st.integers(0, 12))
def test_a_running_total_that_begins_anew_loses_nothing(requests: list[tuple[int, bool]], resumed: int) -> None:
    """A full context sets the total back to 0 (True); an attempt that continues it counts its own part."""
    where = Usage(event={"type": "u"}, scope="session", input=("in",))
    figures, total = [], 0
    for tokens, overflows in requests:
        total = 0 if overflows else total + tokens
        figures.append(event(**{"in": total}))
    used = [0 if overflows else tokens for tokens, overflows in requests]
    first = measure(lines(*figures[:resumed]), where, conversation=True)
    spent = first.spending if first is not None else Spending()
    assert spent.tokens == sum(used[:resumed])
    whole = measure(lines(*figures), where, conversation=True)
    assert (since(whole, [spent]).tokens if whole is not None else 0) == sum(used[resumed:])


def test_a_line_of_a_running_total_without_a_figure_says_nothing() -> None:
    where = Usage(event={"type": "u"}, scope="session", input=("in",), cost="usd")
    found = measure(lines(event(**{"in": 9}, usd=0.5), event(), event(**{"in": 12}, usd=0.75)), where)
    assert found is not None
    assert found.spending == Spending(12, cost=0.75)


MODELS = Usage(
    event={"type": "u"}, scope="event", models="by", input=("in|usage.in",), cost="usd", guess={"basis": "unknown"}
)


def test_a_table_by_model_or_else_the_line_itself() -> None:
    table = {"m-1": {"in": 5, "usd": 0.5}, "m-2": {"in": 7, "usd": 0.25}}
    found = measure(lines(event(by=table, usage={"in": 900}), event(by={}, usage={"in": 900})), MODELS)
    assert found is not None
    assert found.spending == Spending(12, cost=0.75), "of an empty table nothing counts"
    assert found.parts == {"m-1": Spending(5, cost=0.5), "m-2": Spending(7, cost=0.25)}
    older = measure(lines(event(usage={"in": 900})), MODELS)
    assert older is not None
    assert older.spending == Spending(900)


TARIFFS = [
    Tariff(model="m-1", as_of="2026-11", input=1.0, output=10.0),
    Tariff(model="m-2", as_of="2026-11", input=3.0, output=30.0),
]


def test_a_cost_that_the_agent_guesses_is_not_told() -> None:
    table = {"m-1": {"in": 5, "usd": 0.5}, "new": {"in": 7, "usd": 0.25, "basis": "unknown"}}
    found = measure(lines(event(by=table)), MODELS)
    spent = of_attempt(found, None, [], "m-1", TARIFFS)
    assert (spent.cost, spent.unknown) == (0.5, True)
    alone = of_attempt(measure(lines(event(by={"new": table["new"]})), MODELS), None, [], "m-1", TARIFFS)
    assert (alone.cost, alone.unknown) == (None, True), "the model that answered has no price, whatever was asked for"


def test_the_models_that_answered_give_the_estimate() -> None:
    where = Usage(event={"type": "u"}, scope="event", input=("in",), output=("out",), model="model")
    told = [("m-1", 1_000_000, 0), ("m-2", 1_000_000, 100_000)]
    output = lines(*(event(**{"in": read, "out": written}, model=model) for model, read, written in told))
    kept = measure(output, where, conversation=True)
    spent = of_attempt(None, kept, [], "m-1", TARIFFS)
    assert spent.cost == pytest.approx(1 + 3 + 3)
    assert (spent.estimated, spent.unknown) == (True, False)
    half = of_attempt(None, kept, [Spending(input=1_000_000)], "m-1", TARIFFS)
    assert half.cost == pytest.approx(2 + 3), "of a conversation's models the average price"
    partly = of_attempt(None, kept, [], "", TARIFFS[:1])
    assert partly.cost is not None
    assert partly.unknown
    named = of_attempt(Measured(kept.spending), kept, [], "", TARIFFS) if kept is not None else Spending()
    assert named.cost == spent.cost, "the transcript names the models where the output does not"


def test_the_model_is_that_of_the_line_before() -> None:
    where = Usage(event={"type": "u"}, scope="session", input=("in",), model="model", model_event={"type": "turn"})
    turn: dict[str, object] = {"type": "turn"}
    output = lines(turn | {"model": "m-1"}, event(**{"in": 5}), turn | {"model": "m-2"}, event(**{"in": 9}))
    found = measure(output, where)
    assert found is not None
    assert found.parts == {"m-1": Spending(5), "m-2": Spending(4)}


def test_what_lacks_less_counts() -> None:
    """A killed agent has not said all; and what it keeps may lack side requests."""
    said, kept = Measured(Spending(100, cost=0.5)), Measured(Spending(70), whole=True)
    assert of_attempt(said, kept, [], "m-1", TARIFFS) == Spending(100, cost=0.5)
    more = Measured(Spending(130), whole=True)
    assert of_attempt(said, more, [], "m-1", TARIFFS).tokens == 130
    assert of_attempt(None, more, [Spending(100)], "m-1", TARIFFS).tokens == 30
    assert of_attempt(None, None, [], "m-1", TARIFFS) == Spending()


def test_no_dollars_for_tokens_is_no_cost() -> None:
    """So speak aider, mini-swe-agent, opencode and pi of a model whose price they do not know."""
    assert priced(Spending(input=5, cost=0.0), "x", TARIFFS) == Spending(input=5)
    assert priced(Spending(input=5, cost=0.0), "x", TARIFFS).unknown
    assert not priced(Spending(cost=0.0), "x", TARIFFS).unknown
    assert priced(Spending(input=1_000_000, cost=0.0), "m-1", TARIFFS).cost == 1.0
    free = [Tariff(model=".*", as_of="2026-11", input=0, output=0)]
    assert not priced(Spending(input=5), "local", free).unknown, "a model that costs nothing has a price of 0"


def test_a_sum_says_whether_it_is_all() -> None:
    known, unknown = Spending(5, cost=0.5), Spending(7)
    assert not add([known, Spending()]).unknown
    assert (add([known, unknown]).cost, add([known, unknown]).unknown) == (0.5, True)
    assert add([unknown]).unknown


def test_prices_are_for_those_who_tell_no_cost() -> None:
    tariffs = [Tariff(model="m-.*", as_of="2026-11", input=1.0, output=10.0, cache_read=0.1)]
    spent = Spending(1_000_000, 2_000_000, 500_000, 100_000)
    assert priced(spent, "m-1", tariffs) == Spending(1_000_000, 2_000_000, 500_000, 100_000, 1 + 0.2 + 0.5 + 1, True)
    assert priced(spent, "other", tariffs) == spent
    told = Spending(input=5, cost=0.25)
    assert priced(told, "m-1", tariffs) == told, "a reported cost is believed"


def test_what_a_tariff_must_say() -> None:
    with pytest.raises(FieldError, match="not a month"):
        Tariff(model="m", as_of="today", input=1, output=1)
    with pytest.raises(FieldError, match="either tokens"):
        Usage(event={"type": "u"}, tokens=("a",), input=("b",))


@pytest.mark.parametrize("before", [0, 400_000])
@pytest.mark.parametrize("inside", [10, 300_000])
@pytest.mark.parametrize("after", [0, 300_000])
def test_the_figure_of_a_run_counts_however_long_its_line_and_far_from_the_end(
    tmp_path: Path, before: int, inside: int, after: int
) -> None:
    usage = {"event": {"type": "result"}, "scope": "run", "tokens": ["n"]}
    agent = msgspec.convert({"command": ["x"], "usage": usage}, Agent)
    log = tmp_path / "output.log"
    older = lines({"type": "result", "n": 3}, {"type": "tool", "text": "x" * before})
    final = {"type": "result", "text": "y" * inside, "n": 42}
    log.write_bytes(older + lines(final, {"type": "log", "text": "z" * after}))
    found = from_output(log, agent, 1 << 30)
    assert found is not None
    assert found.spending.tokens == 42
    assert from_output(log, agent, 1) == (found if max(inside, after) < 1000 else None), "the bound is kept"
