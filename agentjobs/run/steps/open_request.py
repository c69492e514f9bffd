"""The request that was open when an agent was killed: its use is not reported, so an upper bound counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.agents.observe import Seen, observe, sights
from agentjobs.agents.output import SIGNAL_BASE
from agentjobs.agents.usage import add, priced
from agentjobs.disk.logs import TAIL_BYTES, read_tail
from agentjobs.disk.plain_files import is_plain
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Lost, StepKind
from agentjobs.policy.agent_output import tariff_of
from agentjobs.project.store import step_files
from agentjobs.run.steps.gauges import filled_at_end
from agentjobs.run.steps.spending import id_of, transcript_of
from agentjobs.text.json_lines import matches, read_events

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.model.tasks import Task
    from agentjobs.policy.agents import Agent
    from agentjobs.project.project import Project

BYTES_A_TOKEN = 3
"""Bytes of a prompt for each token; real prompts have more, so this counts too many tokens rather than too few."""


def in_flight(project: Project, task: Task, attempt: Attempt) -> Spending:
    """Return the most that requests may have used which were open when agents of the attempt were killed.

    For each, the input of one more request: the tokens that the context held when last observed, or those of the
    prompt before the first answer. All are priced as cache writes, which cost most.
    """
    agent = project.policy.agents.get(attempt.intent.agent)
    if agent is None:
        return Spending()
    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    killed = [step for step in attempt.steps if step.kind is StepKind.AGENT and _killed(step)]
    outputs = [read_tail(step_files(attempt_dir, step.name).log)[0] for step in killed]
    return add(_one(project, task, attempt, agent, output) for output in outputs if asks(agent, output))


def _killed(step: Step) -> bool:
    state = step.state
    if isinstance(state, Exited):
        return step.kill is not None or state.code > SIGNAL_BASE
    return isinstance(state, Lost)


def asks(agent: Agent, output: bytes) -> bool:
    """Return whether a request to the model was open when the output ended, as far as the agent's lines show that."""
    watch = agent.watch
    if watch is None or watch.request is None:
        return False
    events = read_events(output)
    newest = next(iter(events), None)
    if newest is None:
        return True  # no answer yet
    over = [rule.event for rule in agent.rules if rule.event is not None]
    if any(matches(newest.fields, closed) for closed in (watch.calls or watch.request, *over)):
        return False
    done = [rule.event for rule in agent.rules if rule.event is not None and rule.class_ is Outcome.OK]
    for event in events:  # lines after the final event that are not final themselves
        if any(matches(event.fields, wanted) for wanted in done):
            return False
        if matches(event.fields, watch.request):
            break
    return True


def _one(project: Project, task: Task, attempt: Attempt, agent: Agent, output: bytes) -> Spending:
    outside, inside = sights(agent)
    seen = observe(Seen(), output, replace(outside, watch=None, session=None, final=(), known=()))
    kept = transcript_of(project, task, attempt, agent, id_of(attempt))
    lines = kept.lines[-TAIL_BYTES:] if kept is not None else b""
    behind = observe(Seen(), lines, inside) if lines and inside else Seen()
    parts = kept.measured.parts if kept is not None and kept.measured is not None else {}
    held = seen.used or behind.used or _held(project, task, attempt) or _prompt_tokens(project, attempt)
    model = behind.meter.model or seen.meter.model or next(iter(parts), "") or attempt.intent.model
    names = [model, *seen.meter.parts]
    named = next((name for name in names if name and tariff_of(name, agent.prices) is not None), model)
    return priced(Spending(cache_write=held), named, agent.prices)


def _prompt_tokens(project: Project, attempt: Attempt) -> int:
    prompt = project.store.attempt_dir(attempt.intent.id, attempt.number) / "prompt.md"
    return prompt.stat().st_size // BYTES_A_TOKEN if is_plain(prompt) else 0


def _held(project: Project, task: Task, attempt: Attempt) -> int:
    """Return the tokens of the conversation when it was last observed, in this attempt or an earlier one."""
    session = id_of(attempt)
    same = [one for one in task.attempts if one.number < attempt.number and session and id_of(one) == session]
    return next((held for one in (attempt, *reversed(same)) if (held := filled_at_end(project, one)[0])), 0)
