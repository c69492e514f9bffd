"""``agentjobs logs``."""

from __future__ import annotations

import sys

import click

from agentjobs.project import Project


@click.command(name="logs")
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", "follow_it", is_flag=True,
              help="Go on as more comes, over steps and attempts, until the task settles.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Of attempt N (default: the newest).")
@click.option("--step", metavar="STEP", help="Only of one step (setup, agent, verify, gate), without headings.")
def command(task_id: str, follow_it: bool, attempt: int | None, step: str | None) -> None:
    """Print what an agent and the checks of its work said.

    \b
    Example:
      agentjobs logs greet
      agentjobs logs -f greet
      agentjobs logs greet --step agent | tail -1 | jq .result
    """
    from agentjobs.follow import check_attempt, follow, masked, whole
    from agentjobs.reading import check_known, newest

    project = Project.here()
    if attempt is not None:
        check_attempt(project, task_id, attempt)
    if follow_it:
        check_known(project, task_id)
        pieces = follow(project, task_id, step, attempt)
    else:
        pieces = whole(project, task_id, attempt or newest(project, task_id), step)
    out = sys.stdout.buffer
    last = b"\n"
    for log, piece in masked(pieces, project.masking):
        if not piece and step is None:
            gap = b"" if last.endswith(b"\n") else b"\n"
            out.write(gap + f"==> {task_id} attempt {log.attempt} {log.step} <==\n".encode())
        out.write(piece)
        last = piece or last
        if follow_it:
            out.flush()
