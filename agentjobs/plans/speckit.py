"""A spec-kit tasks.md as rows (pure): ids, phases, `[P]`, stories, paths, what comes after what.

    ## Phase 3: User Story 1 - Title (Priority: P1)
    - [ ] T012 [P] [US1] Create User model in src/models/user.py

Phases come one after the other, but for those of user stories, which all come after the last phase before them and
not after each other. Within a phase tasks come one after the other, but for neighbours marked ``[P]``, which do not
wait for each other.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.model.errors import UserError
from agentjobs.text import tsv
from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PHASE: Final = re.compile(r"##[ \t]+Phase[ \t]+([\w.]+)[ \t]*[:.–—-]?[ \t]*(.*)", re.IGNORECASE)
_HEADING: Final = re.compile(r"(#{1,6})[ \t]+(.*)")
_TASK: Final = re.compile(r"[ \t]*[-*+][ \t]+\[([ xX])\][ \t]+(.*)")
_ID: Final = re.compile(r"(?:\*\*)?(T\d+[A-Za-z]?(?:[.-]\d+)*)(?:\*\*)?[:.]?(?=\s|$)[ \t]*(.*)")
_MARK: Final = re.compile(r"\[(P|US\d+(?:[ ,/+&]+US\d+)*)\][ \t]*(.*)", re.IGNORECASE)
_NEEDS: Final = re.compile(
    r"\b(?:depends|dependent|blocked)[ \t]+(?:up)?(?:on|by)\b:?((?:[ \t,;&/–-]|and|to|through|T\d+[\w.]*)+)",
    re.IGNORECASE,
)
_RANGE: Final = re.compile(r"T(\d+)[ \t]*(?:-|–|to|through)[ \t]*T(\d+)", re.IGNORECASE)
_NAMED: Final = re.compile(r"T\d+[A-Za-z]?(?:[.-]\d+)*")
_STORY_PHASE: Final = re.compile(r"user[ \t]+story|\bUS\d+\b", re.IGNORECASE)
_CODE: Final = re.compile(r"`([^`\n]+)`")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_PATH: Final = re.compile(
    r"(?<![\w/.:@~-])(?:"
    r"(?:\.?[\w@+-][\w.@+-]*/)(?:[\w.@+\[\]-]+/)*(?:[\w@+.\[\]-]*[\w@+-])?"  # with a slash: src/a.py, docs/
    r"|[\w@+-][\w@+.-]*\.[A-Za-z][A-Za-z0-9]{0,9}"  # with an ending: README.md
    r")(?![\w/@-])"
)
_NOT_PATHS: Final = re.compile(
    r"e\.g|i\.e|etc|\w/\w|v?\d[\d./]*|(?:and|or|his|read|input|client|request|yes|on|pass)/\w+|[A-Z]+(?:/[A-Z]+)+"
    r"|(?:[Nn]ode|[Vv]ue|[Nn]ext|[Nn]uxt|[Ee]xpress|[Tt]hree|[Dd]3|[Rr]eact|[Nn]est|[Cc]hart|[Ss]ocket)\.(?:js|io)|ASP\.NET"
)
"""Words that look like paths."""


class Item(Struct, frozen=True):
    """One task of the file."""

    id: str
    line: int
    task: str
    """What is to be done, without id and marks."""
    done: bool = False
    phase: str = ""
    """The phase's number, or what stands for it."""
    title: str = ""
    """What the phase is called."""
    section: str = ""
    """The heading below that of the phase."""
    stories: tuple[str, ...] = ()
    parallel: bool = False
    paths: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def parse(text: str, file: str = "tasks.md") -> list[Item]:
    """Return the tasks in their order, with what each comes after; UserError with its line for what makes no sense."""
    items = list(_items(text, file))
    if not items:
        raise UserError("no task found: a line such as `- [ ] T001 [P] Write src/a.py` is one", file=file)
    return _ordered(items, file)


def rows(items: Sequence[Item], *, spec: str, profile: str | None = None) -> list[dict[str, str]]:
    """Return the cells of each task's row. ``spec``: the directory of the file, for the column of that name.

    A task that is ticked off is DONE. ``priority`` counts down from the first story: where slots are few, it is first.
    """
    stories = list(dict.fromkeys(story for item in items for story in item.stories))
    found = []
    for item in items:
        at = min((stories.index(story) for story in item.stories), default=None)
        row = {
            "id": item.id,
            "status": "DONE" if item.done else "TODO",
            "after": " ".join(item.after),
            "files": shlex.join(item.paths),
            "task": item.task,
            "phase": item.phase,
            "phase_title": item.title,
            "section": item.section,
            "story": " ".join(item.stories),
            "parallel": "yes" if item.parallel else "",
            "priority": "" if at is None else str(len(stories) - at),
            "spec": spec,
        }
        if profile is not None:
            row["profile"] = profile
        found.append(row)
    return found


