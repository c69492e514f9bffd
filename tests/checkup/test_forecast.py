"""What a run will take, and whether it should be parallel: held against small cases tried in full."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.checkup.forecast import (
    Measured,
    Range,
    in_order,
    least_time,
    longest,
    measured,
    schedule,
    speed_up,
    widest,
)
from agentjobs.checkup.parallel_advice import Advice, Checks, Estimate, Fit, Forecast, Order, judged
from agentjobs.views.parallel_text import amount, lines

Dag = tuple[list[list[int]], list[float]]


@st.composite
def dags(draw: st.DrawFn, most: int = 8) -> Dag:
    """Draw what each task needs, and how long each takes; the numbers of the tasks are in no order."""
    count = draw(st.integers(0, most))
    names = draw(st.permutations(range(count)))
    needs: list[list[int]] = [[] for _ in range(count)]
    for at, name in enumerate(names):
        needs[name] = sorted(draw(st.sets(st.sampled_from(names[:at]), max_size=3))) if at else []
    return needs, [float(draw(st.integers(1, 9))) for _ in range(count)]


def chains(needs: list[list[int]], durations: list[float], task: int) -> list[float]:
    """Return the length of every chain that ends with a task."""
    longer = [length for need in needs[task] for length in chains(needs, durations, need)]
    return [durations[task] + length for length in longer or [0.0]]


def order_of(needs: list[list[int]]) -> list[int]:
    return in_order(needs, [float(at) for at in range(len(needs))])


# --- time


@settings(max_examples=100, deadline=None)
@given(dags())
def test_the_critical_path_is_the_longest_of_all_chains(dag: Dag) -> None:
    needs, durations = dag
    every = [length for task in range(len(needs)) for length in chains(needs, durations, task)]
    assert longest(needs, durations, order_of(needs)) == max(every, default=0.0)


@settings(max_examples=100, deadline=None)
@given(dags(), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_the_order_keeps_what_tasks_need_and_the_best_rank_first(dag: Dag, ranks: list[int]) -> None:
    needs, _ = dag
    found = in_order(needs, ranks[: len(needs)])
    assert sorted(found) == list(range(len(needs)))
    done: set[int] = set()
    for task in found:
        ready = [other for other in range(len(needs)) if other not in done and set(needs[other]) <= done]
        assert task == min(ready, key=lambda other: (ranks[other], other))
        done.add(task)


def test_a_circle_has_no_order() -> None:
    assert in_order([[1], [0], []], [0.0, 0.0, 0.0]) == [2]


def most_time(work: float, path: float, slots: int) -> float:
    """Return the time above which no greedy order takes."""
    return path + max(0.0, work - path) / slots


@settings(max_examples=100, deadline=None)
@given(dags(), st.integers(1, 5))
def test_a_schedule_lies_between_its_bounds(dag: Dag, slots: int) -> None:
    needs, durations = dag
    order = order_of(needs)
    path, work = longest(needs, durations, order), sum(durations)
    took = schedule(needs, durations, order, slots)
    assert least_time(work, path, slots) <= took + 1e-9
    assert took <= most_time(work, path, slots) + 1e-9
    if slots == 1:
        assert took == work
    if slots >= widest(needs, order):
        assert schedule(needs, [1.0] * len(needs), order, slots) == longest(needs, [1.0] * len(needs), order)


@settings(max_examples=60, deadline=None)
@given(dags(5), st.integers(1, 3))
def test_no_order_of_work_beats_the_least_time(dag: Dag, slots: int) -> None:
    needs, durations = dag
    least = least_time(sum(durations), longest(needs, durations, order_of(needs)), slots)
    best = min(schedule(needs, durations, order, slots) for order in permutations(range(len(needs))))
    assert best >= least - 1e-9


@settings(max_examples=100, deadline=None)
@given(dags(), st.integers(1, 6), st.integers(0, 6))
def test_more_slots_never_make_the_bounds_longer(dag: Dag, slots: int, more: int) -> None:
    needs, durations = dag
    path, work = longest(needs, durations, order_of(needs)), sum(durations)
    assert least_time(work, path, slots + more) <= least_time(work, path, slots)
    assert most_time(work, path, slots + more) <= most_time(work, path, slots)
    assert 1 <= speed_up(work, path, slots) <= slots + 1e-9
    assert speed_up(float(len(needs)), longest(needs, [1.0] * len(needs), order_of(needs)), slots) <= max(1, len(needs))


def test_how_many_run_at_once() -> None:
    assert widest([[], [0], [0], [1, 2]], [0, 1, 2, 3]) == 2
    assert widest([], []) == 0


# --- estimates


@pytest.mark.parametrize(
    ("values", "tasks", "low", "high"),
    [([10.0], 4, 20.0, 80.0), ([10.0, 10.0, 10.0], 4, 40.0, 40.0), ([0.0, 20.0], 1, 0.0, 10 + 2 * 14.142 * 1.2247)],
)
def test_a_sum_foretold_from_finished_tasks(values: list[float], tasks: int, low: float, high: float) -> None:
    found = measured(values)
    assert found is not None
    assert found.sum_of(tasks).low == pytest.approx(low)
    assert found.sum_of(tasks).high == pytest.approx(high, rel=1e-3)


def test_nothing_finished_says_nothing() -> None:
    assert measured([]) is None
    assert Measured(3, 1.0, math.sqrt(2)).sum_of(0) == Range(0, 0)


# --- the verdict

ORDER = Order(chain=1, wide=30, slots=8, pairs=0, more_pairs=False, crowd=1, speed_up=8.0)
FIT = Fit(4000, 9000, "big", 120_000, 300_000, 120_000, 30)
CHECKS = Checks(30, 0)
ONE = Estimate(Range(60, 7200), Range(900, 2_000_000), Range(0.5, 3))
FORECAST = Forecast(ONE, ONE, ("from 4 finished tasks",))


def advice(tasks: int = 30, order: Order = ORDER, fit: Fit = FIT, checks: Checks = CHECKS) -> Advice:
    return judged(tasks, order, fit, checks, FORECAST)


def test_many_tasks_that_do_not_meet_and_are_checked_are_for_many_agents() -> None:
    assert lines(advice()) == [
        "parallel: yes, 30 tasks, 8 at once",
        "  order     longest chain 1, 30 could run at once, 8 slots: at most 8.0 times as fast as in sequence",
        "  fit       median 4.0k tokens, largest 9.0k (big), 120k fit; together 300k: more than one conversation holds",
        "  checks    30 of 30 tasks are checked by commands, not by their agent's report",
        "  forecast  8 at once:      1m00s to 2h00m, 900 to 2.0M tokens, $0.50 to $3.00",
        "            one at a time:  1m00s to 2h00m, 900 to 2.0M tokens, $0.50 to $3.00",
        "            estimate: from 4 finished tasks",
    ]


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (advice(1), "parallel: no: it is one task"),
        (advice(order=replace(ORDER, slots=1)), "parallel: no: slots = 1"),
        (advice(order=replace(ORDER, speed_up=1.2)), "parallel: no: tasks wait for one another: 1.2 times"),
        (advice(3, fit=replace(FIT, total=9000)), "parallel: no: 3 tasks of 9,000 tokens fit one conversation"),
        (advice(4, fit=replace(FIT, total=9000)), "parallel: yes, 4 tasks, 4 at once"),
        (advice(3), "parallel: yes, 3 tasks, 3 at once"),
        (advice(checks=Checks(0, 30, ("default",))), "parallel: with care, 30 tasks, 8 at once: no task has a check"),
        (advice(checks=Checks(28, 2, ("x",))), "parallel: with care, 30 tasks, 8 at once: 2 tasks have no check"),
        (advice(fit=replace(FIT, too_large=2)), "parallel: with care, 30 tasks, 8 at once: 2 tasks name more than"),
        (advice(order=replace(ORDER, speed_up=3.0, wide=3, crowd=10)),
         "parallel: with care, 30 tasks, 3 at once: files that several name leave slots idle: 3.0 times"),
        (advice(order=replace(ORDER, speed_up=3.0, chain=10)),
         "parallel: with care, 30 tasks, 8 at once: tasks that wait for one another leave slots idle"),
        (advice(order=replace(ORDER, flying=2)),
         "parallel: with care, 30 tasks, 2 at once: limits.tokens_in_flight lets 2 of 8 run at once"),
        (Advice("nothing to do", (), 0, 0), "parallel: nothing to do, no task is open"),
    ],
)  # fmt: skip
def test_the_first_line_is_the_verdict_with_its_reason(found: Advice, first: str) -> None:
    assert lines(found)[0].startswith(first)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(0, "0"), (850, "850"), (999.6, "1.0k"), (1234, "1.2k"), (12_345, "12k"), (999_600, "1.0M"), (2.5e9, "2,500M")],
)
def test_tokens_for_people(tokens: float, text: str) -> None:
    assert amount(tokens) == text
