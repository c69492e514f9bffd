"""``agentjobs show``."""

from __future__ import annotations

import time

import click
import msgspec

from agentjobs.project.project import Project


@click.command(name="show")
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(task_id: str, as_json: bool) -> None:
    """Show the history of one task: every attempt, why it started, how it ended, where its files are.

    \b
    Example:
      agentjobs show greet
      agentjobs show greet --json | jq '.attempts[-1].errors'
    """
    from agentjobs.views.story import story

    found = story(Project.here(), task_id)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    from agentjobs.views.story_text import story_lines

    for line in story_lines(found, time.time()):
        click.echo(line)
