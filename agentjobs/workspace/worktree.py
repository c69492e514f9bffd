"""Worktrees: made, filled, reset, kept, removed. All of it may be killed at any time and can be repeated.

There are two kinds of lock. Registration in the git common directory is serialised by ``agentjobs-worktree.lock``
there; checkouts run in parallel. And each tree has a lock file next to it, which also has the state of the tree:
``making``, ``ready``, or ``reset`` with the commit it is on its way to; the next call completes that. ``checkout``
makes and fills a tree, ``pool`` gives it to another task.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk import plain_files
from agentjobs.disk.delete import delete
from agentjobs.disk.plain_files import is_directory
from agentjobs.model.errors import TreeError, UserError
from agentjobs.workspace import handed_over, setup
from agentjobs.workspace.checkout import clear, delete_tree, fill, made, reach, register, unregister
from agentjobs.workspace.clone import drop, leftovers
from agentjobs.workspace.git import text
from agentjobs.workspace.links import link as link_into
from agentjobs.workspace.links import turn
from agentjobs.workspace.lock import MAKING, READY, own_directory, set_state, state, tree_lock
from agentjobs.workspace.nested import contents, files_inside, inside
from agentjobs.workspace.snapshot import Snapshot, differing_from, snapshot
from agentjobs.workspace.sparse import checked_out, set_checked_out, widened
from agentjobs.workspace.worktree_admin import SEED_INDEX, admin_dir, head, placed, set_placed, tree_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.policy.policy import Workspace
    from agentjobs.workspace.git import Git


def create(git: Git, tree_dir: Path, base: str) -> bool:
    """Make a worktree at ``tree_dir``, detached at ``base``. False: one was ready, and is left as it was.

    A half-made one is made again. A directory that is not ours is renamed aside, never removed. The tree has all of the
    commit, unless something else is recorded for it (see ``sparse``).
    """
    own_directory(tree_dir.parent)
    with tree_lock(tree_dir) as lock:
        if made(git, tree_dir, lock):
            return False
        clear(tree_dir, lock)
        handed_over.forget(tree_dir)
        set_state(lock, MAKING)
        register(git, tree_dir, base, lock)
        fill(git, tree_dir, base, lock)
        setup.note_absent(git, tree_dir)
        set_state(lock, READY)
        return True


def put_aside(tree_dir: Path) -> None:
    """Rename the directory of a tree, so that the next ``create`` makes another; its content is not touched."""
    with tree_lock(tree_dir):
        if os.path.lexists(tree_dir):
            plain_files.put_aside(tree_dir)


def reset(
    git: Git,
    tree_dir: Path,
    commit: str,
    *,
    ignored_to_keep: Sequence[str] | None = None,
    sparse: Sequence[str] = (),
) -> tuple[str, ...]:
    """Put the tree on ``commit``: HEAD detached, every tracked file restored, untracked files gone.

    Ignored files stay (with ``ignored_to_keep``: those that one of its patterns matches), and what was handed to the
    agent with the tree. The work in the tree is lost: ``keep`` it first. With ``sparse`` the tree checks out these
    directories from now on, else those it had. Returns the ignored files and directories that were removed.
    """
    with tree_lock(tree_dir) as lock:
        if sparse:
            set_checked_out(tree_dir, sparse)
        removed = reach(git, tree_dir, lock, commit, ignored_to_keep=ignored_to_keep)
        handed_over.forget_tracked(tree_dir)
        return removed


def restore(
    git: Git, root: Path, tree_dir: Path, commit: str, settings: Workspace
) -> tuple[tuple[str, ...], bool]:
    """Put the tree on ``commit``, with what was added to it when it was handed to its agent, and nothing else.

    Returns the later ignored files and directories that were removed, and whether setup has to run again, because the
    agent had changed its result: then all of that is gone.
    """
    removed = reset(git, tree_dir, commit, ignored_to_keep=())
    spoilt = put_back(git, tree_dir)
    put_files(git, root, tree_dir, settings)
    return removed, spoilt


def put_files(git: Git, root: Path, tree_dir: Path, settings: Workspace) -> None:
    """Copy and link what the policy says into the tree if any of it is missing there."""
    if any(not os.path.lexists(tree_dir / path) for path in (*settings.copy, *settings.link)):
        setup_files(git, root, tree_dir, copy=settings.copy, link=settings.link)


def put_back(git: Git, tree_dir: Path) -> bool:
    """Remove what was added to the untracked directories of a tree after it was handed over (see ``handed_over``).

    Returns True if setup has to run again.
    """
    bound = tree_environment(git, tree_dir)

    def tracked() -> set[str]:
        own = {text(path) for path in git.run("ls-files", "-z", cwd=tree_dir, env=bound).stdout.split(b"\0")}
        return own.union(files_inside(git, tree_dir))

    spoilt = handed_over.put_back(tree_dir, placed=placed(Path(bound["GIT_DIR"])), tracked=tracked)
    if spoilt:
        setup.forget(git, tree_dir)
        setup.note_absent(git, tree_dir)
    return spoilt


def note_handed(
    git: Git, tree_dir: Path, *, with_setup: bool, keep: Sequence[str] = (), work: Sequence[str] = ()
) -> None:
    """Record what the tree contains in addition to its commit, before its agent starts (see ``handed_over``).

    ``with_setup``: a setup command ran there, which may have left anything. ``work``: these paths are the task's, so
    they are left out.
    """
    bound = tree_environment(git, tree_dir)
    admin = Path(bound["GIT_DIR"])
    roots, entries = placed(admin), {}
    below: dict[str, str] = {}
    handed_over.forget(tree_dir)  # an earlier setup may have left other files
    if with_setup or keep:
        bound = {**bound, "GIT_INDEX_FILE": str(admin / SEED_INDEX)}  # setup may have changed the tree's own
        listed = git.run("ls-files", "-z", "--others", "--directory", cwd=tree_dir, env=bound).stdout.split(b"\0")
        roots = tuple(text(path).rstrip("/") for path in listed if path)
    if with_setup and (tip := head(git, tree_dir)) is not None:
        entries = differing_from(git, tree_dir, snapshot(git, tree_dir, tip, "agentjobs: what setup left", 0.0).tree)
        initialised, below = contents(git, tree_dir, tip)
        roots += initialised  # git does not clean them
    handed_over.record(tree_dir, entries, roots, below, work)


def show_merge(git: Git, tree_dir: Path, commit: str, tree: str) -> None:
    """Put the tree on ``commit``, with the files of ``tree`` (a merge with markers) in it, uncommitted."""
    with tree_lock(tree_dir) as lock:
        reach(git, tree_dir, lock, commit, tree)
        handed_over.forget_tracked(tree_dir)


def keep(
    git: Git, tree_dir: Path, base: str, ref: str, message: str, at: float, *, named: Sequence[str] = ()
) -> Snapshot:
    """Commit all that the tree contains (see ``snapshot``) and point ``ref`` (``refs/agentjobs/…``) at it."""
    with tree_lock(tree_dir) as lock:
        made(git, tree_dir, lock)
    taken = snapshot(git, tree_dir, base, message, at, named=named)
    git.keep(ref, taken.commit)
    if held := checked_out(tree_dir):  # the next attempt, and the checks, must find what was made elsewhere
        set_checked_out(tree_dir, widened(held, [change.path for change in taken.changes]))
    return taken


def setup_files(git: Git, root: Path, tree_dir: Path, *, copy: Sequence[str], link: Sequence[str]) -> None:
    """Copy and symlink paths of ``root`` (the user's checkout) into the tree; a repeated call refreshes them.

    They are recorded as ours: no snapshot takes them, no reset removes them. Raises ``UserError`` for a path that is
    missing, leads out of ``root``, or is a tracked file, which every tree has anyway.
    """
    bound = tree_environment(git, tree_dir)
    admin = Path(bound["GIT_DIR"])
    wanted = [(_inside(path, "copy"), False) for path in copy] + [
        (_inside(path, "link"), True) for path in link
    ]
    before = set(placed(admin))
    for path, _ in wanted:
        if not (root / path).exists():
            raise UserError(
                f"workspace: {path} does not exist in {root}; create it, or remove it from [workspace]"
            )
        if any((tree_dir / above).is_symlink() for above in Path(path).parents):  # it would lead out of the tree
            raise TreeError(f"workspace: {path} cannot be put into {tree_dir}: a directory above it is a link")
        if path not in before and (os.path.lexists(tree_dir / path) or _absent(git, tree_dir, path, bound)):
            raise UserError(
                f"workspace: {path} is tracked by git, so every tree has it; remove it from [workspace]"
            )
    # Recorded first: after a kill in the middle, the next call finds half a copy and knows that it is ours.
    set_placed(admin, sorted(before | {path for path, _ in wanted}))
    for path, as_link in wanted:
        source, target = root / path, tree_dir / path
        if os.path.lexists(target):
            delete(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if as_link:
            link_into(source, target, root, tree_dir)
        elif source.is_dir():
            shutil.copytree(source, target, symlinks=True)
            turn(source, target, root, tree_dir)
        else:
            shutil.copy2(source, target)


def content(git: Git, tree_dir: Path, *, named: Sequence[str] = ()) -> str:
    """Return the id of a tree object with all that ``snapshot`` finds in the tree; empty for a half-made one."""
    with tree_lock(tree_dir) as lock:
        tip = head(git, tree_dir) if made(git, tree_dir, lock) else None
    return snapshot(git, tree_dir, tip, "agentjobs: what a tree holds", 0.0, named=named).tree if tip else ""


def holds_unkept_work(git: Git, tree_dir: Path) -> bool:
    """Return whether the tree contains anything, except ignored files, that is not in a commit which a ref keeps."""
    if admin_dir(git, tree_dir) is None:
        return is_directory(tree_dir) and any(tree_dir.iterdir())
    return look(git, tree_dir).unkept


class TreeState(NamedTuple):
    """State of a tree, without ignored files."""

    unkept: bool
    """It has something that is not in a commit which a ref keeps."""
    changed: bool
    """It has something that its HEAD does not have."""
    tip: str
    """The commit of its HEAD, if that can be read."""


def look(git: Git, tree_dir: Path, *, known: Sequence[str] = ()) -> TreeState:
    """Walk a registered tree. ``known``: commits whose content is kept, though perhaps under another name."""
    tip = head(git, tree_dir)
    if tip is None:
        return TreeState(unkept=True, changed=True, tip="")
    taken = snapshot(git, tree_dir, tip, "agentjobs: what a tree holds", 0.0)
    if taken.worktrees or next(inside(git, tree_dir, taken.commit), None) is not None:
        return TreeState(unkept=True, changed=True, tip=tip)
    changed = taken.commit != tip
    if not changed and (tip in known or git.line("for-each-ref", "--count=1", f"--contains={tip}")):
        return TreeState(unkept=False, changed=False, tip=tip)
    kept = taken.tree in git.line("for-each-ref", "--format=%(tree)").split()
    return TreeState(unkept=not kept, changed=changed, tip=tip)


def remove(git: Git, tree_dir: Path, *, force: bool = False) -> None:
    """Remove the tree and its registration; no error if it is gone already.

    Raises ``UserError`` while it contains work that is not in a commit we keep, unless ``force``.
    """
    if not is_directory(tree_dir.parent):
        return
    with tree_lock(tree_dir) as lock:
        unasked = not force and state(lock)[:1] != [MAKING]
        if unasked and is_directory(tree_dir):
            made(git, tree_dir, lock)
        if unasked and is_directory(tree_dir) and holds_unkept_work(git, tree_dir):
            raise UserError(f"{tree_dir} holds work that is not in a kept commit; keep it, or remove it with --force")
        # From here on it is nobody's work: after a kill in the middle it is half-made, and removed without asking.
        set_state(lock, MAKING)
        if os.path.lexists(tree_dir):
            delete_tree(tree_dir)
        drop(tree_dir)
        unregister(git, tree_dir)
        set_checked_out(tree_dir, ())
        handed_over.forget(tree_dir)
        set_state(lock)


def prune(git: Git, trees_dir: Path) -> int:
    """Forget the registered worktrees beneath ``trees_dir`` with a missing directory; return how many.

    The user's own are left alone, even if they are missing: they may be on a disk that is not mounted.
    """
    above = os.path.realpath(trees_dir) + os.sep
    gone = [
        tree.directory
        for tree in git.worktrees()
        if os.path.realpath(tree.directory).startswith(above) and not tree.directory.exists()
    ]
    for tree_dir in (*gone, *leftovers(trees_dir)):
        remove(git, tree_dir, force=True)
    return len(gone)


def _absent(git: Git, tree_dir: Path, path: str, bound: dict[str, str]) -> bool:
    """Return whether a tracked file is one that a sparse tree does not check out."""
    if not checked_out(tree_dir):
        return False
    return bool(git.run("ls-files", "-z", "--", f":(literal){path}", cwd=tree_dir, env=bound).stdout)


def _inside(path: str, key: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts or ".git" in parts:
        raise UserError(f"workspace.{key}: {path!r} must be a path below the project's root")
    return "/".join(parts)
