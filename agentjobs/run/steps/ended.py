"""The result of the agent step that did the work of an attempt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.agents.classify import classify, finished
from agentjobs.agents.output import Knowledge
from agentjobs.core.pauses import MIXED_SEVERAL, SEVERAL, Unanswered
from agentjobs.core.repetition import likeness
from agentjobs.disk.logs import TAIL_BYTES, lines_before, read_tail
from agentjobs.model.errors import TreeBusy
from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Lost, StepKind
from agentjobs.project.store import step_files
from agentjobs.run.steps.spending import exact_reset

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.agents.classify import Ending
    from agentjobs.core.pauses import Pause
    from agentjobs.model.facts import Attempt, Result
    from agentjobs.model.tasks import Task
    from agentjobs.policy.agents import Agent
    from agentjobs.policy.policy import Policy
    from agentjobs.project.project import Project

PATIENCE_S = 120.0
"""Seconds to wait for the lock of a tree that another process holds; after that the machine is at fault."""


def verdict_on(project: Project, task: Task, attempt: Attempt, now: float) -> Ending | None:
    """Classify an agent by its exit and its output; None if it has not ended."""
    intent, step = attempt.intent, attempt.first(StepKind.AGENT)
    if step is None or not isinstance(step.state, Exited | Lost):
        return None
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    log = step_files(attempt_dir, step.name).log
    output, size = read_tail(log, project.masking)
    agent = project.policy.agents.get(intent.agent)
    verdict = classify(
        state=step.state,
        kill=step.kill,
        output=output,
        output_bytes=size if size > TAIL_BYTES else len(output),  # masked output may be shorter although it is not cut
        rules=agent.rules if agent else (),
        now=now,
        tree_dir=intent.tree,
        knowledge=knowledge_of(project, agent, log),
    )
    if agent is None or verdict.outcome is not Outcome.LIMIT:
        return verdict
    said_at = min(step.state.at, now) if step.state.at > 0 else now
    at = exact_reset(project, task, attempt, agent, said_at)
    return replace(verdict, reset_at=max(at, now + 1.0)) if at else verdict


AT_ONCE_S = 60.0
"""Seconds: an agent that ends faster has not worked, if it does not report what it used."""


def unanswered(
    policy: Policy, task: Task, attempt: Attempt, result: Result, pause: Pause | None, spoke_at: float
) -> Unanswered | None:
    """Return how an attempt crashed without an answer of its model; None if it had an answer, or may have had one.

    An agent that reports tokens has reported none. For any other agent (a script has no model) only the first attempt
    of a task counts, with the same error: a person is asked then, as by the breaker at the start of a run. A task
    that was excused before a person last continued the run, at ``spoke_at``, now fails by itself; so does one that
    failed this way while other tasks of its account got answers (``pause``: the evidence against it).
    """
    step, agent = attempt.first(StepKind.AGENT), policy.agents.get(attempt.intent.agent)
    if attempt.end is None or step is None or agent is None or not isinstance(step.state, Exited | Lost):
        return None
    if attempt.end.outcome is not Outcome.CRASHED or result.outcome is not Outcome.CRASHED or attempt.end.tokens:
        return None
    excused = (a for a in task.over if a.outcome is Outcome.UNREACHABLE)
    if any(a.end is not None and a.end.outcome is Outcome.CRASHED and a.intent.started_at < spoke_at for a in excused):
        return None
    if pause is None or pause.outcome is Outcome.CRASHED:
        known = pause.alike if pause is not None else ()
        before = (a for a in task.over if a.number != attempt.number and a.end is not None and not a.end.tokens)
        crashed = (a for a in before if a.outcome is Outcome.CRASHED)
        if any(f"{a.intent.id}/{a.number}" not in known for a in crashed):
            return None
    at_once, mark = step.state.at - step.started_at <= AT_ONCE_S, likeness(task.row, attempt.intent.tree, result)
    if agent.reports_tokens:
        return Unanswered(SEVERAL, mark, mixed=MIXED_SEVERAL) if at_once or agent.reports_tokens_at_once else None
    several, first = policy.limits.breaker, attempt.intent.mode is Mode.FIRST
    if not several or not first or not at_once or attempt.end.changed:
        return None
    return Unanswered(several, mark, final=True)


def has_finished(project: Project, agent: Agent, log: Path) -> bool:
    """Return whether a running agent has printed its final message."""
    output, size = read_tail(log)
    return finished(output, agent.rules, knowledge_of(project, agent, log, mask=False), cut=size > TAIL_BYTES)


def knowledge_of(project: Project, agent: Agent | None, log: Path, *, mask: bool = True) -> Knowledge:
    """Return how an agent's log is read beyond its tail."""
    if agent is None:
        return Knowledge()
    masking = project.masking if mask else None
    earlier = partial(lines_before, log, project.policy.limits.output_bytes, masking)
    return Knowledge(agent.watch, agent.text_after, earlier, agent.reading)


def is_patient(error: Exception, attempt: Attempt, now: float) -> bool:
    """Return whether this is a lock that may still be waited for, counted from the attempt's newest event."""
    ended = [step.state.at for step in attempt.steps if isinstance(step.state, Exited)]
    newest = max(attempt.intent.started_at, attempt.end.at if attempt.end else 0.0, *ended)
    return isinstance(error, TreeBusy) and now < newest + PATIENCE_S
