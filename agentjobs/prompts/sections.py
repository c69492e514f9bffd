"""The parts of a prompt that come from the repository, each within its budget. Pure: values in, Markdown out.

A section consists of groups (a file, a handoff), a group of items (a signature, a line) that are included whole or
not at all. Items are included in the given order; the same values make the same bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Count = Callable[[str], int]
    LeftOut = tuple[tuple[str, str], ...]

ORDER: Final = ("memory", "files", "inline", "imports", "tests", "handoffs")
"""The names of sections, in the order of the prompt."""

CUT_ORDER: Final = ("tests", "memory", "imports", "handoffs", "inline")
"""Which sections are cut back first if a prompt is over ``fit``. The paths of the task's files are never cut."""

NAMED_MAX: Final = 100
"""Most files that are listed under one task; the rest is counted."""

OVER_BUDGET: Final = "over the budget"
CUT_BACK: Final = "cut back so that the whole prompt fits"


class Item(Struct, frozen=True):
    """The smallest unit that is included or left out as a whole; ``what`` is its name for people."""

    what: str
    text: str


class Group(Struct, frozen=True):
    """Items that share a heading; without ``title`` they have none."""

    items: tuple[Item, ...]
    title: str = ""
    language: str | None = None
    """The language of the code fence around the items; None: they are Markdown of our own."""
    in_order: bool = False
    """Stop at the first item that does not fit: of a text the beginning is shown."""


class Section(Struct, frozen=True):
    """One part of a prompt; ``text`` is empty or ends with a newline."""

    name: str
    title: str
    text: str = ""
    tokens: int = 0
    left_out: LeftOut = ()
    """What was left out, and why."""
    budget: int | None = None
    """None: no budget; it is as long as the task has paths."""


def packed(
    name: str,
    title: str,
    groups: Sequence[Group],
    *,
    budget: int,
    count: Count,
    intro: str = "",
    why: str = OVER_BUDGET,
    before: LeftOut = (),
) -> Section:
    """Return a section with what fits into ``budget``; ``before`` was left out earlier, with its reasons.

    Includes every item that still fits when its turn comes. No section is over its budget, headings included.
    """
    head = f"## {title}\n\n" + (f"{intro}\n\n" if intro else "")
    spent = count(head)
    taken: list[list[int]] = [[] for _ in groups]
    order: list[int] = []
    for at, group in enumerate(groups):
        frame = count(_framed(group, ()))
        for number, item in enumerate(group.items):
            room = budget - spent - (0 if taken[at] else frame)
            if room > 0 and (cost := count(item.text)) <= room:
                spent = budget - room + cost
                taken[at].append(number)
                order.append(at)
            elif group.in_order:
                break
    while True:  # the tokens of a text are about the sum of its parts
        text = head + "\n".join(_framed(group, taken[at]) for at, group in enumerate(groups) if taken[at])
        tokens = count(text) if order else 0
        if tokens <= budget:
            break
        taken[order.pop()].pop()
    left = [(what, why) for at, group in enumerate(groups) for what in _missing(group, taken[at])]
    return Section(name, title, text if order else "", tokens, (*before, *left), budget)


def _missing(group: Group, taken: Sequence[int]) -> list[str]:
    """Return names for what was not included of a group; for an ordered text, the place where it was cut."""
    rest = [item.what for number, item in enumerate(group.items) if number not in set(taken)]
    if group.in_order and len(rest) > 1:
        rest = [f"{rest[0]} to {rest[-1]}"]
    return [f"{group.title}: {what}" if group.title and what != group.title else what for what in rest]


def _framed(group: Group, taken: Sequence[int]) -> str:
    head = f"### {code(group.title)}\n\n" if group.title else ""
    texts = (group.items[number].text for number in taken)
    body = "".join(text if text.endswith("\n") else text + "\n" for text in texts)
    if group.language is None:
        return head + body
    fence = fence_for("".join(item.text for item in group.items))
    return f"{head}{fence}{group.language}\n{body}{fence}\n"


def fence_for(text: str) -> str:
    """Return a fence that nothing in ``text`` closes."""
    return "`" * (max((len(run) for run in re.findall(r"`{3,}", text)), default=2) + 1)


def code(text: str) -> str:
    """Return a name as an inline code span that shows it unchanged on one line."""
    line = " ".join(text.split("\n"))
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def lines_of(text: str) -> tuple[Item, ...]:
    """Return the lines of a text as items, each with its line end."""
    return tuple(Item(f"line {number}", f"{line}\n") for number, line in enumerate(text.rstrip().split("\n"), 1))


def paths(entries: Sequence[tuple[str, str]], count: Count, unseen: Sequence[tuple[str, str]] = ()) -> Section:
    """Return the section that lists the task's files: each entry of the row, and remarks about it.

    ``unseen`` are files that could not be shown in full, and why.
    """
    title = "Files of the task"
    lines = [f"- {code(path)}{f' ({said})' if said else ''}" for path, said in entries]
    if unseen:
        lines += ["", "Not shown below; read them yourself:", ""]
        lines += [f"- {code(path)} ({why})" for path, why in unseen[:NAMED_MAX]]
        if len(unseen) > NAMED_MAX:
            lines.append(f"- and {len(unseen) - NAMED_MAX} more files under the paths above")
    if not entries:
        return Section("files", title)
    text = "\n".join([f"## {title}", "", *lines]) + "\n"
    return Section("files", title, text, count(text))


def joined(sections: Mapping[str, Section], without: Iterable[str] = ()) -> str:
    """Return all sections as one text, in the order of the prompt."""
    left = set(without)
    shown = (sections[name].text for name in ORDER if name in sections and name not in left)
    return "\n".join(filter(None, shown))


def fitted(
    sections: Mapping[str, Section],
    again: Callable[[str, int], Section],
    whole: Callable[[Mapping[str, Section]], str],
    over: Callable[[str], int],
) -> tuple[dict[str, Section], str]:
    """Cut sections back, in ``CUT_ORDER``, until the prompt fits; return them and the prompt.

    ``again`` rebuilds one section under a smaller budget, ``whole`` builds the prompt from all, ``over`` returns by
    how many tokens a prompt is too long. A prompt that is still too long afterwards is an error that ``check``
    reports.
    """
    found = dict(sections)
    text = whole(found)
    for name in CUT_ORDER:
        if name not in found or not found[name].text:
            continue
        for last in (False, False, False, True):
            excess = over(text)
            if excess <= 0 or not found[name].text:
                break
            found[name] = again(name, 0 if last else max(0, found[name].tokens - excess))
            text = whole(found)
    return found, text
