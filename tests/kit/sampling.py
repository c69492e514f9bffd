"""What `make test` runs of long series: a fixed sample. `make test-all` runs everything.

`@pytest.mark.sample(n)`: n of the parameter sets of the test, or of each test of a file where it is the `pytestmark`.
Of a test with Hypothesis: a quarter of the examples.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

EXAMPLES_MIN = 20


def mark_slow(items: list[pytest.Item]) -> None:
    """Mark as slow what is not in the sample of its test.

    The sample is always the same for the same parameter sets, so a test that passed is not skipped in the next run.
    """
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sample"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for name, sets in tests.items():
        mark = sets[0].get_closest_marker("sample")
        assert mark is not None
        chosen = _chosen(name, [_values(item) for item in sets], mark.args[0])
        for at, item in enumerate(sets):
            if at not in chosen:
                item.add_marker("slow")


def fewer_examples(item: pytest.Item) -> None:
    """Let a test with Hypothesis try a quarter of its examples, but at least `EXAMPLES_MIN` where it has as many."""
    function = getattr(item, "function", None)
    # Private, so it may be missing one day: then all examples are tried.
    now = getattr(function, "_hypothesis_internal_use_settings", None)
    if now is not None and not hasattr(function, "_sampled"):
        fewer = min(now.max_examples, max(EXAMPLES_MIN, now.max_examples // 4))
        vars(function).update(_hypothesis_internal_use_settings=settings(now, max_examples=fewer), _sampled=True)


def _values(item: pytest.Item) -> set[tuple[str, object]]:
    """Return each parameter with the number of its value, and what the id says before a bracket (a case of world)."""
    called: Any = vars(item).get("callspec")
    if called is None:
        return set()
    return {*called.indices.items(), ("kind", called.id.partition("[")[0])}


def _chosen(name: str, sets: list[set[tuple[str, object]]], size: int) -> set[int]:
    """Choose `size` sets, each time one with most values that were not chosen yet."""
    order = list(range(len(sets)))
    random.Random(name).shuffle(order)
    chosen: set[int] = set()
    seen: set[tuple[str, object]] = set()
    while len(chosen) < min(size, len(sets)):
        best = max((at for at in order if at not in chosen), key=lambda at: len(sets[at] - seen))
        if not sets[best] - seen:
            seen.clear()
        chosen.add(best)
        seen |= sets[best]
    return chosen
