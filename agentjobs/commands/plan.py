"""``agentjobs plan``: ways to make rows of the table."""

from __future__ import annotations

import sys
from typing import Literal, cast

import click

from agentjobs.project import Project


@click.group(name="plan")
def command() -> None:
    """Make rows of the task table. What was begun or settled stays as it is.

    \b
    Example:
      git ls-files '*.js' | agentjobs plan rows --column files
    """


@command.command(name="rows")
@click.option("--format", "format_", type=click.Choice(["auto", "lines", "csv", "jsonl"]), default="auto",
              show_default=True, help="How stdin is read; auto looks at it.")
@click.option("--id", "id_template", metavar="TEMPLATE",
              help="Make ids from columns, as in 'convert-{name}'; else from `id` or the first column.")
@click.option("--column", default="item", show_default=True, metavar="NAME",
              help="The column that plain lines go into; `files` takes each line as one path.")
@click.option("--dry-run", is_flag=True, help="Say what would be added; change nothing.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Wait so long for another agentjobs that is at work here.")
def rows(format_: str, id_template: str | None, column: str, dry_run: bool, lock_timeout: float) -> None:
    """Turn lines, CSV or JSON lines on stdin into rows of tasks.tsv.

    May be run again: rows that are TODO are refreshed, new ones appended, all others kept; nothing is removed.

    \b
    Example:
      git ls-files 'src/*.js' | agentjobs plan rows --column files
      echo '{"id": "greet", "files": ["greet.py"], "task": "Add greet()."}' | agentjobs plan rows
    """
    from agentjobs.planning import plan_rows
    from agentjobs.planrows import read_rows

    project = Project.here()
    if sys.stdin.isatty():
        click.echo("agentjobs: reading rows from the terminal; end with ^D", err=True)
    format_name = cast("Literal['auto', 'lines', 'csv', 'jsonl']", format_)
    found = read_rows(sys.stdin.buffer.read(), format_name, id_template=id_template, column=column)
    planned = plan_rows(project, found, dry_run=dry_run, lock_timeout_s=lock_timeout)
    for what, ids in (("add", planned.added), ("refresh", planned.refreshed)):
        for task_id in ids if dry_run else ():
            click.echo(f"{what}\t{task_id}")
    counts = f"{len(planned.added)} added, {len(planned.refreshed)} refreshed, {len(planned.kept)} kept"
    click.echo(f"agentjobs: {counts}{' (dry run: nothing was written)' if dry_run else ''}", err=True)
