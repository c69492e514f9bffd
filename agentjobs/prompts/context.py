"""The context of a task: reads the parts of the repository that its prompt shows, and fits them into it."""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.policy.policy import window_of
from agentjobs.prompts import sections as parts
from agentjobs.prompts.sections import Group, Item, Section, fitted, joined, packed
from agentjobs.prompts.template import names_in, render, variables
from agentjobs.source.tests import word_of
from agentjobs.source.tree import DiskTree, commit_tree
from agentjobs.table.overlaps import Names
from agentjobs.text import path_patterns
from agentjobs.tokens.count import count, fits
from agentjobs.tokens.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from agentjobs.model.tasks import Row
    from agentjobs.policy.context import TaskContext
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.source.imported_signatures import Found, Imports
    from agentjobs.source.tree import SourceTree
    from agentjobs.tokens.fit import Scale

FILES_MAX: Final = 400
"""Most files of one task that are read."""

WORDS_MAX: Final = 100
"""Most names that are searched in tests."""

CANDIDATES_MAX: Final = 200
"""Most tests for which imports of the task's files are looked up."""

MEMORIES: Final = ("AGENTS.md", "CLAUDE.md")
"""Files with a project's instructions for every agent; the first one that a directory has is used."""

SHOWN_MAX: Final = 1_000_000
"""Most bytes of a file that is shown; no context window is larger."""

_AS_OF: Final = "As they are where the task starts."


class Room(Struct, frozen=True):
    """How an agent counts tokens, and how many a prompt of its profile may have."""

    scale: Scale
    limit: int

    def tokens(self, text: str) -> int:
        """Return the tokens of a text as the agent counts them."""
        return self.scale.tokens(count(text)) if text else 0

    def over(self, text: str) -> int:
        """Return how many tokens a prompt is too long; counts only if the size in bytes does not decide it."""
        return 0 if fits(text, self.scale.budget(self.limit)) else self.tokens(text) - self.limit


class Composed(Struct, frozen=True):
    """A prompt and its sections; no sections if the profile asks for no context."""

    text: str
    sections: Mapping[str, Section] = {}


def room_of(project: Project, profile: Profile) -> Room:
    """Return the tokens that a prompt may have: ``fit`` of the window without the agent's own overhead."""
    scale = scale_of(project, profile.agent)
    return Room(scale, limit_of(profile, window_of(project.policy, profile), scale))


def limit_of(profile: Profile, window: int, scale: Scale) -> int:
    """Return how many tokens, as its agent counts, a prompt of a profile may have in a window."""
    return int(profile.fit * max(0, window - scale.overhead))


def compose(
    project: Project,
    row: Row,
    profile: Profile,
    template: str,
    values: Mapping[str, Any],
    *,
    least: bool = False,
) -> Composed:
    """Fill a template for a row with its context, cut back until all fits; ``values`` are those of ``variables``.

    ``least``: cut everything back and read little. If that does not fit, nothing will.
    """
    settings = profile.context
    if settings is None:
        return Composed(render(template, profile.prompt, variables(row, **values)))
    room = room_of(project, profile)
    base = str(values.get("base") or "")
    tree: SourceTree = commit_tree(project.root, base) if base else DiskTree(project.root)
    parcel = Parcel(row, settings, tree, values.get("handoffs", ()), room)
    without = ("handoffs",) if "handoffs" in names_in(template, profile.prompt) else ()

    def whole(sections: Mapping[str, Section]) -> str:
        texts = {name: sections[name].text if name in sections else "" for name in parts.ORDER}
        given = {**values, "handoffs": parcel.kept(sections.get("handoffs"))}
        context = joined(sections, without)
        return render(template, profile.prompt, variables(row, **given, sections=texts, context=context))

    if least:
        sections: dict[str, Section] = parcel.least()
        return Composed(whole(sections), sections)
    found, text = fitted(parcel.sections(), parcel.again, lambda now: whole(parcel.named(now)), room.over)
    return Composed(text, parcel.named(found))


