"""The verdicts on batches: which tasks land, which are blamed, and after how many runs of the gate. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.core.gate import Case, Probe, halve, judge, still

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.core.gate import Verdict

BATCH = 16


class Queue:
    """The queue without git: ``red`` says whether a set of tasks on the target fails the gate."""

    def __init__(
        self, ids: list[str], red: Callable[[set[str], int], bool], owned: dict[str, str] | None = None
    ) -> None:
        self.waiting = list(ids)
        self.red = red
        self.owned = owned or {}
        self.landed: list[str] = []
        self.blamed: dict[str, int] = {}
        self.runs = 0
        self.halted = False
        self.proved = False

    def settle(self, most: int = 500) -> None:
        follow: Case | None = None
        while (self.waiting or follow) and not self.halted:
            assert self.runs < most, "it ends"
            case = follow or Case(Probe.BATCH, tuple(self.waiting[:BATCH]))
            if case.probe in {Probe.BATCH, Probe.REST}:
                more = [id_ for id_ in self.waiting if id_ not in case.ids and id_ not in case.accused]
                case = replace(case, ids=(*case.ids, *more)[:BATCH])
            case = replace(case, proved=self.proved or case.proved)
            follow = self.run(case).follow

    def run(self, case: Case) -> Verdict:
        self.runs += 1
        assert len(set(case.ids)) == len(case.ids)
        assert set(case.ids) <= set(self.waiting), "a batch has only tasks that wait"
        inside = {*self.landed, *case.ids}
        green = not self.red(inside, self.runs)
        owned = {} if green else {id_: "its file" for id_ in self.owned if id_ in case.ids}
        verdict = judge(case, green=green, owned=owned, errors=f"red {self.runs}")
        if verdict.landed:
            assert green, "what lands has passed"
            self.landed += case.ids
            self.proved = True
            self.waiting = [id_ for id_ in self.waiting if id_ not in case.ids]
        for id_, errors in verdict.blamed.items():
            assert errors
            assert id_ in self.waiting
            self.blamed[id_] = self.runs
            self.waiting.remove(id_)
        self.halted = verdict.red_tip
        return verdict


def ids(count: int) -> list[str]:
    return [f"t{n}" for n in range(count)]


def failing(culprit: str) -> Callable[[set[str], int], bool]:
    return lambda inside, _run: culprit in inside


@given(st.integers(1, 40), st.data())
def test_the_innocent_land_and_the_guilty_are_blamed(count: int, data: st.DataObject) -> None:
    guilty = set(data.draw(st.lists(st.sampled_from(ids(count)), max_size=4)))
    attributed = {id_: "" for id_ in guilty if data.draw(st.booleans())}
    queue = Queue(ids(count), lambda inside, _: bool(guilty & inside), attributed)
    queue.settle()
    assert not queue.halted
    assert set(queue.blamed) == guilty
    assert sorted(queue.landed) == sorted(set(ids(count)) - guilty)


@given(st.integers(1, 30))
def test_nobody_is_blamed_for_a_target_that_is_red(count: int) -> None:
    queue = Queue(ids(count), lambda _inside, _run: True)
    queue.settle()
    assert queue.halted
    assert queue.blamed == {}
    assert queue.landed == []


@given(st.integers(2, 16), st.data())
def test_two_that_fail_only_together_cost_one_of_them(count: int, data: st.DataObject) -> None:
    pair = set(data.draw(st.lists(st.sampled_from(ids(count)), min_size=2, max_size=2, unique=True)))
    queue = Queue(ids(count), lambda inside, _: pair <= inside)
    queue.settle()
    assert len(queue.blamed) == 1
    assert set(queue.blamed) < pair
    assert len(queue.landed) == count - 1


@given(st.integers(1, 16))
def test_a_flake_is_nobodys_fault(count: int) -> None:
    queue = Queue(ids(count), lambda _inside, run: run == 1)
    queue.settle()
    assert queue.blamed == {}
    assert queue.runs == 2
    assert queue.landed == ids(count)


def test_a_culprit_that_its_files_give_away_costs_one_more_run() -> None:
    for at in range(BATCH):
        queue = Queue(ids(BATCH), failing(f"t{at}"), {f"t{at}": ""})
        queue.settle()
        assert queue.blamed == {f"t{at}": 1}
        assert queue.runs == 2


def test_a_culprit_among_sixteen_is_found_after_one_and_log2_more_runs() -> None:
    most = 1 + int(math.log2(BATCH))
    totals = []
    for at in range(BATCH):
        queue = Queue(ids(BATCH), failing(f"t{at}"))
        queue.proved = True
        queue.settle()
        assert queue.blamed[f"t{at}"] - 1 <= most + 1
        assert set(queue.landed) == set(ids(BATCH)) - {f"t{at}"}
        totals.append(queue.runs - 1)
    # Where the last run of the search was red, the rest has one more run: that proves it, and lands it.
    assert max(totals) <= most + 1
    assert sum(totals) / len(totals) < most + 1


def test_with_more_work_waiting_a_culprit_costs_no_run_of_its_own_after_the_search() -> None:
    """What proves that the rest is innocent is the next batch as well."""
    most = 1 + int(math.log2(BATCH))
    clean = Queue(ids(BATCH + 1), lambda _inside, _run: False)
    clean.settle()
    for at in range(BATCH):
        queue = Queue(ids(BATCH + 1), failing(f"t{at}"))
        queue.proved = True
        queue.settle()
        assert queue.runs - clean.runs <= most


def test_an_unproved_target_is_run_alone_before_a_lonely_task_is_blamed() -> None:
    case = Case(Probe.BATCH, ("a",))
    again = judge(case, green=False, owned={}, errors="red").follow
    assert again is not None
    assert again.probe is Probe.AGAIN
    tip = judge(again, green=False, owned={}, errors="red again").follow
    assert tip == Case(Probe.TIP, accused=("a",), errors="red again")
    assert judge(tip, green=True, owned={}, errors="").blamed == {"a": "red again"}
    red = judge(tip, green=False, owned={}, errors="red alone")
    assert red.red_tip
    assert not red.blamed
    assert red.follow is None


def test_who_is_gone_takes_the_point_of_a_search_along() -> None:
    search = Case(Probe.HALF, ("a", "b"), suspects=("a", "b", "c"), others=("c",))
    assert still(search, {"a", "b", "c"}) == search
    assert still(search, {"a", "b"}) is None
    rest = Case(Probe.BATCH, ("a", "b"), proved=True)
    assert still(rest, {"b"}) == Case(Probe.BATCH, ("b",), proved=True)
    assert still(rest, set()) is None
    assert still(Case(Probe.TIP, accused=("a",)), {"b"}) is None


def test_nobody_is_forgotten_when_the_errors_name_one() -> None:
    case = Case(Probe.HALF, ("a", "b"), suspects=("a", "b", "c"), others=("c",), accused=("d",))
    verdict = judge(case, green=False, owned={"a": "its errors", "z": "of a task that is not in it"}, errors="all")
    assert verdict.blamed == {"a": "its errors"}
    assert verdict.follow == Case(Probe.BATCH, ("b", "c", "d"))


def test_nobody_is_forgotten_when_the_accused_passes_alone() -> None:
    verdict = judge(Case(Probe.ALONE, ("a",), others=("b", "c")), green=True, owned={}, errors="")
    assert verdict.landed
    assert verdict.follow == Case(Probe.BATCH, ("b", "c"), proved=True)


def test_a_task_that_lands_alone_is_blamed_at_once_where_the_errors_are_in_its_files() -> None:
    case = Case(Probe.SINGLE, ("a",))
    red = judge(case, green=False, owned={"a": "in its file"}, errors="all")
    assert (red.blamed, red.follow, red.red_tip) == ({"a": "in its file"}, None, False)
    green = judge(case, green=True, owned={}, errors="")
    assert (green.landed, green.blamed, green.follow) == (True, {}, None)


def test_a_task_that_lands_alone_is_run_once_more_before_it_is_blamed() -> None:
    """A flaky gate is nobody's fault, and neither is a target that fails by itself."""
    again = judge(Case(Probe.SINGLE, ("a",)), green=False, owned={}, errors="red").follow
    assert again == Case(Probe.SINGLE, ("a",), suspects=("a",), errors="red")
    assert judge(again, green=True, owned={}, errors="").why == "passes when run again"
    proved = judge(Case(Probe.SINGLE, ("a",), suspects=("a",), proved=True), green=False, owned={}, errors="again")
    assert (proved.blamed, proved.follow) == ({"a": "again"}, None)
    unproved = judge(again, green=False, owned={}, errors="again")
    assert (unproved.blamed, unproved.follow) == ({}, Case(Probe.TIP, accused=("a",), errors="again"))


def test_half_of_the_suspects_run_with_all_who_are_cleared() -> None:
    half = halve(("a", "b", "c"), ("x",), "all", proved=False)
    assert half == Case(Probe.HALF, ("a", "x"), suspects=("a", "b", "c"), others=("b", "c"), errors="all")
