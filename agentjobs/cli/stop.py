"""``agentjobs stop``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="stop")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Wait so long for another agentjobs that is at work here.")
def command(ids: tuple[str, ...], lock_timeout: float) -> None:
    """End running agents and take their tasks out of play; without ids: all of them.

    No attempt is spent and no work is lost: `dispatch` puts them in play again and they go on.

    \b
    Example:
      agentjobs stop
      agentjobs stop greet greet-cli
    """
    from agentjobs.commands.stop import stop

    report = stop(Project.here(), ids, lock_timeout_s=lock_timeout)
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
