"""One worktree: register it, fill it, put it on a commit. The caller holds the tree's lock (``lock``).

Git inherits the lock's descriptor. So a git that outlives a killed process of ours still holds the lock, and the next
holder knows that lock files of git in the tree are stale.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.disk.delete import delete, make_writable
from agentjobs.disk.plain_files import is_directory, names_in, put_aside, read_plain
from agentjobs.disk.write import replace_file
from agentjobs.model.errors import GitError, TreeError, UserError
from agentjobs.workspace.git import text
from agentjobs.workspace.handed_over import read as read_handed
from agentjobs.workspace.hazards import disarm, disarm_admin, disarm_worktrees
from agentjobs.workspace.lock import MAKING, READY, RESET, flock, set_state, state
from agentjobs.workspace.setup import forget_if_changed
from agentjobs.workspace.snapshot import not_checked_out_but_there
from agentjobs.workspace.sparse import checked_out, set_checked_out, sparse_environment, widened
from agentjobs.workspace.worktree_admin import (
    SEED_INDEX,
    add_worktree,
    admin_dir,
    detached_at,
    ignore_patterns,
    placed,
    tree_environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentjobs.workspace.git import Git

OURS_IN_SPARE = frozenset({"index", "agentjobs-spare", "agentjobs-held", "agentjobs-setup"})
"""Contents of the ``.git`` of a spare tree (see ``pool``); nothing else may be in it."""

OWN = ".agentjobs"
"""The directory of a project that contains its trees."""

HALF_DONE = ("rebase-merge", "rebase-apply", "sequencer", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")


def made(git: Git, tree_dir: Path, lock: int) -> bool:
    """Return whether the tree is complete. An interrupted reset is completed first."""
    admin = admin_dir(git, tree_dir) or _brought_along(git, tree_dir)
    if admin is None or not is_directory(tree_dir) or is_foreign(tree_dir):
        return False
    disarm_admin(admin)
    words = state(lock)
    if words[:1] == [RESET]:
        reach(git, tree_dir, lock, *words[1:])
        return True
    # Without a state (a power cut before it reached the disk) our index shows that the tree was filled.
    if words[:1] == [READY] or (not words and (admin / SEED_INDEX).exists()):
        link_back(tree_dir, admin)
        return True
    return False


def _brought_along(git: Git, tree_dir: Path) -> Path | None:
    """Return the administrative directory of a tree that was moved with its project, and connect both again."""
    own = [at for at, part in enumerate(tree_dir.parts) if part == OWN]
    if not own or not tree_dir.is_dir():
        return None
    same_place = os.sep.join(("", *tree_dir.parts[own[-1] :], ".git"))
    with registration(git):
        for link in sorted((git.common_dir / "worktrees").glob("*/gitdir")):
            try:
                there = os.fsdecode(read_plain(link)).rstrip("\n")
            except OSError:
                continue
            if there.endswith(same_place) and not os.path.lexists(there):
                replace_file(link, os.fsencode(tree_dir / ".git") + b"\n")
                return link.parent
    return None


def register(git: Git, tree_dir: Path, base: str, lock: int) -> None:
    """Make the worktree, detached at ``base``, without any file. ``tree_dir`` must not exist."""
    with registration(git) as descriptor:
        _unregister(git, tree_dir)
        if add_worktree(git, tree_dir, base):
            return
        disarm_worktrees(git.common_dir)
        flags = ("--no-checkout", "--detach", "--force")
        git.run("worktree", "add", *flags, str(tree_dir), base, pass_fds=(descriptor, lock))


def unregister(git: Git, tree_dir: Path) -> None:
    """Forget the worktree, complete or half-registered."""
    with registration(git):
        _unregister(git, tree_dir)


@contextlib.contextmanager
def registration(git: Git) -> Iterator[int]:
    """Lock the list of worktrees in the common directory: concurrent additions fail."""
    with flock(git.common_dir / "agentjobs-worktree.lock") as descriptor:
        yield descriptor


def reach(
    git: Git, tree_dir: Path, lock: int, commit: str, tree: str = "", *, ignored_to_keep: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Put the tree on ``commit`` and, over it, the files of ``tree``; the goal is written down first.

    A sparse tree then also contains the directories of everything that ``tree`` changes. Returns what ``fill`` does.
    """
    set_state(lock, RESET, commit, tree)
    if tree and (held := checked_out(tree_dir)):
        set_checked_out(tree_dir, widened(held, git.changed(commit, tree)))
    removed = fill(git, tree_dir, commit, lock, ignored_to_keep=ignored_to_keep)
    if tree:
        env = tree_environment(git, tree_dir)
        env |= sparse_environment(tree_dir, Path(env["GIT_DIR"]))
        git.run("read-tree", "--reset", "-u", tree, cwd=tree_dir, env=env, pass_fds=(lock,))
        git.run("reset", "-q", "--mixed", commit, cwd=tree_dir, env=env, pass_fds=(lock,))
    set_state(lock, READY)
    return removed


