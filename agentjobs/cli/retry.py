"""``agentjobs retry``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="retry")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--failed", is_flag=True, help="All that are FAILED.")
@click.option("--phase", "phases", multiple=True, metavar="NAME",
              help="Plan this phase again, from what is on disk, and do all its tasks again; may be repeated.")
@click.option("--and-later", is_flag=True, help="With --phase: the phases after it as well.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Wait so long for another agentjobs that is at work here.")
def command(
    ids: tuple[str, ...], failed: bool, phases: tuple[str, ...], and_later: bool, lock_timeout: float
) -> None:
    """Give tasks a new round, with all its attempts, and put them in play; a halt is cleared. Then poll.

    A phase begins anew with its plan: tasks that it does not plan any more are SKIPPED, those SKIPPED by hand stay so.

    One that is at work is stopped first, and begins anew. Writing TODO into the table does the same.

    \b
    Example:
      agentjobs retry greet
      agentjobs retry --failed
      agentjobs retry --phase write
    """
    from agentjobs.commands.retry import retry

    if not ids and not failed and not phases:
        raise click.UsageError("name ids, or give --failed or --phase")
    if and_later and not phases:
        raise click.UsageError("--and-later goes with --phase")
    report = retry(
        Project.here(), ids, failed=failed, phases=phases, and_later=and_later, lock_timeout_s=lock_timeout
    )
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
