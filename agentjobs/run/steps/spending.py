"""What an attempt used, and its session: from its output first, else from its transcript on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.agents.last_events import filter_for
from agentjobs.agents.reset_time import parse_reset
from agentjobs.agents.transcripts import Standing, Whose, find, lines_of, unwritten
from agentjobs.agents.usage import beside, measure, of_attempt, together
from agentjobs.core.watchdog import FIRST
from agentjobs.disk.files import read_json
from agentjobs.disk.logs import lines_before, read_head, read_tail
from agentjobs.disk.plain_files import is_plain, read_plain
from agentjobs.model.spending import Spending
from agentjobs.model.steps import StepKind
from agentjobs.project.store import own_dir, step_files
from agentjobs.prompts import briefing
from agentjobs.text.json_lines import lookup, matches, read_events, scalar_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentjobs.agents.transcripts import Found
    from agentjobs.agents.usage import Measured
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.policy.agent_output import Reset, Session
    from agentjobs.policy.agents import Agent
    from agentjobs.project.project import Project


class Told(Struct, frozen=True):
    """What is known of an agent step that has ended."""

    session: str = ""
    """The session id that the agent reports; empty if none."""
    spent: Spending = Spending()
    """What this attempt alone used."""


def told_by(project: Project, task: Task, attempt: Attempt) -> Told:
    """Read what an attempt's agent reports about itself, in all its agent steps so far."""
    intent = attempt.intent
    agent = project.policy.agents.get(intent.agent)
    if agent is None:
        return Told(intent.session)
    names = [step.name for step in attempt.steps if step.kind is StepKind.AGENT] or ["agent"]
    logs = [step_files(project.store.attempt_dir(intent.id, intent.number), name).log for name in names]
    session = next((found for log in logs if (found := learnt(read_head(log), agent.session))), "") or intent.session
    limit = project.policy.limits.output_bytes
    said = together(from_output(log, agent, limit) for log in logs)
    kept = transcript_of(project, task, attempt, agent, session) if agent.transcript is not None else None
    whole = None
    if kept is not None:
        session = kept.session or session
        whole = kept.measured or _from_transcript(kept, agent)
    earlier = [a.end.spent for a in task.attempts if a.number < attempt.number and a.end and a.end.session == session]
    return Told(session, of_attempt(said, whole, earlier, intent.model, agent.prices))


def transcript_of(project: Project, task: Task, attempt: Attempt, agent: Agent, session: str) -> Found | None:
    """Return the transcript of the attempt's conversation on disk."""
    if agent.transcript is None:
        return None
    return find(agent.transcript, whose(project, task, attempt, session))


def whose(project: Project, task: Task, attempt: Attempt, session: str) -> Whose:
    """Return what is known of an attempt, or of one of its reviews, to recognise its transcript."""
    intent = attempt.intent
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    review = attempt.steps[0].name if attempt.steps and attempt.steps[0].name.startswith(StepKind.REVIEW.value) else ""
    step = review or FIRST
    others = {id_of(other) for other in task.attempts if review or other.number != intent.number}
    return Whose(
        env=briefing.environment(project, task.row, intent, attempt_dir, "agent"),
        tree=intent.tree or str(project.root),
        since=intent.started_at,
        own=str(own_dir(attempt_dir, step)),
        session=session,
        before=read_json(attempt_dir / f"{step}.before.json", Standing),
        others=frozenset(others - {""}),
        alone=bool(intent.tree) or project.slots == 1,
    )


def exact_reset(project: Project, task: Task, attempt: Attempt, agent: Agent, said_at: float) -> float:
    """Return when the limit that an attempt hit ends, according to the agent's files; 0 if they do not contain it."""
    if not agent.transcript_resets:
        return 0.0
    log = step_files(project.store.attempt_dir(attempt.intent.id, attempt.number), "agent").log
    session = learnt(read_head(log), agent.session) or attempt.intent.session
    kept = transcript_of(project, task, attempt, agent, session)
    return reset_in(kept.lines, agent.transcript_resets, said_at) if kept is not None else 0.0


def reset_in(lines: bytes, resets: Sequence[Reset], said_at: float) -> float:
    """Return the last reset time in the newest line that contains one; 0 if none is in the future."""
    for event in read_events(lines):
        told = [scalar_text(lookup(event.fields, one.at)) for one in resets if matches(event.fields, one.event)]
        if told:
            return max((at for text in told if text and (at := parse_reset(text, said_at))), default=0.0)
    return 0.0


def id_of(attempt: Attempt) -> str:
    """Return the session id of an attempt, as far as it is known."""
    told = (attempt.result.session if attempt.result else "") or (attempt.end.session if attempt.end else "")
    return told or attempt.intent.session


def was_written(project: Project, task: Task, attempt: Attempt, told: Told) -> bool:
    """Return False if the attempt's conversation cannot be resumed, because its agent has saved nothing of it.

    Some agents save nothing if the first request fails. If the output shows an answer of the model, the conversation
    counts as saved: a newer version may save it elsewhere.
    """
    agent = project.policy.agents.get(attempt.intent.agent)
    if agent is None or agent.transcript is None or told.spent.tokens or not told.session:
        return True
    if not unwritten(agent.transcript, whose(project, task, attempt, told.session)):
        return True
    request = agent.watch.request if agent.watch is not None else None
    log = step_files(project.store.attempt_dir(attempt.intent.id, attempt.number), FIRST).log
    events = read_events(read_tail(log)[0]) if request is not None else ()
    return any(matches(event.fields, request) for event in events if request is not None)


def learnt(output: bytes, where: Session | None) -> str:
    """Return the session id in the agent's output; empty if none."""
    if where is None:
        return ""
    found = [event for event in read_events(output) if matches(event.fields, where.event)]
    return next((text for event in reversed(found) if (text := scalar_text(lookup(event.fields, where.id)))), "")


def from_output(log: Path, agent: Agent, limit: int) -> Measured | None:
    """Return what one agent step reported; a total for the whole run is read from its newest line, however far back."""
    where = agent.usage
    if where is None:
        return None
    if {where.scope, where.cost_scope or "run"} != {"run"} and is_plain(log):
        return measure(read_plain(log), where)
    found = measure(read_tail(log)[0], where)
    if found is not None:
        return found
    older = (measure(line, where) for line in lines_before(log, limit, None, filter_for([where.event])))
    return next((one for one in older if one is not None), None)


def _from_transcript(kept: Found, agent: Agent) -> Measured | None:
    """Return what the conversation has used so far, in all its files."""
    texts = (kept.lines, *map(lines_of, kept.also))
    return beside(measure(text, agent.transcript_usage, conversation=True) for text in texts)
