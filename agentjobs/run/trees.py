"""The tree of an attempt: create it, reuse it, put it on its base, or restore it with the work so far."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.decide import has_begun, told
from agentjobs.disk.write import printable
from agentjobs.model.errors import GitError, TreeError, UserError
from agentjobs.model.facts import FRESH, Mode, Over
from agentjobs.model.outcomes import UNSPENT
from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:

    from agentjobs.model.decisions import Begin
    from agentjobs.model.facts import Attempt, Intent
    from agentjobs.model.tasks import Row, Task
    from agentjobs.project.project import Project


SHOWN = 3


class Trees:
    """Prepares the trees of attempts, for one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._handed: set[str] = set()
        """Trees that this process handed out and that have not been used yet."""

    def setup_for(self, tree: str, mode: Mode, base: str, files: tuple[str, ...]) -> str:
        """Return the setup command if it must run; to find out, the tree of a new task is handed out now."""
        settings = self.project.policy.workspace
        if not tree or not settings.setup:
            return ""
        from agentjobs.workspace.setup import is_absent, setup_due

        there = os.path.isdir(tree)
        if mode not in FRESH:
            return settings.setup if is_absent(self.project.git, Path(tree), settings) else ""
        if not settings.keep or (there and mode is Mode.FIRST):
            return settings.setup
        try:
            if not there:
                self._hand_out(Path(tree), base, files)
                self._handed.add(tree)
            return settings.setup if setup_due(self.project.git, Path(tree), base, settings) else ""
        except (UserError, OSError):  # the launch will fail with it, and report it
            return settings.setup

    def lacks_setup(self, attempt: Attempt) -> bool:
        """Return whether the setup command has not run in the tree since it was made."""
        from agentjobs.workspace.setup import is_absent

        intent = attempt.intent
        return bool(intent.base) and is_absent(self.project.git, Path(intent.tree), self.project.policy.workspace)

    def _hand_out(self, tree: Path, commit: str, files: tuple[str, ...], worked: tuple[str, ...] = ()) -> bool:
        """Make sure that the tree exists, with everything that a task of these ``files`` needs.

        ``worked``: files that the task has changed.
        """
        from agentjobs.workspace import pool
        from agentjobs.workspace.sparse import widened

        git, keep = self.project.git, self.project.policy.workspace.keep
        held = widened(self._directories(commit, files), worked)
        return pool.hand_out(git, tree, self.project.spare_dir, commit, keep=keep, sparse=held)

    def _directories(self, commit: str, files: tuple[str, ...]) -> tuple[str, ...]:
        from agentjobs.workspace.sparse import directories

        return directories(self.project.git, commit, self.project.policy.workspace.sparse, files)

    def make(self, task: Task, intent: Intent, now: float) -> None:
        """Prepare the tree of an attempt: clean for a first attempt or a restart, unchanged for the others."""
        if not intent.base:
            return
        from agentjobs.workspace import clone, handed_over, nested, setup, worktree

        git, tree = self.project.git, Path(intent.tree)
        fresh, there = intent.mode in FRESH, tree.is_dir()
        if there and fresh and intent.tree not in self._handed:
            try:
                ref = git.kept(intent.id, f"before-{intent.number}")
                self._hand_out(tree, intent.base, task.row.files)
                if worktree.holds_unkept_work(git, tree):
                    taken = worktree.keep(git, tree, intent.base, ref, f"{intent.id}: before starting over", now)
                    unlandable = nested.keep(git, tree, taken, ref, now)
                    self.project.store.event(now, intent.id, "kept", attempt=intent.number, ref=ref)
                    setup.forget(git, tree)  # somebody worked there
                    if unlandable:
                        raise TreeError("; ".join(unlandable))
                nested.discard(git, tree)
                if any(has_begun(before) for before in task.attempts if before.number < intent.number):
                    # Also what an agent put into a path in `keep`: a reset would take it for the setup command's.
                    worktree.restore(git, self.project.root, tree, intent.base, self.project.policy.workspace)
                worktree.put_back(git, tree)
            except GitError:  # if no commit can keep it, the tree itself is kept
                worktree.put_aside(tree)
            clone.drop(tree)
            if not self._hand_out(tree, intent.base, task.row.files):
                handed_over.forget(tree)
                keep, sparse = self.project.policy.workspace.keep, self._directories(intent.base, task.row.files)
                worktree.reset(git, tree, intent.base, ignored_to_keep=keep, sparse=sparse)
        else:
            self._restore(task, intent, tree)
            if intent.edited:  # the agent may undo what a person did, so it is kept
                ref = git.kept(intent.id, f"before-{intent.number}")
                worktree.keep(git, tree, intent.base, ref, f"{intent.id}: edited by hand", now)
                self.project.store.event(now, intent.id, "kept", attempt=intent.number, ref=ref)
        self._handed.discard(intent.tree)
        settings = self.project.policy.workspace
        if intent.setup:
            setup.forget(git, tree)
        elif setup.is_absent(git, tree, settings) or (fresh and setup.setup_due(git, tree, intent.base, settings)):
            what = "changed while its attempt started, so the setup command has to run there"
            raise UserError(f"the tree {tree} {what}; poll again")
        if settings.copy or settings.link:
            worktree.setup_files(git, self.project.root, tree, copy=settings.copy, link=settings.link)

    def content(self, row: Row) -> str:
        """Return the git id of the content of a task's tree; empty if there is no tree or git fails."""
        from agentjobs.workspace import worktree

        tree = Path(self.project.trees_dir / row.id)
        if not self.project.uses_trees or not tree.is_dir():
            return ""
        with contextlib.suppress(UserError, OSError):
            return worktree.content(self.project.git, tree, named=[normalise(path) for path in row.files])
        return ""

    def gone_on(
        self, row: Row, before: Attempt, begin: Begin, base: str, stands_on: str
    ) -> tuple[Begin, str, tuple[str, ...]]:
        """Let a new round continue in the tree as it is, if a person edited it or its agent was interrupted.

        ``before`` is the previous attempt, ``stands_on`` the base of its work. Returns how the round starts, its
        base, and the edited files. If the base commit is gone, the round starts over; the tree's content is kept.
        """
        if not stands_on or self.project.git.resolve(stands_on) is None:
            why = f"{begin.why}; the content of its tree is kept: `agentjobs show {row.id}`"
            return replace(begin, why=why), base, ()
        edited = self.edits(row, stands_on)
        if edited:
            why = f"a person edited {' '.join(map(printable, edited[:SHOWN]))}"
            why += f" and {len(edited) - SHOWN} more" if len(edited) > SHOWN else ""
        elif isinstance(before, Over) and before.outcome in UNSPENT and before.end is not None and before.end.changed:
            why = f"attempt {before.number} {told(before.result)}"
        else:
            return begin, base, ()
        begin = replace(begin, mode=Mode.RESUME, why=f"continues in its tree: {why}")
        return begin, stands_on, tuple(map(printable, edited))

    def edits(self, row: Row, base: str) -> tuple[str, ...]:
        """Return what a person edited in the tree since the task was settled; ``base``: the base of its work."""
        git = self.project.git
        left = next((s.tree for s in reversed(self.project.store.settled(row.id)) if s.tree), "")
        now = self.content(row) if left else ""
        if not now or now == left:
            return ()
        try:
            return git.changed(left, now)
        except GitError:  # git has already deleted the old content
            return git.changed(base, now)

    def is_ready(self, task: Task, intent: Intent) -> None:
        """Record the content of the tree before its agent starts, and that the setup command succeeded there.

        What the task itself has changed so far is work, also where it is not committed: in a merge with conflicts.
        """
        if not intent.base or not (intent.mode in FRESH or intent.setup):
            return
        from agentjobs.workspace import setup, worktree

        git, tree, settings = self.project.git, Path(intent.tree), self.project.policy.workspace
        if intent.setup:
            setup.note_present(git, tree)
        if intent.setup and settings.setup == intent.setup and intent.mode in FRESH:  # not if it has changed since
            setup.setup_done(git, tree, intent.base, settings)
        base, work = ("", "") if intent.mode in FRESH else self._work_before(task, intent)
        changed = git.changed(base, work) if work else ()
        worktree.note_handed(git, tree, with_setup=bool(intent.setup), keep=settings.keep, work=changed)

    def _restore(self, task: Task, intent: Intent, tree: Path) -> None:
        """Make sure that the tree exists; a removed one is made again, with the earlier work on the base."""
        from agentjobs.workspace import target_branch

        git, files = self.project.git, task.row.files
        base, work = self._work_before(task, intent)
        if not work:
            self._hand_out(tree, intent.base, files)
            return
        worked = git.changed(base, work) if self.project.policy.workspace.sparse else ()
        if git.contains(work, intent.base):
            self._hand_out(tree, work, files, worked)
        elif self._hand_out(tree, intent.base, files, worked) or self._is_behind(tree, intent, work):
            target_branch.integrate(git, tree, work, intent.base, intent.id, intent.started_at, stands_on=base)

    def _work_before(self, task: Task, intent: Intent) -> tuple[str, str]:
        """Return the base and the commit of the work that an attempt continues; empty if there is none."""
        for before in reversed(task.attempts):
            if before.intent.restarts != intent.restarts or before.number >= intent.number:
                continue
            for commit in (before.result.commit if before.result else "", before.end.commit if before.end else ""):
                if commit and self.project.git.resolve(commit):
                    return before.intent.base, commit
        return "", ""

    def _is_behind(self, tree: Path, intent: Intent, work: str) -> bool:
        """Return whether the tree's commit is behind the attempt's base; edits made in it meanwhile are kept first."""
        from agentjobs.workspace import worktree

        git = self.project.git
        held = worktree.look(git, tree, known=(work,))
        if not held.tip or git.contains(held.tip, intent.base):
            return False
        if held.changed:
            ref = git.kept(intent.id, f"before-{intent.number}")
            worktree.keep(git, tree, held.tip, ref, f"{intent.id}: before the rebase", intent.started_at)
        return True
