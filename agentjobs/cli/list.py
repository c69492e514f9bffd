"""``agentjobs list``."""

from __future__ import annotations

import time

import click
import msgspec

from agentjobs.model.tasks import Status
from agentjobs.project.project import Project


@click.command(name="list")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--status", "statuses", multiple=True, metavar="STATUS",
              type=click.Choice([status.value for status in Status], case_sensitive=False),
              help="Only tasks with this status; repeatable.")
@click.option("--failed", is_flag=True, help="Only FAILED tasks.")
@click.option("--phase", "phases", multiple=True, metavar="NAME",
              help="Only the tasks of this phase; repeatable.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE",
              help="Only rows with this cell; repeatable: several values of one column, all of several columns.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def command(
    ids: tuple[str, ...], statuses: tuple[str, ...], failed: bool, phases: tuple[str, ...], where: tuple[str, ...],
    as_json: bool,
) -> None:
    """List tasks, one a line: status, attempt, cost, time, and what each does, waits for, or failed of.

    Takes no lock and changes nothing.

    \b
    Example:
      agentjobs list --failed
      agentjobs list --status VERIFYING --status LANDING
      agentjobs list --where profile=docs --json | jq -r '.[] | select(.attempt > 2) | .id'
    """
    from agentjobs.project.ids import check_phases, known
    from agentjobs.views.task_list import list_lines, listed

    wanted: dict[str, set[str]] = {}
    for text in where:
        column, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--where {text!r}: write COLUMN=VALUE")
        wanted.setdefault(column, set()).add(value)
    project = Project.here()
    project.file.load()
    known(project, ids)
    if phases:
        check_phases(project, phases)
        wanted["profile"] = wanted.get("profile", set(phases)) & set(phases)
    chosen = {Status(status.upper()) for status in statuses} | ({Status.FAILED} if failed else set())
    found = listed(project, time.time(), ids=ids, statuses=chosen, where=wanted)
    if as_json:
        click.echo(msgspec.json.encode(project.masking.texts(msgspec.to_builtins(found))).decode())
        return
    for line in list_lines(found):
        click.echo(project.masking.text(line))
