"""``agentjobs dispatch``."""

from __future__ import annotations

import sys

import click

from agentjobs.model.errors import ExitCode
from agentjobs.project.project import Project


@click.command(name="dispatch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--only", type=click.IntRange(min=1), metavar="N",
              help="Put only the first N unsettled tasks in play, as a pilot.")
@click.option("--phase", "phases", multiple=True, metavar="NAME",
              help="Put only this phase in play, with the tasks that its plan makes; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would be put in play and started; change nothing.")
@click.option("--force", is_flag=True, help="Start even if checks fail on the base; end every pause.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(
    ids: tuple[str, ...], only: int | None, phases: tuple[str, ...], dry_run: bool, force: bool, lock_timeout: float
) -> int:
    """Put tasks in play and fill the slots: all tasks, the first N, some, or those of a phase.

    What was in play stays in play. After a halt, dispatch continues the run.

    \b
    Example:
      agentjobs dispatch --only 3
      agentjobs dispatch
    """
    from agentjobs.checkup.missing_in_trees import require_own_sources
    from agentjobs.commands.dispatch import dispatch
    from agentjobs.project.events import Transitions
    from agentjobs.views.events_text import event_line

    if bool(ids) + (only is not None) + bool(phases) > 1:
        raise click.UsageError("give only one of: ids, --only, --phase")
    project = Project.here()
    if not force:
        require_own_sources(project)
    events = Transitions(project.store.dir / "events.jsonl")
    report = dispatch(
        project, ids=ids, only=only, phases=phases, dry_run=dry_run, force=force, lock_timeout_s=lock_timeout
    )
    for event in events.read():
        click.echo(event_line(event))
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
    if not dry_run and sys.stderr.isatty():
        click.echo("agentjobs: next: `agentjobs run`, or a loop of `agentjobs poll --wait 60`", err=True)
    return ExitCode.OK