def fill(
    git: Git, tree_dir: Path, commit: str, lock: int, *, ignored_to_keep: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Set index and files to those of ``commit``, limited to what the tree checks out (see ``sparse``).

    We hold the lock, so every lock file of git's is stale. ``ignored_to_keep``: patterns of the ignored files that stay
    (None: all of them). What was there when the tree was handed to its agent stays (see ``handed_over``). Returns the
    ignored files and directories that were removed.
    """
    env = tree_environment(git, tree_dir)
    admin = Path(env["GIT_DIR"])
    if admin == git.common_dir:
        raise GitError(f"{tree_dir} is your own checkout: agentjobs does not reset it")
    env |= sparse_environment(tree_dir, admin)
    tree_dir.mkdir(exist_ok=True)
    new = set(names_in(tree_dir)) <= {".git"}
    link_back(tree_dir, admin)
    disarm(tree_dir)
    for stale in (*admin.glob("*.lock"), *admin.glob("agentjobs-snapshot-*")):
        delete(stale)
    for name in HALF_DONE:
        delete(admin / name)
    if not (admin / "HEAD").exists():
        (admin / "HEAD").write_text(f"{commit}\n")
    forget_if_changed(git, admin, commit)
    # Our index, not the agent's, which may be broken, or carry flags that hide changed files from a reset.
    with contextlib.suppress(FileNotFoundError):
        (admin / SEED_INDEX).replace(admin / "index")
    if not detached_at(admin):  # `reset --hard` would move a branch that the agent checked out
        git.run("update-ref", "--no-deref", "HEAD", commit, cwd=tree_dir, env=env, pass_fds=(lock,))
    removed: list[str] = []
    for attempt in range(2):
        try:
            git.run("reset", "-q", "--hard", commit, cwd=tree_dir, env=env, pass_fds=(lock,))
            ours = (*placed(admin), *read_handed(tree_dir).roots)
            for clean in _cleanings(ours, ignored_to_keep) if not new else ():
                done = git.run("clean", *clean, cwd=tree_dir, env=env, pass_fds=(lock,))
                removed += [line.removeprefix("Removing ") for line in text(done.stdout).splitlines()]
            for path in not_checked_out_but_there(git, tree_dir, "index"):  # git does not remove all of them
                delete(tree_dir / path)
                with contextlib.suppress(OSError):
                    os.removedirs((tree_dir / path).parent)  # removes empty directories
            break
        except UserError:
            if attempt:
                raise
            # A broken index, or directories that an agent made read-only.
            (admin / "index").unlink(missing_ok=True)
            make_writable(tree_dir)
    shutil.copy2(admin / "index", admin / SEED_INDEX)
    return tuple(removed)


def clear(tree_dir: Path, lock: int) -> None:
    """Make sure that ``tree_dir`` does not exist: a half-made tree of ours is deleted, anything else is put aside."""
    if os.path.lexists(tree_dir):
        if state(lock)[:1] == [MAKING]:
            delete_tree(tree_dir)
        else:
            put_aside(tree_dir)


def delete_tree(tree_dir: Path) -> None:
    """Delete a tree of ours; one that an agent turned into a separate repository is put aside instead."""
    if is_foreign(tree_dir):
        put_aside(tree_dir)
    else:
        delete(tree_dir)


def is_foreign(tree_dir: Path) -> bool:
    """Return whether it is a repository, perhaps somebody's only copy: our trees have no directory named ``.git``.

    The exception is a spare, whose ``.git`` contains only what ``pool`` put there.
    """
    own = tree_dir / ".git"
    return is_directory(tree_dir) and is_directory(own) and not OURS_IN_SPARE.issuperset(names_in(own))


def _cleanings(ours: Sequence[str], ignored_to_keep: Sequence[str] | None) -> Iterator[list[str]]:
    excludes = [part for pattern in ignore_patterns(ours) for part in ("-e", pattern)]
    if ignored_to_keep is not None:
        yield ["-ffdx", *excludes, *(part for pattern in ignored_to_keep for part in ("-e", pattern))]
    if ignored_to_keep != ():  # matches a pattern to keep but is not ignored: remove it, too
        yield ["-ffdq", *excludes]


def link_back(tree_dir: Path, admin: Path) -> None:
    """Make the tree's ``.git`` file point to ``admin``, whatever the agent did to it.

    Raises ``TreeError`` if the tree is a link, or its ``.git`` a repository.
    """
    link = tree_dir / ".git"
    content = b"gitdir: " + os.fsencode(admin) + b"\n"
    if not is_directory(tree_dir) or is_foreign(tree_dir):
        raise TreeError(f"{tree_dir} was replaced by a link or a repository; move that away")
    with contextlib.suppress(FileNotFoundError):
        if read_plain(link, len(content) + 1) == content:
            return
    delete(link)
    with link.open("xb") as file:
        file.write(content)


def _unregister(git: Git, tree_dir: Path) -> None:
    admin = admin_dir(git, tree_dir)
    if admin is not None and admin.parent == git.common_dir / "worktrees":
        delete(admin)
    # A git that was killed before it wrote `gitdir` leaves an entry with our name (or with a number added) that no
    # command lists; some commands then fail.
    of_ours = re.compile(re.escape(tree_dir.name) + r"\d*")
    for entry in (git.common_dir / "worktrees").glob("*"):
        if (
            of_ours.fullmatch(entry.name)
            and is_directory(entry)
            and not _has_content(entry / "gitdir")
            and (entry / "locked").exists()
        ):
            delete(entry)


def _has_content(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0
    except OSError:
        return False
