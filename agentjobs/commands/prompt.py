"""``agentjobs prompt``."""

from __future__ import annotations

import sys

import click

from agentjobs.project import Project


@click.command(name="prompt")
@click.argument("task_id", metavar="ID")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N",
              help="Print exactly what attempt N was sent.")
def command(task_id: str, attempt: int | None) -> None:
    """Print the prompt that a first attempt at a task would be sent, or that an attempt was sent.

    \b
    Example:
      agentjobs prompt greet | less
      agentjobs prompt greet --attempt 2
    """
    from agentjobs.reading import first_prompt, sent_prompt

    project = Project.here()
    data = first_prompt(project, task_id) if attempt is None else sent_prompt(project, task_id, attempt)
    sys.stdout.buffer.write(project.masking.mask(data))
