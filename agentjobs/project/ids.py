"""Ids and phases named on the command line: check that they exist, and find their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError
from agentjobs.text.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from agentjobs.project.project import Project


def check_phases(project: Project, phases: Iterable[str]) -> None:
    """Raise UserError for an unknown phase; the message names the nearest one."""
    for name in phases:
        if name not in project.policy.phases:
            from agentjobs.policy.phases import unknown_phase

            raise UserError(unknown_phase(name, list(project.policy.phases)))


def rows_of_phases(project: Project, phases: Collection[str]) -> tuple[str, ...]:
    """Return the ids of the rows that these phases have now."""
    rows = project.file.table.profiles() if phases else ()
    return tuple(task_id for task_id, name in rows if name in phases)


def known(project: Project, ids: Iterable[str]) -> None:
    """Raise UserError for an id that is not in the table; the nearest one is named."""
    for task_id in ids:
        if task_id not in project.file.table:
            hint = did_you_mean(task_id, project.file.table.ids, "")
            raise UserError(f"no task {task_id!r} in {project.file.path.name}{hint and f'; {hint}'}")
