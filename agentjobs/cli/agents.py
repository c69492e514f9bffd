"""``agentjobs agents``: what is known of agent CLIs, and of those that are installed here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agentjobs.model.errors import ExitCode


@click.group(name="agents", invoke_without_command=True, no_args_is_help=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the agents there are: which are installed, and whether in a version that was tested.

    All of them can be named in a profile (`agent = "claude"`) and need nothing more. In a project its own agents are
    listed too, and what its agentjobs.toml changes. Each program is asked for its version.

    \b
    Example:
      agentjobs agents
      agentjobs agents --json | jq -r '.[] | select(.program != "") | .name'
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json is for the list alone", ctx)
        return
    from agentjobs.agents.installed import installed, place_of
    from agentjobs.views.agents_text import agents_lines, problem_lines

    place = place_of(Path.cwd())
    if place.problem:
        click.echo(f"agentjobs: {place.problem}", err=True)
    found = installed(place)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(found).decode())
    else:
        for line in agents_lines(found):
            click.echo(line)
    for line in problem_lines(found):
        click.echo(f"agentjobs: {line}", err=True)


@command.command(name="show")
@click.argument("name")
def show(name: str) -> None:
    """Print all settings of an agent: those of its preset, with what agentjobs.toml says in their place.

    Any line of it may be written into a section [agents.NAME] of agentjobs.toml to change it.

    \b
    Example:
      agentjobs agents show claude
    """
    from agentjobs.agents.installed import choice_of, place_of, settings_of
    from agentjobs.views.agents_text import settings_text

    place = place_of(Path.cwd())
    choice = choice_of(place, name)
    settings_of(place, choice)  # a section that is wrong is told, not shown
    click.echo(settings_text(choice), nl=False)


@command.command(name="try")
@click.argument("name")
@click.option("--model", metavar="M", help="The model; else that of the first profile with this agent, or its own.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=300.0, show_default=True, metavar="S",
              help="Seconds that each of the two turns may take.")
@click.option("--resume/--no-resume", default=True, help="Go on with the conversation for a second turn.")
@click.option("--keep", is_flag=True, help="Keep the scratch project; after a failure it is kept anyway.")
def try_(name: str, model: str | None, timeout_s: float, resume: bool, keep: bool) -> int:
    """Let an agent do one tiny edit in a scratch repository, the way a run does, and say what came of it.

    Shown are command, class, conversation, tokens and cost; then the conversation is resumed for a second turn, as
    after a crash. It costs what two short prompts cost. Exit 1 if anything is not as it should be.

    \b
    Example:
      agentjobs agents try claude
      agentjobs agents try codex --model gpt-5-codex --no-resume
    """
    from agentjobs.agents.installed import place_of
    from agentjobs.commands.tryout import tryout
    from agentjobs.views.agents_text import log_lines, told_lines, verdict_line

    if sys.stderr.isatty():
        click.echo(f"agentjobs: {name} is at work, for at most {timeout_s:g} s a turn; ^C ends it", err=True)
    try:
        tried = tryout(place_of(Path.cwd()), name, model=model, timeout_s=timeout_s, resume=resume, keep=keep)
    except KeyboardInterrupt:
        click.echo("agentjobs: interrupted; the agent was ended", err=True)
        return ExitCode.INTERRUPTED
    for heading, told in (("first turn", tried.first), ("resumed", tried.resumed)):
        if told is not None:
            click.echo(f"{heading}:")
            for line in told_lines(told):
                click.echo(line)
    last = tried.resumed or tried.first
    if tried.failure and last is not None:
        click.echo("the end of its log:")
        for line in log_lines(last.log):
            click.echo(line)
    if not tried.failure:
        click.echo(verdict_line(tried))
    if tried.kept:
        click.echo(f"agentjobs: kept: {tried.kept} (agentjobs -C {tried.kept} show hello)", err=True)
    if tried.failure:
        click.echo(f"agentjobs: {verdict_line(tried)}", err=True)
        return ExitCode.FAILED
    return ExitCode.OK
