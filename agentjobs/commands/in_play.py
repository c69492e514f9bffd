"""Shared by the commands that change what is in play: which tasks are meant, and stopping what runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.core.pauses import lifted
from agentjobs.model.state import Scope
from agentjobs.project.ids import known
from agentjobs.run.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextlib import AbstractContextManager

    from agentjobs.model.tasks import Status
    from agentjobs.project.project import Project

ENDING_S = 5.0
"""Seconds to wait for an agent to end, in addition to the time that its signals take."""


class Report(Struct, frozen=True):
    """The output of a command: lines for stdout, warnings for stderr."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def chosen_ids(
    project: Project, ids: tuple[str, ...], wanted: Callable[[Status], bool]
) -> tuple[str, ...]:
    """Return ``ids`` and every other id with a wanted status. Reads the table; UserError for an unknown id."""
    project.file.load()
    known(project, ids)
    found = tuple(i for i, status in project.file.table.statuses().items() if wanted(status) and i not in ids)
    return tuple(dict.fromkeys(ids)) + found


def locked(project: Project, lock_timeout_s: float) -> AbstractContextManager[None]:
    """Create ``.agentjobs`` if it is missing, and hold the project's lock. LockBusy after ``lock_timeout_s``."""
    project.store.create()
    return project.store.lock(lock_timeout_s)


def widened(
    scope: Scope, ids: Iterable[str], *, everything: bool, phases: tuple[str, ...] = (), back: Iterable[str] = ()
) -> Scope:
    """Return the scope with these ids and phases added; ``back``: ids that were stopped and return."""
    now = time.time()
    if everything:
        return Scope(now, everything=True)
    chosen = tuple(ids)
    merged = scope.ids + tuple(i for i in chosen if i not in set(scope.ids))
    out = tuple(i for i in scope.out if i not in {*chosen, *back})
    return Scope(now, scope.everything, merged, out, phases=tuple(dict.fromkeys(scope.phases + phases)))


def clear_halt(project: Project, *, force: bool) -> None:
    """Clear a halt and accounts that are stuck; with ``force`` every pause."""
    store = project.store
    store.set_state("halt", None)
    before = store.pauses()
    after = {} if force else lifted(before, time.time())
    if after != before:
        store.set_pauses(after)
    store.tally.clear()


def end_steps(project: Project, ids: Collection[str], lock_timeout_s: float) -> None:
    """Take turns that start nothing until none of these tasks runs any more, or they do not stop in time."""
    if project.store.scope() is None:
        return
    engine = Engine(project, starts=False)
    limits = project.policy.limits
    signals = max((len(agent.stop) for agent in project.policy.agents.values()), default=1)
    give_up_at = time.monotonic() + limits.stop_grace_s * signals + ENDING_S
    while True:
        with project.store.lock(lock_timeout_s):
            turn = engine.turn()
        ending = any(i in ids for i in turn.running) or engine.ends_gate
        if not ending or time.monotonic() >= give_up_at:
            return
        engine.wait(turn.until)
