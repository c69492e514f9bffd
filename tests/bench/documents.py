"""Packing against the lower bound, counting again against the first time: ``python -m tests.bench.documents``."""

from __future__ import annotations

import random
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.counting import count_contents
from agentjobs.packbound import lower_bound
from agentjobs.packing import Document, pack

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 60_000
FILES = 5_000


class Packing(NamedTuple):
    """Of one set of documents."""

    what: str
    batches: int
    bound: int
    seconds: float


class Counting(NamedTuple):
    """Of the same files, the first time and again."""

    files: int
    megabytes: float
    first_s: float
    again_s: float


def packings() -> list[Packing]:
    """Pack sets of the sizes that jobs have, and two that are hard."""
    chance = random.Random(1)
    kinds: dict[str, Callable[[], int]] = {
        "notes (log-normal)": lambda: min(BUDGET, max(20, int(chance.lognormvariate(8, 1.2)))),
        "RFC-like (log-normal)": lambda: min(BUDGET, max(500, int(chance.lognormvariate(9.5, 0.8)))),
        "uniform, to half the budget": lambda: chance.randint(1, BUDGET // 2),
        "uniform, to the budget": lambda: chance.randint(1, BUDGET),
        "hard: a quarter to half": lambda: chance.randint(BUDGET // 4, BUDGET // 2),
    }
    found = []
    for kind, draw in kinds.items():
        for number in (50, 180, 1_000, 5_000):
            sizes = [draw() for _ in range(number)]
            documents = [Document(f"{at:05}.md", size) for at, size in enumerate(sizes)]
            begun = time.perf_counter()
            batches = pack(documents, BUDGET)
            took = time.perf_counter() - begun
            assert max(batch.tokens for batch in batches) <= BUDGET
            found.append(Packing(f"{number:,} {kind}", len(batches), lower_bound(sizes, BUDGET), took))
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
        print(f"{one.what:<40} {one.batches:>5} batches, bound {one.bound:>5} {ratio:.3f}x {one.seconds:.2f} s")
    print(counting())
