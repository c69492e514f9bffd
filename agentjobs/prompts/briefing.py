"""What an agent receives: its prompt, its environment, its command line."""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from agentjobs.core.decide import told
from agentjobs.disk.processes import MARK
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Mode, Over
from agentjobs.model.outcomes import LAYER_2, UNSPENT, Outcome
from agentjobs.model.steps import AGENTS
from agentjobs.policy.agents import PLACEHOLDERS, expand, flags_of
from agentjobs.policy.phases import phase_before
from agentjobs.policy.policy import checks_of, wishes_of
from agentjobs.project.project import POLICY
from agentjobs.project.store import HANDOFF, own_dir
from agentjobs.prompts.context import compose
from agentjobs.prompts.handoff_budget import HANDOFFS_TOKENS
from agentjobs.prompts.handoffs import FILE, dependents, handoffs
from agentjobs.prompts.template import begun_section, names_in, printed_in, resume_prompt
from agentjobs.text.variables import passed
from agentjobs.tokens.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentjobs.core.gate import Batch
    from agentjobs.model.facts import Intent, Result
    from agentjobs.model.tasks import Row, Task
    from agentjobs.policy.agents import Agent
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.prompts.context import Composed

HANDOFF_STEP = "agent-2"
"""Name of the extra step in which a stopped conversation writes its handoff."""

HANDOFF_PROMPT = "handoff-prompt.md"
"""File with the prompt of that step."""

PARTIAL = f"{HANDOFF}/partial.md"
"""Where that step writes its handoff for the next attempt of the same task; writable in a sandbox."""

VARIABLE_MAX = 128 * 1024 - 256
"""Most bytes of one environment variable. Linux refuses longer ones, so a longer cell is only in the prompt."""

VARIABLES_MAX = 1024 * 1024
"""Most bytes of all variables made of a row."""


def first_prompt(project: Project, row: Row, profile: Profile, base: str = "") -> str:
    """Return the prompt of a first attempt. UserError if the template is missing or wrong."""
    return composed(project, row, profile, base).text


def composed(project: Project, row: Row, profile: Profile, base: str = "", *, least: bool = False) -> Composed:
    """Return the prompt of a first attempt and its context sections (``least``: with these cut back to nothing)."""
    text = template(project, profile)
    given = {
        **_surroundings(project, row, profile, 1),
        "verify": checks_of(profile),
        "mode": Mode.FIRST,
        "base": base,
        "missing": missing(project, row.profile, known=True),
    }
    if "dependents" in names_in(text, profile.prompt):
        given["dependents"] = dependents(project.file.table).get(row.id, ())  # callers ask for many rows
    return compose(project, row, profile, text, given, least=least)


def _surroundings(project: Project, row: Row, profile: Profile, number: int) -> dict[str, Any]:
    """Return the template variables about the tasks around this one; they do not depend on the attempt."""
    return {
        "attempt": number,
        "handoffs": handoffs(project, row, _handoffs_budget(project, profile)),
        "phase": row.profile if row.profile in project.policy.phases else "",
        "handoff": handoff_path(project, project.store.attempt_dir(row.id, number)),
    }


def _handoffs_budget(project: Project, profile: Profile) -> int:
    """Return how many tokens (as tiktoken counts) handoffs may have; room for the headings is kept."""
    asked = profile.context.handoffs_tokens if profile.context is not None else 0
    return scale_of(project, profile.agent).budget(asked) * 9 // 10 if asked else HANDOFFS_TOKENS


def printed(project: Project, profile: Profile) -> frozenset[str]:
    """Return the columns that a profile's template prints for every row. UserError if it is missing or wrong."""
    return printed_in(template(project, profile), profile.prompt)


def names(project: Project, profile: Profile) -> frozenset[str]:
    """Return the variables that a profile's template uses. UserError if it is missing or not a template."""
    return names_in(template(project, profile), profile.prompt)


