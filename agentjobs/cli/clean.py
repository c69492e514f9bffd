"""``agentjobs clean``."""

from __future__ import annotations

import click

from agentjobs.model.errors import ExitCode
from agentjobs.project.project import Project


@click.command(name="clean")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--force", is_flag=True,
              help="Also remove trees with work that has not landed; it is kept as a commit under refs/agentjobs/.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; change nothing.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(ids: tuple[str, ...], force: bool, dry_run: bool, lock_timeout: float) -> int:
    """Remove the worktrees of settled tasks (without ids: of all of them, and spare trees).

    A tree with work that has not landed is kept and reported in one line; the exit code is 1 then.

    \b
    Example:
      agentjobs clean --dry-run
      agentjobs clean
    """
    from agentjobs.commands.clean import clean
    from agentjobs.text.for_people import many

    refused = found = False
    spare = 0
    for tree in clean(Project.here(), ids, force=force, dry_run=dry_run, lock_timeout_s=lock_timeout):
        found = True
        if not tree.id:
            spare += 1
        elif tree.removed:
            click.echo(f"{tree.id}\t{'would be removed' if dry_run else 'removed'}")
            if tree.note:
                click.echo(f"agentjobs: {tree.id}: {tree.note}", err=True)
        else:
            refused = refused or tree.refused or bool(ids)
            click.echo(f"agentjobs: {tree.id} stays: {tree.note}", err=True)
    if spare:
        click.echo(f"agentjobs: removed {many(spare, 'spare tree')}", err=True)
    if not found:
        click.echo("agentjobs: no settled task has a tree", err=True)
    return ExitCode.FAILED if refused else ExitCode.OK
