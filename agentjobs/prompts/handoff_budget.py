"""Which handoffs are in a prompt, and how much of each: by distance, under one budget of tokens. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from agentjobs.prompts.handoff_text import cut, full, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HANDOFFS_TOKENS: Final = 4000
"""Default budget for all handoffs in one prompt, in tokens."""

NAMED_MAX: Final = 5
"""Most left-out handoffs that are named."""

Kind = Literal["full", "short", "derived", "left out"]
_FULL: Final[Kind] = "full"


class Left(Struct, frozen=True):
    """The handoff of one earlier task."""

    id: str
    text: str
    distance: int = 1
    place: int = 0
    derived: bool = False
    """The agent wrote none; it was derived from the diff or the output."""


class Told(Struct, frozen=True):
    """The part of a handoff that a prompt contains; for those that did not fit, the names."""

    id: str
    text: str
    distance: int
    kind: Kind


def choose(left: Iterable[Left], budget: int, size: Callable[[str], int], *, farther: bool = False) -> tuple[Told, ...]:
    """Return what fits into ``budget``, as ``size`` measures the texts, by distance and then by place.

    The nearest are served first: in full if that fits, else shortened, an equal share for each if even that is too
    much. Far ones are shortened or left out. The last item names those left out; with ``farther`` it also says that
    there are more before them. The order of ``left`` does not matter. Never more than ``budget``: if the names do not
    fit, the farthest handoff is dropped for them.
    """
    items = sorted(left, key=lambda item: (item.distance, item.place, item.id))
    near = [item for item in items if item.distance == 1]
    chosen = _nearest(near, budget, size)
    room = budget - sum(size(text) for text, _ in chosen.values())
    for item in items[len(near) :]:
        brief = _brief(item, size)
        cost = size(brief[0])
        if brief[0] and cost <= room:
            chosen[item.id] = brief
            room -= cost
    while True:
        missing = [item for item in items if item.id not in chosen]
        told = [
            Told(item.id, chosen[item.id][0], item.distance, "derived" if item.derived else chosen[item.id][1])
            for item in items
            if item.id in chosen
        ]
        if not missing:
            return tuple(told)
        last = _left_out(missing, farther=farther)
        if size(last.text) <= room:
            return (*told, last)
        if not told:
            return ()
        gone = told[-1]
        room += size(gone.text)
        del chosen[gone.id]


def _nearest(near: Sequence[Left], budget: int, size: Callable[[str], int]) -> dict[str, tuple[str, Kind]]:
    """Return text and kind of each that gets any: first an equal share for all, then in full while there is room."""
    briefs = {item.id: _brief(item, size) for item in near}
    chosen: dict[str, tuple[str, Kind]] = {}
    room = budget
    for at, item in enumerate(near):
        share = room // (len(near) - at)
        text, kind = briefs[item.id]
        if text := cut(text, partial(_within, share, size)):
            chosen[item.id] = (text, kind if text == briefs[item.id][0] else "short")
            room -= size(text)
    for better in ({item.id: (full(item.text), _FULL) for item in near}, briefs):
        for task_id, (text, kind) in better.items():
            now, so_far = chosen.get(task_id, ("", "short"))
            cost = size(text) - (size(now) if now else 0)
            if text and so_far != _FULL and cost <= room:
                chosen[task_id] = (text, kind)
                room -= cost
    return chosen


def _brief(item: Left, size: Callable[[str], int]) -> tuple[str, Kind]:
    """Return the smaller of the shortened text and the full one; a shortened text also names what is left out."""
    whole, brief = full(item.text), short(item.text)
    return (brief, "short") if size(brief) < size(whole) else (whole, _FULL)


def _within(most: int, size: Callable[[str], int], text: str) -> bool:
    return size(text) <= most


def _left_out(missing: Sequence[Left], *, farther: bool) -> Told:
    names = ", ".join(item.id for item in missing[:NAMED_MAX])
    if len(missing) > NAMED_MAX:
        names += f" and {len(missing) - NAMED_MAX} more"
    before = ", and of tasks before these" if farther else ""
    text = f"(left out, no room: the handoffs of {names}{before})"
    return Told(names, text, missing[0].distance, "left out")
