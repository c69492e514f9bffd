"""``agentjobs dispatch``."""

from __future__ import annotations

import sys

import click

from agentjobs.model.errors import ExitCode
from agentjobs.project.project import Project


@click.command(name="dispatch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--only", type=click.IntRange(min=1), metavar="N",
              help="Put only the first N unsettled tasks in play: a pilot.")
@click.option("--phase", "phases", multiple=True, metavar="NAME",
              help="Put only this phase in play, with the tasks that its plan makes; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what would be put in play and started; change nothing.")
@click.option("--force", is_flag=True, help="Start although a profile's baseline is red; end every pause.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Wait so long for another agentjobs that is at work here.")
def command(
    ids: tuple[str, ...], only: int | None, phases: tuple[str, ...], dry_run: bool, force: bool, lock_timeout: float
) -> int:
    """Put tasks in play and start as many as there are slots: all, the first N, some, or those of a phase.

    What was in play stays in play. After a halt, dispatch is how you say "go on".

    \b
    Example:
      agentjobs dispatch --only 3
      agentjobs dispatch
    """
    from agentjobs.commands.dispatch import dispatch

    if bool(ids) + (only is not None) + bool(phases) > 1:
        raise click.UsageError("name ids, or give --only, or --phase: one of them")
    report = dispatch(
        Project.here(), ids=ids, only=only, phases=phases, dry_run=dry_run, force=force, lock_timeout_s=lock_timeout
    )
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
    if not dry_run and sys.stderr.isatty():
        click.echo("agentjobs: now `agentjobs run`, or a loop of `agentjobs poll --wait 60`", err=True)
    return ExitCode.OK
