"""Several turns in a row: one poll, a whole run. The lock is held in a turn, never while waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.model.errors import ExitCode, UserError
from agentjobs.run.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.project.project import Project
    from agentjobs.run.engine import Turn

SOON_S = 2.0
"""A poll waits this many seconds for a start that is due soon (staggered starts), so that no slot stays empty."""


def poll(project: Project, *, wait_s: float, lock_timeout_s: float) -> Turn:
    """Take turns until something was done and no further start is due soon, or ``wait_s`` is over."""
    if not project.store.exists():
        raise UserError("nothing is in play yet; start tasks with `agentjobs dispatch`")
    engine = Engine(project)
    give_up_at = time.monotonic() + wait_s
    acted = 0
    while True:
        with project.store.lock(lock_timeout_s):
            turn = engine.turn()
        acted += turn.acted
        now = time.time()
        if turn.code is not ExitCode.OK:
            break
        staggered = turn.until - now <= min(SOON_S, project.policy.limits.start_interval_s) and turn.starting
        if acted and not staggered:
            break
        left_s = give_up_at - time.monotonic()
        if not staggered and left_s <= 0:
            break
        project.let_go()
        engine.wait(turn.until if staggered else min(now + left_s, turn.until))
    return replace(turn, acted=acted)


def run(project: Project, *, lock_timeout_s: float, watch: Callable[[Turn, Engine], None]) -> Turn:
    """Take turns until nothing is left or a person is needed; calls ``watch`` after each one."""
    engine = Engine(project)
    while True:
        with project.store.lock(lock_timeout_s):
            turn = engine.turn(resident=True)
            if turn.code is not ExitCode.OK:
                engine.flush()
        watch(turn, engine)
        if turn.code is not ExitCode.OK:
            return turn
        if not turn.acted:
            if engine.owes:
                with project.store.lock(lock_timeout_s):
                    engine.flush()
            project.let_go()
            engine.wait(turn.until)
