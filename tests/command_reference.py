"""Prints docs/commands.md: what every command says of itself. ``make docs`` writes it, test_docs.py compares."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from agentjobs.cli.main import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
# Commands

Written by `make docs` from what each command says with `--help`. Exit codes: [design.md](design.md#4-exit-codes).
"""

WIDTH = 100


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name, groups before what is in them."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, f"{name} is listed in cli.COMMANDS and does not exist"
        yield from _below(f"agentjobs {name}", command)


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below, found in sorted(command.commands.items()):
            yield from _below(f"{name} {below}", found)


def help_of(name: str, command: click.Command) -> str:
    """Return what ``--help`` prints, at a width that does not depend on the terminal."""
    settings = {**cli.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    parent = click.Context(cli, info_name=name.rpartition(" ")[0], **settings)
    return command.get_help(click.Context(command, parent=parent, info_name=name.rpartition(" ")[2], **settings))


def reference() -> str:
    """Return the whole document."""
    parts = [INTRODUCTION]
    for name, command in (("agentjobs", cli), *commands()):
        parts.append(f"## {name}\n\n```text\n{help_of(name, command).rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(reference())
