"""``agentjobs stop``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="stop")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(ids: tuple[str, ...], lock_timeout: float) -> None:
    """Stop running agents and take their tasks out of play; without ids: all of them.

    No attempt is used up and no work is lost: `dispatch` puts the tasks in play again and they continue.

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
