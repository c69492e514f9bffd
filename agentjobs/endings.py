"""What the agent step that did the work of an attempt came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.errors import TreeBusy
from agentjobs.logfile import read_tail
from agentjobs.model import Exited, Lost, Outcome, StepKind
from agentjobs.outcome import classify
from agentjobs.spending import exact_reset
from agentjobs.store import step_files

if TYPE_CHECKING:
    from agentjobs.model import Attempt, Task
    from agentjobs.outcome import Verdict
    from agentjobs.project import Project

PATIENCE_S = 120.0
"""For so long what needs a tree is put off while another process holds its lock; then the machine is at fault."""


def verdict_on(project: Project, task: Task, attempt: Attempt, now: float) -> Verdict | None:
    """Classify by how it ended and what it said; None where it has not ended."""
    intent, step = attempt.intent, attempt.first(StepKind.AGENT)
    if step is None or not isinstance(step.phase, Exited | Lost):
        return None
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    output, size = read_tail(step_files(attempt_dir, step.name).log, project.masking)
    agent = project.policy.agents.get(intent.agent)
    verdict = classify(
        phase=step.phase,
        kill=step.kill,
        output=output,
        output_bytes=size,
        rules=agent.rules if agent else (),
        now=now,
        tree_dir=intent.tree,
    )
    if agent is None or verdict.outcome is not Outcome.LIMIT:
        return verdict
    said_at = min(step.phase.at, now) if step.phase.at > 0 else now
    at = exact_reset(project, task, attempt, agent, said_at)
    return replace(verdict, reset_at=max(at, now + 1.0)) if at else verdict


def is_patient(error: Exception, attempt: Attempt, now: float) -> bool:
    """Whether this is a lock that may still be waited for: so long after the newest thing that the attempt did."""
    ended = [step.phase.at for step in attempt.steps if isinstance(step.phase, Exited)]
    newest = max(attempt.intent.started_at, attempt.end.at if attempt.end else 0.0, *ended)
    return isinstance(error, TreeBusy) and now < newest + PATIENCE_S
