"""``agentjobs tokens``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from agentjobs.model.errors import UserError
from agentjobs.project.project import Project
from agentjobs.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentjobs.commands.calibrate import Calibrated
    from agentjobs.tokens.fit import Scale

LOOK = 8192
"""A file with a NUL in its first 8 KiB is not a text."""


@click.command(name="tokens")
@click.argument("paths", nargs=-1, metavar="[PATH|-]...")
@click.option("--agent", metavar="NAME", help="Count as this agent does, with its factor.")
@click.option("--encoding", default="o200k_base", show_default=True, metavar="NAME",
              help="Another vocabulary, if tiktoken has it in its cache.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--calibrate", is_flag=True, help="Learn factors from what finished attempts reported, and save them.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
              help="Seconds to wait for another agentjobs process in this project.")
def command(
    paths: tuple[str, ...], agent: str | None, encoding: str, as_json: bool, calibrate: bool, lock_timeout: float
) -> None:
    """Count the tokens of files, of the texts in directories (without those that git ignores), or of stdin.

    Prints a line for each file, and one with the total; works offline, with the same result on every machine. An agent
    counts differently: by tokens_factor of [agents.NAME], or by what --calibrate has learned. --calibrate compares the
    prompts of finished attempts with what the agent reported of their first request, and prints the error before and
    after. `check` and `plan pack` use the result. It is saved in .agentjobs/tokens.json; delete the file to forget it.

    \b
    Example:
      agentjobs tokens docs README.md --agent claude
      agentjobs prompt greet | agentjobs tokens -
      agentjobs tokens --calibrate
    """
    if calibrate:
        if paths or encoding != "o200k_base":
            raise click.UsageError("--calibrate takes neither files nor --encoding")
        _calibrate(agent, as_json=as_json, lock_timeout_s=lock_timeout)
        return
    if agent is not None and encoding != "o200k_base":
        raise click.UsageError(f"factors of agents work only with o200k_base, not with {encoding}")
    from agentjobs.tokens.count_files import count_contents

    try:
        project: Project | None = Project.here()
    except UserError:
        project = None
    scale = _scale(project, agent)
    names, contents = _read(paths or ("-",))
    memory = project.store.memory() if project else None
    counts = [scale.tokens(count) for count in count_contents(contents, encoding=encoding, memory=memory)]
    if as_json:
        files = [
            {"path": name, "tokens": count, "bytes": len(data)}
            for name, count, data in zip(names, counts, contents, strict=True)
        ]
        found = {"encoding": encoding, "agent": agent, "factor": scale.factor, "total": sum(counts), "files": files}
        click.echo(json.dumps(found))
        return
    for name, count in zip(names, counts, strict=True):
        click.echo(f"{count}\t".encode() + os.fsencode(visible(name)))
    if len(names) != 1:
        click.echo(f"{sum(counts)}\ttotal")


def _scale(project: Project | None, agent: str | None) -> Scale:
    """Return how an agent counts; UserError if it is neither in agentjobs.toml nor a preset."""
    from agentjobs.policy.presets import names
    from agentjobs.text.nearest import unknown
    from agentjobs.tokens.fit import Scale
    from agentjobs.tokens.scale import preset_factor, scale_of

    if agent is None:
        return Scale()
    known = {*names(), *(project.policy.agents if project else ())}
    if agent not in known:
        raise UserError(unknown("agent", agent, sorted(known)))
    return scale_of(project, agent) if project else Scale(preset_factor(agent) or 1.0)


def _read(paths: Sequence[str]) -> tuple[list[str], list[bytes]]:
    """Return names and contents; in directories only texts. UserError if a file cannot be read."""
    names: list[str] = []
    contents: list[bytes] = []
    left_out = 0
    for path in paths:
        if path == "-":
            if sys.stdin.isatty():
                click.echo("agentjobs: reading from the terminal; end with ^D", err=True)
            names.append("-")
            contents.append(sys.stdin.buffer.read())
            continue
        for name, walked in _files(path):
            try:
                data = Path(name).read_bytes()
            except OSError as error:
                raise UserError(f"{name}: {error.strerror}") from None
            if walked and b"\0" in data[:LOOK]:
                left_out += 1
                continue
            names.append(name)
            contents.append(data)
    if left_out:
        click.echo(f"agentjobs: left out {left_out} file{'s' * (left_out > 1)} that are not texts", err=True)
    return names, contents


def _files(path: str) -> Iterator[tuple[str, bool]]:
    """Yield the files of a path, and whether they were found in a directory."""
    if not os.path.isdir(path):
        yield path, False
        return
    from agentjobs.source.files import present

    for name in present(Path(path)):
        yield os.path.normpath(os.path.join(path, name)), True


def _calibrate(agent: str | None, *, as_json: bool, lock_timeout_s: float) -> None:
    from agentjobs.commands.calibrate import calibrate

    project = Project.here()
    if agent is not None and agent not in project.policy.agents:
        raise UserError(f"no agent {agent!r} in agentjobs.toml; known: {', '.join(sorted(project.policy.agents))}")
    found: list[Calibrated] = []
    if project.store.exists():
        found = calibrate(project, now=time.time(), lock_timeout_s=lock_timeout_s, only=agent)
    if as_json:
        click.echo(json.dumps({one.agent: to_builtins(one) for one in found}))
    else:
        for one in found:
            for line in _lines(one):
                click.echo(line)
    if not any(one.fitted for one in found):
        raise UserError(
            "nothing to learn from: no finished attempt has an agent that reports the size of its first request "
            '(keys context, or usage with scope = "event", of [agents.NAME])'
        )


def _lines(one: Calibrated) -> Iterator[str]:
    """Return what was learned about an agent, and its error, as lines."""
    if one.fitted is not None:
        was, now = one.was, one.fitted.scale
        yield (
            f"{one.agent}: factor {was.factor:g} -> {now.factor:g}, overhead {was.overhead} -> {now.overhead} tokens, "
            f"from {len(one.samples)} attempt{'s' * (len(one.samples) != 1)}"
        )
        before, after = one.fitted.before, one.fitted.after
        yield f"  before: off by {before.mean:.1%} on average, {before.worst:.1%} at worst"
        yield f"  after:  off by {after.mean:.1%} on average, {after.worst:.1%} at worst"
        if not one.fitted.factor_known:
            yield f"  the factor stays: {one.fitted.why}"
    else:
        yield f"{one.agent}: nothing learned"
    if one.resumed or one.silent:
        yield (
            f"  left out: {one.resumed} that continued a conversation, "
            f"{one.silent} without the size of their first request"
        )
