"""The programs that a run needs: those that its checks begin with, and its agents."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from agentjobs.agents.installed import absent_files, missing, program_of
from agentjobs.disk import run_command
from agentjobs.model.errors import UserError
from agentjobs.project.project import POLICY
from agentjobs.run.baseline import profiles_in_use
from agentjobs.text import variables

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentjobs.project.project import Project

FIRST: Final = re.compile(r"\s*(?:!\s+)?(?:[A-Za-z_]\w*=\S*\s+)*([\w./][\w./+-]*)(?=\s|[;&|]|\Z)")
"""The program that a command begins with, where that is plain to see."""

NOT_STARTED: Final = frozenset({126, 127})
"""Exit codes of the shell for a program that cannot be executed, or is not there."""


def first_word(command: str) -> str:
    """Return the program that a command begins with; empty if that is not plain to see."""
    found = FIRST.match(command)
    return found[1] if found else ""


def located(project: Project, words: Collection[str]) -> dict[str, str]:
    """Return the path of each program that the shell of checks can run; for a command of the shell, its name.

    Relative paths are looked up in the project's directory.
    """
    script = 'for word; do printf "%s\\t%s\\n" "$word" "$(command -v "$word" 2>/dev/null)"; done'
    env = variables.passed(os.environ, project.policy.inherit)
    try:
        done = run_command.run(["/bin/sh", "-c", script, "sh", *words], cwd=project.root, env=env)
    except UserError:
        return {word: word for word in words}
    lines = (line.partition("\t") for line in done.stdout.decode("utf-8", "surrogateescape").splitlines())
    return {word: path for word, _, path in lines if path}


def outside_trees(project: Project, words: Collection[str]) -> tuple[str, ...]:
    """Return those paths that are in the user's checkout, but that no tree will have: they are not in git.

    What ``workspace.link`` and ``copy`` bring is in every tree; what ``workspace.setup`` makes is not known.
    """
    settings = project.policy.workspace
    if settings.setup or not project.uses_trees:
        return ()
    brought = tuple(path.rstrip("/") + "/" for path in (*settings.link, *settings.copy))
    inside = {word: os.path.normpath(word) for word in words if "/" in word and not os.path.isabs(word)}
    found = {word: path for word, path in inside.items()
             if (project.root / path).exists() and not f"{path}/".startswith(brought)}  # fmt: skip
    if not found:
        return ()
    tip = project.tip()
    return tuple(
        word for word, path in found.items()
        if path != "." and not project.git.line("ls-tree", "--name-only", tip, "--", path)
    )  # fmt: skip


def require_programs(project: Project, ids: tuple[str, ...], *, force: bool, phases: tuple[str, ...] = ()) -> None:
    """Raise UserError if the agent of a profile in use is not installed, or one of its checks could not even start.

    ``ids`` and ``phases`` as in ``require_green``; ``force``: start whatever is missing.
    """
    policy = project.policy
    names = dict.fromkeys((*profiles_in_use(project, ids), *phases))
    profiles = [policy.profiles[name] for name in names if name in policy.profiles]
    if force:
        return
    for agent in (policy.agents[profile.agent] for profile in profiles):
        if not program_of(agent, project.root):
            what = missing(agent, project.root)
            raise UserError(f"{what}; `agentjobs dispatch --force` starts without it", file=POLICY)
        for argv in (agent.command, agent.resume or ()):
            for path, script in absent_files(argv, project.root).items():
                if script:
                    what = f"{path}, which an agent's command names, does not exist here"
                    raise UserError(f"{what}; create it, or `agentjobs dispatch --force`", file=POLICY)
    if policy.workspace.setup:  # which may install what is missing
        return
    commands = [*(command for profile in profiles for command in profile.verify), *policy.landing.gate]
    words = tuple(dict.fromkeys(filter(None, map(first_word, commands))))
    there = located(project, words)
    for word in words:
        if "/" not in word and word not in there:
            raise UserError(f"a check needs {word!r}, which is not on PATH; see `agentjobs check`", file=POLICY)
    for word in outside_trees(project, words):
        raise UserError(f"a check needs {word!r}, which trees will not have; see `agentjobs check`", file=POLICY)


def absent_program(project: Project, command: str, code: int, said: bytes) -> str:
    """Return the program for want of which a check could not start, through no fault of the work; empty if none.

    A program that the work itself has removed or broken is the fault of the work.
    """
    if code not in NOT_STARTED:
        return ""
    named = re.search(rb"\.check: (?:line )?\d+: ([\w.+-]+): (?:command )?not found\s*\Z", said)
    words = dict.fromkeys(filter(None, (first_word(command), named[1].decode() if named else "")))
    there = located(project, words)
    bare = [word for word in words if "/" not in word and word not in there]
    return next(iter((*bare, *outside_trees(project, words))), "")
