"""Merge many outputs into one, level by level (pure): which tasks come next.

A tree is planned one level at a time, because only the real outputs of a level show how much fits into a merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Source(Struct, frozen=True):
    """A task with an output that is merged: a leaf, or a merge."""

    id: str
    status: Status
    output: str
    tokens: int | None
    """Tokens of its output; None if there is none."""
    level: int = 0
    """0 for a leaf."""
    inputs: tuple[str, ...] = ()
    """The ids it merges."""
    begun: bool = False


class Merge(Struct, frozen=True):
    """A task of the next level."""

    level: int
    inputs: tuple[str, ...]
    tokens: int


class Step(Struct, frozen=True):
    """The next step of a tree."""

    merges: tuple[Merge, ...] = ()
    replaced: tuple[str, ...] = ()
    """Merges that have not started; ``merges`` replace them."""
    pending: tuple[str, ...] = ()
    """Tasks that must settle first. Until then nothing is planned or changed."""
    missing: tuple[str, ...] = ()
    """Leaves without an output; the new level ignores them."""
    carried: tuple[str, ...] = ()
    """Outputs that wait for a later level, because there is nothing to merge them with."""
    root: str = ""
    """The last output."""


def next_level(sources: Sequence[Source], *, fan_in: int, budget: int, min_done: float = 1.0) -> Step:
    """Return the next level. Merges keep the order of ``sources``.

    ``fan_in``: outputs of one merge; ``budget``: their tokens together; ``min_done``: the share of leaves (without
    SKIPPED ones) that must have an output. UserError if a task that the tree needs FAILED, if an output is missing, or
    if no two outputs fit into the budget.
    """
    merges = [one for one in sources if one.level and one.status is not Status.SKIPPED]
    leaves = [one for one in sources if not one.level and one.status is not Status.SKIPPED]
    top = max((one.level for one in merges), default=0)
    waiting = [one for one in merges if one.level == top and one.status is Status.TODO and not one.begun]
    if any(one.level == top and one not in waiting for one in merges):
        waiting = []  # the level has begun: it stays as it is
    pending = [one.id for one in merges if one.status not in SETTLED and one not in waiting]
    if pending:
        return Step(pending=tuple(pending))
    lost = [one for one in merges if one.status is Status.FAILED]
    if lost:
        raise UserError(f"{lost[0].id} FAILED: retry it, or skip it to plan its merge again")
    gone = [one for one in merges if one.status is Status.DONE and not one.tokens]
    if gone:
        raise UserError(f"{gone[0].id} is DONE, but its output {gone[0].output} is missing or empty: retry it")
    there = [one for one in leaves if one.status is Status.DONE and one.tokens]
    missing = [one for one in leaves if one not in there]
    if missing and (not there or len(there) < min_done * len(leaves)):
        open_leaves = [one.id for one in missing if one.status not in SETTLED]
        if open_leaves:
            return Step(pending=tuple(open_leaves))
        raise UserError(_lacking(missing, len(leaves)))
    kept = [one for one in merges if one not in waiting]
    used = {task_id for one in kept for task_id in one.inputs}
    frontier = [one for one in [*there, *kept] if one.id not in used]
    if kept and not frontier:
        raise UserError(f"{kept[-1].id} needs its output as an input: look at the `docs` of the tree's rows")
    if len(frontier) < 2:  # noqa: PLR2004 - one is the root
        root = frontier[0].id if frontier else ""
        return Step(root=root, replaced=tuple(one.id for one in waiting))
    frontier = _in_order(frontier, {one.id: at for at, one in enumerate(sources)}, {one.id: one for one in sources})
    groups = _groups(frontier, fan_in, budget)
    found = [_merge(group) for group in groups if len(group) > 1]
    return Step(
        merges=tuple(found),
        replaced=tuple(one.id for one in waiting),
        missing=tuple(one.id for one in missing),
        carried=tuple(group[0].id for group in groups if len(group) == 1),
    )


def partition(sizes: Sequence[int], fan_in: int, budget: int) -> list[int]:
    """Return the sizes of groups of neighbours: as few groups as possible, then few single ones, then equal sizes.

    A group has at most ``fan_in`` members and ``budget`` tokens, or one member.
    """
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    back: list[int] = [0]
    for end in range(1, len(sizes) + 1):
        total = 0
        found: tuple[tuple[int, int, int], int] | None = None
        for length in range(1, min(fan_in, end) + 1):
            total += sizes[end - length]
            if length > 1 and total > budget:
                break
            groups, singles, squares = best[end - length]
            cost = (groups + 1, singles + (length == 1), squares + length * length)
            if found is None or cost < found[0]:
                found = cost, length
        assert found is not None
        best.append(found[0])
        back.append(found[1])
    lengths = []
    end = len(sizes)
    while end:
        lengths.append(back[end])
        end -= back[end]
    return lengths[::-1]


def _groups(frontier: Sequence[Source], fan_in: int, budget: int) -> list[list[Source]]:
    """Cut the outputs into groups of neighbours; if no two neighbours fit, of outputs of similar size."""
    for order in (list(frontier), sorted(frontier, key=_size)):
        lengths = partition([_size(one) for one in order], fan_in, budget)
        if len(lengths) < len(order):
            groups, at = [], 0
            for length in lengths:
                groups.append(order[at : at + length])
                at += length
            return groups
    first, second = sorted(frontier, key=_size)[:2]
    raise UserError(
        f"no two outputs fit into {budget:,} tokens: the smallest are {first.output} ({_size(first):,}) and "
        f"{second.output} ({_size(second):,}); raise --budget, or let tasks write less"
    )


def _size(source: Source) -> int:
    return source.tokens or 0


def _merge(group: Sequence[Source]) -> Merge:
    level = 1 + max(one.level for one in group)
    return Merge(level, tuple(one.id for one in group), sum(_size(one) for one in group))


def _in_order(frontier: Iterable[Source], place: dict[str, int], known: dict[str, Source]) -> list[Source]:
    """Sort by the first leaf of each, so that neighbours stay neighbours."""

    def first(top: Source) -> int:
        seen, left, found = {top.id}, [top.id], []
        while left:  # an edited table may name inputs in a circle
            task_id = left.pop()
            inputs = [one for one in known[task_id].inputs if one in known]
            found += [] if inputs else [place[task_id]]
            left += (one for one in inputs if one not in seen)
            seen.update(inputs)
        return min(found, default=place[top.id])

    return sorted(frontier, key=lambda one: (first(one), place[one.id]))


def _lacking(missing: Sequence[Source], count: int) -> str:
    shown = ", ".join(f"{one.id} ({_why(one)})" for one in missing[:4]) + (", …" if len(missing) > 4 else "")  # noqa: PLR2004
    return (
        f"{len(missing)} of {count} outputs are missing: {shown}; retry these tasks, skip them, "
        "or continue without them (--min-done)"
    )


def _why(source: Source) -> str:
    return f"its output {source.output} is missing" if source.status is Status.DONE else source.status.value
