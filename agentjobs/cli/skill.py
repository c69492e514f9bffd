"""``agentjobs skill``."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(name="skill")
@click.argument("name", metavar="NAME")
@click.option("--task", metavar="TEXT", help="What to do for each item (default: asked for).")
@click.option("--input", "source", metavar="WHAT",
              help="The items: a glob of files, `lines` (of items.txt) or `command:COMMAND` (default: asked for).")
@click.option("--check", "checks", metavar="COMMAND", multiple=True,
              help="A shell command that must succeed in the task's tree; repeatable (default: asked for).")
@click.option("--output", metavar="PATTERN",
              help="Output file of each task, as in out/{id}.md (default: none; the task changes its item).")
@click.option("--land/--no-land", default=None, help="Land verified work on a branch (default: land).")
@click.option("--agent", metavar="NAME", help="Agent of the job (default: scripted, an offline stand-in).")
@click.option("--stand-in", metavar="COMMAND", help="A shell command with which the stand-in does the task.")
@click.option("--dir", "directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="Directory to write to (default: NAME).")
def command(
    name: str, task: str | None, source: str | None, checks: tuple[str, ...], output: str | None, land: bool | None,
    agent: str | None, stand_in: str | None, directory: Path | None,
) -> None:  # fmt: skip
    """Create a new kind of job from a few answers: settings, prompt, plan, checks, a stand-in agent and SKILL.md.

    With SKILL.md a coding agent can complete it, run a pilot, improve the prompt and run the whole job; `agentjobs
    init --from DIR` copies it into a project. Missing answers are asked for on a terminal. Existing files are never
    overwritten.

    \b
    Example:
      agentjobs skill add-types --task "Add type hints." --input 'src/**/*.py' --check 'mypy --strict $AGENTJOBS_FILES'
      agentjobs skill summaries --task "Sum it up." --input 'docs/*.md' --output 'out/{id}.md' --no-land \\
          --check 'test "$(wc -w <"$AGENTJOBS_ROW_OUTPUT")" -le 200'
    """
    from agentjobs.commands.skill import STAND_IN, Answers, write_skill

    missing = [flag for flag, said in (("--task", task), ("--input", source), ("--check", checks)) if not said]
    if missing and not sys.stdin.isatty():
        raise click.UsageError(f"missing {', '.join(missing)} (there is no terminal to ask on)")
    asked = bool(missing)
    task = task or click.prompt("What should be done for each item?", err=True)
    source = source or click.prompt("Which items? A glob of files, lines, or command:COMMAND", err=True)
    checks = checks or (click.prompt("Which shell command fails if the work is wrong?", err=True),)
    if output is None and asked:
        output = click.prompt("What does each task write? As in out/{id}.md", default="none", err=True)
    if land is None:
        land = click.confirm("Land verified work on a branch?", default=True, err=True) if asked else True
    where = directory or Path(name)
    output = "" if output is None or output == "none" else output
    answers = Answers(name, task, source, checks, output, land, agent or STAND_IN, stand_in or "")
    written = write_skill(answers, where)
    for path in written.made:
        click.echo(f"wrote {where / path}")
    for path in written.kept:
        click.echo(f"agentjobs: {where / path} already exists and was not changed", err=True)
    click.echo(f"next: read {where / 'SKILL.md'}; then `agentjobs init --from {where}` in the project", err=True)
