"""``agentjobs retry``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="retry")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--failed", is_flag=True, help="All FAILED tasks.")
@click.option("--phase", "phases", multiple=True, metavar="NAME",
              help="Plan this phase again, from what is on disk, and do all its tasks again; repeatable.")
@click.option("--and-later", is_flag=True, help="With --phase: also all later phases.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(
    ids: tuple[str, ...], failed: bool, phases: tuple[str, ...], and_later: bool, lock_timeout: float
) -> None:
    """Give tasks a new round with all its attempts, put them in play, and clear a halt. Then poll.

    A phase starts over with its plan: tasks that are not planned any more become SKIPPED; those SKIPPED by hand
    stay SKIPPED.

    A running task is stopped first and starts over. Writing TODO into the table does the same.

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
        raise click.UsageError("--and-later works only with --phase")
    report = retry(
        Project.here(), ids, failed=failed, phases=phases, and_later=and_later, lock_timeout_s=lock_timeout
    )
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
