"""When git or the machine fails: whether one tree is the cause, and what becomes of the tree and of finished work."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.core.pauses import LANDING, Pause, hold_s
from agentjobs.model.errors import TreeError, UserError, is_machines
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.project.store import Store


def is_of_tree(error: UserError | OSError, attempt: Attempt) -> bool:
    """Return whether the tree of an attempt is the cause: what an agent left in it, or git's records of it."""
    if is_machines(error) or not attempt.intent.tree:
        return False
    if isinstance(error, OSError):
        name = os.fsdecode(error.filename or "")
        return name.startswith(attempt.intent.tree) or "/worktrees/" in name
    return isinstance(error, TreeError)


def give_up_tree(last: Attempt) -> None:
    """Rename the tree of an attempt, because nothing works in it; its work so far is in commits."""
    from agentjobs.workspace import worktree

    with contextlib.suppress(UserError, OSError):  # then the second try reports what is wrong
        worktree.put_aside(Path(last.intent.tree))


def hold(store: Store, task_id: str, number: int, detail: str, now: float) -> None:
    """Leave finished work where it is until git and the machine work again; the second time halt for a person."""
    if store.hold() is None:
        store.set_state("hold", Pause(Outcome.INFRA, now + hold_s(f"{task_id}/{number}"), now, detail))
    else:
        store.set_state("halt", Halt(LANDING, detail, now))
    store.event(now, task_id, "held", attempt=number, detail=detail)


def lift_hold(store: Store) -> None:
    """Let finished work go on: git and the machine work again."""
    if store.hold() is not None:
        store.set_state("hold", None)
