"""Commands that check nothing: variables that nobody sets, programs that are not there."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from agentjobs.checkup.finding import Finding
from agentjobs.disk import run_command
from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED
from agentjobs.project.project import POLICY, TABLE
from agentjobs.run.baseline import profiles_in_use
from agentjobs.text import variables
from agentjobs.text.nearest import nearest
from agentjobs.text.toml import line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentjobs.project.project import Project

COMMON: Final = frozenset({"FILES", "BASE_COMMIT", "ROOT", "PYTHON", "MARK"})
STEP: Final = COMMON | {"TASK", "ATTEMPT", "MODE", "PROMPT", "SESSION", "HANDOFF", "PORT"}
"""What checks and setup have (``briefing.environment``), besides ``ROW_…``."""
AGENT: Final = STEP | {"PARTIAL", "VERDICT", "COMMIT"}
GATE: Final = COMMON | {"TASKS"}
PLAN: Final = (COMMON - {"FILES"}) | {"PHASE", "PHASE_BEFORE", "OUTPUT", "MISSING"}

_ROW: Final = "ROW_"
_NAME: Final = re.compile(r"(\$\{?)?\bAGENTJOBS_(\w*\w(?<!_))(?![\w*])(=|:?[-+=?])?")
_FIRST: Final = re.compile(r"\s*(?:[A-Za-z_]\w*=\S*\s+)*([\w./][\w./+-]*)(?=\s|[;&|]|\Z)")


def variable_doubts(project: Project) -> Iterator[Finding]:
    """Find variables of ours that nobody sets: the shell reads them as nothing, and the check checks nothing."""
    policy, table = project.policy, project.file.table
    data = (project.root / POLICY).read_bytes()
    columns = {_ROW + re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in (*table.header, *TOOL_COLUMNS)}
    rows = profiles_in_use(project)
    places: list[tuple[tuple[str, ...], Iterable[str], frozenset[str], bool]] = []
    for name, profile in policy.profiles.items():
        places.append((("profiles", name, "verify"), profile.verify, STEP, name in rows))
        places.append((("profiles", name, "plan"), filter(None, [profile.plan]), PLAN, True))
    for name, agent in policy.agents.items():
        used = {profile.agent for key, profile in policy.profiles.items() if key in rows}
        places.append((("agents", name, "command"), (*agent.command, *(agent.resume or ())), AGENT, name in used))
    places.append((("workspace", "setup"), filter(None, [policy.workspace.setup]), STEP, bool(rows)))
    batches = policy.landing.together > 1
    places.append((("landing", "gate"), policy.landing.gate, GATE if batches else STEP, batches or bool(rows)))
    for path, commands, known, has_rows in places:
        for words in dict.fromkeys(word for command in commands for word in _unset(command, known, columns, has_rows)):
            yield Finding(f"{'.'.join(path)}: {words}", POLICY, line_of(data, path))
    statuses = table.statuses()
    for task_id, command in table.cells("verify"):
        if statuses[task_id] not in SETTLED:
            for words in _unset(command, STEP, columns, known_rows=True):
                yield Finding(f"verify of {task_id!r}: {words}", TABLE, table.line_of(task_id))


def _unset(command: str, known: frozenset[str], columns: set[str], known_rows: bool) -> Iterator[str]:
    """Yield the variables in a command that nobody sets; one with a default, or set in the command, is intended."""
    own = {found[2] for found in _NAME.finditer(command) if not found[1] and found[3] == "="}
    rows = columns if known & {"TASK"} else set()
    for found in _NAME.finditer(command):
        name = found[2]
        if found[1] and command[: found.start()].endswith("\\"):
            continue  # the shell takes it as it is written
        if name in known or name in own or name in rows or (found[1] == "${" and (found[3] or "?")[-1] != "?"):
            continue
        if name.startswith(_ROW) and rows and not known_rows:
            continue  # its table is not there yet
        close = nearest(name, sorted(known | rows))
        hint = f"; did you mean AGENTJOBS_{close}?" if close else ""
        if name.startswith(_ROW):
            what = "the table has no such column" if rows else "there is no row here"
            yield f"AGENTJOBS_{name} is never set, as {what}{hint}"
        else:
            yield f"AGENTJOBS_{name} is never set{hint}"


def program_doubts(project: Project) -> Iterator[Finding]:
    """Warn of checks with a program that is not here: they would fail whatever an agent does."""
    policy = project.policy
    data = (project.root / POLICY).read_bytes()
    commands = [(("profiles", name, "verify"), command)
                for name in profiles_in_use(project) if name in policy.profiles
                for command in policy.profiles[name].verify]  # fmt: skip
    commands += [(("landing", "gate"), command) for command in policy.landing.gate]  # type: ignore[misc]
    words = {command: found[1] for _, command in commands if (found := _FIRST.match(command))}
    if policy.workspace.setup:  # which may make what lies in the tree
        words = {command: word for command, word in words.items() if "/" not in word}
    absent = _absent(project, sorted(set(words.values())))
    for path, command in commands:
        if words.get(command) in absent:
            message = f"{'.'.join(path)}: {words[command]!r} is neither on PATH nor an executable file: it always fails"
            yield Finding(message, POLICY, line_of(data, path), warning=True)


def _absent(project: Project, words: list[str]) -> set[str]:
    """Return those that the shell of checks cannot run; it knows its own commands, too."""
    script = 'for word; do command -v "$word" >/dev/null 2>&1 || printf "%s\\n" "$word"; done'
    env = variables.passed(os.environ, project.policy.inherit)
    try:
        done = run_command.run(["/bin/sh", "-c", script, "sh", *words], cwd=project.root, env=env)
    except UserError:
        return set()
    return set(done.stdout.decode().splitlines())
