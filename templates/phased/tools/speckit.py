"""Print the tasks of a spec-kit tasks.md as JSON lines for `agentjobs plan rows`.

    python3 tools/speckit.py specs/001-login/tasks.md | agentjobs plan rows

`- [ ] T012 [P] [US1] Create User model in src/models/user.py` becomes a row with id, status (DONE if it is ticked
off), task, after, files (the paths that the text names), phase, phase_title, section, story, parallel, priority (the
first story first) and spec (the directory of the file).

Order: a phase comes after the one before it. Phases of user stories come after the last other phase, not after each
other. Within a phase, tasks come one after the other; neighbours marked [P] do not wait for each other. "depends on
T001, T003-T005" is added. Errors go to stderr with file and line; the exit code is then 1.
"""

from __future__ import annotations

import json
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

PHASE = re.compile(r"##[ \t]+Phase[ \t]+([\w.]+)[ \t]*[:.–—-]?[ \t]*(.*)", re.IGNORECASE)
HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
TASK = re.compile(r"[ \t]*[-*+][ \t]+\[([ xX])\][ \t]+(.*)")
ID = re.compile(r"(?:\*\*)?(T\d+[A-Za-z]?(?:[.-]\d+)*)(?:\*\*)?[:.]?(?=\s|$)[ \t]*(.*)")
MARK = re.compile(r"\[(P|US\d+(?:[ ,/+&]+US\d+)*)\][ \t]*(.*)", re.IGNORECASE)
NEEDS = re.compile(
    r"\b(?:depends|dependent|blocked)[ \t]+(?:up)?(?:on|by)\b:?((?:[ \t,;&/–-]|and|to|through|T\d+[\w.]*)+)",
    re.IGNORECASE,
)
RANGE = re.compile(r"T(\d+)[ \t]*(?:-|–|to|through)[ \t]*T(\d+)", re.IGNORECASE)
NAMED = re.compile(r"T\d+[A-Za-z]?(?:[.-]\d+)*")
STORY = re.compile(r"user[ \t]+story|\bUS\d+\b", re.IGNORECASE)
CODE = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
PATH = re.compile(
    r"(?<![\w/.:@~-])(?:"
    r"(?:\.?[\w@+-][\w.@+-]*/)(?:[\w.@+\[\]-]+/)*(?:[\w@+.\[\]-]*[\w@+-])?"  # with a slash: src/a.py, docs/
    r"|[\w@+-][\w@+.-]*\.[A-Za-z][A-Za-z0-9]{0,9}"  # with an extension: README.md
    r")(?![\w/@-])"
)
NOT_PATHS = re.compile(  # words that look like paths
    r"e\.g|i\.e|etc|\w/\w|v?\d[\d./]*|(?:and|or|his|read|input|client|request|yes|on|pass)/\w+|[A-Z]+(?:/[A-Z]+)+"
    r"|(?:[Nn]ode|[Vv]ue|[Nn]ext|[Nn]uxt|[Ee]xpress|[Tt]hree|[Dd]3|[Rr]eact|[Nn]est|[Cc]hart|[Ss]ocket)\.(?:js|io)|ASP\.NET"
)


class Item:
    """One task of the file."""

    def __init__(self, task_id: str, line: int, text: str, *, done: bool) -> None:
        """Read the marks [P] and [US1] at the start of the text."""
        self.id, self.line, self.done = task_id, line, done
        self.parallel = False
        self.stories: list[str] = []
        self.after: list[str] = []
        self.phase = self.title = self.section = ""
        while mark := MARK.match(text):
            self.parallel |= mark[1].upper() == "P"
            self.stories += re.findall(r"US\d+", mark[1].upper())
            text = mark[2]
        self.task = text.strip()


def main(file: str) -> None:
    """Print a row for each task."""
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail(file, error)
    items = list(read(text, file))
    if not items:
        fail(file, "no task found; tasks look like `- [ ] T001 [P] Write src/a.py`")
    put_in_order(items, file)
    here, place = Path.cwd().resolve(), Path(file).resolve().parent
    spec = place.relative_to(here).as_posix() if here in (place, *place.parents) else str(place)
    stories = list(dict.fromkeys(story for item in items for story in item.stories))
    for item in items:
        ranks = [len(stories) - stories.index(story) for story in item.stories]
        print(json.dumps({
            "id": item.id,
            "status": "DONE" if item.done else "TODO",
            "after": item.after,
            "files": paths(item.task),
            "task": item.task,
            "phase": item.phase,
            "phase_title": item.title,
            "section": item.section,
            "story": " ".join(item.stories),
            "parallel": "yes" if item.parallel else "",
            "priority": str(max(ranks)) if ranks else "",
            "spec": spec,
        }))  # fmt: skip
    phases = len({(item.phase, item.title) for item in items})
    done = sum(item.done for item in items)
    print(f"speckit: tasks: {len(items)}, phases: {phases}, stories: {len(stories)}, done: {done}", file=sys.stderr)


