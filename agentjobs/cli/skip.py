"""``agentjobs skip``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="skip")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--note", default="", metavar="TEXT", help="Reason; written into the table.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(ids: tuple[str, ...], note: str, lock_timeout: float) -> None:
    """Settle tasks as SKIPPED. Their running agents are stopped; their work is kept.

    Writing SKIPPED into the table does the same.

    \b
    Example:
      agentjobs skip legacy-parser --note "is deleted next week"
    """
    from agentjobs.commands.skip import skip

    report = skip(Project.here(), ids, note=note, lock_timeout_s=lock_timeout)
    for line in report.lines:
        click.echo(line)
    for line in report.warnings:
        click.echo(f"agentjobs: {line}", err=True)
