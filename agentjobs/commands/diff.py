"""What an attempt changed: the two commits, or commit and tree, that ``diff`` compares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project


def diff(project: Project, task_id: str, number: int | None, *, stat: bool, colour: bool) -> bytes:
    """Return the diff of an attempt (None: the newest) as git prints it; empty if it changed nothing.

    UserError if there is no such attempt, or if its work is not kept.
    """
    attempt = _attempt(project, task_id, number)
    if not attempt.intent.base:
        raise UserError(f"attempt {attempt.number} of {task_id} had no tree, so what it changed is not known")
    before, after = _compared(project, attempt)
    flags = ["--no-ext-diff", "--no-textconv", f"--color={'always' if colour else 'never'}"]
    return project.git.run("diff", *flags, *(["--stat"] if stat else []), before, after).stdout


def _attempt(project: Project, task_id: str, number: int | None) -> Attempt:
    numbers = project.store.numbers(task_id)
    if not numbers:
        raise UserError(f"no attempt of {task_id!r} yet")
    wanted = number if number is not None else numbers[-1]
    found = project.store.attempt(task_id, wanted) if wanted in numbers else None
    if found is None:
        raise UserError(f"{task_id} has no attempt {wanted}; it has {', '.join(map(str, numbers))}")
    return found


def _compared(project: Project, attempt: Attempt) -> tuple[str, str]:
    """Return what landed, else what was kept when the agent ended, else what is in the tree now."""
    result, end, base = attempt.result, attempt.end, attempt.intent.base
    if result is not None and result.landed:
        return f"{result.landed}^", result.landed
    if end is not None and end.commit:
        return base, end.commit
    if end is None and result is None and Path(attempt.intent.tree).is_dir():
        from agentjobs.workspace.being_edited import tree_now

        return base, tree_now(project.git, Path(attempt.intent.tree))
    raise UserError(f"nothing is kept of attempt {attempt.number} of {attempt.intent.id}")
