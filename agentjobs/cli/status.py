"""``agentjobs status``."""

from __future__ import annotations

import time

import click
import msgspec

from agentjobs.model.errors import ExitCode
from agentjobs.project.project import Project


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--check", is_flag=True, help="Exit 0 if every task is DONE or SKIPPED, else 1.")
@click.option("--failures", "by_failure", is_flag=True,
              help="Group the FAILED tasks by how they failed: class, check, error.")
@click.option("--phase", "phases", multiple=True, metavar="NAME",
              help="Only the tasks of this phase; repeatable.")
def command(as_json: bool, check: bool, by_failure: bool, phases: tuple[str, ...]) -> int:
    """Show the state of the tasks: counts, what runs and for how long, what is blocked, paused or halted.

    Takes no lock and changes nothing. Agents that ended since the last poll are not counted yet.

    \b
    Example:
      agentjobs status
      agentjobs status --check && echo all done
      agentjobs status --failures
    """
    from agentjobs.views.status import failures, standing
    from agentjobs.views.status_text import failure_lines, status_lines

    project = Project.here()
    if phases:
        from agentjobs.project.ids import check_phases

        check_phases(project, phases)
    found = standing(project, time.time(), phases)
    if as_json:
        value = msgspec.to_builtins(found)
        value["finished"] = found.finished
        if by_failure:
            value["failures"] = msgspec.to_builtins(failures(project, phases))
        click.echo(msgspec.json.encode(project.masking.texts(value)).decode())
    else:
        for line in failure_lines(failures(project, phases)) if by_failure else status_lines(found):
            click.echo(project.masking.text(line))
    return ExitCode.FAILED if check and not found.finished else ExitCode.OK
