"""The command line: one error boundary, one place for exit codes, commands imported when they are called."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any, NoReturn, TextIO, cast

import click

from agentjobs import __version__
from agentjobs.launch.own_process import make_ready
from agentjobs.model.errors import ExitCode, UserError
from agentjobs.text.visible import Stream

COMMANDS = {
    "init": "Write agentjobs.toml, a prompt and checks for one kind of job.",
    "skill": "Create a new kind of job from a few answers.",
    "agents": "List agents, and test one.",
    "plan": "Create rows of the task table.",
    "check": "Report what would go wrong, before it costs money.",
    "tokens": "Count tokens, and learn how an agent counts.",
    "prompt": "Print the prompt of a task.",
    "dispatch": "Put tasks in play and start the first ones.",
    "poll": "Do everything that can be done now; exit 2 when nothing is left.",
    "run": "Poll until nothing is left, with live progress.",
    "status": "Show the state of the tasks.",
    "list": "List tasks with their state, attempt, cost and time.",
    "logs": "Print the output of an agent or a check.",
    "show": "Show the history of one task: every attempt, why it started, how it ended.",
    "diff": "Print what a task changed.",
    "retry": "Give tasks a new round.",
    "skip": "Settle tasks without doing them.",
    "approve": "Let verified work land that waits for a person.",
    "pause": "Start no agent for now; what runs goes on.",
    "go": "End a pause.",
    "slots": "Show or change how many agents run at once.",
    "stop": "Stop running agents and take their tasks out of play.",
    "clean": "Remove the trees of settled tasks.",
    "same-code": "Check that a converted file without its types equals the original.",
    "validate": "Check a JSON file against a JSON Schema.",
    "debt": "Count what hides problems: any, suppressions, weakened tests.",
}


class LazyGroup(click.Group):
    """Commands by name; the module of a command is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a job needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"agentjobs.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command if there is none with that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from agentjobs.text.nearest import nearest

            close = nearest(args[0], COMMANDS)
            hint = f" Did you mean '{close}'?" if close else ""
            raise click.UsageError(error.message + hint, ctx) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="agentjobs")
@click.option(
    "-C", "directory", metavar="DIR", type=click.Path(exists=True, file_okay=False), help="Work in DIR."
)
def cli(directory: str | None) -> None:
    """Run many small coding-agent tasks from a plain table, verify them, land what passes.

    \b
    Exit codes: 0 worked (poll, dispatch: call poll again) · 1 failed, the cause is on stderr
    2 poll, run: nothing left to do · 3 poll, run: halted, a person is needed
    64 wrong usage · 70 a bug in agentjobs · 130 interrupted; agents keep running

    \b
    Example:
      agentjobs dispatch
      while :; do agentjobs poll --wait 60; case $? in 0) ;; 2) break ;; *) exit 1 ;; esac; done
    """
    if directory is not None:
        os.chdir(directory)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with one of the documented codes."""
    make_ready()
    streams = sys.stdout, sys.stderr
    try:
        sys.stdout, sys.stderr = (stream and cast("TextIO", Stream(stream)) for stream in streams)
        code = _run(sys.argv[1:] if argv is None else argv)
        try:
            sys.stdout.flush()
        except OSError:
            _abandon_stdout()
    finally:
        sys.stdout, sys.stderr = streams
    sys.exit(code)


def _run(argv: list[str]) -> int:
    stdout = sys.stdout
    try:
        found: Any = cli.main(args=argv, prog_name="agentjobs", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.UsageError as error:
        error.show(sys.stderr)
        return ExitCode.USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        return _interrupted(error)
    except UserError as error:
        _say(str(error))
        return ExitCode.FAILED
    except click.ClickException as error:
        _say(error.format_message())
        return ExitCode.FAILED
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.OK
    except SystemExit as error:
        if sys.stdout is stdout:
            return int(error.code or 0)
        _abandon_stdout()  # click wraps it when the pipe was closed, and would exit with 1
        return ExitCode.OK
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}")
        return ExitCode.FAILED
    except Exception:  # noqa: BLE001 - the boundary: whatever is left is a bug of ours
        return _bug()
    return int(found or ExitCode.OK)


def _interrupted(error: BaseException) -> int:
    if isinstance(error.__cause__, EOFError):
        return _bug()  # click takes it for Ctrl-D in a prompt; it is a truncated file, perhaps a Python module
    _say("interrupted; agents keep running, `agentjobs poll` continues from here")
    return ExitCode.INTERRUPTED


def _say(message: str) -> None:
    click.echo(f"agentjobs: {message}", err=True)


def _abandon_stdout() -> None:
    """Redirect stdout to nothing, because its reader is gone and the interpreter will still flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _bug() -> int:
    """Write the traceback to a file, and print its path."""
    import tempfile
    import traceback

    error = sys.exc_info()[1]
    error = error.__cause__ if isinstance(error, click.Abort) else error
    what = _masked(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
    text = _masked(f"agentjobs {__version__}\nargv: {sys.argv}\npython: {sys.version}\n\n{traceback.format_exc()}")
    try:
        directory = ".agentjobs" if os.path.isdir(".agentjobs") else None
        fd, path = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=directory)
        with os.fdopen(fd, "w") as file:
            file.write(text)
        _say(f"this is a bug in agentjobs ({what}); nothing is lost. Details: {path}")
    except OSError:
        click.echo(text, err=True)
    return ExitCode.BUG


def _masked(text: str) -> str:
    """Return the text of a crash without the secrets of the project, as far as its settings can be read."""
    with contextlib.suppress(Exception):  # the bug may be there
        from agentjobs.project.project import Project
        from agentjobs.text.masking import Masking

        text = Masking(os.environ.items()).text(text)
        text = Project.here().masking.text(text)
    return text
