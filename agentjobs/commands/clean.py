"""Removes the trees of settled tasks, and never the only copy of somebody's work."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.errors import GitError, UserError
from agentjobs.model.tasks import SETTLED, Status
from agentjobs.project.ids import known
from agentjobs.table.table import parse_status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentjobs.project.project import Project


class Cleaned(Struct, frozen=True):
    """What happened to one tree."""

    id: str
    """The task; empty for a spare tree, which no task uses."""
    removed: bool
    note: str
    """Why it stays, or where its work is kept."""
    refused: bool = False
    """It stays because its work is nowhere else; ``force`` would remove it."""


def clean(
    project: Project, ids: tuple[str, ...], *, force: bool, dry_run: bool, lock_timeout_s: float
) -> Iterator[Cleaned]:
    """Remove the trees of settled tasks (``ids``: only of these; none: spare ones too), and yield the result of each.

    A tree with work that has not landed stays, unless ``force``: then that work is first kept as a commit under
    ``refs/agentjobs/``. UserError for an unknown id.
    """
    from agentjobs.workspace import pool, worktree

    store = project.store
    if not store.exists() or not project.trees_dir.is_dir():
        return
    project.file.load()
    there = (entry for entry in os.scandir(project.trees_dir) if entry.name[0] != ".")
    trees = sorted(entry.name for entry in there if entry.is_dir(follow_symlinks=False))
    known(project, [task_id for task_id in ids if task_id not in set(trees)])
    for task_id in trees:
        if ids and task_id not in ids:
            continue
        with store.lock(lock_timeout_s):
            unsettled = _unsettled(project, task_id)
            if unsettled:
                if ids:
                    yield Cleaned(task_id, removed=False, note=unsettled)
                continue
            yield _one(project, task_id, force=force, dry_run=dry_run)
    if not dry_run:
        with store.lock(lock_timeout_s):
            worktree.prune(project.git, project.trees_dir)
            if not ids:
                for _ in range(pool.drop_all(project.spare_dir)):
                    yield Cleaned("", removed=True, note="")


def _unsettled(project: Project, task_id: str) -> str:
    """Return why the tree may still be needed; empty if it is not."""
    if project.store.open_round(task_id) is not None or task_id in project.store.active():
        return f"is not settled; `agentjobs skip {task_id}` settles it"
    table = project.file.table
    if task_id in table and (parse_status(table.cell(task_id, "status")) or Status.TODO) not in SETTLED:
        return "is not settled"
    return ""


def _one(project: Project, task_id: str, *, force: bool, dry_run: bool) -> Cleaned:
    from agentjobs.workspace import worktree

    git, tree = project.git, project.trees_dir / task_id
    try:
        work = _unlanded(project, task_id, tree)
        if work and not force:
            return Cleaned(task_id, removed=False, note=f"{work}; --force removes the tree", refused=True)
        if dry_run:
            return Cleaned(task_id, removed=True, note=work)
        note = _keep(project, task_id, tree) if work else ""
        worktree.remove(git, tree, force=force)
    except UserError as error:
        return Cleaned(task_id, removed=False, note=str(error), refused=not force)
    return Cleaned(task_id, removed=True, note=note)


def _unlanded(project: Project, task_id: str, tree: Path) -> str:
    """Return what work in the tree has not landed and was not accepted; empty if there is none."""
    from agentjobs.workspace.snapshot import snapshot
    from agentjobs.workspace.worktree_admin import admin_dir, head

    git = project.git
    if admin_dir(git, tree) is None:
        return "is not a worktree of this repository, and contains files" if any(tree.iterdir()) else ""
    tip = head(git, tree)
    if tip is None:
        return "its HEAD cannot be read"
    taken = snapshot(git, tree, tip, "agentjobs: content of a tree", 0.0)
    if taken.commit != tip:
        return "has uncommitted changes"
    if git.contains(project.tip(), tip):
        return ""
    done = [s.commit for s in project.store.settled(task_id) if s.status is Status.DONE and s.commit]
    if done and not project.lands and git.resolve(done[-1]) == tip:
        return ""  # verified, and kept under refs/agentjobs/: without landing this is the end
    return "has work that has not landed"


def _keep(project: Project, task_id: str, tree: Path) -> str:
    """Keep the content of the tree under a ref, and return a note with its name."""
    from agentjobs.workspace import worktree
    from agentjobs.workspace.worktree_admin import admin_dir, head

    git = project.git
    tip = head(git, tree) if admin_dir(git, tree) is not None else None
    if tip is None:
        return "git did not know it as a worktree; nothing could be kept"
    ref = git.kept(task_id, "cleaned")
    try:
        worktree.keep(git, tree, tip, ref, f"{task_id}: what its tree held when it was removed", time.time())
    except GitError as error:
        raise UserError(f"its work cannot be kept, so it stays: {error}") from None
    return f"its work is kept as {ref}"
