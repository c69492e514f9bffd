"""Packing against the lower bound, counting again against the first time: ``python -m tests.bench.documents``."""

from __future__ import annotations

import math
import random
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from agentjobs.plans.lower_bound import bound
from agentjobs.plans.pack import Document, pack
from agentjobs.tokens.count_files import count_contents

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 60_000
FILES = 5_000
SETS = 200


class Packing(NamedTuple):
    """Of one set of documents."""

    what: str
    batches: int
    bound: int
    seconds: float


class Sets(NamedTuple):
    """Of many sets of one kind: batches against the lower bound of each."""

    what: str
    mean: float
    worst: float
    met: int
    """Sets with no more batches than the bound."""
    over: int
    """Sets with more than 2 %, rounded up, and more than one batch above it."""
    seconds: float
    """A set, on average."""


class Counting(NamedTuple):
    """Of the same files, the first time and again."""

    files: int
    megabytes: float
    first_s: float
    again_s: float


def triplets(chance: random.Random, number: int) -> list[int]:
    """Threes that fill a batch to the last token: the least number is known, and next to no packing has it."""
    sizes: list[int] = []
    while len(sizes) < number:
        one = chance.randint(BUDGET * 38 // 100, BUDGET * 49 // 100)
        other = chance.randint(BUDGET // 4, (BUDGET - one) // 2)
        sizes += [one, other, BUDGET - one - other]
    return sizes


def of(draw: Callable[[random.Random], int]) -> Callable[[random.Random, int], list[int]]:
    """Return what draws many."""
    return lambda chance, number: [draw(chance) for _ in range(number)]


KINDS: Final[dict[str, Callable[[random.Random, int], list[int]]]] = {
    "notes (log-normal)": of(lambda chance: min(BUDGET, max(20, int(chance.lognormvariate(8, 1.2))))),
    "RFC-like (log-normal)": of(lambda chance: min(BUDGET, max(500, int(chance.lognormvariate(9.5, 0.8))))),
    "uniform, to half the budget": of(lambda chance: chance.randint(1, BUDGET // 2)),
    "uniform, to the budget": of(lambda chance: chance.randint(1, BUDGET)),
    "hard: a quarter to half": of(lambda chance: chance.randint(BUDGET // 4, BUDGET // 2)),
    "hard: a fifth to half": of(lambda chance: chance.randint(BUDGET // 5, BUDGET // 2)),
    "hard: a sixth to two thirds": of(lambda chance: chance.randint(BUDGET // 6, BUDGET * 2 // 3)),
    "hard: triplets": triplets,
}


def packed(sizes: list[int]) -> tuple[int, int, float]:
    """Return how many batches sizes come to, at least have to, and how long that took."""
    documents = [Document(f"{at:05}.md", size) for at, size in enumerate(sizes)]
    begun = time.perf_counter()
    batches = pack(documents, BUDGET)
    took = time.perf_counter() - begun
    assert max(batch.tokens for batch in batches) <= BUDGET
    assert sorted(one.path for batch in batches for one in batch.documents) == [one.path for one in documents]
    return len(batches), bound(sizes, BUDGET).bins, took


def packings() -> list[Packing]:
    """Pack sets of the sizes that jobs have, and some that are hard."""
    chance = random.Random(1)
    return [
        Packing(f"{number:,} {kind}", *packed(draw(chance, number)))
        for kind, draw in KINDS.items()
        for number in (50, 180, 1_000, 5_000)
    ]


def many_sets(number: int = 180) -> list[Sets]:
    """Pack 200 sets of each kind."""
    found = []
    for kind, draw in KINDS.items():
        chance = random.Random(2)
        runs = [packed(draw(chance, number)) for _ in range(SETS)]
        ratios = [batches / bound for batches, bound, _ in runs]
        met = sum(batches == bound for batches, bound, _ in runs)
        over = sum(batches > max(bound + 1, math.ceil(1.02 * bound)) for batches, bound, _ in runs)
        seconds = sum(took for *_, took in runs) / SETS
        found.append(Sets(f"{SETS} x {number} {kind}", sum(ratios) / SETS, max(ratios), met, over, seconds))
    return found


def counting() -> Counting:
    """Count the Python files at hand twice, with a memory between."""
    paths = [*Path(sysconfig.get_path("stdlib")).rglob("*.py"), *Path(sysconfig.get_path("purelib")).rglob("*.py")]
    contents = [path.read_bytes() for path in sorted(set(paths))[:FILES]]
    with tempfile.TemporaryDirectory() as name:
        times = []
        for _ in range(2):
            begun = time.perf_counter()
            count_contents(contents, memory=Path(name))
            times.append(time.perf_counter() - begun)
    return Counting(len(contents), sum(map(len, contents)) / 1e6, *times)


if __name__ == "__main__":
    for one in packings():
        ratio = one.batches / one.bound
        how = f"{one.batches:>5} batches, bound {one.bound:>5} {ratio:.4f}x"
        print(f"{one.what:<44} {how} {one.seconds:.2f} s", flush=True)
    for many in many_sets():
        how = f"mean {many.mean:.4f}x, worst {many.worst:.4f}x, {many.met} at the bound, {many.over} over"
        print(f"{many.what:<44} {how}, {many.seconds:.3f} s", flush=True)
    print(counting())
