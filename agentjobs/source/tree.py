"""The files of a commit, or of a directory as it is, read without a checkout and without leaving anything behind."""

from __future__ import annotations

import os
import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from agentjobs.disk.plain_files import read_plain
from agentjobs.source.files import present
from agentjobs.source.tests import TEST_GLOBS, looks_like_test
from agentjobs.workspace.git import Git, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LINES_MAX: Final = 5
"""Most lines per file that are shown for a name."""

NOT_OURS: Final = frozenset({".agentjobs", ".git", "node_modules"})
"""Directories that are left out if there is no git to say what is ignored."""


class Mention(NamedTuple):
    """A file that contains one of some words, and the first lines with it."""

    path: str
    lines: tuple[int, ...]


class SourceTree(Protocol):
    """The source of a task's context."""

    @property
    def names(self) -> frozenset[str]:
        """The paths of all plain files, from the top."""

    @property
    def ordered(self) -> list[str]:
        """The same, sorted."""

    def holds(self, path: str) -> bool:
        """Return whether there is a plain file at that path."""

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of ``paths`` that exist."""

    def tests_with(self, words: Sequence[str]) -> list[Mention]:
        """Return the files that look like tests and contain one of the words as a whole word, by path."""


class CommitTree:
    """The files of a commit."""

    def __init__(self, root: Path, commit: str) -> None:
        self.git = Git(root)
        self.commit = commit

    @cached_property
    def _blobs(self) -> dict[str, str]:
        return self.git.files(self.commit)

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths of all plain files."""
        return frozenset(self._blobs)

    @cached_property
    def ordered(self) -> list[str]:
        """The same, sorted."""
        return sorted(self.names)

    def holds(self, path: str) -> bool:
        """Return whether the commit has a plain file at that path."""
        return path in self._blobs

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of ``paths`` that exist, with one run of git."""
        wanted = {path: self._blobs[path] for path in paths if path in self._blobs}
        if not wanted:
            return {}
        contents = self.git.blobs(wanted.values())
        return {path: contents[blob] for path, blob in wanted.items() if blob in contents}

    def tests_with(self, words: Sequence[str]) -> list[Mention]:
        """Return the tests that contain one of the words, with one run of git."""
        if not words:
            return []
        patterns = [flag for word in words for flag in ("-e", word)]
        done = self.git.run(
            "grep", "-z", "-n", "-I", "-F", "-w", f"--max-count={LINES_MAX}", "--no-color", "--no-column",
            "--full-name", "--no-recurse-submodules", *patterns, self.commit, "--",
            *(f":(top,glob){glob}" for glob in TEST_GLOBS),
            ok=(0, 1),
        )  # fmt: skip
        found: dict[str, list[int]] = {}
        for line in done.stdout.split(b"\n"):
            head, _, rest = line.partition(b"\0")
            number, separator, _ = rest.partition(b"\0")
            path = text(head.partition(b":")[2])
            if separator and number.isdigit() and path in self._blobs and looks_like_test(path):
                found.setdefault(path, []).append(int(number))
        return [Mention(path, tuple(found[path])) for path in sorted(found)]


class DiskTree:
    """The current files of a directory; in a repository without those that git ignores."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths of all plain files."""
        return frozenset(path for path in present(self.root) if NOT_OURS.isdisjoint(path.split("/")))

    @cached_property
    def ordered(self) -> list[str]:
        """The same, sorted."""
        return sorted(self.names)

    def holds(self, path: str) -> bool:
        """Return whether there is a plain file at that path, not behind a link: prompts must not show other files."""
        place = self.root / path
        if not place.is_file() or place.is_symlink():
            return False
        return os.path.realpath(place.parent) == os.path.normpath(os.path.join(self._real, os.path.dirname(path)))

    @cached_property
    def _real(self) -> str:
        return os.path.realpath(self.root)

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of ``paths`` that exist and can be read."""
        found = {}
        for path in paths:
            if self.holds(path):
                try:
                    found[path] = read_plain(self.root / path)
                except OSError:
                    continue
        return found

    def tests_with(self, words: Sequence[str]) -> list[Mention]:
        """Return the tests that contain one of the words."""
        if not words:
            return []
        listed = b"|".join(re.escape(os.fsencode(word)) for word in words)
        pattern = re.compile(rb"(?<![A-Za-z0-9_])(?:" + listed + rb")(?![A-Za-z0-9_])")
        found = []
        for path in sorted(filter(looks_like_test, self.names)):
            data = self.read([path]).get(path, b"")
            if b"\0" in data[:8000] or not pattern.search(data):
                continue
            lines = (number for number, line in enumerate(data.split(b"\n"), 1) if pattern.search(line))
            found.append(Mention(path, tuple(number for number, _ in zip(lines, range(LINES_MAX), strict=False))))
        return found


@lru_cache(maxsize=4)
def commit_tree(root: Path, commit: str) -> CommitTree:
    """Return the files of a commit; a commit never changes, so several tasks share the cache."""
    return CommitTree(root, commit)
