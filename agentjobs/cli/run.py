"""``agentjobs run``."""

from __future__ import annotations

import time

import click

from agentjobs.model.errors import ExitCode
from agentjobs.project.project import Project


@click.command(name="run")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(quiet: bool, lock_timeout: float) -> int:
    """Poll until nothing is left of what `dispatch` put in play, with live progress.

    Before the first `dispatch` it puts everything in play.

    Exit 2: nothing is left to do. 3: halted, a person is needed. 130 after ^C: agents keep running, and `poll` or
    `run` continues.

    \b
    Example:
      agentjobs run
      agentjobs dispatch --only 3 && agentjobs run
    """
    from agentjobs.commands.dispatch import dispatch, has_open_rows, stale_target
    from agentjobs.views.advice import advice
    from agentjobs.views.live import Watch, watched
    from agentjobs.views.live_text import view
    from agentjobs.views.status import standing
    from agentjobs.views.status_text import counts_line, rest_lines

    project = Project.here()
    if project.store.scope() is None:
        from agentjobs.checkup.missing_in_trees import require_own_sources

        require_own_sources(project)
        dispatch(project, dry_run=False, force=False, lock_timeout_s=lock_timeout)
    else:
        project.file.load()
    if has_open_rows(project) and (stale := stale_target(project)):
        click.echo(f"agentjobs: {stale}", err=True)
    with view(quiet=quiet) as shown:
        turn = watched(project, Watch(project, shown.show), lock_timeout_s=lock_timeout)
    stand = standing(project, time.time())
    click.echo(counts_line(stand.counts, stand.total, stand.by_hand))
    if turn.code is ExitCode.NOTHING_LEFT and not quiet:
        for line in rest_lines(stand):
            click.echo(f"agentjobs: {line}", err=True)
    if turn.code is ExitCode.HALTED:
        click.echo(f"agentjobs: {turn.why}", err=True)
        click.echo(f"agentjobs: halted. {advice(turn.why)}", err=True)
    return turn.code
