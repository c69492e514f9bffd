"""Which files tasks name, and which of them meet: found by an index, held against comparing all with all."""

from __future__ import annotations

import time
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.table.overlaps import Names, PathClaims
from agentjobs.text.path_patterns import in_scope, overlap

PARTS = st.sampled_from(["a", "b", "ab", "c.js"])
PLAIN = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
GLOB = st.sampled_from(["*", "a*", "a/*", "a/**", "**/c.js", "a/[ab]", "b/a?/", "ab/*.js"])
ENTRY = st.one_of(PLAIN, PLAIN, PLAIN.map(lambda path: path + "/"), GLOB, st.just("."))
FILES = st.lists(st.lists(ENTRY, max_size=3), max_size=8)
PLAIN_FILES = st.lists(st.lists(st.one_of(PLAIN, st.just(".")), max_size=3), max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.lists(PLAIN, max_size=12), st.lists(ENTRY, max_size=4))
def test_the_files_that_entries_cover_are_those_in_scope(names: list[str], files: list[str]) -> None:
    wanted = sorted(set(names) - set(in_scope(names, files))) if files else []
    assert Names(set(names)).covered(files) == wanted


@settings(max_examples=300, deadline=None)
@given(PLAIN_FILES)
def test_tasks_that_name_plain_paths_meet_where_overlap_says_so(files: list[list[str]]) -> None:
    met = sum(overlap(a, b) for a, b in combinations(files, 2))
    assert PathClaims(files).pairs(10**6) == met
    assert PathClaims(files).pairs(2) == min(2, met)


@settings(max_examples=300, deadline=None)
@given(FILES)
def test_with_globs_none_meet_that_overlap_keeps_apart(files: list[list[str]]) -> None:
    assert PathClaims(files).pairs(10**6) <= sum(overlap(a, b) for a, b in combinations(files, 2))


@settings(max_examples=300, deadline=None)
@given(PLAIN_FILES, st.randoms())
def test_whoever_waits_in_turn_waits_for_all_it_meets(files: list[list[str]], random: object) -> None:
    order = list(range(len(files)))
    random.shuffle(order)  # type: ignore[attr-defined]
    needs = PathClaims(files).in_turn(order)
    before: dict[int, set[int]] = {}
    for task in order:
        before[task] = set().union(*({need} | before[need] for need in needs[task]))
    for at, task in enumerate(order):
        met = {other for other in order[:at] if overlap(files[task], files[other])}
        assert met <= before[task], "all it meets"
        assert set(needs[task]) <= met, "and for nobody else"


@settings(max_examples=200, deadline=None)
@given(PLAIN_FILES, st.data())
def test_the_heaviest_all_meet_at_one_path(files: list[list[str]], data: st.DataObject) -> None:
    weights = [float(data.draw(st.integers(1, 9))) for _ in files]
    paths = {entry.rstrip("/") for one in files for entry in one}

    def claims(one: list[str], path: str) -> bool:
        return any(entry in (path, ".") or path.startswith(entry + "/") for entry in one)

    at_one = [sum(w for w, one in zip(weights, files, strict=True) if claims(one, path)) for path in paths]
    assert PathClaims(files).heaviest(weights) == max(at_one, default=0.0)


def test_ten_thousand_tasks_take_no_time() -> None:
    shared = ["shared/index.js"]
    files = [[f"src/{n % 100}/{n}.js", *(shared if n % 5 == 0 else ())] for n in range(10_000)]
    files.append(["src"])
    begun_at = time.process_time()
    claims = PathClaims(files)
    assert claims.pairs(50_000) == 50_000
    assert claims.heaviest([1.0] * len(files)) == 2000
    turns = claims.in_turn(range(len(files)))
    assert len(turns[-1]) == 10_000
    assert sum(map(len, turns)) < 3 * len(files)
    assert time.process_time() - begun_at < 3, "nothing is compared with everything"
