"""``agentjobs slots``."""

from __future__ import annotations

import click

from agentjobs.project.project import Project


@click.command(name="slots")
@click.argument("count", required=False, type=click.IntRange(min=1, max=999_999), metavar="[N]")
@click.option("--default", "as_written", is_flag=True, help="Use `slots` of agentjobs.toml again.")
def command(count: int | None, as_written: bool) -> None:
    """Show how many agents may run at once, or change it while the run goes on.

    The next poll, and a `run` at work, takes N in place of `slots` in agentjobs.toml. Agents that run beyond a lower
    number finish. The number is in the file .agentjobs/slots, which a script may write or remove.

    \b
    Example:
      agentjobs slots
      agentjobs slots 2
      agentjobs slots --default
    """
    from agentjobs.commands.slots import set_slots, slots_line

    if count is not None and as_written:
        raise click.UsageError("give a number or --default, not both")
    project = Project.here()
    if count is not None or as_written:
        set_slots(project, count)
    click.echo(slots_line(project))
