"""Observes running agents: reads what they wrote since the last look, and keeps what that shows.

How far it was read, and what is known, is in the state file ``<step>.watch.json`` of the attempt: the next poll
continues there. Without this state, the next look only takes longer.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.agents.observe import Seen, Sight, measured, observe, sights
from agentjobs.agents.stream import doing
from agentjobs.agents.transcripts import locate, more
from agentjobs.agents.usage import Meter, beside, measured_by, of_attempt, together
from agentjobs.disk.files import read_json, write_json
from agentjobs.disk.logs import Place, read_on, read_tail
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Made
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending  # noqa: TC001 - a field of a type that is decoded
from agentjobs.model.steps import AGENTS, Gauge, Running, StepKind
from agentjobs.policy.policy import finish_grace_s
from agentjobs.project.store import step_files
from agentjobs.run.steps.ended import has_finished
from agentjobs.run.steps.spending import whose

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.model.tasks import Task
    from agentjobs.policy.agents import Agent
    from agentjobs.project.project import Project


DOING_BYTES = 64 * 1024
"""Bytes at the end of an agent's output that are read to show what it is doing."""


class Beside(Struct, frozen=True, omit_defaults=True):
    """Another file of the same conversation, such as a sub-agent's."""

    place: Place = Place()
    meter: Meter = Meter()


class Watched(Struct, frozen=True, omit_defaults=True):
    """State ``<step>.watch.json``."""

    output: Place = Place()
    said: Seen = Seen()
    """What the output shows."""
    path: str = ""
    """Path of the transcript."""
    session: str = ""
    """The session id by which it was recognised; empty if that was not known yet."""
    transcript: Place = Place()
    kept: Seen = Seen()
    """What the transcript shows."""
    also: dict[str, Beside] = {}
    """What further files of the conversation show, by path."""
    tree: str = ""
    """The state of the tree at its last change."""


def finished_of(project: Project, task: Task, now: float) -> Task:
    """Return the task with those agents marked that have printed their final message and are silent, but still run."""
    last = task.open
    if last is None:
        return task
    policy = project.policy
    steps = list(last.steps)
    for at, step in enumerate(steps):
        running, name = step.state, last.agent_of(step)
        agent = policy.agents.get(name)
        if agent is None or step.kind not in AGENTS or not isinstance(running, Running):
            continue
        if now - running.output_at < min(finish_grace_s(policy, name), policy.limits.idle_s):
            continue
        if not any(rule.class_ is Outcome.OK for rule in agent.rules):
            continue
        log = step_files(project.store.attempt_dir(task.row.id, last.number), step.name).log
        if has_finished(project, agent, log):
            steps[at] = replace(step, state=replace(running, finished=True))
    return replace(task, attempts=(*task.attempts[:-1], replace(last, steps=tuple(steps))))


def gauged(project: Project, task: Task) -> Task:
    """Return the task with what is known of its running agent."""
    last = task.open
    if last is None or isinstance(last, Made):
        return task
    agent = project.policy.agents.get(last.intent.agent)
    if agent is None or not agent.observable:
        return task
    steps = [
        replace(step, state=replace(step.state, gauge=_gauge(project, task, last, step, agent)))
        if step.kind is StepKind.AGENT and isinstance(step.state, Running)
        else step
        for step in last.steps
    ]
    return replace(task, attempts=(*task.attempts[:-1], replace(last, steps=tuple(steps))))


def held_at_end(project: Project, attempt: Attempt) -> int:
    """Return the tokens in an agent's window when it was last observed; 0 if unknown."""
    step = attempt.last(StepKind.AGENT)
    return _filled(project, attempt, step.name)[0] if step is not None else 0


def filled_at_end(project: Project, attempt: Attempt) -> tuple[int, int]:
    """Return the tokens in the window of an attempt's first agent step at its end, and its size; 0 for unknown."""
    step = attempt.first(StepKind.AGENT)
    return _filled(project, attempt, step.name) if step is not None else (0, 0)


def _filled(project: Project, attempt: Attempt, step: str) -> tuple[int, int]:
    seen = read_json(_state(project.store.attempt_dir(attempt.intent.id, attempt.number), step), Watched)
    if seen is None:
        return 0, 0
    return max(seen.said.used, seen.kept.used), max(seen.said.window, seen.kept.window)


def session_at(project: Project, attempt: Attempt) -> str:
    """Return the session id that the agent's output has shown so far; empty if none."""
    step = attempt.first(StepKind.AGENT)
    if step is None:
        return ""
    seen = read_json(_state(project.store.attempt_dir(attempt.intent.id, attempt.number), step.name), Watched)
    return seen.said.session if seen is not None else ""


def doing_at(project: Project, attempt: Attempt, step: Step) -> str:
    """Return the last action of a running agent, in one line; empty if that is not known."""
    name = attempt.agent_of(step)
    agent = project.policy.agents.get(name) if step.kind in AGENTS and isinstance(step.state, Running) else None
    if agent is None:
        return ""
    log = step_files(project.store.attempt_dir(attempt.intent.id, attempt.number), step.name).log
    return doing(read_tail(log, project.masking, DOING_BYTES)[0], agent.reading)


