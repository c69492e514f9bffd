"""``agentjobs prompt``."""

from __future__ import annotations

import sys

import click
from msgspec import to_builtins

from agentjobs.project.project import Project
from agentjobs.text.visible import coloured, visible


@click.command(name="prompt")
@click.argument("task_id", metavar="ID")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N",
              help="Print the exact prompt of attempt N.")
@click.option("--explain", is_flag=True,
              help="Instead of the prompt, show its sections, their tokens, and what was left out.")
@click.option("--json", "as_json", is_flag=True, help="With --explain: print one JSON object.")
def command(task_id: str, attempt: int | None, explain: bool, as_json: bool) -> None:
    """Print the prompt of a first attempt at a task, or of any attempt that started.

    \b
    Example:
      agentjobs prompt greet | less
      agentjobs prompt greet --attempt 2
      agentjobs prompt greet --explain
    """
    if explain and attempt is not None:
        raise click.UsageError("--explain works only for the prompt of a first attempt, without --attempt")
    if as_json and not explain:
        raise click.UsageError("--json works only with --explain")
    project = Project.here()
    if explain:
        _explain(project, task_id, as_json=as_json)
        return
    from agentjobs.views.prompt import first_prompt, sent_prompt

    data = first_prompt(project, task_id) if attempt is None else sent_prompt(project, task_id, attempt)
    data = project.masking.mask(data)
    sys.stdout.buffer.write(b"".join(coloured([data])) if sys.stdout.isatty() else data)


def _explain(project: Project, task_id: str, *, as_json: bool) -> None:
    from agentjobs.views.prompt import explained_prompt

    found = explained_prompt(project, task_id)
    if as_json:
        import json

        click.echo(json.dumps(to_builtins(found)))
        return
    from agentjobs.views.prompt_text import explained

    for line in explained(found):
        click.echo(project.masking.mask(visible(line).encode("utf-8", "surrogateescape")))
