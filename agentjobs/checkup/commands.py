"""Commands that check nothing: variables that nobody sets, programs that are not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentjobs.checkup.finding import Finding
from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED
from agentjobs.project.project import POLICY, TABLE
from agentjobs.run.baseline import profiles_in_use
from agentjobs.run.programs import first_word, located, outside_trees
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

_MODULES: Final = "./node_modules"
_ROW: Final = "ROW_"
_NAME: Final = re.compile(r"(\$\{?)?\bAGENTJOBS_(\w*\w(?<!_))(?![\w*])(=|:?[-+=?])?")
PACKAGE_RUNNERS: Final = frozenset({"npx", "npm", "pnpm", "yarn", "bun", "bunx"})
"""They need what is in node_modules, and find that of the checkout, as trees are below it."""


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


def checks_in_use(project: Project) -> list[tuple[tuple[str, ...], str]]:
    """Return the checks that tasks meet, each with its place in agentjobs.toml."""
    policy = project.policy
    places = [("profiles", name, "verify") for name in profiles_in_use(project) if name in policy.profiles]
    found: list[tuple[tuple[str, ...], str]] = [
        (path, command) for path in places for command in policy.profiles[path[1]].verify
    ]
    return found + [(("landing", "gate"), command) for command in policy.landing.gate]


def program_doubts(project: Project) -> Iterator[Finding]:
    """Find checks with a program that is not here, or not in trees: they would fail whatever an agent does."""
    policy = project.policy
    data = (project.root / POLICY).read_bytes()
    commands = checks_in_use(project)
    words = {command: word for _, command in commands if (word := first_word(command))}
    there = located(project, words.values())
    outside = () if _unborn(project) else outside_trees(project, [*words.values(), _MODULES])
    for path, command in commands:
        word, place = words.get(command, ""), ".".join(path)
        line = line_of(data, path)
        if word in outside:
            message = f"{place}: {word!r} is here but not in git, so trees do not have it: see workspace.link and setup"
            yield Finding(message, POLICY, line)
        elif word and word not in there and not (policy.workspace.setup and "/" in word):  # setup may make it
            always = "passes" if command.lstrip().startswith("!") else "fails"
            message = f"{place}: {word!r} is neither on PATH nor an executable file: it always {always}"
            yield Finding(message, POLICY, line, warning="/" in word or bool(policy.workspace.setup))
        elif word in PACKAGE_RUNNERS and _MODULES in outside:
            message = f"{place}: {word!r} uses your checkout's node_modules in a tree (Node searches folders above); "
            message += "workspace.link or setup makes that explicit"
            yield Finding(message, POLICY, line, warning=True)


def _unborn(project: Project) -> bool:
    try:
        return project.uses_trees and not project.tip()
    except UserError:
        return True
