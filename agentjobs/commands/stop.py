"""Take tasks out of play, and stop what runs of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.commands.in_play import Report, end_steps, locked
from agentjobs.model.errors import UserError
from agentjobs.model.state import Scope
from agentjobs.project.ids import known

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def stop(project: Project, ids: tuple[str, ...], *, lock_timeout_s: float) -> Report:
    """Take tasks (without ids: all) out of play and stop what runs; their work stays, ``dispatch`` resumes them.

    UserError for an unknown id, or if nothing was put in play.
    """
    project.file.load()
    known(project, ids)
    if project.store.scope() is None:
        raise UserError("nothing is in play; start tasks with `agentjobs dispatch`")
    with locked(project, lock_timeout_s):
        scope = project.store.scope() or Scope(time.time())
        if not ids:
            scope = Scope(time.time())
        else:
            out = tuple(dict.fromkeys(scope.out + ids)) if scope.everything or scope.phases else ()
            scope = replace(scope, ids=tuple(i for i in scope.ids if i not in set(ids)), out=out)
        project.store.set_state("scope", scope)
        begun = [i for i in project.store.active() if not ids or i in ids]
    end_steps(project, begun, lock_timeout_s)
    idle = tuple(f"{task_id} was not running; it is out of play now" for task_id in ids if task_id not in begun)
    return Report(tuple(f"{task_id}\tstopped" for task_id in begun), idle)
