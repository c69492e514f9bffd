"""``agentjobs check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentjobs.errors import ExitCode
from agentjobs.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command(name="check")
@click.option("--baseline", is_flag=True,
              help="Also run the checks of each profile in use once on the base, and say which are red.")
def command(baseline: bool) -> int:
    """Say what would go wrong, before it costs money: policy, table, prompts, programs, repository, machine.

    One line for each finding. Exit 1 if one of them is an error; warnings do not fail.

    \b
    Example:
      agentjobs check
      agentjobs check --baseline
    """
    from agentjobs.checkup import findings

    project = Project.here()
    errors = warnings = 0
    for finding in findings(project):
        errors += not finding.warning
        warnings += finding.warning
        click.echo(f"agentjobs: {finding}", err=True)
    if baseline and not errors:
        for line, red in _baseline(project):
            errors += red
            click.echo(line)
    tasks = "" if errors else f"{len(project.file.table)} tasks: "
    click.echo(f"{tasks}{_many(errors, 'error')}, {_many(warnings, 'warning')}")
    return ExitCode.FAILED if errors else ExitCode.OK


def _baseline(project: Project) -> Iterator[tuple[str, bool]]:
    """Yield a line for each check, and whether it is an error: red where the profile wants green."""
    from agentjobs.baseline import measure, profiles_in_use

    for name in profiles_in_use(project):
        profile = project.policy.profiles[name]
        if not profile.verify:
            yield f"none\t{name}\t(no checks)", False
            continue
        found = measure(project, name, profile)
        for check in found.checks:
            state = "green" if check.green else "red"
            ended = "" if check.green else f"\t{check.ended}"
            yield f"{state}\t{name}\t{check.command}{ended}", not check.green and profile.baseline == "green"
            for line in check.excerpt.splitlines()[:20]:
                yield f"  | {line}", False


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
