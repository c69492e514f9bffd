"""Stop all starts of agents while what runs goes on, and end that."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError
from agentjobs.model.state import Paused
from agentjobs.text.for_people import paused_text

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def pause(project: Project, until: float | None, why: str) -> str:
    """Pause the run, in place of an earlier pause; return what that comes to. UserError before any ``dispatch``."""
    if not project.store.exists():
        raise UserError("nothing is in play yet; start tasks with `agentjobs dispatch`")
    now = time.time()
    project.store.set_paused(Paused(None if until is None else datetime.fromtimestamp(until, UTC), why))
    made = project.store.paused(now)
    return paused_text(made.by, made.at, made.ends_at, made.why) if made is not None else "the pause is over already"


def go(project: Project) -> bool:
    """End the pause; return whether there was one. Its file may have any content."""
    try:
        paused = project.store.paused(time.time()) is not None
    except UserError:
        paused = True
    project.store.set_paused(None)
    return paused