def _items(text: str, file: str) -> Iterator[Item]:
    """Yield the tasks; comments are blanked, so that lines keep their numbers, and code blocks passed over."""
    plain = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    phase = title = section = fence = ""
    seen: dict[str, int] = {}
    for number, raw in enumerate(plain.split("\n"), 1):
        line = raw.rstrip("\r")
        mark = line.lstrip()[:3]
        if mark in {"```", "~~~"}:
            fence = "" if fence == mark else fence or mark
            continue
        if fence:
            continue
        if found := _PHASE.match(line):
            phase, title, section = found[1], found[2].strip(), ""
        elif found := _HEADING.match(line):
            if len(found[1]) <= 2:  # noqa: PLR2004 - a phase ends where the next chapter begins
                phase = title = section = ""
            else:
                section = found[2].strip()
        elif found := _TASK.match(line):
            item = _item(found[2], number, done=found[1] != " ")
            if item is None:
                continue
            if item.id.lower() in seen:
                raise UserError(f"{item.id} is already on line {seen[item.id.lower()]}", file=file, line=number)
            seen[item.id.lower()] = number
            stories = item.stories or tuple(re.findall(r"\bUS\d+\b", title))
            yield Item(
                item.id, number, item.task, item.done, phase, title, section, stories, item.parallel, item.paths
            )


def _item(text: str, line: int, *, done: bool) -> Item | None:
    """Read what stands behind the box; None where there is no id: a point of a checklist is no task."""
    named = _ID.match(text.strip())
    if named is None or not tsv.is_id(named[1]):
        return None
    rest, stories, parallel = named[2], [], False
    while found := _MARK.match(rest):
        if found[1].upper() == "P":
            parallel = True
        else:
            stories += re.findall(r"US\d+", found[1].upper())
        rest = found[2]
    return Item(named[1], line, rest.strip(), done, stories=tuple(stories), parallel=parallel, paths=paths_in(rest))


def paths_in(text: str) -> tuple[str, ...]:
    """Return the paths that a description names: with a slash, or with an ending; those in back quotes too."""
    bare = _CODE.sub(" ", text)
    quoted = [one for one in _CODE.findall(text) if " " not in one]
    bare = re.sub(r"\b[a-z][a-z0-9+.-]*://\S+", " ", bare)
    found = [one for one in quoted if _PATH.fullmatch(one)] + _PATH.findall(bare)
    paths = []
    for one in sorted(found, key=text.find):
        path = one.rstrip(".")
        if _NOT_PATHS.fullmatch(path) or path.startswith(("/", "..")):
            continue
        try:
            path = normalise(path)
        except UserError:
            continue
        if path and path not in paths:
            paths.append(path)
    return tuple(paths)


def _ordered(items: Sequence[Item], file: str) -> list[Item]:
    """Add what each task comes after."""
    known = {item.id: item for item in items}
    phases: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        phases.setdefault((item.phase, item.title), []).append(item)
    before: list[str] = []  # the ends of the last phase that is no story's
    stories: list[str] = []  # and of those of stories since
    needs: dict[str, list[str]] = {}
    for (_, title), members in phases.items():
        is_story = bool(_STORY_PHASE.search(title)) or all(item.stories for item in members)
        starts = before if is_story else [*stories] or before
        ends = _chain(members, starts, needs)
        if is_story:
            stories += ends
        else:
            before, stories = ends, []
    found = []
    for item in items:
        mine = [*needs[item.id], *(i for i in _told(item, known, file) if i not in needs[item.id])]
        found.append(replace(item, after=tuple(mine)))
    return found


def _chain(members: Sequence[Item], starts: Sequence[str], needs: dict[str, list[str]]) -> list[str]:
    """Put the tasks of a phase one after the other, neighbours that are parallel side by side; return the last ones."""
    before, side = list(starts), []
    for item in members:
        if item.parallel:
            needs[item.id] = list(before)
            side.append(item.id)
            continue
        needs[item.id] = side or list(before)
        before, side = [item.id], []
    return side or before


def _told(item: Item, known: dict[str, Item], file: str) -> Iterator[str]:
    """Yield the ids that a description says it depends on."""
    given: set[str] = set()
    for found in _NEEDS.finditer(item.task):
        for task_id in _named(found[1]):
            if task_id not in known:
                raise UserError(f"{item.id} depends on {task_id}, which is no task here", file=file, line=item.line)
            if task_id != item.id and task_id not in given:
                given.add(task_id)
                yield task_id


def _named(text: str) -> Iterator[str]:
    """Yield the ids in a list such as ``T001, T003-T007``. One by one: nobody says how far a range goes."""
    yield from _NAMED.findall(text)
    for bounds in _RANGE.finditer(text):
        width = len(bounds[1])
        for number in range(int(bounds[1]), int(bounds[2]) + 1):
            yield f"T{number:0{width}d}"
