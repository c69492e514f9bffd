"""``skill``: write a new kind of job from a few answers: settings, prompt, plan, checks, a stand-in, SKILL.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.commands.init import Written
from agentjobs.model.errors import UserError
from agentjobs.text.path_patterns import output_fault
from agentjobs.text.toml_write import value_text

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS: Final = Path(__file__).resolve().parent / "skilltexts"
"""The files to write; ``@NAME@`` in them is replaced by an answer."""

NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
NAME_MAX: Final = 64
DESCRIPTION_MAX: Final = 1000

LINES: Final = "lines"
COMMAND: Final = "command:"

STAND_IN: Final = "scripted"


class Answers(Struct, frozen=True):
    """The description of a job."""

    name: str
    task: str
    """What has to be done for each item."""
    source: str
    """The items: a glob of files, ``lines`` (of items.txt), or ``command:`` and a shell command."""
    checks: tuple[str, ...]
    """Shell commands that must succeed."""
    output: str = ""
    """The output file of each task, with ``{id}`` in it; empty: a task changes its own item."""
    land: bool = True
    agent: str = STAND_IN
    stand_in: str = ""
    """A shell command that does the task, if a script can; empty: a placeholder that only looks like work."""


def check(answers: Answers) -> None:
    """Raise UserError for an answer that cannot be used."""
    if not NAME.fullmatch(answers.name) or len(answers.name) > NAME_MAX:
        raise UserError(f"bad name {answers.name!r}: use small letters, digits and single hyphens")
    if not answers.task.strip():
        raise UserError("--task is empty: describe what to do for each item")
    if not answers.source.removeprefix(COMMAND).strip():
        raise UserError("--input is empty: give a glob of files, `lines`, or command:COMMAND")
    if not answers.checks or not all(one.strip() for one in answers.checks):
        raise UserError("--check is empty: give a command that fails if the work is wrong")
    if answers.output and (words := output_fault(answers.output)):
        raise UserError(f"--output: {words}")


def write_skill(answers: Answers, directory: Path) -> Written:
    """Write the files of a new kind of job; existing files are not changed.

    UserError for answers that cannot be used.
    """
    check(answers)
    made: list[str] = []
    kept: list[str] = []
    for name, text in files_of(answers).items():
        path = directory / name
        if path.exists() or path.is_symlink():
            kept.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        made.append(name)
    return Written(tuple(made), tuple(kept))


def files_of(answers: Answers) -> dict[str, str]:
    """Return the files of a job by path."""
    words = words_of(answers)
    columns = "id\tstatus\titem\tdocs\tfiles" + ("\toutput" if answers.output else "")
    found = {
        "SKILL.md": _filled("SKILL.md", words),
        "agentjobs.toml": _filled("agentjobs.toml", words),
        "prompt.md.j2": _filled("prompt.md.j2", words),
        "tasks.tsv": f"# One task per line. Filled by: python3 tools/plan.py | agentjobs plan rows\n{columns}\n",
        "tools/plan.py": _filled("plan.py", words),
        "tools/agent.py": _filled("agent.py", words),
    }
    for number, command in enumerate(answers.checks, 1):
        found[f"tools/check-{number}.sh"] = (
            f"# Check {number} of {len(answers.checks)}, run in the task's tree: its exit status decides.\n{command}\n"
        )
    if answers.source == LINES:
        found["items.txt"] = "# One item per line; each gets a task.\n"
    return found


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = (TEXTS / f"{name}.in").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda match: words[match[1]], text)


def words_of(answers: Answers) -> dict[str, str]:
    """Return the value of each ``@NAME@``."""
    task, line = answers.task.strip(), " ".join(answers.task.split())
    sentence = line if line.endswith((".", "!", "?")) else f"{line}."
    of, said, hint = _source(answers.source)
    runs = [f'sh "$AGENTJOBS_ROOT/tools/check-{number}.sh"' for number in range(1, len(answers.checks) + 1)]
    described = f"{sentence} Use when this has to be done for {of}, by many agents in parallel, with checks."
    output = f"output = {value_text(answers.output)}\n" if answers.output else ""
    checks = "`tools/check-1.sh`" if len(runs) == 1 else f"`tools/check-1.sh` to `check-{len(runs)}.sh`"
    written = f"ls -l $(dirname {answers.output})" if answers.output else "git show refs/agentjobs/ID/done"
    return {
        "NAME": answers.name,
        "TITLE": re.sub(r"\.\s", "; ", line).rstrip("."),
        "HEADING": answers.name.replace("-", " ").capitalize(),
        "DESCRIPTION": value_text(described[:DESCRIPTION_MAX]).replace("\\'", "'"),
        "TASK": _literal(task),
        "TASK_LINE": sentence,
        "SOURCE": said,
        "SOURCE_WORDS": of,
        "INPUT": repr(answers.source),
        "INPUT_HINT": hint,
        "PATTERN": repr(answers.output),
        "KIND": '"worktree"' if answers.land or not answers.output else '"none"',
        "AGENT": value_text(answers.agent).ljust(20)
        + (' # agent = "claude": this line alone makes it a real one' if answers.agent == STAND_IN
           else ' # agent = "scripted": the stand-in, offline'),
        "VERIFY": "\n".join(f"  {value_text(run)}," for run in runs),
        "CHECKS": "\n".join(_literal(command) for command in answers.checks),
        "CHECK_WORDS": f"{checks} decide{'s' if len(runs) == 1 else ''} about a task",
        "OUTPUT": output,
        "LAND": "true" if answers.land else "false",
        "LOOK": "git log -p main..agentjobs/landed" if answers.land else written,
        "COMMAND": repr(answers.stand_in),
        "WHAT": "It runs a command that does the task, as far as a script can."
        if answers.stand_in else "It writes something that only looks like work.",
    }  # fmt: skip


def _source(source: str) -> tuple[str, str, str]:
    """Return the source of the items: in a sentence, in the plan, and as advice."""
    if source == LINES:
        return "each line of items.txt", "Items are the lines of items.txt.", "Write the items into `items.txt` first."
    if source.startswith(COMMAND):
        command = " ".join(source.removeprefix(COMMAND).split())
        said = "Items are the lines that a command prints."
        return f"each line that `{command}` prints", said, "The command is in `INPUT` there."
    return f"each file that matches `{source}`", "Items are files that git tracks.", "It finds only tracked files."


def _literal(text: str) -> str:
    """Return text that a template prints unchanged."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text
