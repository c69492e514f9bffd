"""The trailers of a landed commit: which task, attempt and agent made it, and which checks passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.workspace.target_branch import branch_ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.workspace.git import Git

TASK, ATTEMPT, AGENT, CHECK = "Agentjobs-Task", "Agentjobs-Attempt", "Agentjobs-Agent", "Agentjobs-Check"


def landing_message(
    subject: str, *, task: str, attempt: int, agent: str, checks: Sequence[str] = (), body: str = ""
) -> str:
    """Return the message of a landed commit (pure): subject, body, trailers with task, attempt, agent and checks."""
    parts = [" ".join(subject.split()) or task, body.strip()]
    values = [(TASK, task), (ATTEMPT, str(attempt)), (AGENT, agent)]
    values += [(CHECK, check) for check in checks]
    parts.append("\n".join(f"{name}: {' '.join(value.split())}" for name, value in values))
    return "\n\n".join(part for part in parts if part) + "\n"


def landed_as(git: Git, target: str, task: str, attempt: int, since: str) -> str:
    """Return the commit with an attempt's work on the target, found by its trailers; empty if there is none.

    ``since``: an older commit; empty if none is known.
    """
    tip = git.resolve(branch_ref(target))
    if tip is None:
        return ""
    trailers = (f"{TASK}: {task.replace('.', '[.]')}", f"{ATTEMPT}: {attempt}")
    greps = [f"--grep=^{trailer}$" for trailer in trailers]
    known = [f"^{since}"] if since and git.resolve(since) else []
    return git.line("log", "-1", "--format=%H", "--basic-regexp", "--all-match", *greps, tip, *known)
