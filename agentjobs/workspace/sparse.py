"""Which directories of its commit a tree checks out: a sparse checkout unknown to the user's configuration.

It is recorded next to the tree, in ``.<name>.sparse``: ``packages/a/`` is all of a directory, ``packages`` the files
directly in it; without such a file the tree has all of its commit. The files at the top, and those in every directory
on the way, are included, as in git's cone mode. Git gets this from ``info/sparse-checkout`` in the tree's
administrative directory, and from settings of our own calls alone. What is not checked out has git's skip-worktree bit
in the index, which every git respects, even an agent's.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from agentjobs.disk.plain_files import read_plain
from agentjobs.disk.write import replace_file
from agentjobs.text.path_patterns import fixed_part, normalise
from agentjobs.workspace.git import raw, text
from agentjobs.workspace.git_environment import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from agentjobs.workspace.git import Git

_OURS = {
    "core.sparseCheckout": "true",
    "core.sparseCheckoutCone": "true",
    "index.sparse": "false",  # every file has its entry
    "sparse.expectFilesOutsideOfPatterns": "false",
}
_SPECIAL = re.compile(rb"([\\*?\[])")


def directories(git: Git, commit: str, sparse: Sequence[str], files: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a tree on ``commit`` checks out: ``sparse`` and the directories of ``files``; (): everything.

    For a file that is its directory, for a directory all of it, for a glob the directory in its fixed beginning.
    """
    if not sparse:
        return ()
    found = {f"{normalise(path).rstrip('/')}/" for path in sparse}
    entries = [fixed_part(entry) for entry in files]
    if any(entry is None for entry in entries):
        return ()
    plain = sorted({entry.rstrip("/") for entry in entries if entry})
    listed = git.run("ls-tree", "-z", "--full-tree", commit, "--", *map(raw, plain)).stdout if plain else b""
    blobs = {text(line.partition(b"\t")[2]) for line in listed.split(b"\0") if line[6:12] == b" blob "}
    for path in plain:
        # A new path may become a file or a directory: the files next to it are included in both cases.
        directory = path.rpartition("/")[0] if path in blobs else path
        if directory:
            found.add(f"{directory}/")
    return _least(found)


def widened(held: Sequence[str], paths: Iterable[str]) -> tuple[str, ...]:
    """Return ``held`` and the directories of these files, without those beneath; (): everything."""
    if not held:
        return ()
    return _least({*held, *({path.rpartition("/")[0] for path in paths} - {""})})


def covers(held: Sequence[str], wanted: Sequence[str]) -> bool:
    """Return whether ``held`` includes all of ``wanted`` (for both, (): everything)."""
    return not held or (bool(wanted) and merged(held, wanted) == tuple(held))


def merged(held: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return what includes both; (): everything."""
    return _least({*held, *wanted}) if held and wanted else ()


def outside(held: Sequence[str], paths: Iterable[str]) -> Iterator[str]:
    """Return the paths of files that a tree with ``held`` does not check out."""
    whole = {entry[:-1] for entry in held if entry.endswith("/")}
    flat = {above for entry in held for above in (entry.rstrip("/"), *_above(entry.rstrip("/")))} - whole | {""}
    for path in paths:
        above = tuple(_above(path))
        if held and "".join(above[:1]) not in flat and whole.isdisjoint(above):
            yield path


def checked_out(tree_dir: Path) -> tuple[str, ...]:
    """Return the directories recorded for the tree."""
    return read_directories(_record(tree_dir))


def set_checked_out(tree_dir: Path, held: Sequence[str]) -> None:
    """Record the directories of the tree; they apply the next time it is put on a commit.

    A change to "everything" needs a new index as well: nothing else clears the skip-worktree bits.
    """
    if tuple(held) != checked_out(tree_dir):
        write_directories(_record(tree_dir), held)


def read_directories(path: Path) -> tuple[str, ...]:
    """Read what ``write_directories`` wrote; (): everything."""
    try:
        return tuple(text(part) for part in read_plain(path).split(b"\0") if part)
    except FileNotFoundError:
        return ()


def write_directories(path: Path, held: Sequence[str]) -> None:
    """Write to a file what a tree checks out, or remove the file if that is everything."""
    if not held:
        path.unlink(missing_ok=True)
        return
    replace_file(path, b"".join(raw(entry) + b"\0" for entry in held))


def may_lack_files(tree_dir: Path, admin: Path) -> bool:
    """Return whether our index of the tree may contain files that are not checked out."""
    return _file(admin).exists() or bool(checked_out(tree_dir))


def sparse_environment(tree_dir: Path, admin: Path) -> dict[str, str]:
    """Return the variables that make git respect the record, after writing its file.

    Empty if the tree checks out everything.
    """
    held = checked_out(tree_dir)
    if not held:
        return {}
    target = _file(admin)
    target.parent.mkdir(exist_ok=True)
    replace_file(target, patterns(held))
    # A lock file of a killed git, even an agent's, would make the next one fail.
    with contextlib.suppress(FileNotFoundError):
        target.with_name("sparse-checkout.lock").unlink()
    return settings(_OURS)


def patterns(held: Sequence[str]) -> bytes:
    """Return the content of ``info/sparse-checkout`` (pure), in the order in which git itself writes it."""
    whole = [entry[:-1] for entry in held if entry.endswith("/")]
    flat = {above for entry in whole for above in _above(entry)}
    flat |= {above for entry in held if not entry.endswith("/") for above in (entry, *_above(entry))}
    lines = [b"/*", b"!/*/"]
    for entry in sorted(flat):
        lines += [b"/%s/" % _escaped(entry), b"!/%s/*/" % _escaped(entry)]
    lines += [b"/%s/" % _escaped(entry) for entry in sorted(whole)]
    return b"\n".join(lines) + b"\n"


def _file(admin: Path) -> Path:
    return admin / "info" / "sparse-checkout"


def _record(tree_dir: Path) -> Path:
    return tree_dir.with_name(f".{tree_dir.name}.sparse")


def _escaped(path: str) -> bytes:
    return _SPECIAL.sub(rb"\\\1", raw(path))


def _least(entries: Iterable[str]) -> tuple[str, ...]:
    """Return the entries without those inside others; a name that no line can contain is replaced by its parent."""
    plain = {_writable(entry) for entry in entries}
    whole = {entry for entry in plain if entry.endswith("/")}
    return tuple(
        sorted(
            entry
            for entry in plain - {"", "/"}
            if f"{entry}/" not in whole and not any(f"{above}/" in whole for above in _above(entry.rstrip("/")))
        )
    )


def _writable(entry: str) -> str:
    while "\n" in entry:
        entry = f"{entry.rstrip('/').rpartition('/')[0]}/"
    return entry


def _above(path: str) -> Iterator[str]:
    """Yield the directories above a path."""
    while path := path.rpartition("/")[0]:
        yield path
