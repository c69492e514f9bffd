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
    """Return the nearest directory at or above ``start`` that has an agentjobs.toml; UserError without one.

    A worktree under ``.agentjobs/trees`` may carry a committed copy of the file; it is not a project of its own.
    """
    for directory in (start, *start.parents):
        if (directory / POLICY).is_file() and ".agentjobs" not in directory.parts:
            if not is_plain(str(directory)):
                raise UserError(f"the path {str(directory)!r} is not UTF-8 or has a line break in it; rename it")
            return directory
    raise UserError(f"no {POLICY} here or above; `agentjobs init` writes one")


def is_plain(path: str) -> bool:
    """Whether git and our facts can name this path: UTF-8, on one line."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in path and "\r" not in path


class Project:
    """What every command works with. Nothing is read before it is asked for."""

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
        """The policy as agentjobs.toml has it now; UserError with file and line where it is wrong."""
        from agentjobs.policy.parse import parse_policy
        from agentjobs.policy.presets import names, preset

        return parse_policy(read_raw(self.root / POLICY, follow=True), POLICY, preset, names)

    @cached_property
    def masking(self) -> Masking:
        """What is secret: in our environment, and in what agents are given. A policy that is wrong adds nothing."""
        from agentjobs.text.masking import Masking  # only where something is told

        given = dict.fromkeys(os.environ.items())
        with contextlib.suppress(UserError):
            for agent in self.policy.agents.values():
                given.update(dict.fromkeys(agent.env.items()))
        return Masking(given)

    @cached_property
    def git(self) -> Git:
        """The repository that the project lies in; UserError where there is none."""
        from agentjobs.workspace.git import Git  # a poll with nothing to do needs no git

        git = Git(self.root)
        if words := git.refusal():
            raise UserError(words)
        if git.toplevel.resolve() != self.root.resolve():
            raise UserError(
                f"lies below the top of its repository: put it, {TABLE} and the prompts into {git.toplevel}, "
                "where trees, checks and `files` begin",
                file=POLICY,
            )
        if self.policy.workspace.sandbox != "none":
            from agentjobs.workspace.git_filters import Filters  # only with a sandbox

            git.confine = Filters(git, self.root, self.store.dir, self.policy.inherit)
        return git

    @property
    def uses_trees(self) -> bool:
        """Whether each task has a tree of its own."""
        return self.policy.workspace.kind != "none"

    @property
    def lands(self) -> bool:
        """Whether verified work is brought onto the target branch."""
        return self.uses_trees and self.policy.landing.enabled

    @property
    def trees_dir(self) -> Path:
        """Where the trees are."""
        return self.store.dir / "trees"

    @property
    def spare_dir(self) -> Path:
        """Where the trees are that tasks have done with, for others to take over."""
        return self.store.dir / "spare"

    def profile(self, row: Row, name: str | None = None) -> Profile:
        """Return the profile of a row, or of another name for the same row.

        That name comes from an attempt: where nobody defines it any more, the row's own is meant.
        """
        from agentjobs.policy.policy import resolve

        known = name if name in self.policy.profiles else None
        return resolve(self.policy, row, profile=known, file=TABLE)

    def tip(self) -> str:
        """Return the commit that new work starts from: the target where work lands and it exists, else the base."""
        from agentjobs.workspace.target import base_commit, target_tip

        if self.lands:
            return target_tip(self.git, self.policy.target, self.policy.base)
        return base_commit(self.git, self.policy.base)