class Parcel:
    """The sources for the sections of one task; each is read when it is first needed."""

    def __init__(
        self, row: Row, settings: TaskContext, tree: SourceTree, handoffs: Sequence[Mapping[str, object]], room: Room
    ) -> None:
        self.row = row
        self.settings = settings
        self.tree = tree
        self.handoffs = handoffs
        self.count = room.tokens
        self.budgets = {
            "inline": settings.inline_tokens if settings.files == "inline" else 0,
            "imports": settings.imports_tokens,
            "tests": settings.tests_tokens,
            "memory": settings.memory_tokens,
            "handoffs": settings.handoffs_tokens,
        }

    def sections(self) -> dict[str, Section]:
        """Return every section that the profile asks for, in the order of the prompt."""
        wanted = {name: budget for name, budget in self.budgets.items() if budget}
        found: dict[str, Section] = {name: self._section(name, wanted[name]) for name in parts.ORDER if name in wanted}
        return self.named(found)

    def least(self) -> dict[str, Section]:
        """Return the sections with everything cut back: only the paths."""
        return {} if self.settings.files == "none" else {"files": self._paths([])}

    def again(self, name: str, budget: int) -> Section:
        """Return a section under a smaller budget, because the whole prompt would not fit."""
        return self._section(name, budget, parts.CUT_BACK)

    def named(self, sections: Mapping[str, Section]) -> dict[str, Section]:
        """Return the sections with the list of the task's files, which names what is not shown of them."""
        if self.settings.files == "none":
            return dict(sections)
        unseen = sections["inline"].left_out if "inline" in sections else []
        found = {**sections, "files": self._paths([*unseen])}
        return {name: found[name] for name in parts.ORDER if name in found}

    def kept(self, section: Section | None) -> Sequence[Mapping[str, object]]:
        """Return the handoffs that are within their budget; all of them if there is no such section."""
        if not self.budgets["handoffs"]:
            return self.handoffs
        left = {what for what, _ in section.left_out} if section is not None else {one["id"] for one in self.handoffs}
        return [one for one in self.handoffs if one["id"] not in left]

    def _section(self, name: str, budget: int, why: str = parts.OVER_BUDGET) -> Section:
        title, intro, groups, before = {
            "inline": self._inline, "imports": self._imports, "tests": self._tests, "memory": self._memory,
            "handoffs": self._handoffs,
        }[name]  # fmt: skip
        return packed(name, title, groups, intro=intro, before=before, budget=budget, count=self.count, why=why)

    # --- the task's files

    @cached_property
    def _entries(self) -> list[str]:
        return sorted({path_patterns.normalise(entry) for entry in self.row.files})

    @cached_property
    def _all_own(self) -> list[str]:
        """The plain files that the row's ``files`` match, by path."""
        return sorted({path for entry in self._entries for path in self._meant(entry)})

    def _meant(self, entry: str) -> Sequence[str]:
        """Return the plain files that one entry matches."""
        return (entry,) if self.tree.holds(entry) else self._names.covered([entry])

    @cached_property
    def _names(self) -> Names:
        return Names(self.tree.ordered)

    @property
    def _own(self) -> list[str]:
        return self._all_own[:FILES_MAX]

    @cached_property
    def _contents(self) -> dict[str, bytes]:
        return self.tree.read(self._own)

    @property
    def _too_many(self) -> list[tuple[str, str]]:
        more = len(self._all_own) - len(self._own)
        return [(f"{more:,} more files of the task", f"{FILES_MAX} are read")] if more else []

    def _paths(self, unseen: Sequence[tuple[str, str]]) -> Section:
        return parts.paths([(entry, self._said(entry)) for entry in self._entries], self.count, unseen)

    def _said(self, entry: str) -> str:
        """Describe an entry of the row that is not simply a file."""
        if self.tree.holds(entry):
            return ""
        many = len(self._meant(entry))
        return f"{many:,} file{'s' * (many != 1)}" if many else "not there yet"

    @cached_property
    def _inline(self) -> tuple[str, str, list[Group], tuple[tuple[str, str], ...]]:
        groups, before = [], self._too_many
        for path in self._own:
            data = self._contents.get(path, b"")
            why = _unfit(data)
            if why:
                before.append((path, why))
            else:
                groups.append(Group((Item(path, data.decode()),), path, _language(path)))
        return "Contents of the files", _AS_OF, groups, tuple(before)

    # --- imports and tests of the task's files

    @cached_property
    def _imports_of(self) -> Imports:
        from agentjobs.source.imported_signatures import Imports  # it has parsers to load

        return Imports(self.tree)

    @cached_property
    def _imports(self) -> tuple[str, str, list[Group], tuple[tuple[str, str], ...]]:
        found: Found = self._imports_of.of(self._contents)
        groups = [
            Group(tuple(Item(one.name, one.text) for one in each.signatures), each.path, _language(each.path))
            for each in found.imported
        ]
        intro = "Signatures of what the files import from others of this repository, without the bodies."
        return "What the files import", intro, groups, (*self._too_many, *found.left_out)

    @cached_property
    def _tests(self) -> tuple[str, str, list[Group], tuple[tuple[str, str], ...]]:
        words = {path: word_of(path) for path in self._own}
        before = self._too_many
        before += [(path, "its name is too short to look for") for path, word in words.items() if not word]
        looked_for = sorted(set(filter(None, words.values())))
        before += [(word, f"{WORDS_MAX} names are looked for") for word in looked_for[WORDS_MAX:]]
        own = set(self._all_own)
        mentions = [one for one in self.tree.tests_with(looked_for[:WORDS_MAX]) if one.path not in own]
        contents = self.tree.read([one.path for one in mentions[:CANDIDATES_MAX]])
        importing = {path for path, data in contents.items() if self._imports_of.targets(path, data) & own}
        items = []
        for one in sorted(mentions, key=lambda one: (one.path not in importing, one.path)):
            lines = ", ".join(map(str, one.lines))
            where = f"{'imports them; ' if one.path in importing else ''}line{'s' * (len(one.lines) != 1)} {lines}"
            items.append(Item(one.path, f"- {parts.code(one.path)} ({where})"))
        intro = "Files that look like tests and import the task's files or mention their names."
        return "Tests", intro, [Group(tuple(items))], tuple(before)

    # --- instructions and handoffs

    @cached_property
    def _memory(self) -> tuple[str, str, list[Group], tuple[tuple[str, str], ...]]:
        directories = {""}
        for path in [*self._entries, *self._own]:
            directory = path.rstrip("/") if path.endswith("/") else posixpath.dirname(path)
            while directory not in directories:
                directories.add(directory)
                directory = posixpath.dirname(directory)
        groups, before = [], []
        for directory in sorted(directories, key=lambda name: (-len(name.split("/")) if name else 0, name)):
            there = [posixpath.join(directory, name) for name in MEMORIES]
            path = next(filter(self.tree.holds, there), "")
            data = self.tree.read([path]).get(path, b"")
            if why := _unfit(data):
                before.append((path, why))
            elif data.strip():
                groups.append(Group(parts.lines_of(data.decode()), path, "markdown", in_order=True))
        return "Instructions of the project", "Those nearest to the task's files come first.", groups, tuple(before)

    @cached_property
    def _handoffs(self) -> tuple[str, str, list[Group], tuple[tuple[str, str], ...]]:
        groups, before = [], []
        for one in self.handoffs:
            name, told = str(one["id"]), str(one["text"])
            if one.get("kind") == "left out":  # names the ones that did not fit
                before.append((f"handoffs of {name}", parts.OVER_BUDGET))
                groups.append(Group((Item(name, told),)))
            else:
                groups.append(Group((Item(name, told),), name, "markdown"))
        return "Handoffs", "Notes from the tasks that this one depends on.", groups, tuple(before)


def _unfit(data: bytes) -> str:
    """Return why a file cannot be shown; empty if it can."""
    if len(data) > SHOWN_MAX:
        return f"{len(data):,} bytes are too many to show"
    if b"\0" in data:
        return "no text"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return ""


def _language(path: str) -> str:
    """Return the language name for a code fence."""
    ending = posixpath.basename(path).rpartition(".")[2]
    return ending if ending.isalnum() and "." in path else ""