def read(text: str, file: str) -> Iterator[Item]:
    """Yield the tasks. Comments become empty lines, so that line numbers stay right; code blocks are skipped."""
    phase = title = section = fence = ""
    seen: dict[str, int] = {}
    plain = COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, raw in enumerate(plain.split("\n"), 1):
        line = raw.rstrip("\r")
        mark = line.lstrip()[:3]
        if mark in ("```", "~~~"):
            fence = "" if fence == mark else fence or mark
            continue
        if fence:
            continue
        if found := PHASE.match(line):
            phase, title, section = found[1], found[2].strip(), ""
        elif found := HEADING.match(line):
            if len(found[1]) <= 2:  # a chapter: the phase is over
                phase = title = section = ""
            else:
                section = found[2].strip()
        elif found := TASK.match(line):
            named = ID.match(found[2].strip())
            if not named:  # a checklist item without an id is not a task
                continue
            item = Item(named[1], number, named[2], done=found[1] != " ")
            if item.id.lower() in seen:
                fail(file, f"{item.id} is already on line {seen[item.id.lower()]}", number)
            seen[item.id.lower()] = number
            item.phase, item.title, item.section = phase, title, section
            item.stories = item.stories or re.findall(r"\bUS\d+\b", title)
            yield item


def put_in_order(items: list[Item], file: str) -> None:
    """Fill in what each task comes after."""
    phases: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        phases.setdefault((item.phase, item.title), []).append(item)
    before: list[str] = []  # the last tasks of the last phase that is not a story
    stories: list[str] = []  # the last tasks of the stories since then
    for (_, title), members in phases.items():
        if STORY.search(title) or all(item.stories for item in members):
            stories += chain(members, before)
        else:
            before, stories = chain(members, stories or before), []
    lines = {item.id: item.line for item in items}
    for item in items:
        for need in depends_on(item.task):
            if need not in lines:
                fail(file, f"{item.id} depends on {need}, which is not a task in this file", item.line)
            if need != item.id and need not in item.after:
                item.after.append(need)
    try:
        TopologicalSorter({item.id: item.after for item in items}).prepare()
    except CycleError as error:
        circle = error.args[1]
        fail(file, f"these tasks wait for each other: {' '.join(circle)}", lines[circle[0]])


def chain(members: list[Item], starts: list[str]) -> list[str]:
    """Put the tasks of a phase one after the other, [P] neighbours side by side; return the last ones."""
    before, side = starts, []
    for item in members:
        if item.parallel:
            item.after = list(before)
            side.append(item.id)
        else:
            item.after = side or list(before)
            before, side = [item.id], []
    return side or list(before)


def depends_on(text: str) -> Iterator[str]:
    """Yield the ids after "depends on". A generator, because a range may have no end: T001-T999999999999."""
    for found in NEEDS.finditer(text):
        yield from NAMED.findall(found[1])
        for bounds in RANGE.finditer(found[1]):
            for number in range(int(bounds[1]), int(bounds[2]) + 1):
                yield f"T{number:0{len(bounds[1])}d}"


def paths(text: str) -> list[str]:
    """Return the paths that a text names: with a slash or an extension, also in back quotes."""
    bare = re.sub(r"\b[a-z][a-z0-9+.-]*://\S+", " ", CODE.sub(" ", text))
    found = [one for one in CODE.findall(text) if PATH.fullmatch(one)] + PATH.findall(bare)
    kept: list[str] = []
    for one in sorted(found, key=text.find):
        path = one.rstrip(".")
        parts = [part for part in path.split("/") if part != "."]
        if NOT_PATHS.fullmatch(path) or path.startswith("/") or ".." in parts:
            continue
        path = "/".join(parts)
        if path and path not in kept:
            kept.append(path)
    return kept


def fail(file: str, message: object, line: int | None = None) -> NoReturn:
    """Exit with a message."""
    sys.exit(f"speckit: {file}:{'' if line is None else f'{line}:'} {message}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 tools/speckit.py TASKS.MD | agentjobs plan rows")
    main(sys.argv[1])
