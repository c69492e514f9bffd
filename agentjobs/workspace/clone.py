"""A separate repository for the agent's git: ``workspace.kind = "clone"``.

For us the tree is a worktree like any other, with its administrative directory, our index and our HEAD; we read the
agent's work from its files. Only its ``.git`` points to a repository next to the tree, ``.<name>.git``: with the
history of its commit and nothing else, all objects copied, no remote. Whatever the agent's git does there affects
nobody else. We never run git in it, because the agent may have written settings there; we fill it from outside.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from agentjobs.disk.delete import delete
from agentjobs.disk.plain_files import is_plain, read_plain
from agentjobs.model.errors import GitError
from agentjobs.workspace.checkout import HALF_DONE, link_back
from agentjobs.workspace.git import raw, text
from agentjobs.workspace.lock import tree_lock
from agentjobs.workspace.worktree_admin import clone_dir, head, tree_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentjobs.workspace.git import Git

MEMORY: Final = "agentjobs-clone"
"""The name of the file in the administrative directory."""

_DIRECTORIES: Final = ("objects", "objects/pack", "objects/info", "refs", "refs/heads", "refs/tags")
_SETTINGS: Final = ("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode", "core.autocrlf",
                    "core.eol", "user.name", "user.email")  # fmt: skip
"""Settings of the user's repository that a clone copies, in addition to those of its filters."""


_DEEP: Final = 3000
"""Characters of a path."""


class Clone(Struct, frozen=True):
    """What we put into a clone."""

    commits: tuple[str, ...]
    """Commits with their history in it."""
    packs: dict[str, int]
    """Names and sizes of our packs."""
    config: bytes
    stands: tuple[str, int, int, int]
    """The commit, and our index (time, size, inode), from which its HEAD and index were made."""


def attach(git: Git, tree_dir: Path) -> None:
    """Make the tree's ``.git`` point to a clone at the commit where we left the tree. Can be repeated.

    The agent's branches and commits in it stay, its settings and hooks do not. Call it while nobody is at work in the
    tree. Raises ``GitError``.
    """
    with tree_lock(tree_dir):
        admin = Path(tree_environment(git, tree_dir)["GIT_DIR"])
        commit = head(git, tree_dir)
        if commit is None:
            raise GitError(f"the HEAD of {tree_dir} cannot be read")
        index = (admin / "index").stat()
        stands = (commit, index.st_mtime_ns, index.st_size, index.st_ino)
        place = clone_dir(tree_dir)
        known = _known(place, admin)
        if known is not None and commit not in known.commits:
            known = _extended(git, place, known, commit)
        if known is None:
            known = _made(git, place, commit)
        _put(place / "config", known.config)
        for entry in (place / "hooks", place / "info", *_stale(place)):
            delete(entry)
        if known.stands != stands:
            for name in HALF_DONE:
                delete(place / name)
            _put(place / "index", read_plain(admin / "index"), index)
            _put(place / "HEAD", f"{commit}\n".encode())
        known = msgspec.structs.replace(known, stands=stands)
        _put(admin / MEMORY, msgspec.json.encode(known))
        link_back(tree_dir, place)


def detach(git: Git, tree_dir: Path) -> None:
    """Make the tree's ``.git`` point to the user's repository again, if there is a clone."""
    if os.path.lexists(clone_dir(tree_dir)):
        with tree_lock(tree_dir):
            drop(tree_dir)
            link_back(tree_dir, Path(tree_environment(git, tree_dir)["GIT_DIR"]))


def drop(tree_dir: Path) -> None:
    """Delete the clone of a tree, if there is one. Raises ``UserError`` if it cannot be deleted."""
    place = clone_dir(tree_dir)
    for path in (place, _unfinished(place)):
        delete(path)


def leftovers(trees_dir: Path) -> Iterator[Path]:
    """Yield the places of deleted trees that left a clone."""
    for found in trees_dir.glob(".*.git*"):
        tree_dir = trees_dir / found.name[1:].rpartition(".git")[0]
        if not os.path.lexists(tree_dir):
            yield tree_dir


# --- details ---------------------------------------------------------------------------------------------


def _unfinished(place: Path) -> Path:
    return place.with_name(place.name + "-new")


