"""``agentjobs poll``."""

from __future__ import annotations

import json
from contextlib import suppress

import click

from agentjobs.model.errors import ExitCode, LockBusy
from agentjobs.project.project import Project


@click.command(name="poll")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, metavar="S",
              help="Wait up to S seconds for something to do; return as soon as something was done.")
@click.option("--if-free", is_flag=True, help="Exit 0 at once if another agentjobs process works in this project.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
@click.option("--quiet", is_flag=True, help="Print nothing of what was done.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def command(wait_s: float, if_free: bool, lock_timeout: float, quiet: bool, as_json: bool) -> int:
    """Collect agents that ended, run checks, land or retry, start what there is room for; print a line for each.

    Exit 0: call poll again. 2: nothing is left to do. 3: halted, a person is needed (the message says why). Agents
    keep running when poll ends. It is safe to kill it at any time.

    \b
    Example:
      agentjobs poll --wait 60
    """
    from agentjobs.project.events import Transitions
    from agentjobs.run.drive import poll
    from agentjobs.views.events_text import event_line

    project = Project.here()
    events = Transitions(project.store.dir / "events.jsonl")
    try:
        turn = poll(project, wait_s=wait_s, lock_timeout_s=0.0 if if_free else lock_timeout)
    except LockBusy:
        if if_free:
            return ExitCode.OK
        raise
    if as_json:
        line = json.dumps({
            "acted": turn.acted, "code": int(turn.code), "running": list(turn.running), "why": turn.why,
            "until": turn.until if turn.until < 1e12 else None,  # noqa: PLR2004 - infinity is not valid JSON
        })
        with suppress(BrokenPipeError):  # nobody reads the output, but a loop needs the exit code
            click.echo(line)
    else:
        with suppress(BrokenPipeError):
            for event in events.read() if not quiet else ():
                click.echo(event_line(event))
        if turn.why:
            click.echo(f"agentjobs: {turn.why}", err=True)
    if turn.code is ExitCode.HALTED:
        from agentjobs.views.advice import advice

        click.echo(f"agentjobs: halted. {advice(turn.why)}", err=True)
    return turn.code
