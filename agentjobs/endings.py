"""What the agent step that did the work of an attempt came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.errors import TreeBusy
from agentjobs.logfile import read_tail
from agentjobs.model import Exited, Lost, StepKind
from agentjobs.outcome import classify
from agentjobs.store import step_files

if TYPE_CHECKING:
    from agentjobs.model import Attempt
    from agentjobs.outcome import Verdict
    from agentjobs.project import Project

PATIENCE_S = 120.0
"""For so long what needs a tree is put off while another process holds its lock; then the machine is at fault."""


def verdict_on(project: Project, attempt: Attempt, now: float) -> Verdict | None:
    """Classify by how it ended and what it said; None where it has not ended."""
    intent, step = attempt.intent, attempt.first(StepKind.AGENT)
    if step is None or not isinstance(step.phase, Exited | Lost):
        return None
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    output, size = read_tail(step_files(attempt_dir, step.name).log, project.masking)
    agent = project.policy.agents.get(intent.agent)
    return classify(
        phase=step.phase,
        kill=step.kill,
        output=output,
        output_bytes=size,
        rules=agent.rules if agent else (),
        now=now,
        tree_dir=intent.tree,
        reading=agent.reading if agent else (),
    )


def is_patient(error: Exception, attempt: Attempt, now: float) -> bool:
    """Whether this is a lock that may still be waited for: so long after the newest thing that the attempt did."""
    ended = [step.phase.at for step in attempt.steps if isinstance(step.phase, Exited)]
    newest = max(attempt.intent.started_at, attempt.end.at if attempt.end else 0.0, *ended)
    return isinstance(error, TreeBusy) and now < newest + PATIENCE_S