def _known(place: Path, admin: Path) -> Clone | None:
    """Return what we know of the clone; None if there is none, or if it was changed since."""
    try:
        known = msgspec.json.decode(read_plain(admin / MEMORY), type=Clone)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    # A link could redirect our writes to anywhere.
    if not all(path.is_dir() and not path.is_symlink() for path in (place, *map(place.joinpath, _DIRECTORIES))):
        return None
    for name, size in known.packs.items():
        pack = place / "objects" / "pack" / name
        if not is_plain(pack) or pack.stat().st_size != size:
            return None  # the agent has repacked, or deleted
    return known


def _made(git: Git, place: Path, commit: str) -> Clone:
    """Make the clone anew, only from the user's repository."""
    fresh = _unfinished(place)
    for path in (place, fresh):
        delete(path)
    for name in _DIRECTORIES:
        (fresh / name).mkdir(parents=True)
    (fresh / "HEAD").write_text(f"{commit}\n")
    (fresh / "config").write_bytes(_config(git, fresh / "config"))
    if (git.common_dir / "shallow").exists():
        shutil.copyfile(git.common_dir / "shallow", fresh / "shallow")
    packs = _packed(git, fresh, (commit,))
    fresh.rename(place)
    return Clone((commit,), packs, read_plain(place / "config"), ("", 0, 0, 0))


def _extended(git: Git, place: Path, known: Clone, commit: str) -> Clone | None:
    """Add the missing history of ``commit`` to the clone; None if it is unclear what is missing."""
    if (git.common_dir / "shallow").exists():
        return None
    try:
        packs = _packed(git, place, (commit, *(f"^{had}" for had in known.commits)))
    except GitError:  # the user's repository no longer has the old commits
        return None
    return msgspec.structs.replace(known, commits=(*known.commits, commit), packs=known.packs | packs)


def _packed(git: Git, place: Path, revisions: Iterable[str]) -> dict[str, int]:
    """Copy the objects of these revisions as one pack; return its name and size, or nothing if there are none."""
    listed = "".join(f"{revision}\n" for revision in revisions).encode()
    target = place / "objects" / "pack" / "pack"
    done = git.run("pack-objects", "--revs", "--non-empty", "-q", str(target), stdin=listed)
    names = [f"pack-{name}.pack" for name in text(done.stdout).split()]
    return {name: (target.parent / name).stat().st_size for name in names}


def _config(git: Git, file: Path) -> bytes:
    """Return the settings of a clone, made with git in ``file``."""
    listed = git.run("config", "--includes", "--local", "-z", "--list", ok=(0, 1)).stdout.split(b"\0")
    theirs = [(text(key), value) for key, _, value in (entry.partition(b"\n") for entry in listed if entry)]
    hashes = git.line("rev-parse", "--show-object-format")
    wanted: list[tuple[str, bytes]] = [("core.repositoryformatversion", b"0" if hashes == "sha1" else b"1")]
    if hashes != "sha1":
        wanted.append(("extensions.objectformat", raw(hashes)))
    wanted += [("core.bare", b"false"), ("core.logallrefupdates", b"true")]
    wanted += [(key, value) for key, value in theirs if key in _SETTINGS or key.startswith("filter.")]
    for key, value in wanted:
        git.run("config", "--file", str(file), "--add", key, value)
    return file.read_bytes()


def _stale(place: Path) -> Iterator[Path]:
    """Yield the lock files that a git of the agent left when it was killed."""
    yield from place.glob("*.lock")
    for directory, _, names in os.walk(place / "refs"):
        if len(directory) > _DEEP:  # no ref has such a long name
            break
        yield from (Path(directory) / name for name in names if name.endswith(".lock"))


def _put(path: Path, content: bytes, times: os.stat_result | None = None) -> None:
    """Write a file anew, whatever is there, and not through a link."""
    fresh = path.with_name(path.name + "~")
    delete(fresh)
    with open(fresh, "xb") as file:  # noqa: PTH123 - exclusive: does not follow a link
        file.write(content)
    if times is not None:  # by the age of an index git decides what to look at again
        os.utime(fresh, ns=(times.st_atime_ns, times.st_mtime_ns))
    if path.is_dir() and not path.is_symlink():
        delete(path)
    fresh.replace(path)
