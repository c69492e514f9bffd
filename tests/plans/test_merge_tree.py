"""Merges, level by level: right for any number and fan-in, within the budget, nothing merged alone or twice."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.plans.merge_tree import Source, Step, next_level, partition


def leaf(number: int, tokens: int | None = 100, status: Status = Status.DONE) -> Source:
    return Source(f"b{number:03}", status, f"out/b{number:03}.md", tokens)


def leaves(count: int, tokens: int = 100) -> list[Source]:
    return [leaf(number, tokens) for number in range(count)]


def grown(sources: list[Source], step: Step, sizes: list[int]) -> list[Source]:
    """The sources after the tasks of a level are done; ``sizes`` are what they write, used up from the end."""
    new = []
    for at, merge in enumerate(step.merges):
        task_id = f"m{merge.level}-{at}"
        size = sizes.pop() if sizes else 100
        new.append(Source(task_id, Status.DONE, f"out/{task_id}.md", size, merge.level, merge.inputs, begun=True))
    return [*sources, *new]


@given(count=st.integers(2, 150), fan_in=st.integers(2, 12))
@settings(max_examples=120, deadline=None)
def test_levels(count: int, fan_in: int) -> None:
    sources = leaves(count)
    for level in range(1, 20):
        step = next_level(sources, fan_in=fan_in, budget=10**9)
        if step.root:
            break
        assert all(2 <= len(merge.inputs) <= fan_in for merge in step.merges)
        assert max(merge.level for merge in step.merges) == level
        sources = grown(sources, step, [])
    used = [task_id for one in sources for task_id in one.inputs]
    assert len(used) == len(set(used)) == len(sources) - 1, "all but the root are merged once"
    assert level - 1 == math.ceil(round(math.log(count, fan_in), 9))


@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=60), fan_in=st.integers(2, 6),
    written=st.lists(st.integers(1, 40), max_size=80),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_never_over_the_budget_and_it_ends(sizes: list[int], fan_in: int, written: list[int]) -> None:
    sources = [leaf(number, size) for number, size in enumerate(sizes)]
    tokens = {one.id: one.tokens or 0 for one in sources}
    for _ in range(len(sizes)):
        left = [one for one in sources if one.id not in {i for other in sources for i in other.inputs}]
        if len(left) > 1 and sum(sorted(one.tokens or 0 for one in left)[:2]) > 100:
            with pytest.raises(UserError, match="no two outputs fit"):
                next_level(sources, fan_in=fan_in, budget=100)
            return
        step = next_level(sources, fan_in=fan_in, budget=100)
        if step.root:
            return
        for merge in step.merges:
            assert merge.tokens == sum(tokens[i] for i in merge.inputs) <= 100
            assert 2 <= len(merge.inputs) <= fan_in
        sources = grown(sources, step, written)
        tokens = {one.id: one.tokens or 0 for one in sources}
    raise AssertionError("it does not end")


@given(sizes=st.lists(st.integers(1, 50), max_size=40), fan_in=st.integers(2, 7), budget=st.integers(1, 120))
def test_partition_is_as_few_as_can_be(sizes: list[int], fan_in: int, budget: int) -> None:
    lengths = partition(sizes, fan_in, budget)
    assert sum(lengths) == len(sizes)
    greedy, room, members = 0, 0, fan_in
    for size in sizes:  # neighbours taken as long as they fit: nobody needs fewer groups
        if members == fan_in or size > room:
            greedy, room, members = greedy + 1, budget, 0
        room, members = room - size, members + 1
    assert len(lengths) == greedy


def test_neighbours_evenly() -> None:
    step = next_level(leaves(6), fan_in=5, budget=10_000)
    assert [merge.inputs for merge in step.merges] == [("b000", "b001", "b002"), ("b003", "b004", "b005")]
    step = next_level(leaves(11), fan_in=5, budget=10_000)
    assert sorted(len(merge.inputs) for merge in step.merges) == [3, 4, 4]


def test_what_stood_side_by_side_is_merged_side_by_side() -> None:
    sources = leaves(3)
    step = next_level(sources, fan_in=2, budget=1000)
    assert (step.merges[0].inputs, step.carried) in [(("b000", "b001"), ("b002",)), (("b001", "b002"), ("b000",))]
    above = next_level(grown(sources, step, []), fan_in=2, budget=1000)
    order = above.merges[0].inputs
    assert order == (("m1-0", "b002") if step.carried == ("b002",) else ("b000", "m1-0"))
    assert above.merges[0].level == 2


def test_a_level_waits_and_changes_nothing() -> None:
    sources = [*leaves(3), leaf(3, None, Status.IN_PROGRESS)]
    assert next_level(sources, fan_in=2, budget=1000) == Step(pending=("b003",))
    done = leaves(4)
    level = grown(done, next_level(done, fan_in=2, budget=1000), [])
    running = [*level[:-1], replace(level[-1], status=Status.VERIFYING, tokens=None)]
    assert next_level(running, fan_in=2, budget=1000) == Step(pending=("m1-1",))


def test_a_level_that_has_not_begun_is_planned_anew() -> None:
    sources = leaves(4)
    step = next_level(sources, fan_in=2, budget=1000)
    waiting = [replace(one, status=Status.TODO, tokens=None, begun=False) if one.level else one
               for one in grown(sources, step, [])]  # fmt: skip
    again = next_level(waiting, fan_in=2, budget=1000)
    assert again.merges == step.merges
    assert again.replaced == ("m1-0", "m1-1")
    wider = next_level(waiting, fan_in=4, budget=1000)
    assert len(wider.merges) == 1
    begun = [*waiting[:-1], replace(waiting[-1], begun=True)]
    assert next_level(begun, fan_in=4, budget=1000).pending == ("m1-0", "m1-1"), "one of them has begun"


def test_what_failed_and_what_is_missing() -> None:
    sources = [*leaves(19), leaf(19, None, Status.FAILED)]
    with pytest.raises(UserError, match=r"1 of 20 outputs are missing: b019 \(FAILED\)"):
        next_level(sources, fan_in=5, budget=10_000)
    step = next_level(sources, fan_in=5, budget=10_000, min_done=0.95)
    assert step.missing == ("b019",)
    assert sum(len(merge.inputs) for merge in step.merges) == 19
    skipped = [*leaves(3), leaf(3, None, Status.SKIPPED)]
    assert next_level(skipped, fan_in=5, budget=1000).missing == ()
    with pytest.raises(UserError, match=r"its output out/b001\.md is missing"):
        next_level([leaf(0), leaf(1, None)], fan_in=2, budget=1000)
    level = grown(leaves(4), next_level(leaves(4), fan_in=2, budget=1000), [])
    with pytest.raises(UserError, match="m1-1 FAILED"):
        next_level([*level[:-1], replace(level[-1], status=Status.FAILED)], fan_in=2, budget=1000)
    anew = next_level([*level[:-1], replace(level[-1], status=Status.SKIPPED)], fan_in=3, budget=1000)
    assert anew.merges[0].inputs == ("m1-0", "b002", "b003")
    with pytest.raises(UserError, match="DONE, but its output"):
        next_level([*level[:-1], replace(level[-1], tokens=0)], fan_in=2, budget=1000)


def test_one_that_comes_late_is_merged_above() -> None:
    sources = grown(leaves(4), next_level(leaves(4), fan_in=4, budget=1000), [])
    assert next_level(sources, fan_in=4, budget=1000).root == "m1-0"
    late = next_level([*sources, leaf(9)], fan_in=4, budget=1000)
    assert [(merge.level, merge.inputs) for merge in late.merges] == [(2, ("m1-0", "b009"))]


def test_no_two_fit() -> None:
    with pytest.raises(UserError, match=r"no two outputs fit into 100 tokens: the smallest are out/b001.md \(60\)"):
        next_level([leaf(0, 70), leaf(1, 60), leaf(2, 80)], fan_in=2, budget=100)
    step = next_level([leaf(0, 30), leaf(1, 90), leaf(2, 40)], fan_in=2, budget=100)
    assert step.merges[0].inputs == ("b000", "b002"), "not neighbours, but they fit"
    assert step.carried == ("b001",)


def test_one_alone_is_the_root() -> None:
    assert next_level(leaves(1), fan_in=2, budget=10).root == "b000"


def test_inputs_in_a_circle() -> None:
    """An edited row may name its own output: no endless search, and no tree without a root that says it is done."""
    own = Source("m1-0", Status.DONE, "out/m1-0.md", 100, 1, ("b000", "b001", "m1-0"), begun=True)
    above = Source("m2-0", Status.DONE, "out/m2-0.md", 100, 2, ("m1-0",), begun=True)
    step = next_level([*leaves(3), own, above], fan_in=5, budget=1000)
    assert [merge.inputs for merge in step.merges] == [("m2-0", "b002")]
    with pytest.raises(UserError, match="m1-0 needs its output as an input"):
        next_level([*leaves(2), own], fan_in=5, budget=1000)
