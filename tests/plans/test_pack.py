"""Batches under a hard budget, parts at headings: never over, everything once, few batches."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.plans.pack import Document, pack
from agentjobs.plans.repack import Wanted, repack
from agentjobs.plans.split import split
from agentjobs.table.table import parse
from agentjobs.tokens.count import count
from tests.bench.documents import BUDGET

SIZES = st.lists(st.integers(1, 100), max_size=60)


def documents(sizes: list[int]) -> list[Document]:
    return [Document(f"d{at % 7}/e{at % 3}/{at:04}.md", size) for at, size in enumerate(sizes)]


@given(sizes=SIZES, budget=st.integers(1, 90), by=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=300, deadline=None)
def test_every_document_once_and_never_over(sizes: list[int], budget: int, by: bool, seed: int) -> None:
    given_documents = documents(sizes)
    batches = pack(given_documents, budget, by_directory=by)
    found = [one for batch in batches for one in batch.documents]
    assert sorted(found, key=lambda one: one.path) == sorted(given_documents, key=lambda one: one.path)
    for batch in batches:
        assert batch.tokens <= budget or len(batch.documents) == 1
        assert list(batch.documents) == sorted(batch.documents, key=lambda one: one.path)
    shuffled = given_documents.copy()
    random.Random(seed).shuffle(shuffled)
    assert pack(shuffled, budget, by_directory=by) == batches, "the order of the input does not matter"


def fewest(sizes: list[int], budget: int) -> int:
    """The least number of bins, by trying everything."""

    def fits(left: list[int], rooms: list[int]) -> bool:
        if not left:
            return True
        for at in range(len(rooms)):
            if left[0] <= rooms[at] and rooms[at] not in rooms[:at]:
                rest = [*rooms[:at], rooms[at] - left[0], *rooms[at + 1 :]]
                if fits(left[1:], rest):
                    return True
        return False

    falling = sorted(sizes, reverse=True)
    return next(number for number in range(len(sizes) + 1) if fits(falling, [budget] * number))


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8), budget=st.just(20))
@settings(max_examples=150, deadline=None)
def test_as_few_batches_as_best_fit_decreasing_promises(sizes: list[int], budget: int) -> None:
    best = fewest(sizes, budget)
    assert best <= len(pack(documents(sizes), budget)) <= (11 * best + 6) // 9


def test_directories_stay_together() -> None:
    large = [Document(f"a/{at}.md", 30) for at in range(4)] + [Document(f"b/{at}.md", 30) for at in range(4)]
    small = [Document("c/x/1.md", 5), Document("c/y/2.md", 5), Document("d/3.md", 5)]
    batches = pack([*large, *small], 100, by_directory=True)
    homes = [{one.path[0] for one in batch.documents} for batch in batches]
    assert {"a"} in homes
    assert {"b"} in homes
    assert {"c", "d"} in homes
    assert all("a" not in home or home == {"a"} for home in homes)
    assert len(pack([*large, *small], 100)) < len(batches)


def test_thousands_of_documents_take_no_time() -> None:
    chance = random.Random(3)
    sizes = [min(BUDGET, max(200, int(chance.lognormvariate(8, 1.2)))) for _ in range(20_000)]
    assert len(pack(documents(sizes), BUDGET)) <= 1.02 * -(-sum(sizes) // BUDGET)


# --- parts ------------------------------------------------------------------------------------------------


def text(*sections: tuple[str, int]) -> list[str]:
    return [line for head, words in sections for line in (f"{head}\n", "\n", "word " * words + "end.\n", "\n")]


def test_cut_at_the_highest_headings() -> None:
    lines = text(("# One", 40), ("## a", 40), ("# Two", 30), ("# Three", 30))
    assert [part[:2] for part in split(lines, 110, count)] == [(1, 8), (9, 16)]
    assert [part[:2] for part in split(lines, 75, count)] == [(1, 4), (5, 8), (9, 16)]


def test_headings_in_code_are_none_and_other_ways_to_write_them() -> None:
    fenced = ["```sh\n", *["# no heading\n", "echo 1\n"] * 20, "```\n"]
    lines = ["Title\n", "=====\n", "\n", "intro\n", "\n", *fenced, "\n", "Part\n", "----\n", "text\n"]
    parts = split(lines, count("".join(lines)) - 3, count)
    assert [part[:2] for part in parts] == [(1, 48), (49, 51)]
    rfc = ["\n", "1.  Introduction\n", "\n", *["   words of it\n"] * 30, "\n", "1.1.  More\n", *["   so\n"] * 30, "\n",
           "2.  End\n", "   bye\n"]  # fmt: skip
    assert split(rfc, count("".join(rfc)) - 5, count)[-1].first == len(rfc) - 1


@given(
    lines=st.lists(
        st.sampled_from(["\n", "# A\n", "## B\n", "### C\n", "some words\n", "```\n", "=\n", "2.1 X\n", "é漢😀\r\n"]),
        min_size=1, max_size=80,
    ),
    budget=st.integers(1, 120),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_parts_are_all_of_it_in_order_and_within_the_budget(lines: list[str], budget: int) -> None:
    parts = split(lines, budget, count)
    assert parts[0].first == 1
    assert parts[-1].last == len(lines)
    assert all(one.last + 1 == other.first for one, other in pairwise(parts))
    for part in parts:
        assert part.tokens == count("".join(lines[part.first - 1 : part.last]))
        assert part.tokens <= budget or part.first == part.last
    for one, other in pairwise(parts):
        assert count("".join(lines[one.first - 1 : other.last])) > budget or one.tokens + other.tokens > budget


def test_lines_without_a_heading_are_counted_a_few_times_and_not_each_time_one_is_added() -> None:
    """A log or a table of values: 2,000 lines were 10 million tokens to count, and those of a real one are a day."""
    lines = [f"{at},value {at * 7},another column of text {at % 13}\n" for at in range(2_000)]
    budget = count("".join(lines)) // 3 + 100
    counted = 0

    def counting(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return count(text)

    parts = split(lines, budget, counting)
    assert len(parts) == 3
    assert all(part.tokens == count("".join(lines[part.first - 1 : part.last])) <= budget for part in parts)
    assert counted < 8 * len("".join(lines))


def test_a_sum_that_is_too_small_is_not_believed() -> None:
    """Where two texts together count more than each alone the part ends before it is over the budget."""
    lines = [f"{at}\n" for at in range(40)]

    def more(text: str) -> int:
        return len(text.splitlines()) ** 2

    assert [part.tokens for part in split(lines, 30, more)] == [25] * 8


@pytest.mark.parametrize("lines", [[], ["no end of line"]])
def test_next_to_nothing(lines: list[str]) -> None:
    assert len(split(lines, 100, count)) == len(lines)


def test_two_parts_that_hold_the_same_are_two() -> None:
    """A text that says something twice: the task of one part is done, that of the other is not thereby."""
    rows = b"a\tDONE\tp\tx.md:1-5\tsame\nb\tTODO\tp\tx.md:6-10\tsame\n"
    table = parse(b"id\tstatus\tpack\tdocs\tdoc_hashes\n" + rows, "t.tsv")
    parts = [Document("x.md", 80, "same", 1, 5), Document("x.md", 80, "same", 6, 10)]
    whole = Document("x.md", 160, "whole")
    again = repack(table, [whole], Wanted("p", 100), began={"a"}, split=lambda _: parts)
    assert len(again.batches) == 1
    assert again.changes.removed == ()
    assert again.ids == ("b",)
