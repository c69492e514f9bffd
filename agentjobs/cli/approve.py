"""``agentjobs approve``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="approve")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "everything", is_flag=True, help="All verified work that waits.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(ids: tuple[str, ...], everything: bool, lock_timeout: float) -> None:
    """Let verified work land, if `approve = true` in [landing] makes it wait for a person.

    Work without a verdict of its reviewers can land too, but only by its ID, not by --all.

    To see what would land: `agentjobs diff ID`.

    \b
    Example:
      agentjobs approve greet && agentjobs poll
      agentjobs approve --all
    """
    from agentjobs.commands.approve import approve

    if bool(ids) == everything:
        raise click.UsageError("name tasks, or give --all")
    report = approve(Project.here(), ids, everything=everything, lock_timeout_s=lock_timeout)
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
