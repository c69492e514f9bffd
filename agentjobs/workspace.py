"""Worktrees: made, filled, reset, kept, removed. Any of it may be killed at any instant and is done again.

Two kinds of lock. Registration in the git common directory is serialised by ``agentjobs-worktree.lock``
there; checkouts run beside each other. And each tree has a lock file next to it, which also says how far it
is: ``making``, ``ready``, or ``reset`` with the commit it is on its way to; the next call completes that. Git
inherits the lock's descriptor. So a git that outlives a killed process of ours still holds the lock, and
whoever gets it knows that the lock files git left in the tree are stale.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.deletion import delete, make_writable
from agentjobs.errors import GitError, UserError
from agentjobs.snapshot import (
    SEED_INDEX,
    Snapshot,
    admin_dir,
    head,
    ignore_patterns,
    placed,
    set_placed,
    snapshot,
    tree_environment,
)
from agentjobs.treelock import MAKING, READY, RESET, flock, set_state, state, tree_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.git import Git

_HALF_DONE = ("rebase-merge", "rebase-apply", "sequencer", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")


def create(git: Git, tree_dir: Path, base: str) -> bool:
    """Make a worktree at ``tree_dir``, detached at ``base``. False: one was ready, and is left as it was.

    A half-made one is made again. A directory that stands there and is not ours is renamed aside, never
    removed.
    """
    tree_dir.parent.mkdir(parents=True, exist_ok=True)
    with tree_lock(tree_dir) as lock:
        if _made(git, tree_dir, lock):
            return False
        if os.path.lexists(tree_dir):
            if state(lock)[:1] == [MAKING]:
                delete(tree_dir)
            else:
                _aside(tree_dir)
        set_state(lock, MAKING)
        with flock(git.common_dir / "agentjobs-worktree.lock") as registration:
            _unregister(git, tree_dir)
            flags = ("--no-checkout", "--detach", "--force")
            git.run("worktree", "add", *flags, str(tree_dir), base, pass_fds=(registration, lock))
        _fill(git, tree_dir, base, lock)
        set_state(lock, READY)
        return True


def put_aside(tree_dir: Path) -> None:
    """Rename the directory of a tree, so that the next ``create`` makes another; nothing in it is touched."""
    with tree_lock(tree_dir):
        if os.path.lexists(tree_dir):
            _aside(tree_dir)


def reset(git: Git, tree_dir: Path, commit: str) -> None:
    """Put the tree on ``commit``: HEAD detached, every tracked file as in it, untracked files gone.

    Ignored files stay, and what ``setup_files`` placed. The work in the tree is lost: ``keep`` it first.
    """
    with tree_lock(tree_dir) as lock:
        _reach(git, tree_dir, lock, commit)


def show_merge(git: Git, tree_dir: Path, commit: str, tree: str) -> None:
    """Put the tree on ``commit``, with the files of ``tree`` (a merge with markers) in it, uncommitted."""
    with tree_lock(tree_dir) as lock:
        _reach(git, tree_dir, lock, commit, tree)


def keep(git: Git, tree_dir: Path, base: str, ref: str, message: str, at: float) -> Snapshot:
    """Commit all that the tree holds (see ``snapshot``) and point ``ref`` (``refs/agentjobs/…``) at it."""
    with tree_lock(tree_dir) as lock:
        _made(git, tree_dir, lock)
    taken = snapshot(git, tree_dir, base, message, at)
    git.keep(ref, taken.commit)
    return taken


def setup_files(git: Git, root: Path, tree_dir: Path, *, copy: Sequence[str], link: Sequence[str]) -> None:
    """Copy and symlink paths of ``root`` (the user's checkout) into the tree; to do so again refreshes them.

    They are remembered as ours: no snapshot holds them, no reset removes them. Raises ``UserError`` for a
    path that is missing, leads out of ``root``, or is a tracked file, which every tree has anyway.
    """
    admin = Path(tree_environment(git, tree_dir)["GIT_DIR"])
    wanted = [(_inside(path, "copy"), False) for path in copy] + [
        (_inside(path, "link"), True) for path in link
    ]
    before = set(placed(admin))
    for path, _ in wanted:
        if not (root / path).exists():
            raise UserError(
                f"workspace: {path} does not exist in {root}; create it, or take it out of [workspace]"
            )
        if path not in before and os.path.lexists(tree_dir / path):
            raise UserError(
                f"workspace: {path} is tracked by git, so every tree has it; take it out of [workspace]"
            )
    # Remembered first: killed in the middle, the next call finds half a copy and knows whose it is.
    set_placed(admin, sorted(before | {path for path, _ in wanted}))
    for path, as_link in wanted:
        source, target = root / path, tree_dir / path
        if os.path.lexists(target):
            delete(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if as_link:
            target.symlink_to(source.resolve(), target_is_directory=source.is_dir())
        elif source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)


def holds_unkept_work(git: Git, tree_dir: Path) -> bool:
    """Whether the tree holds anything, but for ignored files, that is in no commit which a ref keeps."""
    if admin_dir(git, tree_dir) is None:
        return tree_dir.is_dir() and any(tree_dir.iterdir())
    tip = head(git, tree_dir)
    if tip is None:
        return True
    taken = snapshot(git, tree_dir, tip, "agentjobs: what a tree holds", 0.0)
    if taken.commit == tip and git.line("for-each-ref", "--count=1", f"--contains={tip}"):
        return False
    return taken.tree not in git.line("for-each-ref", "--format=%(tree)").split()


def remove(git: Git, tree_dir: Path, *, force: bool = False) -> None:
    """Remove the tree and its registration; no error if it is gone already.

    Raises ``UserError`` while it holds work that is in no commit we keep, unless ``force``.
    """
    if not tree_dir.parent.is_dir():
        return
    with tree_lock(tree_dir) as lock:
        unasked = not force and state(lock)[:1] != [MAKING]
        if unasked and tree_dir.is_dir():
            _made(git, tree_dir, lock)
        if unasked and tree_dir.is_dir() and holds_unkept_work(git, tree_dir):
            raise UserError(f"{tree_dir} holds work that is in no commit; keep it, or remove it with --force")
        # From here on it is nobody's work: killed in the middle, it is half-made, and removed without asking.
        set_state(lock, MAKING)
        if os.path.lexists(tree_dir):
            delete(tree_dir)
        with flock(git.common_dir / "agentjobs-worktree.lock"):
            _unregister(git, tree_dir)
        set_state(lock)


def prune(git: Git, trees_dir: Path) -> int:
    """Forget the registered worktrees beneath ``trees_dir`` whose directory is gone; return how many.

    Those of the user are left alone, even where they are missing: they may be on a disk that is not mounted.
    """
    above = os.path.realpath(trees_dir) + os.sep
    gone = [
        tree.directory
        for tree in git.worktrees()
        if os.path.realpath(tree.directory).startswith(above) and not tree.directory.exists()
    ]
    for tree_dir in gone:
        remove(git, tree_dir, force=True)
    return len(gone)


# --- how it is done ---------------------------------------------------------------------------------------


def _made(git: Git, tree_dir: Path, lock: int) -> bool:
    """Whether the tree is whole. A reset that was cut off is completed first."""
    admin = admin_dir(git, tree_dir)
    if admin is None or not tree_dir.is_dir():
        return False
    words = state(lock)
    if words[:1] == [RESET]:
        _reach(git, tree_dir, lock, *words[1:])
        return True
    # Without a word (the power went before it reached the disk) our index says that it was filled.
    if words[:1] == [READY] or (not words and (admin / SEED_INDEX).exists()):
        _link_back(tree_dir, admin)
        return True
    return False


def _reach(git: Git, tree_dir: Path, lock: int, commit: str, tree: str = "") -> None:
    """Put the tree on ``commit`` and, over it, the files of ``tree``; the goal is written down first."""
    set_state(lock, RESET, commit, tree)
    _fill(git, tree_dir, commit, lock)
    if tree:
        env = tree_environment(git, tree_dir)
        git.run("read-tree", "--reset", "-u", tree, cwd=tree_dir, env=env, pass_fds=(lock,))
        git.run("reset", "-q", "--mixed", commit, cwd=tree_dir, env=env, pass_fds=(lock,))
    set_state(lock, READY)


def _fill(git: Git, tree_dir: Path, commit: str, lock: int) -> None:
    """Make index and files those of ``commit``. We hold the lock, so every lock file of git's is stale."""
    env = tree_environment(git, tree_dir)
    admin = Path(env["GIT_DIR"])
    if admin == git.common_dir:
        raise GitError(f"{tree_dir} is your own checkout: agentjobs does not reset it")
    tree_dir.mkdir(exist_ok=True)
    _link_back(tree_dir, admin)
    for stale in (*admin.glob("*.lock"), *admin.glob("agentjobs-snapshot-*")):
        delete(stale)
    for name in _HALF_DONE:
        delete(admin / name)
    # Our index, not the agent's: that one may be broken, or carry flags that hide changed files from a reset.
    with contextlib.suppress(FileNotFoundError):
        (admin / SEED_INDEX).replace(admin / "index")
    # Detached first: `reset --hard` would drag along a branch that the agent checked out.
    git.run("update-ref", "--no-deref", "HEAD", commit, cwd=tree_dir, env=env, pass_fds=(lock,))
    excludes = [part for pattern in ignore_patterns(placed(admin)) for part in ("-e", pattern)]
    for attempt in range(2):
        try:
            git.run("reset", "-q", "--hard", commit, cwd=tree_dir, env=env, pass_fds=(lock,))
            git.run("clean", "-ffdq", *excludes, cwd=tree_dir, env=env, pass_fds=(lock,))
            break
        except GitError:
            if attempt:
                raise
            # A broken index, or directories that an agent made read-only.
            (admin / "index").unlink(missing_ok=True)
            make_writable(tree_dir)
    shutil.copy2(admin / "index", admin / SEED_INDEX)


def _link_back(tree_dir: Path, admin: Path) -> None:
    """Write the tree's ``.git`` file again, should the agent have changed or removed it."""
    link = tree_dir / ".git"
    content = b"gitdir: " + os.fsencode(admin) + b"\n"
    if link.is_symlink() or not link.is_file() or link.read_bytes() != content:
        if os.path.lexists(link):
            delete(link)
        link.write_bytes(content)


def _unregister(git: Git, tree_dir: Path) -> None:
    """Forget the worktree, whole or half-registered. The registration lock is held."""
    admin = admin_dir(git, tree_dir)
    if admin is not None and admin.parent == git.common_dir / "worktrees":
        delete(admin)
    # Git killed before it wrote `gitdir` leaves an entry of our name (or with a number added) that no
    # command lists, and some fail to read.
    of_ours = re.compile(re.escape(tree_dir.name) + r"\d*")
    for entry in (git.common_dir / "worktrees").glob("*"):
        if (
            of_ours.fullmatch(entry.name)
            and not _has_content(entry / "gitdir")
            and (entry / "locked").exists()
        ):
            delete(entry)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _aside(tree_dir: Path) -> None:
    number = 1
    while os.path.lexists(aside := tree_dir.with_name(f"{tree_dir.name}.aside-{number}")):
        number += 1
    tree_dir.rename(aside)


def _inside(path: str, key: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts or ".git" in parts:
        raise UserError(f"workspace.{key}: {path!r} must be a path below the project's root")
    return "/".join(parts)
