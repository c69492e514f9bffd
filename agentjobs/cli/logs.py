"""``agentjobs logs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from agentjobs.project.project import Project
from agentjobs.text.visible import coloured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentjobs.views.logs import Log


@click.command(name="logs")
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", "follow_it", is_flag=True,
              help="Follow the output, over steps and attempts, until the task settles.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Attempt N (default: the newest).")
@click.option("--step", metavar="STEP", help="Only of one step (setup, agent, verify, gate), without headings.")
def command(task_id: str, follow_it: bool, attempt: int | None, step: str | None) -> None:
    """Print the output of an agent and of its checks: unchanged, but on a terminal only text and colours.

    \b
    Example:
      agentjobs logs greet
      agentjobs logs -f greet
      agentjobs logs greet --step agent | tail -1 | jq .result
    """
    from agentjobs.views.logs import check_attempt, follow, masked, whole
    from agentjobs.views.prompt import check_known, newest

    project = Project.here()
    if attempt is not None:
        check_attempt(project, task_id, attempt)
    if follow_it:
        check_known(project, task_id)
        pieces = follow(project, task_id, step, attempt)
    else:
        pieces = whole(project, task_id, attempt or newest(project, task_id), step)
    out = sys.stdout.buffer
    shown = _headed(task_id, masked(pieces, project.masking), headed=step is None)
    for piece in coloured(shown) if sys.stdout.isatty() else shown:
        out.write(piece)
        if follow_it:
            out.flush()


def _headed(task_id: str, pieces: Iterable[tuple[Log, bytes]], *, headed: bool) -> Iterator[bytes]:
    """Yield the output, with a heading for each step."""
    last = b"\n"
    for log, piece in pieces:
        if not piece and headed:
            gap = b"" if last.endswith(b"\n") else b"\n"
            yield gap + f"==> {task_id} attempt {log.attempt} {log.step} <==\n".encode()
        yield piece
        last = piece or last