def attempt_prompt(project: Project, task: Task, intent: Intent) -> str:
    """Return the exact prompt of this attempt."""
    profile = project.profile(task.row, intent.profile)
    before = [attempt for attempt in task.over if attempt.number < intent.number]
    if not intent.fresh:
        return resume_prompt(before[-1].outcome, before[-1].result.detail, verify=intent.checks)
    failed = [attempt for attempt in before if attempt.outcome not in UNSPENT]
    if intent.mode is Mode.RESTART:
        failed = []  # a new tree; the agent need not know of the errors
    # ``tried`` says why an interrupted repair ended; the errors it had to fix are still there.
    wrong = [attempt for attempt in failed if attempt.outcome in LAYER_2] or failed
    errors = _errors([attempt.result for attempt in wrong])
    text = template(project, profile)
    given = {
        **_surroundings(project, task.row, profile, intent.number),
        "verify": intent.checks,
        "mode": intent.mode,
        "base": intent.base,
        "errors": errors,
        "tried": [_line(attempt) for attempt in failed],
        "missing": missing(project, task.row.profile),
    }
    if "dependents" in names_in(text, profile.prompt):
        given["dependents"] = project.file.table.waiting_for(intent.id)
    prompt = compose(project, task.row, profile, text, given).text
    if intent.mode is not Mode.RESUME or (errors and not intent.edited):
        return prompt
    return prompt + begun_section(before[-1].result if before else None, intent.edited)


def missing(project: Project, profile: str, *, known: bool = False) -> tuple[str, ...]:
    """Return the ids of the previous phase that failed; ``known``: only FAILED ones, because others may still succeed.

    None if the phase starts only when all of them are DONE.
    """
    before = phase_before(project.policy, profile)
    if not before or project.policy.profiles[profile].min_done >= 1:
        return ()
    from agentjobs.project.phase_state import undone

    found = undone(project, before)
    return tuple(i for i in found if project.file.cell(i, "status") == "FAILED") if known else found


def _errors(wrong: Sequence[Result]) -> str:
    """Return the errors to fix; after a full context also those that that attempt had to fix."""
    if not wrong:
        return ""
    last = wrong[-1].errors
    if wrong[-1].outcome is not Outcome.CONTEXT_FULL:
        return last
    before = next((r.errors for r in reversed(wrong) if r.outcome is not Outcome.CONTEXT_FULL), "")
    return f"{last}\n\nIts own task was to fix this:\n\n{before}" if before else last


def _line(attempt: Over) -> str:
    return f"attempt {attempt.number} ({attempt.intent.mode.value}): {told(attempt.result)}"


def template(project: Project, profile: Profile) -> str:
    """Return a profile's prompt template. UserError if it is missing or not text."""
    path = project.root / profile.prompt
    if not path.is_file():
        raise UserError("no such prompt template (key `prompt` of the profile)", file=profile.prompt)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError("the prompt template is not UTF-8", file=profile.prompt) from None


def handoff_path(project: Project, attempt_dir: Path) -> str:
    """Return the path where an attempt has to write its handoff: ``AGENTJOBS_HANDOFF``."""
    confined = project.policy.workspace.sandbox != "none"
    return str(attempt_dir / HANDOFF / FILE if confined else attempt_dir / FILE)