def _gauge(project: Project, task: Task, attempt: Attempt, step: Step, agent: Agent) -> Gauge:
    attempt_dir = project.store.attempt_dir(task.row.id, attempt.number)
    state = _state(attempt_dir, step.name)
    before = read_json(state, Watched) or Watched()
    sight, inside = sights(agent)
    now, more = _read_output(before, project, attempt_dir, step, sight)
    if inside:
        now, behind = _read_transcript(now, project, task, attempt, agent, inside)
        more = more or behind
    now, idle = _look_at_tree(now, project, task, attempt, step)
    if now != before:
        with contextlib.suppress(UserError):  # full disk: the next look does it again
            write_json(state, now)
    spent = _spent(task, attempt, agent, _all_watched(attempt, step, attempt_dir, now))
    source = now.kept if inside.context is not None else now.said
    return Gauge(
        used=0 if more else source.used,  # without the newest line, the number may be out of date
        window=source.window,
        errors=0 if more else now.said.errors,
        error=now.said.error,
        idle=idle,
        tokens=spent.tokens,
        cost=spent.cost or 0.0,
        final=now.said.final,
        trouble=now.said.trouble,
        troubles=0 if more else now.said.troubles,
        told=now.said.told,
    )


def _state(attempt_dir: Path, step: str) -> Path:
    return attempt_dir / f"{step}.watch.json"


def _read_output(
    watched: Watched, project: Project, attempt_dir: Path, step: Step, sight: Sight
) -> tuple[Watched, bool]:
    running = step.state
    if isinstance(running, Running) and running.output_bytes == watched.output.offset:
        return watched, False
    news = read_on(step_files(attempt_dir, step.name).log_name, watched.output)
    lines = project.masking.mask(news.lines) if news.lines else b""
    said = observe(Seen() if news.anew else watched.said, lines, sight)
    return replace(watched, output=news.place, said=said), news.more


def _read_transcript(
    watched: Watched, project: Project, task: Task, attempt: Attempt, agent: Agent, sight: Sight
) -> tuple[Watched, bool]:
    where, session = agent.transcript, watched.said.session or attempt.intent.session
    if where is None:
        return watched, False
    located = bool(watched.path) and session == watched.session and Path(watched.path).exists()
    if located and not where.also:
        return _read_files(watched, [], sight)
    own = whose(project, task, attempt, session)
    if not located:
        path = locate(where, own)
        if path != watched.path:
            watched = replace(watched, path=path, transcript=Place(), kept=Seen(), also={})
        watched = replace(watched, session=session)
    return _read_files(watched, more(where, own, watched.path), sight) if watched.path else (watched, False)


def _read_files(watched: Watched, beside: list[str], sight: Sight) -> tuple[Watched, bool]:
    """Continue reading the transcript, and these further files of the conversation."""
    news = read_on(watched.path, watched.transcript)
    kept = observe(Seen() if news.anew else watched.kept, news.lines, sight)
    behind, also = news.more, {}
    for path in beside:
        before = watched.also.get(path, Beside())
        there = read_on(path, before.place)
        seen = observe(Seen() if there.anew else Seen(meter=before.meter), there.lines, Sight(usage=sight.usage))
        also[path], behind = Beside(there.place, seen.meter), behind or there.more
    return replace(watched, transcript=news.place, kept=kept, also=also), behind


def _look_at_tree(
    watched: Watched, project: Project, task: Task, attempt: Attempt, step: Step
) -> tuple[Watched, int]:
    """Return how many answers the model gave without an edit of the tree; the tree is read only past the limit.

    The first look has no earlier one to compare with: it counts changes since the start.
    """
    most, said = project.policy.limits.idle_requests, watched.said
    if not most or said.requests < most or said.final or not attempt.intent.base:
        return watched, 0
    from agentjobs.workspace.being_edited import edits_in  # rare

    found = edits_in(project.git, Path(attempt.intent.tree))
    if found is not None:
        began_at = math.floor(step.started_at)
        given = {attempt.intent.base, *(a.end.commit for a in task.attempts if a.end)}
        committed = found.head not in given and found.head_at >= began_at
        edited = found.digest != watched.tree if watched.tree else committed or found.newest_at >= began_at
        if not edited:
            return watched, said.requests
    tree = found.digest if found is not None else watched.tree
    return replace(watched, tree=tree, said=replace(said, requests=0)), 0


def _all_watched(attempt: Attempt, step: Step, attempt_dir: Path, now: Watched) -> list[Watched]:
    """Return the states of all agent steps of the attempt so far; ``step`` is the last one."""
    earlier = [other.name for other in attempt.steps if other.kind is StepKind.AGENT and other.name != step.name]
    return [*(read_json(_state(attempt_dir, name), Watched) or Watched() for name in earlier), now]


def _spent(task: Task, attempt: Attempt, agent: Agent, steps: list[Watched]) -> Spending:
    """Return what the attempt is known to have used, as ``spending.told_by`` will once it has ended."""
    where = agent.transcript_usage
    said = together(measured(one.said, agent.usage) for one in steps)
    last = steps[-1]
    kept = beside(
        measured_by(meter, where, conversation=True)
        for meter in (last.kept.meter, *(one.meter for one in last.also.values()))
    )
    session = next((one.said.session for one in steps if one.said.session), attempt.intent.session)
    earlier = [a.end.spent for a in task.attempts if a.number < attempt.number and a.end and a.end.session == session]
    return of_attempt(said, kept, earlier, attempt.intent.model, agent.prices)
