"""How much context tasks need: their prompt, and the files and documents that their rows name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.model.facts import Mode, Over
from agentjobs.plans.repack import parse_name
from agentjobs.plans.texts import Place
from agentjobs.policy.policy import window_of
from agentjobs.prompts import briefing
from agentjobs.run.steps.gauges import held_at_end
from agentjobs.table.overlaps import Names
from agentjobs.text.tsv import shell_words
from agentjobs.tokens.count_files import SMALL, count_contents
from agentjobs.tokens.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.model.decisions import Begin
    from agentjobs.model.tasks import Row, Task
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.tokens.fit import Scale

DIGITS_MAX: Final = 12
"""Most digits of a number of tokens; a longer one is ignored."""

FILES_AT_ONCE: Final = 2000
"""The contents of at most this many files are in memory at once."""


class Reads(Struct, frozen=True):
    """The files and documents that one row names."""

    paths: tuple[str, ...]
    """Those that exist."""
    told: int | None
    """Tokens of its documents, if its cell ``doc_tokens`` has them; the paths do not contain these documents then."""


class Sizes:
    """The sizes of what rows name, in our tokens; each file is counted at most once, when it is needed."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._place = Place(project)
        self._names = Names(self._place.names)
        self._counts: dict[str, int] = {}

    def reads(self, row: Row) -> Reads:
        """Return the files that a row's ``files`` and ``docs`` match."""
        told = row.cells.get("doc_tokens", "")
        known = int(told) if told.isascii() and told.isdigit() and len(told) <= DIGITS_MAX else None
        try:
            paths = set(self._names.covered(row.files))
            if known is None:
                # A part of a document counts as the whole file, because agents open the file.
                docs = [parse_name(name)[0] for name in shell_words(row.cells.get("docs", ""))]
                paths.update(self._names.covered([path for path in docs if path]))
        except (UserError, ValueError):  # which `check` and the start of the task report
            paths = set()
        return Reads(tuple(sorted(paths)), known)

    def count(self, paths: Sequence[str]) -> dict[str, int]:
        """Return the tokens of each of these files, by our own count."""
        new = [path for path in dict.fromkeys(paths) if path not in self._counts]
        for at in range(0, len(new), FILES_AT_ONCE):
            some = self._place.read(new[at : at + FILES_AT_ONCE])
            self._counts |= dict(zip(some, _counted(self._project, list(some.values())), strict=True))
        return {path: self._counts[path] for path in paths}

    def tokens(self, row: Row, scale: Scale) -> int:
        """Return the tokens of everything that a row names to read, as its agent counts."""
        reads = self.reads(row)
        return scale.tokens(sum(self.count(reads.paths).values())) + (reads.told or 0)


class Expectations:
    """The context that attempts are expected to hold when they start; each is computed once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, tuple[Row, Begin, int, int]] = {}
        self._sizes: tuple[str, Sizes] | None = None

    def __call__(self, task: Task, begin: Begin) -> int:
        """Return the tokens that such an attempt will at least hold; never more than its window.

        A continued conversation holds what it held when it was last observed. What cannot be read counts as 0: the
        start of the attempt will report it.
        """
        known = self._known.get(task.row.id)
        if known is not None and known[:3] == (task.row, begin, len(task.attempts)):
            return known[3]
        try:
            found = self._expected(task, begin)
        except (UserError, OSError):
            found = 0
        self._known[task.row.id] = (task.row, begin, len(task.attempts), found)
        return found

    def _expected(self, task: Task, begin: Begin) -> int:
        project, row, last = self._project, task.row, task.last
        profile = project.profile(row, begin.profile)
        scale = scale_of(project, profile.agent)
        text = prompt_of(project, row, profile)
        if isinstance(last, Over) and begin.fresh and begin.mode is not Mode.RESTART:
            text += last.result.errors
        prompt = scale.tokens(_counted(project, [text.encode("utf-8", "surrogateescape")])[0])
        found = scale.overhead + prompt + _sections(profile) + self._at_tip().tokens(row, scale)
        if last is not None and not begin.fresh:
            found = max(found, held_at_end(project, last))
        return min(found, window_of(project.policy, profile))

    def _at_tip(self) -> Sizes:
        """Return the sizes of files at the commit where tasks start now."""
        tip = self._project.tip() if self._project.uses_trees else ""
        if self._sizes is None or self._sizes[0] != tip or not tip:
            self._sizes = (tip, Sizes(self._project))
        return self._sizes[1]


def _sections(profile: Profile) -> int:
    """Return the tokens that a profile's prompt sections may have besides the task's own files, as its agent counts."""
    context = profile.context
    if context is None:
        return 0
    return context.imports_tokens + context.tests_tokens + context.memory_tokens + context.handoffs_tokens


def prompt_of(project: Project, row: Row, profile: Profile) -> str:
    """Return the prompt of a row's first attempt with its sections cut back: files are counted separately.

    Empty if its template is missing or wrong.
    """
    try:
        return briefing.composed(project, row, profile, least=True).text
    except UserError:
        return ""


def _counted(project: Project, contents: list[bytes]) -> list[int]:
    """Count, and remember the counts; very small contents count as their bytes without loading a vocabulary."""
    large = [data for data in contents if len(data) > SMALL]
    memory = project.store.memory() if project.store.dir.is_dir() else None  # `check` creates nothing
    counts = iter(count_contents(large, memory=memory))
    return [next(counts) if len(data) > SMALL else len(data) for data in contents]


def prompt_sizes(project: Project, rows: Sequence[tuple[Row, Profile]]) -> list[int]:
    """Return the tokens of the first prompts of rows, by our own count."""
    texts = [prompt_of(project, row, profile) for row, profile in rows]
    return _counted(project, [text.encode("utf-8", "surrogateescape") for text in texts])