@cache
def _inherited(wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the part of our own environment that steps inherit: the usual variables and those in ``wanted``."""
    return passed(os.environ, wanted)


def environment(project: Project, row: Row, intent: Intent, attempt_dir: Path, step: str) -> dict[str, str]:
    """Return the whole environment of an agent or a check (names: docs/configuration.md)."""
    wanted = project.policy.inherit
    if step.partition("-")[0] in AGENTS:
        agent = agent_settings(project, intent)
        env = _inherited(wanted + agent.inherit) | agent.env
    else:
        env = dict(_inherited(wanted))
    room = VARIABLES_MAX
    for column, value in sorted(row.cells.items(), key=lambda cell: len(cell[1])):
        name = re.sub(r"[^A-Z0-9]", "_", column.upper())
        size = len(name) + len(value.encode())
        if size <= min(room, VARIABLE_MAX):
            env[f"AGENTJOBS_ROW_{name}"] = value.replace("\0", "")
            room -= size
    env.update(
        {
            "AGENTJOBS_TASK": intent.id,
            "AGENTJOBS_ATTEMPT": str(intent.number),
            "AGENTJOBS_MODE": intent.mode.value,
            "AGENTJOBS_PROMPT": str(attempt_dir / "prompt.md"),
            "AGENTJOBS_SESSION": intent.session,
            "AGENTJOBS_HANDOFF": str(attempt_dir / FILE),
            "AGENTJOBS_PORT": str(intent.port),
            "AGENTJOBS_BASE_COMMIT": intent.base,
            "AGENTJOBS_ROOT": str(project.root),
            "AGENTJOBS_PYTHON": sys.executable,
            MARK: intent.marker,
        }
    )
    if step == HANDOFF_STEP:
        env["AGENTJOBS_MODE"] = "handoff"
        env["AGENTJOBS_PROMPT"] = str(attempt_dir / HANDOFF_PROMPT)
        env["AGENTJOBS_PARTIAL"] = str(attempt_dir / PARTIAL)
    files = "\n".join(row.files)
    if len(files.encode()) <= VARIABLE_MAX:
        env["AGENTJOBS_FILES"] = files
    return env


def gate_environment(project: Project, intent: Intent, batch: Batch) -> dict[str, str]:
    """Return the whole environment of a gate run for a batch (names: docs/configuration.md)."""
    table = project.file.table
    files = [path for member in batch.members if member.id in table for path in table.row(member.id).files]
    env = {
        **_inherited(project.policy.inherit),
        "AGENTJOBS_TASKS": "\n".join(member.id for member in batch.members),
        "AGENTJOBS_FILES": "\n".join(dict.fromkeys(files)),
        "AGENTJOBS_BASE_COMMIT": batch.tip,
        "AGENTJOBS_ROOT": str(project.root),
        "AGENTJOBS_PYTHON": sys.executable,
        MARK: intent.marker,
    }
    return {name: value for name, value in env.items() if len(value.encode()) <= VARIABLE_MAX}


def plan_environment(project: Project, intent: Intent, missing: Sequence[str]) -> dict[str, str]:
    """Return the whole environment of the command that plans a phase.

    ``missing``: tasks of the previous phase that failed.
    """
    policy, phase = project.policy, intent.profile
    env = {
        **_inherited(policy.inherit),
        "AGENTJOBS_PHASE": phase,
        "AGENTJOBS_PHASE_BEFORE": phase_before(policy, phase),
        "AGENTJOBS_OUTPUT": policy.profiles[phase].output or "",
        "AGENTJOBS_MISSING": " ".join(missing),
        "AGENTJOBS_BASE_COMMIT": project.tip() if project.uses_trees else "",
        "AGENTJOBS_ROOT": str(project.root),
        "AGENTJOBS_PYTHON": sys.executable,
        MARK: intent.marker,
    }
    path = env.get("PATH") or os.defpath
    here = os.path.dirname(sys.executable)
    env["PATH"] = path if shutil.which("agentjobs", path=path) else f"{path}{os.pathsep}{here}"
    return {name: value for name, value in env.items() if len(value.encode()) <= VARIABLE_MAX}


def agent_settings(project: Project, intent: Intent) -> Agent:
    """Return the settings of an attempt's agent. UserError if they were removed since it started."""
    agent = project.policy.agents.get(intent.agent)
    if agent is None:
        what = f"{intent.id} was started with agent {intent.agent!r}, which is no longer configured"
        raise UserError(f"{what}; restore [agents.{intent.agent}]", file=POLICY)
    return agent


def command(project: Project, row: Row, intent: Intent, attempt_dir: Path) -> Sequence[str]:
    """Return the agent's command line, with placeholders filled and the flags for the profile's settings."""
    agent = agent_settings(project, intent)
    words = agent.command if intent.fresh or not agent.resume else agent.resume
    try:
        flags = flags_of(agent, wishes_of(project.profile(row, intent.profile)))
    except KeyError as error:  # only for a profile that the policy did not check
        raise UserError(f"agent {intent.agent} has no flag for {error}", file=POLICY) from None
    return expand(words, values(project, intent, attempt_dir), flags)


def values(project: Project, intent: Intent, attempt_dir: Path, step: str = "agent") -> dict[str, str]:
    """Return the values of the placeholders in the command of an agent's step."""
    found = (
        intent.session,
        str(attempt_dir / ("prompt.md" if step == "agent" else f"{step}.prompt.md")),
        intent.id,
        str(intent.number),
        str(project.root),
        intent.tree or str(project.root),
        str(own_dir(attempt_dir, step)),
    )
    return dict(zip(PLACEHOLDERS, found, strict=True))
