"""Record a tree as it was handed to its agent: what setup, ``copy``, ``link`` and ``keep`` added to its commit.

Only the difference from this is the agent's work. And checks may see only this and the files of a commit: what an agent
leaves in ignored files does not land, so the checks that judge the commit run without it.

The record is next to the tree, in ``.<name>.handed``, which no agent in a sandbox can reach. A tree that contained only
its commit has no such file.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk.delete import delete
from agentjobs.disk.plain_files import read_plain
from agentjobs.disk.write import replace_file
from agentjobs.workspace.git import raw, text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


class Handed(NamedTuple):
    """What a tree contained in addition to the files of its commit."""

    entries: Mapping[str, tuple[str, str]] = {}
    """Mode and blob of each path that a snapshot would have taken as a change; mode ``0`` for a missing file."""
    roots: tuple[str, ...] = ()
    """The topmost paths that git does not track."""
    files: Mapping[str, str] = {}
    """A mark of each file below the roots, to detect a change of it."""
    inside: Mapping[str, str] = {}
    """Content of each submodule that differed from its own commit."""


def read(tree_dir: Path) -> Handed:
    """Return the record of the tree."""
    try:
        records = read_plain(_file(tree_dir)).split(b"\0")
    except FileNotFoundError:
        return Handed()
    entries, roots, files, inside = {}, [], {}, {}
    for record in records:
        kind, value, path = (text(part) for part in ([*record.split(b"\t", 2), b"", b""])[:3])
        if not path or path.startswith("/") or ".." in path.split("/"):
            continue  # somebody else has written it
        if kind == "entry":
            mode, _, blob = value.partition(" ")
            entries[path] = (mode, blob)
        elif kind == "root":
            roots.append(path)
        elif kind == "file":
            files[path] = value
        elif kind == "inside":
            inside[path] = value
    return Handed(entries, tuple(roots), files, inside)


def record(
    tree_dir: Path, entries: Mapping[str, tuple[str, str]], roots: Sequence[str], inside: Mapping[str, str],
    work: Collection[str] = (),
) -> None:  # fmt: skip
    """Record the tree as it is now, without the paths in ``work``; ``roots`` are walked."""
    work = frozenset(work)
    entries = {path: entry for path, entry in entries.items() if path not in work}
    roots = tuple(root for root in roots if root not in work)
    if not entries and not roots and not inside:
        forget(tree_dir)
        return
    files = {path: mark for path, mark in _files(tree_dir, roots) if path not in work}
    _write(tree_dir, Handed(entries, roots, files, inside))


def _write(tree_dir: Path, handed: Handed) -> None:
    records = [raw(f"entry\t{mode} {blob}\t{path}") for path, (mode, blob) in handed.entries.items()]
    records += [raw(f"root\t\t{path}") for path in handed.roots]
    records += [raw(f"file\t{mark}\t{path}") for path, mark in handed.files.items()]
    records += [raw(f"inside\t{tree}\t{path}") for path, tree in handed.inside.items()]
    replace_file(_file(tree_dir), b"\0".join(records))


def forget_tracked(tree_dir: Path) -> None:
    """Forget what setup had changed in tracked files: they were reset, so later differences in them are work.

    Not in a submodule, which no reset moves.
    """
    handed = read(tree_dir)
    left = {path: entry for path, entry in handed.entries.items() if path in handed.files or entry[0] == "160000"}
    if len(left) != len(handed.entries):
        _write(tree_dir, handed._replace(entries=left))


def is_untouched(tree_dir: Path, path: str) -> bool:
    """Return whether a file that git does not track is as it was handed over."""
    mark = read(tree_dir).files.get(path)
    return mark is not None and dict(_files(tree_dir, (path,))).get(path) == mark


def forget(tree_dir: Path) -> None:
    """Delete the record: the tree contains only its commit, or is gone."""
    _file(tree_dir).unlink(missing_ok=True)


def put_back(tree_dir: Path, *, placed: Iterable[str], tracked: Callable[[], Collection[str]]) -> bool:
    """Remove what was added below the roots; if something there was changed or is missing, remove all of it.

    Returns True if setup has to run again, because more was removed than what is ``placed`` (by ``copy`` and ``link``,
    which are repeated). ``tracked`` returns the paths that belong to the commit by now; called only if something
    differs.
    """
    handed = read(tree_dir)
    now = dict(_files(tree_dir, handed.roots))
    if now == handed.files:
        return False
    landed = tracked()
    added = [path for path in now if path not in handed.files and path not in landed]
    changed = [path for path, mark in handed.files.items() if now.get(path) != mark and path not in landed]
    ours = tuple(path.rstrip("/") for path in placed)
    theirs = any(not _below(path, ours) for path in changed)
    spoilt = [path for path in now if changed and (theirs or _below(path, ours)) and path not in landed]
    for path in dict.fromkeys([*added, *spoilt]):
        delete(tree_dir / path)
    for root in ours if changed else ():
        if not is_behind_link(tree_dir, root) and not any(_below(path, (root,)) for path in landed):
            delete(tree_dir / root)
    return theirs


def _below(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in tops)


def is_behind_link(tree_dir: Path, path: str) -> bool:
    """Return whether a link is on the way to a path of the tree: its destination is not ours to touch."""
    parts = path.split("/")
    return any((tree_dir / "/".join(parts[:end])).is_symlink() for end in range(1, len(parts)))


def _files(tree_dir: Path, roots: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield everything but directories at and below these paths, with a mark; links are not followed."""
    todo = [root for root in roots if not is_behind_link(tree_dir, root)]
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
        except OSError as error:  # an agent removed our rights
            yield path, f"unreadable: {error.errno}"


def _mark(full: str, found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return f"link {blake2b(os.readlink(os.fsencode(full)), digest_size=8).hexdigest()}"  # noqa: PTH115 - its bytes
    # Not the inode's change time: a package manager may add a hard link elsewhere.
    return f"{found.st_mode:o} {found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _file(tree_dir: Path) -> Path:
    return tree_dir.with_name(f".{tree_dir.name}.handed")
