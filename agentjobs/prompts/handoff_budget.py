"""Which handoffs reach a prompt, and how much of each: by distance, under one budget of tokens. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from agentjobs.prompts.handoff_text import cut, full, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HANDOFFS_TOKENS: Final = 4000
"""Tokens of all handoffs in one prompt, where nobody says otherwise."""

NAMED_MAX: Final = 5
"""So many of those that were left out are named."""

Kind = Literal["full", "short", "derived", "left out"]
_FULL: Final[Kind] = "full"


class Left(Struct, frozen=True):
    """What one task before this one left."""

    id: str
    text: str
    distance: int = 1
    place: int = 0
    derived: bool = False
    """The agent wrote none: it was made of what is known."""


class Told(Struct, frozen=True):
    """What a prompt is given of it; of those for which there is no room, the names."""

    id: str
    text: str
    distance: int
    kind: Kind


def choose(left: Iterable[Left], budget: int, size: Callable[[str], int], *, farther: bool = False) -> tuple[Told, ...]:
    """Return what fits into ``budget``, as ``size`` measures the texts, by distance and then by place.

    The nearest get as much as they need before the far ones get anything: in full where that fits, else shortened,
    an equal share for each if even that is too much. Far ones are there shortened or not at all. The last item names
    those that were left out, with ``farther`` also that there are more before them. The order of ``left`` is no
    matter. Never more than ``budget``: where the names do not fit, the farthest gives way to them.
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
    """Return text and kind of each that gets any: first a share for all of them, then all of it where there is room."""
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
    """Return the shorter of the shortened text and the full one: what was left out must be named, too."""
    whole, brief = full(item.text), short(item.text)
    return (brief, "short") if size(brief) < size(whole) else (whole, _FULL)


def _within(most: int, size: Callable[[str], int], text: str) -> bool:
    return size(text) <= most


def _left_out(missing: Sequence[Left], *, farther: bool) -> Told:
    names = ", ".join(item.id for item in missing[:NAMED_MAX])
    if len(missing) > NAMED_MAX:
        names += f" and {len(missing) - NAMED_MAX} more"
    before = ", and of tasks before these" if farther else ""
    text = f"(left out for want of room: the handoffs of {names}{before})"
    return Told(names, text, missing[0].distance, "left out")
