"""The files of a task now and at its base commit: the pairs that the checks of a conversion compare.

The base commit is the one that agentjobs started the task from; an agent's own commits come after it, and objects are
named by their content (replacement objects are off), so the result cannot be forged from a tree.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk.plain_files import read_plain
from agentjobs.model.errors import UserError
from agentjobs.source.syntax import language_of
from agentjobs.text.path_patterns import in_scope
from agentjobs.workspace.git import Git, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

RENAMED = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
"""What a file's ending may become in a conversion."""


class Pair(NamedTuple):
    """A file at the base and now; ``new`` is None if it was deleted, ``old`` if it was added."""

    old: str | None
    new: str | None


class BaseFiles:
    """The files of a task, at a commit and in the tree around the current directory."""

    def __init__(self, root: Path, base: str, files: Sequence[str]) -> None:
        self.git = Git(root)
        self.root = self.git.toplevel
        commit = self.git.resolve(base)
        if commit is None:
            raise UserError(f"{base} is not a commit of this repository")
        self.base = commit
        listed = self.git.run("ls-tree", "-r", "-z", "--full-tree", commit).stdout
        blobs: dict[str, str] = {}
        for entry in filter(None, listed.split(b"\0")):
            head, _, path = entry.partition(b"\t")
            if b" blob " in head:
                blobs[text(path)] = head.split()[2].decode("ascii")
        self._blobs = blobs
        there = self.git.run("ls-files", "-z", "-c", "-o", "--exclude-standard", "--full-name", cwd=self.root).stdout
        now = {text(path) for path in filter(None, there.split(b"\0"))}
        self._now = {path for path in now if (self.root / path).is_file() and not (self.root / path).is_symlink()}
        names = sorted(self._blobs.keys() | self._now)
        # A row may name a file before or after its conversion, so both names are checked against the scope.
        outside = set(in_scope(names, files)) if files else set()
        self.names = tuple(name for name in names if name not in outside)

    def pairs(self, renamed: Mapping[str, Sequence[str]] = RENAMED) -> list[Pair]:
        """Return each source file of the task, before and now."""
        found: list[Pair] = []
        taken: set[str] = set()
        for name in self.names:
            if name not in self._blobs or language_of(name) is None:
                continue
            new = next((other for other in self._names_after(name, renamed) if self._is_new(other)), None)
            if new is not None:
                taken.add(new)
            found.append(Pair(name, new or (name if name in self._now else None)))
        found += [
            Pair(None, name)
            for name in self.names
            if name not in self._blobs and name not in taken and language_of(name) is not None
        ]
        return found

    def _names_after(self, name: str, renamed: Mapping[str, Sequence[str]]) -> Iterable[str]:
        stem, dot, last = name.rpartition(".")
        ending = dot + last
        return (stem + other for other in renamed.get(ending.lower(), ()))

    def _is_new(self, name: str) -> bool:
        return name in self._now and name not in self._blobs

    def old(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files at the base."""
        wanted = [name for name in names if name in self._blobs]
        found = self.git.blobs(self._blobs[name] for name in wanted)
        return {name: found[self._blobs[name]] for name in wanted}

    def new(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files now."""
        return {name: read_plain(self.root / name) for name in names if name in self._now}

    def settings(self) -> list[str]:
        """Return the tsconfig files, at the base or now, anywhere in the repository."""
        names = self._blobs.keys() | self._now
        return sorted(name for name in names if re.search(r"(?:^|/)[tj]sconfig[^/]*\.json$", name))


def from_environment(root: Path, base: str | None) -> BaseFiles:
    """Return the files of the task in the environment. Raises UserError outside a task without ``base``."""
    commit = base or os.environ.get("AGENTJOBS_BASE_COMMIT", "")
    if not commit:
        raise UserError("AGENTJOBS_BASE_COMMIT is not set: name two files, use --base, or run it as a check")
    files = [line for line in os.environ.get("AGENTJOBS_FILES", "").split("\n") if line]
    return BaseFiles(root, commit, files)
