"""Packing against the sum of the sizes, counting again against the first time: ``python -m tests.bench.documents``."""

from __future__ import annotations

import random
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from agentjobs.plans.pack import Document, pack
from agentjobs.tokens.count_files import count_contents

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 60_000
FILES = 5_000


class Packing(NamedTuple):
    """Of one set of documents."""

    what: str
    batches: int
    least: int
    """The tokens of all documents / the budget, rounded up: no packing has fewer batches."""
    seconds: float


class Counting(NamedTuple):
    """Of the same files, the first time and again."""

    files: int
    megabytes: float
    first_s: float
    again_s: float


def of(draw: Callable[[random.Random], int]) -> Callable[[random.Random, int], list[int]]:
    """Return what draws many."""
    return lambda chance, number: [draw(chance) for _ in range(number)]


KINDS: Final[dict[str, Callable[[random.Random, int], list[int]]]] = {
    "notes (log-normal)": of(lambda chance: min(BUDGET, max(20, int(chance.lognormvariate(8, 1.2))))),
    "RFC-like (log-normal)": of(lambda chance: min(BUDGET, max(500, int(chance.lognormvariate(9.5, 0.8))))),
    "uniform, to half the budget": of(lambda chance: chance.randint(1, BUDGET // 2)),
}


def packed(sizes: list[int]) -> tuple[int, int, float]:
    """Return the number of batches, the least number by the sum of the sizes, and the seconds."""
    documents = [Document(f"{at:05}.md", size) for at, size in enumerate(sizes)]
    begun = time.perf_counter()
    batches = pack(documents, BUDGET)
    took = time.perf_counter() - begun
    assert max(batch.tokens for batch in batches) <= BUDGET
    assert sorted(one.path for batch in batches for one in batch.documents) == [one.path for one in documents]
    return len(batches), -(-sum(sizes) // BUDGET), took


def packings() -> list[Packing]:
    """Pack sets with sizes as jobs have them."""
    chance = random.Random(1)
    return [
        Packing(f"{number:,} {kind}", *packed(draw(chance, number)))
        for kind, draw in KINDS.items()
        for number in (50, 180, 1_000, 5_000)
    ]


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
        ratio = one.batches / one.least
        how = f"{one.batches:>5} batches, at least {one.least:>5} {ratio:.3f}x {one.seconds:.2f} s"
        print(f"{one.what:<44} {how}", flush=True)
    print(counting())
