"""A conversation that was stopped because its context is full writes a handoff for the next attempt.

It does so in one short turn, a second agent step of the same attempt. Whatever that turn does, the attempt ends as
``context_full``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.agents.classify import last_text
from agentjobs.core.watchdog import FIRST
from agentjobs.disk.files import read_json, write_bytes
from agentjobs.disk.logs import read_head, read_tail
from agentjobs.model.errors import UserError
from agentjobs.model.steps import Exited, Handoff, KillReason, StepKind
from agentjobs.policy.agents import expand, flags_of
from agentjobs.policy.policy import window_of, wishes_of
from agentjobs.project.store import step_files
from agentjobs.prompts import briefing
from agentjobs.prompts.briefing import HANDOFF_PROMPT, PARTIAL
from agentjobs.prompts.briefing import HANDOFF_STEP as STEP
from agentjobs.prompts.derived_handoff import FILES_MAX
from agentjobs.prompts.handoff_text import HANDOFF_MAX
from agentjobs.prompts.template import handoff_prompt
from agentjobs.run.steps.gauges import filled_at_end
from agentjobs.run.steps.spending import told_by

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.policy.agents import Agent
    from agentjobs.policy.policy import Policy, Profile
    from agentjobs.project.project import Project

__all__ = ["STEP", "ask", "may_be_asked", "prepare", "told"]

TURNS = 5
"""Turns of the model that a handoff may take, if the agent has a flag for that."""

ROOM = 2_000
"""Tokens that the turn needs: its prompt and its answer. With less room it would fail, or be compacted away."""

LAST_WORDS = 2_000
"""Characters of an agent's last message that replace a handoff it did not write."""

_PLAN = f"{STEP}.plan.json"


def may_be_asked(attempt: Attempt, policy: Policy) -> bool:
    """Return whether the agent was stopped for its context, can be resumed, and has not been asked yet."""
    steps = [step for step in attempt.steps if step.kind is StepKind.AGENT]
    stopped = len(steps) == 1 and steps[0].kill is not None and steps[0].kill.why is KillReason.CONTEXT_FULL
    agent = policy.agents.get(attempt.intent.agent)
    return stopped and agent is not None and bool(agent.resume) and policy.limits.handoff_minutes > 0


def ask(project: Project, task: Task, attempt: Attempt, now: float) -> bool:
    """Write down that the conversation will be asked; False if its id is not known or its window has no room."""
    intent = attempt.intent
    agent = project.policy.agents.get(intent.agent)
    profile = project.profile(task.row, intent.profile)
    used, window = filled_at_end(project, attempt)
    if used + ROOM > (window or window_of(project.policy, profile)):
        return False
    session = told_by(project, task, attempt).session
    if agent is None or not agent.resume or not session:
        return False
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    values = {
        **briefing.values(project, intent, attempt_dir),
        "session": session,
        "prompt": str(attempt_dir / HANDOFF_PROMPT),
    }
    argv = expand(agent.resume, values, _flags(agent, profile))
    project.store.write_fact(intent.id, intent.number, _PLAN, Handoff(argv, session, now))
    project.store.event(now, intent.id, "handoff", attempt=intent.number)
    return True


def prepare(project: Project, attempt: Attempt) -> tuple[str | None, tuple[str, ...]]:
    """Write the prompt, and return the turn's stdin and its command. UserError if the turn was not planned."""
    intent = attempt.intent
    attempt_dir = project.store.attempt_dir(intent.id, intent.number)
    plan = read_json(attempt_dir / _PLAN, Handoff)
    if plan is None:
        raise UserError("cannot be read", file=str(attempt_dir / _PLAN))
    prompt = attempt_dir / HANDOFF_PROMPT
    (attempt_dir / PARTIAL).parent.mkdir(mode=0o700, exist_ok=True)
    write_bytes(prompt, handoff_prompt(str(attempt_dir / PARTIAL)).encode("utf-8", "surrogateescape"))
    return (str(prompt) if briefing.agent_settings(project, intent).prompt == "stdin" else None), plan.argv


def told(project: Project, attempt: Attempt, detail: str) -> str:
    """Return the errors that the attempt after one with a full context receives."""
    left = _left(project, attempt)
    begins = f"The previous attempt was stopped because its context was full ({detail})."
    if not left:
        return (
            f"{begins} It left no handoff. Its work so far is in the files: look at what is already done, and "
            f"continue from there. Do not start over.{_derived(project, attempt)}"
        )
    return f"{begins} Its work so far is in the files. It left this handoff:\n\n{left}"


def _left(project: Project, attempt: Attempt) -> str:
    """Return the handoff without secrets: the file, or what its turn printed last."""
    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    path = attempt_dir / PARTIAL
    # Never follow a link: we can read more than the agent.
    written = b"" if path.is_symlink() or not path.is_file() else read_head(path, 8 * HANDOFF_MAX)
    text = project.masking.mask(written).decode("utf-8", "replace").strip()
    if not text:
        step = attempt.step(STEP)
        if step is not None and step.kill is None and isinstance(step.state, Exited) and step.state.code == 0:
            text = last_text(read_tail(step_files(attempt_dir, STEP).log, project.masking)[0])
    return text if len(text) <= HANDOFF_MAX else f"{text[:HANDOFF_MAX]}\n[cut]"


def _derived(project: Project, attempt: Attempt) -> str:
    """Return a substitute for a handoff that was not written: the changed files and the last message."""
    intent, end = attempt.intent, attempt.end
    changed = list(end.changed) if end is not None else []
    told = f"\n\nFiles it changed: {', '.join(changed[:FILES_MAX])}" if changed else ""
    if len(changed) > FILES_MAX:
        told += f" and {len(changed) - FILES_MAX} more"
    agent = project.policy.agents.get(intent.agent)
    if agent is None or agent.context is None:
        return told  # in plain output the last message cannot be found
    log = step_files(project.store.attempt_dir(intent.id, intent.number), FIRST).log
    words = last_text(read_tail(log, project.masking)[0]).strip()
    if not words or (end is not None and words in end.detail):
        return told
    return f"{told}\n\nIts last message:\n\n{words[:LAST_WORDS]}{' [cut]' if len(words) > LAST_WORDS else ''}"


def _flags(agent: Agent, profile: Profile) -> tuple[str, ...]:
    """Return the flags of the profile, with few turns if the agent has a flag for that."""
    wishes = wishes_of(profile)
    try:
        return flags_of(agent, {**wishes, "turns": str(TURNS)})
    except KeyError:
        return flags_of(agent, wishes)
