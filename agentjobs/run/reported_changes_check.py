"""Compares what an agent reports to have changed, in its handoff or last message, with its commit."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.agents.classify import last_text
from agentjobs.disk.logs import read_tail
from agentjobs.disk.write import printable
from agentjobs.model.errors import UserError
from agentjobs.model.facts import FRESH
from agentjobs.model.outcomes import UNSPENT, Outcome
from agentjobs.model.steps import StepKind
from agentjobs.project.store import step_files
from agentjobs.prompts.handoffs import written
from agentjobs.run import reported_changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.model.facts import AgentEnd, Attempt, Result
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.run.reported_changes import Claims


def examined(project: Project, task: Task, attempt: Attempt, end: AgentEnd) -> AgentEnd:
    """Return the end of an agent that reported success, with the findings about its report; an event counts them."""
    intent = attempt.intent
    if not end.commit:
        return end
    claim = _claim(project, attempt)
    if claim is None:
        return end
    found: tuple[str, ...] = ()
    with contextlib.suppress(UserError, OSError):  # a report for people must not stop the work
        found = _findings(project, task, attempt, end, claim)
    if not found:
        return end
    project.store.event(end.at, intent.id, "findings", attempt=intent.number, count=len(found))
    return replace(end, findings=found)


def with_findings(result: Result, end: AgentEnd | None) -> Result:
    """Return a result whose errors include the findings; the result of a success is unchanged."""
    if end is None or not end.findings or result.outcome is Outcome.OK or result.outcome in UNSPENT:
        return result
    return replace(result, errors=reported_changes.errors_with(result.errors, end.findings))


def _claim(project: Project, attempt: Attempt) -> Claims | None:
    """Return the list in the handoff, or else in the last message of an agent that writes JSON lines."""
    intent, masking = attempt.intent, project.masking
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    text = masking.mask(written(attempt_dir)).decode("utf-8", "replace")
    found = reported_changes.claimed(text, intent.tree)
    step = attempt.first(StepKind.AGENT)
    if found is not None or step is None:
        return found
    agent = project.policy.agents.get(intent.agent)
    if agent is None or not any(rule.class_ is Outcome.OK and rule.event is not None for rule in agent.rules):
        return None  # in plain output the last message cannot be found
    last_message = last_text(read_tail(step_files(attempt_dir, step.name).log, masking)[0])
    return reported_changes.claimed(last_message, intent.tree)


def _findings(project: Project, task: Task, attempt: Attempt, end: AgentEnd, claim: Claims) -> tuple[str, ...]:
    from agentjobs.workspace.diffstat import counted

    git, intent = project.git, attempt.intent
    changes = counted(git, intent.base, end.commit)
    known = {path for change in changes for path in (change.was, change.path)}
    asked = [path.rstrip("/") for path in claim.paths if path.rstrip("/") not in known]
    there: set[str] = set()
    for commit in (intent.base, end.commit) if asked else ():
        listed = git.run("ls-tree", "-z", "--name-only", commit, "--", *asked).stdout.decode("utf-8", "surrogateescape")
        there.update(listed.split("\0"))
    there |= {f"{path}/" for path in there}
    found = reported_changes.findings(claim, changes, there=there, recent=_recent(project, task, attempt, end))
    return tuple(map(printable, found))


def _recent(project: Project, task: Task, attempt: Attempt, end: AgentEnd) -> Sequence[str] | None:
    """Return what this attempt changed in a tree with earlier work; None if the tree was moved to another base."""
    intent = attempt.intent
    if intent.mode in FRESH:
        return None
    before = [a for a in task.attempts if a.number < intent.number and a.end is not None and a.end.commit]
    if not before:
        return None
    last = before[-1]
    if last.intent.base != intent.base or last.end is None:
        return ()
    return project.git.changed(last.end.commit, end.commit)
