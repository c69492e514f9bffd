"""The texts that tasks find: in the commit they start from, or in the directory they work in."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.plans.files import beneath
from agentjobs.plans.pack import Document
from agentjobs.plans.repack import parse_name
from agentjobs.project.project import POLICY, TABLE
from agentjobs.source.files import is_ignored, matching, present, walked
from agentjobs.tokens.count import count
from agentjobs.tokens.count_files import count_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agentjobs.project.project import Project
    from agentjobs.tokens.fit import Scale

LOOK = 8192
"""A file with a NUL in its first 8 KiB is not a text."""


class Texts(Struct, frozen=True):
    """Documents and their content."""

    documents: tuple[Document, ...]
    contents: dict[str, bytes]
    odd: tuple[str, ...]
    """Files with names that cannot stand for a document in a cell."""
    binary: int
    """Number of files that are not texts."""


def read_texts(
    project: Project, paths: Sequence[str], scale: Scale, *, exclude: Sequence[str] = (), without: Collection[str] = ()
) -> Texts:
    """Return the texts in ``paths`` (files, directories, globs), except ``without``. UserError if there are none."""
    found = Place(project, paths)
    asked = beneath(paths, found.names, found.called)
    left_out = {*without, POLICY, TABLE}
    chosen = [path for path in matching(found.names, (), exclude) if asked(path) and path not in left_out]
    odd = tuple(path for path in chosen if not path.isprintable() or parse_name(path)[0] != path)
    contents = found.read([path for path in chosen if path not in odd])
    texts = {path: data for path, data in contents.items() if b"\0" not in data[:LOOK] and data.strip()}
    if not texts and not os.path.lexists(project.file.path):
        raise UserError(f"no text found: look at the paths and at --exclude (in {found.called})")
    return Texts(tuple(described(project, texts, scale)), texts, odd, len(contents) - len(texts))


def read_files(project: Project, paths: Collection[str]) -> dict[str, bytes]:
    """Return the contents of those ``paths`` that exist, also if git ignores them."""
    if not project.uses_trees:
        files = {path: project.root / path for path in paths}
        return {path: file.read_bytes() for path, file in files.items() if file.is_file() and not file.is_symlink()}
    found = Place(project)
    names = set(found.names)
    return found.read([path for path in paths if path in names])


def described(project: Project, contents: dict[str, bytes], scale: Scale) -> list[Document]:
    """Return each content as a document, counted as the agent does."""
    counts = count_contents(list(contents.values()), memory=project.store.memory())
    return [
        Document(path, scale.tokens(count), digest(data))
        for (path, data), count in zip(contents.items(), counts, strict=True)
    ]


def digest(data: bytes) -> str:
    """Return a hash of the content."""
    return hashlib.sha256(data).hexdigest()[:10]


def splitter(texts: Texts, budget: int, scale: Scale) -> Callable[[Document], list[Document]]:
    """Return a function that cuts a document into parts within the budget."""
    from agentjobs.plans.split import split  # for what is too large

    def parts(document: Document) -> list[Document]:
        lines = texts.contents[document.path].split(b"\n")  # as `sed -n 3,7p` counts them
        raw = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
        cut = split([line.decode("utf-8", "replace") for line in raw], budget, lambda text: scale.tokens(count(text)))
        found = []
        for first, last, tokens in cut:
            content = digest(b"".join(raw[first - 1 : last]))
            found.append(Document(document.path, tokens, content, first, last))
        return found

    return parts


class Place:
    """The place where tasks find their files."""

    def __init__(self, project: Project, paths: Sequence[str] = ()) -> None:
        """``paths``: named by the user, so included even if git ignores them."""
        self.project = project
        self.blobs: dict[str, str] = {}
        if project.uses_trees:
            tip = project.tip()
            self.blobs = project.git.files(tip)
            self.names = list(self.blobs)
            self.called = f"{tip[:10]}, where tasks start; write it from the top, or commit it"
        else:
            self.names = [*present(project.root), *self._ignored(paths)]
            self.called = f"{project.root}; write it from there"

    def _ignored(self, paths: Sequence[str]) -> list[str]:
        """Return the files in those ``paths`` that git ignores: tasks may read files outside the repository."""
        found: set[str] = set()
        for path in paths:
            plain = os.path.normpath(path)
            there = self.project.root / plain
            if plain.startswith(("/", "..")) or not is_ignored(there):
                continue
            found.update(f"{plain}/{name}" for name in walked(there)) if there.is_dir() else found.add(plain)
        return sorted(found)

    def read(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the contents by path."""
        if self.project.uses_trees:
            contents = self.project.git.blobs(self.blobs[path] for path in paths)
            return {path: contents[self.blobs[path]] for path in paths}
        return {path: (self.project.root / path).read_bytes() for path in paths}
