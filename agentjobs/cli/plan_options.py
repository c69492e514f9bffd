"""Shared by the ways to plan: options, and the output of a plan."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.plans.rows import Planned
    from agentjobs.project.project import Project

LOCK_TIMEOUT = click.option(
    "--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
    help="Seconds to wait for another agentjobs process in this project.",
)  # fmt: skip

DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the changes without writing them.")

PROFILE = click.option("--profile", metavar="NAME", envvar="AGENTJOBS_PHASE",
                       help="Profile of the tasks (default in the plan of a phase: that phase).")  # fmt: skip
OUTPUT = "out/{id}.md"
"""The default output file of a task."""

SHOWN = 3


def _amount(_: click.Context, __: click.Parameter, value: str) -> int:
    """Parse a number of tokens: 60000, 60k, 1.5M."""
    from agentjobs.policy.limits import parse_tokens

    with contextlib.suppress(ValueError):
        if re.fullmatch(r"[\d.]+[kKM]?", value):
            return parse_tokens(value)
    raise click.BadParameter(f"{value!r} is not a number of tokens (examples: 60000, 60k)")


BUDGET = click.option("--budget", callback=_amount, required=True, metavar="TOKENS",
                      help="Most tokens of documents per task, as its agent counts (e.g. 60k).")  # fmt: skip


def check_profile(project: Project, name: str | None) -> None:
    """Raise a usage error for an unknown profile."""
    if (name or "default") not in project.policy.profiles:
        raise click.BadParameter(f"no profile {name or 'default'!r} in agentjobs.toml", param_hint="--profile")


def output_of(project: Project, profile: str | None, given: str | None) -> str:
    """Return the output of each task: as given, else from its profile."""
    if given is not None:
        return given
    found = project.policy.profiles.get(profile or "default")
    return (found.output if found else None) or OUTPUT


def check_output(template: str) -> None:
    """Raise a usage error for an output path that all tasks would share."""
    from agentjobs.text.path_patterns import output_fault

    if template and (words := output_fault(template)):
        raise click.BadParameter(words, param_hint="--output")


def show_rows(
    rows: Sequence[Mapping[str, str]], planned: Planned, *, removed: Sequence[str] = (), skipped: Sequence[str] = ()
) -> None:
    """Print a plan as a table: the change of each row, then its cells as tasks.tsv would have them."""
    for line in _lines(rows, planned, removed, skipped):
        click.echo(line)


def _lines(
    rows: Sequence[Mapping[str, str]], planned: Planned, removed: Sequence[str], skipped: Sequence[str]
) -> Iterator[str]:
    from agentjobs.text.tsv import escape

    columns = list(dict.fromkeys(["id", *(name for row in rows for name, value in row.items() if value)]))
    yield "\t".join(["change", *map(escape, columns)])
    new, refreshed = set(planned.added), set(planned.refreshed)
    for row in rows:
        what = "add" if row["id"] in new else "refresh" if row["id"] in refreshed else "keep"
        yield "\t".join([what, *(escape(row.get(name, "")) for name in columns)])
    for what, ids in (("skip", skipped), ("remove", removed)):
        for task_id in ids:
            yield "\t".join([what, task_id, *[""] * (len(columns) - 1)])


def tell(planned: Planned, *, removed: int = 0, skipped: int = 0, dry_run: bool) -> None:
    """Print on stderr how many rows changed in which way."""
    counts = [f"{len(planned.added)} added", f"{len(planned.refreshed)} refreshed"]
    counts += [f"{removed} removed"] * bool(removed) + [f"{skipped} skipped"] * bool(skipped)
    counts.append(f"{len(planned.kept)} kept")
    say(f"{', '.join(counts)}{' (dry run: nothing was written)' if dry_run else ''}")


def say(text: str) -> None:
    """Print a line on stderr."""
    click.echo(f"agentjobs: {text}", err=True)


def some(items: Sequence[str]) -> str:
    """Return the first few names of a list."""
    return ", ".join(items[:SHOWN]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
