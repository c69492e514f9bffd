"""What the ways to plan have in common: options, and how a plan is told."""

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
    help="Wait so long for another agentjobs that is at work here.",
)  # fmt: skip

DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what would become of which row; change nothing.")

PROFILE = click.option("--profile", metavar="NAME", envvar="AGENTJOBS_PHASE",
                       help="The profile of the tasks; in the plan of a phase, that phase.")  # fmt: skip
OUTPUT = "out/{id}.md"
"""What tasks write where nobody says so."""

SHOWN = 3


def _amount(_: click.Context, __: click.Parameter, value: str) -> int:
    """Read a number of tokens: 60000, 60k, 1.5M."""
    from agentjobs.policy.limits import parse_tokens

    with contextlib.suppress(ValueError):
        if re.fullmatch(r"[\d.]+[kKM]?", value):
            return parse_tokens(value)
    raise click.BadParameter(f"{value!r} is no number of tokens, such as 60000 or 60k")


BUDGET = click.option("--budget", callback=_amount, required=True, metavar="TOKENS",
                      help="Tokens that what one task reads may have, as its agent counts; as in 60k.")  # fmt: skip


def check_profile(project: Project, name: str | None) -> None:
    """Raise a usage error for a profile that is not there."""
    if (name or "default") not in project.policy.profiles:
        raise click.BadParameter(f"no profile {name or 'default'!r} in agentjobs.toml", param_hint="--profile")


def output_of(project: Project, profile: str | None, given: str | None) -> str:
    """Return what each task writes: as given, else as its profile says."""
    if given is not None:
        return given
    found = project.policy.profiles.get(profile or "default")
    return (found.output if found else None) or OUTPUT


def check_output(template: str) -> None:
    """Raise a usage error for an output that all tasks would share."""
    from agentjobs.text.path_patterns import output_fault

    if template and (words := output_fault(template)):
        raise click.BadParameter(words, param_hint="--output")


def show_rows(
    rows: Sequence[Mapping[str, str]], planned: Planned, *, removed: Sequence[str] = (), skipped: Sequence[str] = ()
) -> None:
    """Print a plan as a table: what becomes of a row, then its cells as tasks.tsv would have them."""
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
    """Say on stderr how many rows became what."""
    counts = [f"{len(planned.added)} added", f"{len(planned.refreshed)} refreshed"]
    counts += [f"{removed} removed"] * bool(removed) + [f"{skipped} skipped"] * bool(skipped)
    counts.append(f"{len(planned.kept)} kept")
    say(f"{', '.join(counts)}{' (dry run: nothing was written)' if dry_run else ''}")


def say(text: str) -> None:
    """Say something on stderr."""
    click.echo(f"agentjobs: {text}", err=True)


def some(items: Sequence[str]) -> str:
    """Return the first few of a list of names."""
    return ", ".join(items[:SHOWN]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
