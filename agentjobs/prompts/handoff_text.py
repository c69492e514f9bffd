"""Handoffs, the notes of a task for the tasks after it: read tolerantly, shortened by whole lines. Pure.

A handoff is Markdown with the sections of ``Note``; anything else an agent writes is kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HANDOFF_MAX: Final = 8000
"""Most characters of one handoff in another task's prompt."""

BRIEF_LINES: Final = 3
"""Lines of its summary that replace a handoff without interfaces and decisions when it is shortened."""

WITHIN: Final = 4
"""Level of our own headings within a prompt: below those of templates."""

SECTIONS: Final = ("summary", "interfaces", "decisions", "gotchas", "remaining", "changed")

_CALLED: Final = {
    "summary": "summary|overview|what was done|what i did|done|tl;dr|tldr",
    "interfaces": "interfaces|interface|public api|api|apis|public interface|public interfaces|exports|signatures"
    "|contracts|contract",
    "decisions": "decisions|decision|design decisions|key decisions|decisions made|choices|rationale",
    "gotchas": "gotchas|gotcha|pitfalls|caveats|warnings|watch out|known issues|surprises",
    "remaining": "remaining|remaining work|todo|todos|to do|to-do|next steps|next|open|open questions|open points"
    "|not done|follow-ups|follow ups|left to do",
    "changed": "changed|changes|files changed|changed files|files modified|modified files|files touched"
    "|touched files|what changed",
}
_NAMES: Final = {name: section for section, names in _CALLED.items() for name in names.split("|")}

_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_BOLD: Final = re.compile(r"(?:[-*] +)? {0,3}(?:\*\*|__)([^*_]+)(?:\*\*|__)[ \t]*:?[ \t]*(.*)")
_LABEL: Final = re.compile(r" {0,3}([A-Za-z][A-Za-z' ;-]{1,30}?)[ \t]*:(?!:)[ \t]*(.*)")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*")
_NUMBERED: Final = re.compile(r"^(?:\d+[.)]|[^\w]+)\s*")
_UNDER_ANY: Final = 7
"""Level of a section that no heading started: every heading ends it."""


class Note(Struct, frozen=True):
    """A handoff by sections; text before the first heading is part of the summary."""

    summary: str = ""
    interfaces: str = ""
    decisions: str = ""
    gotchas: str = ""
    remaining: str = ""
    changed: str = ""
    others: tuple[tuple[str, str], ...] = ()
    """Sections with other names: title and text."""


def parse(text: str) -> Note:
    """Read a handoff: headings of any level, bold lines or labels (``Todo: …``), in any case, by any usual name.

    Sections with the same name are joined. A heading with another name starts its own section, unless it is nested
    under a known one. Lines within fenced code are not headings.
    """
    bodies: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for key, title, body in _sections(text):
        titles.setdefault(key, title)
        if body:
            bodies.setdefault(key, []).append(body)
    found = {key: "\n\n".join(parts) for key, parts in bodies.items()}
    others = tuple((titles[key], body) for key, body in found.items() if key not in SECTIONS)
    return Note(**{name: found.get(name, "") for name in SECTIONS}, others=others)


def _sections(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, title and text of every section: the key is the section's name, or ``# title`` if it is unknown."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    key, title, level, fence = "summary", "", _UNDER_ANY, ""
    body: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        mark = _FENCE.match(line)
        if fence or mark:
            if mark and not fence:
                fence = mark[1]
            elif mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            body.append(line)
            continue
        begun = _begun(line, lines[at] if at < len(lines) else "", level)
        if begun is None:
            body.append(line)
            continue
        yield key, title, _trimmed(body)
        body = []
        title, level, rest, used = begun
        key = _NAMES.get(_plain(title), f"# {title}")
        at += used
        if rest:  # read like any line: it may be a label, or start a block
            at -= 1
            lines[at] = rest
    if fence:  # close it, so that later text is not part of the block
        body.append(fence)
    yield key, title, _trimmed(body)


def _begun(line: str, following: str, level: int) -> tuple[str, int, str, int] | None:
    """Return title, level, rest of the line, and the extra lines used; None if no section starts here."""
    if heading := _HEADING.fullmatch(line):
        depth, title = len(heading[1]), heading[2].strip()
        if _plain(title) in _NAMES or (title and depth <= level):
            return title, depth, "", 0
        return None
    for pattern in (_BOLD, _LABEL):
        found = pattern.fullmatch(line)
        if found and _plain(found[1]) in _NAMES:
            return found[1], _UNDER_ANY, found[2].strip(), 0
    if _plain(line) in _NAMES and _UNDERLINE.fullmatch(following):
        return line.strip(), 1 if "=" in following else 2, "", 1
    return None


def _plain(title: str) -> str:
    """Return a title for comparison: without case, leading numbers, emphasis and colon."""
    return " ".join(_NUMBERED.sub("", title.strip()).strip(" \t:*_`").casefold().split())


def _trimmed(lines: list[str]) -> str:
    kept = [line.rstrip() for line in lines]
    while kept and not kept[0]:
        kept.pop(0)
    while kept and not kept[-1]:
        kept.pop()
    return "\n".join(kept)


def render(note: Note, level: int = 1) -> str:
    """Return a handoff as Markdown.

    With level 1, ``parse`` gives the same note back, whatever headings its texts have.
    """
    pieces = [(name.capitalize(), getattr(note, name)) for name in SECTIONS]
    mark = "#" * level
    return "\n\n".join(f"{mark} {title}\n\n{body}" for title, body in (*pieces, *note.others) if body)


def full(text: str) -> str:
    """Return a handoff as it was written, cut to ``HANDOFF_MAX`` characters by whole lines."""
    return cut(text, lambda piece: len(piece) <= HANDOFF_MAX)


@lru_cache(maxsize=2048)  # `check` needs the same ones for many rows
def short(text: str) -> str:
    """Return the interfaces and the decisions of a handoff, and name what was left out.

    Without either, returns the first lines of its summary.
    """
    note = parse(text)
    kept = Note(interfaces=note.interfaces, decisions=note.decisions)
    gone = [name for name in SECTIONS if getattr(note, name) and not getattr(kept, name)]
    gone += [title for title, _ in note.others]
    if kept != Note():
        return full(_with_remark(render(kept, WITHIN), gone))
    lines = (note.summary or next((body for _, body in note.others), "") or text.strip()).split("\n")
    brief = "\n".join(lines[:BRIEF_LINES])
    if len(lines) > BRIEF_LINES or len(gone) > 1:
        return full(_with_remark(brief, ["the rest of it"]))
    return full(brief)


def _with_remark(text: str, gone: list[str]) -> str:
    if not gone:
        return text
    names = gone[0] if len(gone) == 1 else f"{', '.join(gone[:-1])} and {gone[-1]}"
    return f"{text}\n\n(shortened; left out: {names})"


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return as many whole lines as fit, and a last one that says how many are missing; empty if none fits."""
    if fits(text):
        return text
    lines = text.split("\n")
    low, high = 0, len(lines) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_cut_to(lines, middle)):
            low = middle
        else:
            high = middle - 1
    found = _cut_to(lines, low)
    return found if fits(found) else ""


def _cut_to(lines: list[str], count: int) -> str:
    left = len(lines) - count
    kept = lines[:count]
    fence = ""
    for line in kept:  # close a code block that is cut, or what follows would be code
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
    closing = [fence] if fence else []
    return "\n".join([*kept, *closing, f"(cut: {left} more {'line' if left == 1 else 'lines'})"])
