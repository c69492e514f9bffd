"""The ports of a task: ten private ones, the same in each attempt, for servers of parallel tasks. Pure."""

from __future__ import annotations

from agentjobs.text.jitter import jitter

FIRST, EACH, TASKS = 20_000, 10, 2_000


def first_port(task_id: str) -> int:
    """Return the first of a task's ports, from 20000 to 39990; two tasks may get the same by chance (1 in 2,000)."""
    return FIRST + EACH * int(TASKS * jitter(task_id))
