"""Questions about refs and objects, answered by one ``git cat-file`` instead of a process for each.

Git reads a ref anew for each question, so an answer is as true as one of a new process. What follows from the id of an
object never changes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.workspace.long_lived import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agentjobs.disk.run_command import Dialogue
    from agentjobs.workspace.long_lived import LongLived

_NEAR = 32
"""How many commits are read to find one among the ancestors of another; then git searches all of them."""

_TREES = 100
"""How many trees are read one by one to find the submodules of a commit; then git lists all of it."""

_KNOWN_MAX = 100_000
"""Most commits, or trees, of which something is remembered."""

_TREE, _LINK = b"040000", b"160000"
"""Modes."""


class Found(NamedTuple):
    """An object."""

    id: str
    kind: str
    data: bytes = b""
    """Its content, if that was asked for."""


class Objects:
    """Answers about the objects of one repository; ``git`` is a ``git cat-file --batch-command``."""

    def __init__(self, git: LongLived) -> None:
        self._git = git
        self._history: dict[str, tuple[str, ...]] = {}
        """By id of a commit: its parents."""
        self._submodules: dict[str, tuple[str, ...]] = {}
        """By id of a tree: the paths of its submodules."""

    def find(self, name: str) -> Found | None:
        """Return the object that a name of git leads to (a ref, an id, ``main^{tree}``); None if there is none."""
        return self._ask("info", name)

    def read(self, name: str) -> Found | None:
        """Return an object with its content."""
        return self._ask("contents", name)

    def _ask(self, command: str, name: str) -> Found | None:
        if "\n" in name:
            raise UnansweredError

        def read(line: bytes, git: Dialogue) -> Found | None:
            words = line.rsplit(b" ", 2)
            if not words[-1].isdigit() or len(words) != 3:  # noqa: PLR2004 - id, kind, size
                return None
            data = git.rest(int(words[-1]) + 1)[:-1] if command == "contents" else b""
            return Found(words[0].decode(), words[1].decode(), data)

        return self._git.ask(f"{command} {name}".encode("utf-8", "surrogateescape"), read)

    def contains(self, tip: str, commit: str) -> bool | None:
        """Return whether ``commit`` is ``tip`` or an ancestor of it; None: not known without a long search."""
        before, _ = self._walk(commit, frozenset())
        seen, all_of_them = self._walk(tip, before)  # beyond what is before the commit it cannot be
        return True if commit in seen else False if all_of_them else None

    def _walk(self, start: str, stop: Collection[str]) -> tuple[set[str], bool]:
        """Return a commit with its nearest ancestors as far as those in ``stop``, and whether there are no others."""
        todo, seen = [start], {start}
        for at in todo:
            if at in stop:
                continue
            parents = self._parents(at) if len(todo) <= _NEAR else None
            if parents is None:
                return seen, False
            todo += [parent for parent in parents if parent not in seen]
            seen.update(parents)
        return seen, True

    def _parents(self, commit: str) -> tuple[str, ...] | None:
        if commit not in self._history:
            found = self.read(commit)
            if found is None or found.kind != "commit":
                return None
            if len(self._history) > _KNOWN_MAX:
                self._history.clear()
            lines = found.data.partition(b"\n\n")[0].split(b"\n")
            self._history[commit] = tuple(line[7:].decode() for line in lines if line.startswith(b"parent "))
        return self._history[commit]

    def submodules(self, tree: str, listed: Callable[[], bytes]) -> tuple[str, ...]:
        """Return the paths of the submodules in a tree object.

        ``listed`` returns what ``git ls-tree -r -t -z`` prints of it: for a tree of which little is known yet.
        """
        with contextlib.suppress(UnansweredError):
            return self._below(tree, [])
        if len(self._submodules) > _KNOWN_MAX:
            self._submodules.clear()
        trees, links = {"": tree}, []
        for head, _, path in (line.partition(b"\t") for line in listed().split(b"\0")):
            if head.startswith(_TREE):
                trees[_text(path) + "/"] = head.rpartition(b" ")[2].decode()
            elif head.startswith(_LINK):
                links.append(_text(path))
        for above, id_ in trees.items():
            self._submodules[id_] = tuple(p.removeprefix(above) for p in links if p.startswith(above))
        return self._submodules[tree]

    def _below(self, tree: str, read: list[str]) -> tuple[str, ...]:
        if tree in self._submodules:
            return self._submodules[tree]
        found = self.read(tree) if len(read) < _TREES else None
        if found is None or found.kind != "tree":
            raise UnansweredError
        read.append(tree)
        links, at, size = [], 0, len(found.id) // 2
        while at < len(found.data):
            end = found.data.index(b"\0", at)
            mode, _, name = found.data[at:end].partition(b" ")
            at = end + 1 + size
            if mode == _LINK:
                links.append(_text(name))
            elif mode == _TREE.lstrip(b"0"):
                links += [f"{_text(name)}/{link}" for link in self._below(found.data[end + 1 : at].hex(), read)]
        self._submodules[tree] = tuple(links)
        return self._submodules[tree]


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
