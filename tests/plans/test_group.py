"""Groups of files: every file once, within the limit, without circles, and the same whatever order things come in."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.plans.graph import Quotient, backward_edges, components, depths, reduced
from agentjobs.plans.group import Grouping, Limit, Size, group_files, group_names
from agentjobs.table.order import find_cycle
from agentjobs.text.tsv import is_id

NAMES = ["a.js", "b.js", "lib/a.js", "lib/b.js", "lib/c.js", "lib/x/a.js", "lib/x/b.js", "lib/y/a.js", "src/k/l/m.js"]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4))
SIZES = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 120).map(Size), min_size=1)
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda p: p[0] < p[1]), max_size=5)


def plain(lines: int, *names: str) -> dict[str, Size]:
    return dict.fromkeys(names, Size(lines))


def place(grouping: Grouping) -> dict[str, int]:
    return {file: at for at, group in enumerate(grouping.groups) for file in group.files}


@settings(max_examples=80, deadline=None)
@given(GRAPHS, SIZES, PAIRS, st.sampled_from([50, 100, 1000]), st.booleans(), st.booleans(), st.randoms())
def test_what_holds_for_all(
    graph: dict[str, list[str]],
    sizes: dict[str, Size],
    coupled: list[tuple[str, str]],
    limit: int,
    one: bool,
    by_directory: bool,
    chance: random.Random,
) -> None:
    options = {"limit": Limit(limit), "one_per_file": one, "by_directory": by_directory}
    found = group_files(graph, sizes, coupled=coupled, **options)  # type: ignore[arg-type]
    assert Counter(file for group in found.groups for file in group.files) == Counter(list(sizes))
    for at, group in enumerate(found.groups):
        assert group.size == sum((sizes[file] for file in group.files), Size())
        assert len(group.files) == 1 or group.size.lines <= limit
        assert all(need < at for need in group.needs)
        assert group.wave == 1 + max((found.groups[need].wave for need in group.needs), default=-1)
        circle = {file for members in found.circles for file in members}
        assert not one or len(group.files) == 1 or circle.issuperset(group.files)
    at_of, ignored = place(found), set(found.ignored)
    reach = reaches(found)
    for file, targets in graph.items():
        for target in targets:
            if file in at_of and target in at_of and at_of[file] != at_of[target]:
                waits = at_of[target] in reach[at_of[file]]
                assert waits or (file, target) in ignored
    assert all(any({file, target} <= set(members) for members in found.split) for file, target in ignored)
    for one_file, other in coupled:
        if one_file in at_of and other in at_of:
            first, second = sorted((at_of[one_file], at_of[other]))
            assert first == second or first in reach[second], "coupled files may run at once"
    shuffled = list(sizes.items())
    chance.shuffle(shuffled)
    other_graph = {file: chance.sample(graph[file], len(graph[file])) for file in reversed(list(graph))}
    assert group_files(other_graph, dict(shuffled), coupled=coupled, **options) == found  # type: ignore[arg-type]
    ids = list(group_names([group.files for group in found.groups], taken=["LIB"]))
    assert all(map(is_id, ids))
    assert len({name.lower() for name in ids} | {"lib"}) == len(ids) + 1


def reaches(grouping: Grouping) -> list[set[int]]:
    found: list[set[int]] = []
    for group in grouping.groups:
        found.append(set(group.needs).union(*(found[need] for need in group.needs)))
    return found


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=1))
def test_components(graph: dict[str, list[str]]) -> None:
    found = components(graph)
    assert sorted(node for members in found for node in members) == sorted(graph)
    where = {node: at for at, members in enumerate(found) for node in members}
    inside = {node: [t for t in targets if t in graph] for node, targets in graph.items()}
    assert all(where[target] <= where[node] for node, targets in inside.items() for target in targets)
    for members in found:
        if len(members) > 1:
            for start in members:
                reached, todo = set(), [start]
                while todo:
                    fresh = [t for t in inside[todo.pop()] if t not in reached]
                    reached.update(fresh)
                    todo += fresh
                assert set(members) <= reached
    back = backward_edges(inside, inside)
    assert not find_cycle({node: [t for t in ts if (node, t) not in back] for node, ts in inside.items()})


def test_directories_alone_would_wait_for_each_other() -> None:
    graph = {"a/1.js": ["b/1.js"], "b/2.js": ["a/2.js"]}
    found = group_files(graph, plain(60, "a/1.js", "a/2.js", "b/1.js", "b/2.js"), limit=Limit(200))
    assert [group.files for group in found.groups] == [("a/2.js",), ("b/1.js", "b/2.js"), ("a/1.js",)]
    assert [group.needs for group in found.groups] == [(), (0,), (1,)]


def test_a_deep_chain_of_small_files_is_one_group() -> None:
    names = [f"lib/f{number:03}.js" for number in range(100)]
    graph = {one: [other] for one, other in pairwise(names)}
    found = group_files(graph, plain(10, *names), limit=Limit(1000))
    assert len(found.groups) == 1


def test_small_directories_are_put_together() -> None:
    names = [f"lib/d{number:02}/{name}.js" for number in range(20) for name in "ab"]
    found = group_files({}, plain(10, *names), limit=Limit(1000))
    assert len(found.groups) == 1
    assert list(group_names([found.groups[0].files])) == ["lib"]
    large = group_files({}, plain(300, *names), limit=Limit(1000))
    assert len(large.groups) == 20


def test_a_circle_stays_together_or_is_told() -> None:
    graph = {"a.js": ["b.js"], "b.js": ["c.js"], "c.js": ["a.js"], "d.js": ["a.js"]}
    sizes = plain(40, *["a.js", "b.js", "c.js", "d.js"])
    kept = group_files(graph, sizes, limit=Limit(120))
    assert kept.circles == (("a.js", "b.js", "c.js"),)
    assert [group.files for group in kept.groups] == [("a.js", "b.js", "c.js"), ("d.js",)]
    split = group_files(graph, sizes, limit=Limit(80))
    assert split.split == (("a.js", "b.js", "c.js"),)
    assert split.ignored == (("c.js", "a.js"),)
    assert not split.circles
    alone = group_files(graph, sizes, limit=Limit(120), one_per_file=True)
    assert [group.files for group in alone.groups] == [("a.js", "b.js", "c.js"), ("d.js",)]


def test_tokens_limit_too() -> None:
    sizes = dict.fromkeys(("a.js", "b.js"), Size(10, 600))
    assert len(group_files({}, sizes, limit=Limit(100, 1000)).groups) == 2
    assert len(group_files({}, sizes, limit=Limit(100, 1200)).groups) == 1


def test_files_that_change_together() -> None:
    sizes = plain(40, "a/1.js", "z/1.js", "z/2.js")
    pair = ("a/1.js", "z/1.js")
    found = group_files({}, sizes, limit=Limit(80), coupled=[pair])
    assert (found.joined, found.apart) == ((pair,), ())
    graph = {"a/1.js": ["z/2.js"], "z/2.js": ["z/1.js"]}
    apart = group_files(graph, sizes, limit=Limit(80), coupled=[pair])
    assert place(apart)["a/1.js"] > place(apart)["z/1.js"]
    assert apart.apart == (pair,), "joined they would wait for z/2.js, which waits for them"


def test_loose_order_waits_for_history_alone() -> None:
    sizes = plain(90, "a.js", "b.js", "c.js")
    graph = {"a.js": ["b.js"], "b.js": ["c.js"]}
    found = group_files(graph, sizes, limit=Limit(100), loose=True, coupled=[("a.js", "c.js")])
    assert [group.files for group in found.groups] == [("c.js",), ("b.js",), ("a.js",)]
    assert [group.needs for group in found.groups] == [(), (), (0,)]
    assert [group.wave for group in found.groups] == [0, 1, 2]


def test_names() -> None:
    files = [["lib/utils/a.js", "lib/utils/b.js"], ["lib/utils/c.d.ts"], ["lib/utils/d.js", "lib/utils/e.js"]]
    files += [["x.js", "y/z.js"], [".eslintrc.js"], ["a/..b/c.js", "a/..b/d.js"], ["x" * 200 + "/a.js"], ["p.lock.js"]]
    names = list(group_names(files, taken=["top"]))
    assert names[:6] == ["lib.utils", "lib.utils.c", "lib.utils-2", "top-2", "eslintrc", "a.b"]
    assert all(map(is_id, names))


def test_a_quotient_stays_without_circles() -> None:
    graph = Quotient({0: [], 1: [0], 2: [1], 3: [0]})
    assert not graph.may_join(0, 2)
    assert graph.may_join(0, 1)
    graph.join(0, 1)
    assert graph.needs == {0: set(), 2: {0}, 3: {0}}
    assert graph.may_join(2, 3)
    assert graph.reaches(2, 0)
    assert not graph.reaches(2, 3)


def test_what_follows_is_left_out() -> None:
    assert reduced([(), (0,), (0, 1), (0, 2)]) == [(), (0,), (1,), (2,)]
    assert depths([(), (0,), (0, 1), (0,)]) == [0, 1, 2, 1]
