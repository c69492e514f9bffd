"""``agentjobs pause``."""

from __future__ import annotations

import time

import click

from agentjobs.project.project import Project


@click.command(name="pause")
@click.option("--until", "until_text", metavar="T",
              help='When it ends by itself: 30m, 2h, 07:00, "tomorrow 7am", "2027-01-31 07:00". Default: never.')
@click.option("--why", default="", metavar="TEXT", help="Reason; `status`, `poll` and `run` show it.")
def command(until_text: str | None, why: str) -> None:
    """Start no agent until `agentjobs go`. What runs goes on: agents finish, checks run, and work lands.

    The pause is the file .agentjobs/paused: `touch` it and `rm` it from a script to do the same. A second pause
    replaces the first.

    \b
    Example:
      agentjobs pause
      agentjobs pause --until 07:00 --why "the machine is needed"
    """
    from agentjobs.agents.reset_time import parse_reset
    from agentjobs.commands.pause import pause

    until = None
    if until_text is not None:
        until = parse_reset(until_text, time.time(), cut_s=0.0)
        if until is None:
            raise click.UsageError(
                f'--until {until_text!r} is not a time in the next 35 days (examples: 30m, 07:00, "tomorrow 7am")'
            )
    click.echo(pause(Project.here(), until, why))
