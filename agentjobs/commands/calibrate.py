"""``tokens --calibrate``: learn from finished attempts how agents count; writes ``.agentjobs/tokens.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.agents.usage import amount, measure
from agentjobs.disk.files import read_json, read_raw, write_json
from agentjobs.disk.logs import read_head
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.project.store import step_files
from agentjobs.run.steps.spending import transcript_of
from agentjobs.text.json_lines import every, matches, read_events
from agentjobs.tokens.count_files import count_contents
from agentjobs.tokens.fit import Sample, fit
from agentjobs.tokens.scale import STATE, Learnt, State, scale_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.model.facts import Attempt
    from agentjobs.policy.agents import Agent
    from agentjobs.project.project import Project
    from agentjobs.text.json_lines import Event
    from agentjobs.tokens.fit import Fitted, Scale

NEWEST: Final = 500
"""Read at most this many of an agent's newest conversations, because models and system prompts change."""

HEAD_BYTES: Final = 16 * 1024 * 1024
"""The first request is at the beginning of the output."""


class Calibrated(Struct, frozen=True):
    """The result for one agent."""

    agent: str
    samples: tuple[Sample, ...]
    was: Scale
    fitted: Fitted | None
    resumed: int
    """Attempts left out because they continued a conversation, so the request held more than the prompt."""
    silent: int
    """Attempts left out because the size of their first request is not known."""


def calibrate(project: Project, *, now: float, lock_timeout_s: float, only: str | None = None) -> list[Calibrated]:
    """Learn about each agent that finished attempts used, or about ``only`` one, and save it.

    LockBusy if another process holds the lock.
    """
    store = project.store
    found = [_calibrated(project, name, attempts) for name, attempts in sorted(_attempts(project, only).items())]
    learnt = {
        one.agent: Learnt(one.fitted.scale.factor, one.fitted.scale.overhead, len(one.samples), now)
        for one in found
        if one.fitted is not None
    }
    if learnt:
        with store.lock(lock_timeout_s):
            state = read_json(store.dir / STATE, State) or State()
            write_json(store.dir / STATE, State({**state.agents, **learnt}), durable=True)
    return found


def _attempts(project: Project, only: str | None) -> dict[str, list[Attempt]]:
    """Return the finished attempts by agent, newest first."""
    store = project.store
    found: dict[str, list[Attempt]] = {}
    for task_id in sorted(store.started_ids()):
        for attempt in store.attempts(task_id):
            name = attempt.intent.agent
            if attempt.end is not None and name in project.policy.agents and only in (None, name):
                found.setdefault(name, []).append(attempt)
    for attempts in found.values():
        attempts.sort(key=lambda one: (-one.intent.started_at, one.intent.id, one.number))
    return found


def _calibrated(project: Project, name: str, attempts: list[Attempt]) -> Calibrated:
    agent = project.policy.agents[name]
    fresh = [attempt for attempt in attempts if attempt.intent.fresh]
    prompts: list[bytes] = []
    windows: list[int] = []
    for attempt in fresh[:NEWEST]:
        intent = attempt.intent
        prompt = read_raw(project.store.attempt_dir(intent.id, intent.number) / "prompt.md")
        window = first_request(project, agent, attempt)
        if prompt and window:
            prompts.append(prompt)
            windows.append(window)
    counts = count_contents(prompts, memory=project.store.memory())
    samples = tuple(Sample(prompt, window) for prompt, window in zip(counts, windows, strict=True))
    was = scale_of(project, name)
    silent = min(len(fresh), NEWEST) - len(samples)
    return Calibrated(name, samples, was, fit(samples, was), len(attempts) - len(fresh), silent)


def first_request(project: Project, agent: Agent, attempt: Attempt) -> int:
    """Return the tokens of an attempt's first request as the agent reported them; 0 if it did not.

    The sources, in this order: the first line about the context window (which may include the first answer); the first
    usage line, if the agent reports usage for each request; the usage of the whole attempt, if that was one request.
    The total of several requests is no use, because each of them sends the prompt again.
    """
    intent = attempt.intent
    log = read_head(step_files(project.store.attempt_dir(intent.id, intent.number), "agent").log, HEAD_BYTES)
    where = agent.context
    if where is not None:
        lines = log if where.source == "output" else _transcript(project, agent, attempt)
        used = (
            int(sum(amount(value) for path in where.used for value in every(event.fields, path)))
            for event in _oldest_first(lines)
            if matches(event.fields, where.event)
        )
        return next((tokens for tokens in used if tokens), 0)
    usage = agent.usage
    if usage is None or usage.tokens or not (usage.input or usage.cache_read):
        return 0
    if usage.scope == "event":
        steps = (measure(event.line.encode(), usage) for event in _oldest_first(log))
        read = (one.spending.tokens - one.spending.output for one in steps if one is not None)
        return next((tokens for tokens in read if tokens), 0)
    request = agent.watch.request if agent.watch is not None else None
    if request is None or attempt.end is None:
        return 0
    requests = sum(matches(event.fields, request) for event in _oldest_first(log))
    spent = attempt.end.spent
    return spent.tokens - spent.output if requests == 1 else 0


def _transcript(project: Project, agent: Agent, attempt: Attempt) -> bytes:
    """Return the transcript that the agent keeps of the conversation, if it is still there."""
    intent = attempt.intent
    row = Row(intent.id, 0, Status.DONE)  # the cells do not matter here
    session = attempt.end.session if attempt.end else ""
    found = transcript_of(project, Task(row), attempt, agent, session or intent.session)
    return found.lines if found is not None else b""


def _oldest_first(lines: bytes) -> Iterator[Event]:
    for line in lines.split(b"\n"):
        yield from reversed(list(read_events(line)))
