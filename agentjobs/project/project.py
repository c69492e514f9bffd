"""A project: the directory with agentjobs.toml, its policy, its table, its store, its git."""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.disk.files import read_raw
from agentjobs.model.errors import UserError
from agentjobs.project.store import Store
from agentjobs.table.file import TaskFile

if TYPE_CHECKING:
    from agentjobs.model.tasks import Row
    from agentjobs.policy.policy import Policy, Profile
    from agentjobs.text.masking import Masking
    from agentjobs.workspace.git import Git

POLICY = "agentjobs.toml"
TABLE = "tasks.tsv"


def find_root(start: Path) -> Path:
    """Return the nearest directory at or above ``start`` that has an agentjobs.toml. UserError if there is none.

    A worktree under ``.agentjobs/trees`` may contain a committed copy of the file; it is not a project.
    """
    for directory in (start, *start.parents):
        if (directory / POLICY).is_file() and ".agentjobs" not in directory.parts:
            if not is_plain(str(directory)):
                raise UserError(f"the path {str(directory)!r} is not UTF-8 or contains a line break; rename it")
            return directory
    raise UserError(f"no {POLICY} here or above; `agentjobs init` writes one")


def is_plain(path: str) -> bool:
    """Return whether git and our facts can name this path: UTF-8, on one line."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in path and "\r" not in path


class Project:
    """What every command works with. Everything is read at first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root, lambda: self.masking)
        self.file = TaskFile(root / TABLE, self.store.dir / "table.tsv")

    @classmethod
    def here(cls) -> Project:
        """Return the project around the current directory."""
        return cls(find_root(Path.cwd()))

    @cached_property
    def policy(self) -> Policy:
        """The policy in agentjobs.toml now. UserError with file and line if it is wrong."""
        from agentjobs.policy.parse import parse_policy
        from agentjobs.policy.presets import names, preset

        return parse_policy(read_raw(self.root / POLICY, follow=True), POLICY, preset, names)

    @property
    def slots(self) -> int:
        """How many agents may run at once now: as `agentjobs slots` set it, or else as agentjobs.toml has it."""
        return self.store.slots() or self.policy.slots

    @cached_property
    def masking(self) -> Masking:
        """The secrets to mask: in our environment, and those given to agents. A policy with errors adds none."""
        from agentjobs.text.masking import Masking  # only if something is written or shown

        given = dict.fromkeys(os.environ.items())
        with contextlib.suppress(UserError):
            for agent in self.policy.agents.values():
                given.update(dict.fromkeys(agent.env.items()))
        return Masking(given)

    @cached_property
    def git(self) -> Git:
        """The repository of the project. UserError if there is none."""
        from agentjobs.workspace.git import Git  # a poll with nothing to do needs no git

        git = Git(self.root)
        if words := git.refusal():
            raise UserError(words)
        if git.toplevel.resolve() != self.root.resolve():
            raise UserError(
                f"is not at the top of its repository: move it, {TABLE} and the prompts into {git.toplevel}, "
                "where the paths of trees, checks and `files` start",
                file=POLICY,
            )
        if self.policy.workspace.sandbox != "none":
            from agentjobs.workspace.git_filters import Filters  # only with a sandbox

            git.confine = Filters(git, self.root, self.store.dir, self.policy.inherit)
        return git

    def let_go(self) -> None:
        """End each git that waits for a question: nobody asks for a while."""
        if "git" in self.__dict__:
            self.git.let_go()

    @property
    def uses_trees(self) -> bool:
        """Return whether each task has its own worktree."""
        return self.policy.workspace.kind != "none"

    @property
    def lands(self) -> bool:
        """Return whether verified work lands on the target branch."""
        return self.uses_trees and self.policy.landing.enabled

    @property
    def trees_dir(self) -> Path:
        """The directory with the trees of tasks."""
        return self.store.dir / "trees"

    @property
    def spare_dir(self) -> Path:
        """The directory with trees that are free for other tasks."""
        return self.store.dir / "spare"

    def profile(self, row: Row, name: str | None = None) -> Profile:
        """Return the profile of a row, or the profile ``name`` for the same row.

        ``name`` comes from an attempt; if that profile no longer exists, the row's own profile is used.
        """
        from agentjobs.policy.policy import resolve

        known = name if name in self.policy.profiles else None
        return resolve(self.policy, row, profile=known, file=TABLE)

    def tip(self) -> str:
        """Return the commit that new work starts from: the target branch if work lands and it exists, else the base."""
        from agentjobs.workspace.target_branch import base_commit, target_tip

        if self.lands:
            return target_tip(self.git, self.policy.target, self.policy.base)
        return base_commit(self.git, self.policy.base)
