"""Batches under a hard budget, parts at headings: never over, everything once, near the lower bound."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.plans.lower_bound import Worth, bound
from agentjobs.plans.pack import Document, pack
from agentjobs.plans.repack import Wanted, repack
from agentjobs.plans.split import split
from agentjobs.table.table import parse
from agentjobs.tokens.count import count
from tests.bench.documents import BUDGET, triplets

if TYPE_CHECKING:
    from collections.abc import Callable

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


def lognormal(chance: random.Random) -> int:
    return min(BUDGET, max(200, int(chance.lognormvariate(9, 1.0))))


KINDS: dict[str, Callable[[random.Random], int]] = {
    "documents": lognormal,
    "small": lambda chance: chance.randint(1, BUDGET // 2),
    "any": lambda chance: chance.randint(1, BUDGET),
    "quarter to half": lambda chance: chance.randint(BUDGET // 4, BUDGET // 2),
    "fifth to half": lambda chance: chance.randint(BUDGET // 5, BUDGET // 2),
    "fifth to third": lambda chance: chance.randint(BUDGET // 5, BUDGET // 3),
}


@given(seed=st.integers(0, 10_000), kind=st.sampled_from([*KINDS, "triplets"]), number=st.sampled_from([40, 180, 400]))
@settings(max_examples=60, deadline=None)
def test_within_two_percent_of_the_lower_bound(seed: int, kind: str, number: int) -> None:
    """Of sets as large as a job's, also hard ones; where that is less than one batch, one more is allowed."""
    chance = random.Random(seed)
    sizes = triplets(chance, number) if kind == "triplets" else [KINDS[kind](chance) for _ in range(number)]
    least = bound(sizes, BUDGET).bins
    batches = pack(documents(sizes), BUDGET)
    assert least <= len(batches) <= max(math.ceil(1.02 * least), least + 1)
    assert kind != "triplets" or least == len(sizes) // 3


@pytest.mark.parametrize("kind", ["quarter to half", "fifth to half", "triplets"])
def test_thousands_that_are_hard_are_within_two_percent_too(kind: str) -> None:
    chance = random.Random(5)
    sizes = triplets(chance, 2400) if kind == "triplets" else [KINDS[kind](chance) for _ in range(2400)]
    least = bound(sizes, BUDGET).bins
    found = pack(documents(sizes), BUDGET)
    assert sorted(one.tokens for batch in found for one in batch.documents) == sorted(sizes)
    assert max(batch.tokens for batch in found) <= BUDGET
    assert least <= len(found) <= 1.02 * least


def test_a_full_batch_is_not_always_a_good_one() -> None:
    """Filled as full as can be, 48 goes with 25 and 27, and what is left does not fit into three more."""
    sizes = [48, 48, 48, 48, 25, 27, 33, 33, 33]
    assert len(pack(documents(sizes), 100)) == bound(sizes, 100).bins == 4


def test_nor_is_one_that_wastes_none_of_the_worth() -> None:
    """By the worth of the bound 45 and 45 are as good as 45, 27 and 28; what is left says otherwise."""
    assert len(pack(documents([45, 45, 45, 45, 28, 28, 27, 27]), 100)) == 3


@given(
    budget=st.integers(1, 40), per=st.integers(1, 60), more=st.integers(0, 240), least=st.integers(0, 20)
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_bin_holds_more_than_it_is_worth(budget: int, per: int, more: int, least: int) -> None:
    """What makes the bound certain: superadditive, so what fits into a bin is worth at most a bin."""
    worth = Worth(budget, per + more, per, min(least, budget // 2))
    values = [worth(size) for size in range(budget + 1)]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[budget] == worth.full > 0
    for one in range(budget + 1):
        for other in range(budget + 1 - one):
            assert values[one] + values[other] <= values[one + other]


@given(sizes=st.lists(st.integers(0, 50), max_size=40), budget=st.integers(50, 70))
@settings(max_examples=150, deadline=None)
def test_the_bound_is_what_its_function_says(sizes: list[int], budget: int) -> None:
    known = bound(sizes, budget)
    assert known.bins >= -(-sum(map(known.worth, sizes)) // known.worth.full)
    assert known.bins >= -(-sum(sizes) // budget)
    assert known.bins >= sum(2 * size > budget for size in sizes)


def test_the_bound_knows_that_three_do_not_fit() -> None:
    """Of sizes around 0.4 two go into a batch, though the sum says less; L2 (Martello and Toth) says 8 here."""
    sizes = [40] * 10 + [34] * 10
    assert -(-sum(sizes) // 100) == 8
    assert bound(sizes, 100).bins == 10


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
def test_the_lower_bound_is_one(sizes: list[int], budget: int) -> None:
    best = fewest(sizes, budget)
    assert bound(sizes, budget).bins <= best <= len(pack(documents(sizes), budget)) <= best + 1


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
