"""What an attempt used, and which conversation it was: from its output first, else from what it keeps on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs import briefing
from agentjobs.jsonlines import lookup, matches, read_events, scalar_text
from agentjobs.logfile import read_head, read_tail
from agentjobs.model import Spending, StepKind
from agentjobs.plainfile import is_plain, read_plain
from agentjobs.resets import parse_reset
from agentjobs.store import own_dir, step_files
from agentjobs.transcripts import find
from agentjobs.usage import measure, priced, since, together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentjobs.agents import Agent
    from agentjobs.evidence import Reset, Session
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
    measured, complete = _from_output(logs, agent)
    kept: Found | None = None
    if agent.transcript is not None and (not session or not complete):
        kept = transcript_of(project, task, attempt, agent, session)
        if kept is not None:
            session = kept.session or session
            if not complete:
                whole = kept.measured or measure(kept.lines, agent.transcript_usage, conversation=True)
                measured = whole or measured
    if measured is None:
        return Told(session)
    earlier = [a.end.spent for a in task.attempts if a.number < attempt.number and a.end and a.end.session == session]
    return Told(session, priced(since(measured, earlier), measured.model or intent.model, agent.prices))


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


def exact_reset(project: Project, task: Task, attempt: Attempt, agent: Agent, said_at: float) -> float:
    """Return when the limit that an attempt met ends, as the agent keeps it on disk; 0 where it does not say it."""
    if not agent.transcript_resets:
        return 0.0
    log = step_files(project.store.attempt_dir(attempt.intent.id, attempt.number), "agent").log
    session = learnt(read_head(log), agent.session) or attempt.intent.session
    kept = transcript_of(project, task, attempt, agent, session)
    return reset_in(kept.lines, agent.transcript_resets, said_at) if kept is not None else 0.0


def reset_in(lines: bytes, resets: Sequence[Reset], said_at: float) -> float:
    """Return the last of the moments that the newest line which tells any of them tells; 0 for none to come."""
    for event in read_events(lines):
        told = [scalar_text(lookup(event.fields, one.at)) for one in resets if matches(event.fields, one.event)]
        if told:
            return max((at for text in told if text and (at := parse_reset(text, said_at))), default=0.0)
    return 0.0


def learnt(output: bytes, where: Session | None) -> str:
    """Return the id of the conversation that the agent says in its output; empty where it does not."""
    if where is None:
        return ""
    found = [event for event in read_events(output) if matches(event.fields, where.event)]
    return next((text for event in reversed(found) if (text := scalar_text(lookup(event.fields, where.id)))), "")


def _from_output(logs: list[Path], agent: Agent) -> tuple[Measured | None, bool]:
    """Return what all agent steps of an attempt said together, and whether that is all."""
    where = agent.usage
    if where is None:
        return None, False
    sums = "event" in (where.scope, where.cost_scope)
    return together([measure(read_plain(log) if sums and is_plain(log) else read_tail(log)[0], where) for log in logs])
