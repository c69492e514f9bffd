"""``agentjobs diff``."""

from __future__ import annotations

import os
import sys

import click

from agentjobs.project.project import Project


@click.command(name="diff")
@click.argument("task_id", metavar="ID")
@click.option("--attempt", "number", type=click.IntRange(min=1), metavar="N", help="This attempt; default: the newest.")
@click.option("--stat", is_flag=True, help="Print only the files and how many lines changed.")
def command(task_id: str, number: int | None, stat: bool) -> None:
    """Print what a task changed: what landed, or else what its newest attempt did, also while it runs.

    \b
    Example:
      agentjobs diff greet
      agentjobs diff greet --attempt 1 --stat
    """
    from agentjobs.commands.diff import diff
    from agentjobs.project.ids import known

    project = Project.here()
    project.file.load()
    known(project, [task_id])
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(diff(project, task_id, number, stat=stat, colour=colour), nl=False)
