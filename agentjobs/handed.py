"""A tree as it was handed to its agent: what setup, ``copy``, ``link`` and ``keep`` had put there beside its commit.

Only the difference from this is the agent's work. And only this, with the files of a commit, is what checks may see:
what an agent leaves in ignored files does not land, so the checks that judge the commit run without it.

Written down next to the tree, in ``.<name>.handed``, which no agent in a sandbox can reach. There is no such file for a
tree that held its commit and nothing else.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.deletion import delete
from agentjobs.git import raw, text
from agentjobs.writing import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


class Handed(NamedTuple):
    """What a tree held beside the files of its commit."""

    entries: Mapping[str, tuple[str, str]] = {}
    """Mode and blob of each path that a snapshot would have taken as a change; mode ``0`` where a file was missing."""
    roots: tuple[str, ...] = ()
    """The topmost paths that git does not track."""
    files: Mapping[str, str] = {}
    """A mark of each file below the roots, by which a change of it is seen."""


def read(tree_dir: Path) -> Handed:
    """Return what is written down for the tree."""
    try:
        records = _file(tree_dir).read_bytes().split(b"\0")
    except FileNotFoundError:
        return Handed()
    entries, roots, files = {}, [], {}
    for record in records:
        kind, value, path = ([*record.split(b"\t", 2), b"", b""])[:3]
        if kind == b"entry":
            mode, _, blob = value.decode().partition(" ")
            entries[text(path)] = (mode, blob)
        elif kind == b"root":
            roots.append(text(path))
        elif kind == b"file":
            files[text(path)] = text(value)
    return Handed(entries, tuple(roots), files)


def record(tree_dir: Path, entries: Mapping[str, tuple[str, str]], roots: Sequence[str]) -> None:
    """Write down the tree as it is now; ``roots`` are gone through."""
    if not entries and not roots:
        forget(tree_dir)
        return
    records = [raw(f"entry\t{mode} {blob}\t{path}") for path, (mode, blob) in entries.items()]
    records += [raw(f"root\t\t{path}") for path in roots]
    records += [raw(f"file\t{mark}\t{path}") for path, mark in _files(tree_dir, roots)]
    replace_file(_file(tree_dir), b"\0".join(records))


def forget(tree_dir: Path) -> None:
    """Forget what was written down: the tree holds its commit and nothing else, or is gone."""
    _file(tree_dir).unlink(missing_ok=True)


class Spoilt(NamedTuple):
    """How the untracked files of a tree differ from what was handed to the agent."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    """Changed or missing: these cannot be put back from here."""


def spoilt(tree_dir: Path) -> Spoilt:
    """Return what differs below the roots; what git does not track elsewhere, git finds itself."""
    handed = read(tree_dir)
    now = dict(_files(tree_dir, handed.roots))
    added = tuple(path for path in now if path not in handed.files)
    changed = tuple(path for path, mark in handed.files.items() if now.get(path) != mark)
    return Spoilt(added, changed)


def put_back(tree_dir: Path, *, placed: Iterable[str]) -> bool:
    """Remove what was added below the roots; where a file there was changed, remove the whole of it.

    True if anything beside ``placed`` (what ``copy`` and ``link`` put there) was removed so: then setup has to run
    again. What is placed has to be placed again in any case where it was changed.
    """
    found = spoilt(tree_dir)
    for path in found.added:
        delete(tree_dir / path)
    if not found.changed:
        return False
    ours = tuple(path.rstrip("/") for path in placed)
    theirs = [path for path in found.changed if not _below(path, ours)]
    for root in read(tree_dir).roots:
        if theirs or _below(root, ours):
            delete(tree_dir / root)
    return bool(theirs)


def _below(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in tops)


def _files(tree_dir: Path, roots: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield everything but directories at and below these paths, with a mark; no link is followed."""
    todo = list(roots)
    while todo:
        path = todo.pop()
        full = os.path.join(tree_dir, path)
        try:
            found = os.lstat(full)
            if stat.S_ISDIR(found.st_mode):
                with os.scandir(full) as listing:
                    todo += [f"{path}/{entry.name}" for entry in listing]
                continue
            yield path, _mark(full, found)
        except FileNotFoundError:
            continue
        except OSError as error:  # an agent took our rights away
            yield path, f"unreadable: {error.errno}"


def _mark(full: str, found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return f"link {blake2b(os.readlink(os.fsencode(full)), digest_size=8).hexdigest()}"  # noqa: PTH115 - its bytes
    # Not the time of the last change of the inode: a package manager may add a name to it elsewhere.
    return f"{found.st_mode:o} {found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _file(tree_dir: Path) -> Path:
    return tree_dir.with_name(f".{tree_dir.name}.handed")
