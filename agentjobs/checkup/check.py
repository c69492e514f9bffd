"""``check``: what would go wrong, found before it costs money. Reads, and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from agentjobs.agents.installed import absent_files, doubts, missing, program_of
from agentjobs.checkup import commands, missing_in_trees, table_doubts
from agentjobs.checkup.finding import Finding
from agentjobs.disk.files import read_raw
from agentjobs.disk.processes import free_memory
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED
from agentjobs.policy.phases import plans_first
from agentjobs.policy.policy import checks_of
from agentjobs.project.project import POLICY, TABLE
from agentjobs.prompts import briefing
from agentjobs.run.baseline import profiles_in_use, require_known_cost
from agentjobs.table.table import EMPTY, check_graph
from agentjobs.text import path_patterns, variables
from agentjobs.text.toml import line_of, load
from agentjobs.workspace.target_branch import base_commit, check_target, left_behind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.model.tasks import Row
    from agentjobs.policy.agents import Agent
    from agentjobs.policy.policy import Policy, Profile
    from agentjobs.project.project import Project

GIT_MIN = (2, 38)
"""``git merge-tree --write-tree``."""

VARIABLE_MAX = 131_071
"""Bytes of one ``NAME=value`` on Linux."""

MODEL_KEY = re.compile(r"_(API_KEY|AUTH_TOKEN|OAUTH_TOKEN)$")
"""How the variables end by which agents of all makers log in."""

ALIKE_MAX = 10
"""Findings of one kind that are shown one by one."""

SHARED_MAX = 3

VERSION_S = 5.0
"""Seconds that the agents in use may take to print their versions."""


def findings(project: Project) -> Iterator[Finding]:
    """Yield all that is wrong or doubtful with policy, table, prompts, programs, repository and machine."""
    policy_error = _attempt(lambda: project.policy)
    table_error = _attempt(project.file.load)
    if policy_error:
        yield policy_error
    planned = not (policy_error or os.path.lexists(project.file.path)) and plans_first(project.policy)
    if planned:  # `dispatch` makes it
        project.file.imagine(EMPTY)
        table_error = None
    if table_error:
        yield table_error
        if policy_error:
            return
    else:
        if found := _attempt(lambda: check_graph(project.file.table)):
            yield found
        if not planned and (found := _attempt(project.file.check_writable)):
            yield found
    if policy_error:
        return
    if not table_error:
        yield from table_doubts.column_doubts(project)
        yield from _grouped(table_doubts.cell_doubts(project))
        yield from _grouped(_rows(project))
        yield from _shared(project)
        yield from _grouped(table_doubts.file_doubts(project))
        yield from _variables(project)
        yield from _grouped(commands.variable_doubts(project))
        yield from commands.program_doubts(project)
        yield from _phases(project)
    rendered = () if table_error else profiles_in_use(project)
    names = tuple(project.policy.profiles) if table_error else (*rendered, *project.policy.phases)
    yield from _profiles(project, tuple(dict.fromkeys(names)), rendered)
    if not table_error and (found := _attempt(lambda: require_known_cost(project))):
        yield found
    yield from _memory(project)
    yield from _repository(project)
    if project.uses_trees and not table_error and shutil.which("git") and not _attempt(lambda: project.git):
        yield from missing_in_trees.checkout_doubts(project)
    yield from _machine(project)


def _attempt(call: object) -> Finding | None:
    assert callable(call)
    try:
        call()
    except UserError as error:
        return _of(error)
    return None


def _of(error: UserError, *, file: str = "", line: int | None = None) -> Finding:
    return Finding(error.message, error.file or file, error.line if error.file else line, error.column)


# --- rows -------------------------------------------------------------------------------------------------


def _grouped(found: Iterator[Finding]) -> Iterator[Finding]:
    """Show the first few of many findings that say the same, and how many more there are."""
    seen: Counter[tuple[str, str]] = Counter()
    for finding in found:
        key = (finding.file, re.sub(r"'[^']*'|\d+", "", finding.message))
        seen[key] += 1
        if seen[key] <= ALIKE_MAX:
            yield finding
    for (file, message), count in seen.items():
        if count > ALIKE_MAX:
            yield Finding(f"… and {count - ALIKE_MAX} more like this: {message.strip()}", file)


def _rows(project: Project) -> Iterator[Finding]:
    """Look at every row that is not settled: its cells, its profile, its prompt."""
    said: set[tuple[str, str, int | None]] = set()
    empty: dict[tuple[str, str], list[str]] = {}
    base = _base(project)
    for task_id in project.file.table.ids:
        line = project.file.table.line_of(task_id)
        try:
            row = project.file.table.row(task_id)
            if row.status in SETTLED:
                continue
            profile = project.profile(row)
        except UserError as error:
            yield _of(error, file=TABLE, line=line)
            continue
        yield from _cells(row)
        try:
            yield from _prompt(project, row, profile, base)
        except UserError as error:
            key = (error.message, error.file or "", error.line)
            if key not in said:  # the template's fault, and so the same for every row
                said.add(key)
                yield Finding(f"{error.message} (for task {task_id})", error.file or TABLE, error.line or line)
        else:
            for column in sorted(briefing.printed(project, profile)):
                if not row.cells.get(column, "").strip():
                    empty.setdefault((profile.prompt, column), []).append(task_id)
    for (prompt, column), ids in empty.items():
        more = f" and {len(ids) - SHARED_MAX} more" if len(ids) > SHARED_MAX else ""
        message = f"prints {column!r}, which is empty for {', '.join(ids[:SHARED_MAX])}{more}"
        yield Finding(message, prompt, warning=True)


def _cells(row: Row) -> Iterator[Finding]:
    for column, value in row.cells.items():
        if len(value) > VARIABLE_MAX // 4 and len(value.encode()) + len(column) + 20 > VARIABLE_MAX:
            message = f"column {column!r} of {row.id} is too long for a variable (128 KiB): agents find it unset"
            yield Finding(message, TABLE, row.line, warning=True)
    if sum(len(path) + 1 for path in row.files) > VARIABLE_MAX // 4:
        message = f"the files of {row.id} are too many for a variable (128 KiB): AGENTJOBS_FILES will be unset"
        yield Finding(message, TABLE, row.line, warning=True)


def _prompt(project: Project, row: Row, profile: Profile, base: str) -> Iterator[Finding]:
    from agentjobs.prompts.size import refused  # counts tokens

    text = briefing.composed(project, row, profile, base, least=True).text
    if not text.strip():
        yield Finding(f"the prompt of {row.id} is empty", profile.prompt)
    elif message := refused(project, row, profile, text, base):
        yield Finding(message, TABLE, row.line)


def _base(project: Project) -> str:
    """Return the commit that the contexts of prompts are read from; empty where there is none yet, or none is used."""
    used = any(profile.context is not None for profile in project.policy.profiles.values())
    return "" if not used or not project.uses_trees or _attempt(project.tip) else project.tip()


def _memory(project: Project) -> Iterator[Finding]:
    """Warn of what every agent reads at the beginning of every task."""
    from agentjobs.prompts.size import long_memory  # counts tokens

    for path, message in long_memory(project):
        yield Finding(message, path, warning=True)


def _shared(project: Project) -> Iterator[Finding]:
    """Name paths that several open tasks claim: they never run at the same time."""
    claims: dict[str, list[str]] = {}
    for task_id, cell in project.file.table.cells("files"):
        if not cell:
            continue
        try:
            row = project.file.table.row(task_id)
            entries = {path_patterns.normalise(entry).rstrip("/") for entry in row.files}
        except UserError:
            continue
        if row.status in SETTLED:
            continue
        for entry in entries:
            claims.setdefault(entry, []).append(task_id)
    shared = sorted(((p, ids) for p, ids in claims.items() if len(ids) > 1), key=lambda item: -len(item[1]))
    for path, ids in shared[:SHARED_MAX]:
        message = f"{path or 'the whole tree'} is claimed by {len(ids)} tasks ({', '.join(ids[:4])}"
        more = ", …" if len(ids) > 4 else ""  # noqa: PLR2004 - enough to find them
        yield Finding(f"{message}{more}): they never run at the same time", TABLE, warning=True)
    if len(shared) > SHARED_MAX:
        yield Finding(f"… and {len(shared) - SHARED_MAX} more paths claimed by several tasks", TABLE, warning=True)


def _variables(project: Project) -> Iterator[Finding]:
    """Find columns that would become the same variable."""
    seen: dict[str, str] = {}
    for column in project.file.table.header:
        name = "AGENTJOBS_ROW_" + re.sub(r"[^A-Z0-9]", "_", column.upper())
        if name in seen:
            message = f"columns {seen[name]!r} and {column!r} are both {name} to agents: the latter wins"
            yield Finding(message, TABLE, warning=True)
        seen[name] = column


def _phases(project: Project) -> Iterator[Finding]:
    """Find rows that wait for a later phase: both would wait for ever."""
    order = {name: at for at, name in enumerate(project.policy.phases)}
    if not order:
        return
    table = project.file.table
    place = {task_id: order[name] for task_id, name in table.profiles() if name in order}
    for task_id, cell in table.cells("after"):
        for need in cell.split():
            if task_id in place and place.get(need, -1) > place[task_id]:
                phases = project.policy.phases
                message = f"{task_id} of phase {phases[place[task_id]]} waits for {need} of phase {phases[place[need]]}"
                yield Finding(f"{message}, which begins after it: neither ever does", TABLE, table.line_of(task_id))


# --- profiles and agents ----------------------------------------------------------------------------------


def _profiles(project: Project, names: tuple[str, ...], rendered: tuple[str, ...]) -> Iterator[Finding]:
    """Look at profiles that are or may come into use; ``rendered``: whose templates the rows have shown to be good."""
    policy = project.policy
    data = read_raw(project.root / POLICY, follow=True)
    used = [name for name in names if name in policy.profiles]
    used += [e for name in used if (e := policy.profiles[name].escalate) and e not in used]
    reviewers = [r for name in used for r in policy.profiles[name].review]
    used += [name for name in dict.fromkeys(reviewers) if name not in used]
    agents: dict[str, Agent] = {}
    for name in used:
        profile = policy.profiles[name]
        agents[profile.agent] = policy.agents[profile.agent]
        line = line_of(data, ("profiles", name))
        if not checks_of(profile) and not profile.output and project.lands and name not in reviewers:
            message = f"profile {name} has no verify commands: whatever its agent leaves will land"
            yield Finding(message, POLICY, line, warning=True)
        yield from _templates(project, profile, line, read=name not in rendered)
        yield from _schemas(project, name, profile, data)
    yield from _withheld(project, agents, data)
    for name, agent in agents.items():
        words = {"command": agent.command[0]}
        if agent.resume and agent.resume[0] != agent.command[0]:
            words["resume"] = agent.resume[0]
        for key, word in words.items():
            if not program_of(agent, project.root, word):
                problem = missing(agent, project.root, word)
                line = line_of(data, ("agents", name, key)) or _named_at(data, policy, name)
                yield Finding(f"agent {name}: {problem}", POLICY, line)
        for key, argv in (("command", agent.command), ("resume", agent.resume or ())):
            for path, script in absent_files(argv, project.root).items():
                message = f"agent {name}: {path} does not exist here; create it, or change the command"
                yield Finding(message, POLICY, line_of(data, ("agents", name, key)), warning=not script)
    there = {name: agent for name, agent in agents.items() if program_of(agent, project.root)}
    for name, doubt in doubts(there, cwd=project.root, timeout_s=VERSION_S).items():
        line = line_of(data, ("agents", name)) or _named_at(data, policy, name)
        yield Finding(f"agent {name}: {doubt.words}", POLICY, line, warning=not doubt.fatal)


def _templates(project: Project, profile: Profile, line: int | None, *, read: bool) -> Iterator[Finding]:
    """Name a template that is missing; ``read``: also one that is none, as no row is rendered with it here."""
    if not (project.root / profile.prompt).is_file():
        yield Finding(f"no such prompt template: {profile.prompt}", POLICY, line)
    elif read and (wrong := _attempt(lambda: briefing.names(project, profile))):
        yield wrong


def _schemas(project: Project, name: str, profile: Profile, data: bytes) -> Iterator[Finding]:
    """Name schemas that are missing or wrong: every check against them would fail."""
    for number, check in enumerate(profile.checks):
        path = project.root / check.schema
        if not path.is_file():
            line = line_of(data, ("profiles", name, "checks", number, "schema"))
            yield Finding(f"no such schema: {check.schema}", POLICY, line)
            continue
        from agentjobs.text.json_schema import Schema  # slow to import

        if found := _attempt(partial(Schema, path.read_bytes(), check.schema)):
            yield found


def _withheld(project: Project, agents: Mapping[str, Agent], data: bytes) -> Iterator[Finding]:
    """Name keys of models that are set here and that an agent is not given, if nobody has said what it inherits."""
    written = load(data, POLICY).get("agents", {})
    for name, agent in agents.items():
        said = written.get(name, {})
        if "command" not in said or "inherit" in said or agent.inherit:
            continue
        given = variables.passed(os.environ, project.policy.inherit).keys() | agent.env.keys()
        keys = sorted(key for key in os.environ.keys() - given if MODEL_KEY.search(key))
        if keys:
            message = (
                f"agent {name} will not get {', '.join(keys)}, set here: list in its `inherit` what it needs, or "
                "write `inherit = []`"
            )
            yield Finding(message, POLICY, line_of(data, ("agents", name)), warning=True)


def _named_at(data: bytes, policy: Policy, agent: str) -> int | None:
    """Return the line of the first profile that names an agent."""
    users = (name for name, profile in policy.profiles.items() if profile.agent == agent)
    return next((line for name in users if (line := line_of(data, ("profiles", name, "agent")))), None)


# --- repository and machine -------------------------------------------------------------------------------


def _repository(project: Project) -> Iterator[Finding]:
    if not project.uses_trees:
        return
    if not shutil.which("git"):
        yield Finding("there is no git; install 2.38 or newer")
        return
    if found := _attempt(lambda: project.git):
        yield found
        return
    version = project.git.version()
    if version < GIT_MIN:
        yield Finding(f"git is {'.'.join(map(str, version))}; 2.38 or newer is needed")
    data = read_raw(project.root / POLICY, follow=True)
    base, target = project.policy.base, project.policy.target
    if found := _attempt(lambda: base_commit(project.git, base)):
        yield Finding(found.message, POLICY, line_of(data, ("base",)))
    else:
        yield from missing_in_trees.submodule_doubts(project, project.tip())
        if project.lands and (behind := left_behind(project.git, target, base)):
            yield Finding(behind, POLICY, line_of(data, ("target",)), warning=True)
    for key, value in project.git.meddled():
        message = f"{key} is {value} in .git/config: an agent may have set it; `git config --unset {key}` puts it right"
        yield Finding(message, warning=True)
    if project.lands and (
        found := _attempt(lambda: check_target(project.git, target, trees_dir=project.trees_dir))
    ):
        yield Finding(found.message, POLICY, line_of(data, ("target",)))
    settings = project.policy.workspace
    for key, paths in (("copy", settings.copy), ("link", settings.link)):
        for path in paths:
            if not (project.root / path).exists():
                message = f"workspace.{key}: {path} does not exist here; create it, or take it out"
                yield Finding(message, POLICY, line_of(data, ("workspace", key)))


def _machine(project: Project) -> Iterator[Finding]:
    from agentjobs.run.steps import sandbox

    if found := _attempt(lambda: sandbox.require(project)):
        yield found
    if starved := project.policy.limits.starved(free_memory()):
        yield Finding(starved, warning=True)
    used = shutil.disk_usage(project.root)
    if used.free < 1 << 30:
        yield Finding(f"only {used.free / (1 << 30):.1f} GiB of disk are free", warning=True)
