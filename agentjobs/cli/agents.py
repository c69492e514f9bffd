"""``agentjobs agents``: the agent CLIs that agentjobs knows, and those that are installed here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agentjobs.model.errors import ExitCode


@click.group(name="agents", invoke_without_command=True, no_args_is_help=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List all agents: which of them are installed, and if their version is a tested one.

    A profile can name any of them (`agent = "claude"`) without further settings. In a project the list also has its
    own agents, and what its agentjobs.toml changes. Each program is asked for its version.

    \b
    Example:
      agentjobs agents
      agentjobs agents --json | jq -r '.[] | select(.program != "") | .name'
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json works only for the list", ctx)
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
    """Print all settings of an agent: those of its preset, changed by agentjobs.toml.

    To change one, write its line into a section [agents.NAME] of agentjobs.toml.

    \b
    Example:
      agentjobs agents show claude
    """
    from agentjobs.agents.installed import choice_of, place_of, settings_of
    from agentjobs.views.agents_text import settings_text

    place = place_of(Path.cwd())
    choice = choice_of(place, name)
    settings_of(place, choice)  # report errors of the section before it is shown
    click.echo(settings_text(choice), nl=False)


@command.command(name="try")
@click.argument("name")
@click.option("--model", metavar="M", help="Model (default: of the first profile with this agent).")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=300.0, show_default=True, metavar="S",
              help="Time limit of each of the two turns, in seconds.")
@click.option("--resume/--no-resume", default=True, help="Also continue the conversation in a second turn.")
@click.option("--keep", is_flag=True, help="Keep the scratch project; it is always kept after a failure.")
def try_(name: str, model: str | None, timeout_s: float, resume: bool, keep: bool) -> int:
    """Let an agent do one tiny edit in a scratch repository, as in a run, and report the result.

    Prints command, class, conversation, tokens and cost; then resumes the conversation for a second turn, as after
    a crash. It costs as much as two short prompts. Exit 1 if anything fails.

    \b
    Example:
      agentjobs agents try claude
      agentjobs agents try codex --model gpt-5-codex --no-resume
    """
    from agentjobs.agents.installed import place_of
    from agentjobs.commands.tryout import tryout
    from agentjobs.views.agents_text import log_lines, told_lines, verdict_line

    if sys.stderr.isatty():
        click.echo(f"agentjobs: {name} runs for at most {timeout_s:g} s per turn; stop it with ^C", err=True)
    try:
        tried = tryout(place_of(Path.cwd()), name, model=model, timeout_s=timeout_s, resume=resume, keep=keep)
    except KeyboardInterrupt:
        click.echo("agentjobs: interrupted; the agent was stopped", err=True)
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
