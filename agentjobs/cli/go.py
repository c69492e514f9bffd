"""``agentjobs go``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="go")
def command() -> None:
    """Let agents start again after `agentjobs pause`: in a `run` at once, else with the next `poll`.

    Pauses of accounts (a usage limit, an outage) are not ended: `agentjobs dispatch --force` does that.

    \b
    Example:
      agentjobs go
    """
    from agentjobs.commands.pause import go

    if go(Project.here()):
        click.echo("the pause is over; agents start with the next poll")
    else:
        click.echo("agentjobs: nobody has paused the run", err=True)
