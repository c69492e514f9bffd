"""Reading without the lock: prompts, and which attempts there are of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.disk.files import read_raw
from agentjobs.model.errors import UserError
from agentjobs.project.ids import known
from agentjobs.prompts import briefing

if TYPE_CHECKING:
    from agentjobs.model.tasks import Row
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.prompts.size import Explained


def check_known(project: Project, task_id: str) -> None:
    """Raise UserError unless the id is in the table, or was and has attempts."""
    if "/" not in task_id and (project.store.dir / "attempts" / task_id).is_dir():
        return
    project.file.load()
    known(project, (task_id,))


def first_prompt(project: Project, task_id: str) -> bytes:
    """Return what a first attempt would be sent. UserError for an unknown id, profile or template."""
    row, profile, base = _first(project, task_id)
    return briefing.first_prompt(project, row, profile, base).encode("utf-8", "surrogateescape")


def explained_prompt(project: Project, task_id: str) -> Explained:
    """Return what the prompt of a first attempt is made of. UserError as for ``first_prompt``."""
    from agentjobs.prompts.size import explain  # counts tokens

    row, profile, base = _first(project, task_id)
    return explain(project, row, profile, base)


def _first(project: Project, task_id: str) -> tuple[Row, Profile, str]:
    project.file.load()
    known(project, (task_id,))
    row = project.file.table.row(task_id)
    return row, project.profile(row), project.tip() if project.uses_trees else ""


def sent_prompt(project: Project, task_id: str, number: int) -> bytes:
    """Return exactly what one attempt was sent. UserError where there was no such attempt."""
    check_known(project, task_id)
    data = read_raw(project.store.attempt_dir(task_id, number) / "prompt.md")
    if not data:
        raise UserError(f"attempt {number} of {task_id} was sent nothing; {attempts_there_are(project, task_id)}")
    return data


def attempts_there_are(project: Project, task_id: str) -> str:
    """Return, for a message, which attempts a task has."""
    numbers = project.store.numbers(task_id)
    if not numbers:
        return "it has had no attempt yet"
    return "it has attempt 1" if numbers == [1] else f"it has attempts {numbers[0]} to {numbers[-1]}"


def newest(project: Project, task_id: str) -> int:
    """Return the number of the newest attempt; UserError where there is none."""
    check_known(project, task_id)
    numbers = project.store.numbers(task_id)
    if not numbers:
        raise UserError(f"{task_id} has had no attempt yet")
    return numbers[-1]
