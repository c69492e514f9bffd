"""What an attempt used, and which conversation it was: from its output first, else from what it keeps on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs import briefing
from agentjobs.jsonlines import lookup, matches, read_events, scalar_text
from agentjobs.logfile import read_head, read_tail
from agentjobs.model import Spending, StepKind
from agentjobs.plainfile import is_plain, read_plain
from agentjobs.store import own_dir, step_files
from agentjobs.transcripts import find, lines_of
from agentjobs.usage import beside, measure, of_attempt, together

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.agents import Agent
    from agentjobs.evidence import Session
    from agentjobs.model import Attempt, Task
    from agentjobs.project import Project
    from agentjobs.transcripts import Found
    from agentjobs.usage import Measured


class Told(Struct, frozen=True):
    """What is known of an agent step that has ended."""

    session: str = ""
    """The conversation's id as the agent says it; empty where it says none."""
    spent: Spending = Spending()
    """What this attempt alone used."""


def told_by(project: Project, task: Task, attempt: Attempt) -> Told:
    """Read what an attempt's agent says of itself, in all its agent steps so far."""
    intent = attempt.intent
    agent = project.policy.agents.get(intent.agent)
    if agent is None:
        return Told(intent.session)
    names = [step.name for step in attempt.steps if step.kind is StepKind.AGENT] or ["agent"]
    logs = [step_files(project.store.attempt_dir(intent.id, intent.number), name).log for name in names]
    session = next((found for log in logs if (found := learnt(read_head(log), agent.session))), "") or intent.session
    said = together(_from_output(log, agent) for log in logs)
    kept = transcript_of(project, task, attempt, agent, session) if agent.transcript is not None else None
    whole = None
    if kept is not None:
        session = kept.session or session
        whole = kept.measured or _from_transcript(kept, agent)
    earlier = [a.end.spent for a in task.attempts if a.number < attempt.number and a.end and a.end.session == session]
    return Told(session, of_attempt(said, whole, earlier, intent.model, agent.prices))


def transcript_of(project: Project, task: Task, attempt: Attempt, agent: Agent, session: str) -> Found | None:
    """Return what the agent has on disk of the attempt's conversation."""
    if agent.transcript is None:
        return None
    intent = attempt.intent
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    return find(
        agent.transcript,
        env=briefing.environment(project, task.row, intent, attempt_dir, "agent"),
        session=session,
        tree=intent.tree or str(project.root),
        since=intent.started_at,
        own=str(own_dir(attempt_dir, attempt.steps[0].name if attempt.steps else "agent")),
    )


def learnt(output: bytes, where: Session | None) -> str:
    """Return the id of the conversation that the agent says in its output; empty where it does not."""
    if where is None:
        return ""
    found = [event for event in read_events(output) if matches(event.fields, where.event)]
    return next((text for event in reversed(found) if (text := scalar_text(lookup(event.fields, where.id)))), "")


def _from_output(log: Path, agent: Agent) -> Measured | None:
    """Return what one agent step said."""
    where = agent.usage
    if where is None:
        return None
    last = {where.scope, where.cost_scope or "run"} == {"run"}
    return measure(read_tail(log)[0] if last or not is_plain(log) else read_plain(log), where)


def _from_transcript(kept: Found, agent: Agent) -> Measured | None:
    """Return what the conversation has used so far, in all its files."""
    texts = (kept.lines, *map(lines_of, kept.also))
    return beside(measure(text, agent.transcript_usage, conversation=True) for text in texts)
