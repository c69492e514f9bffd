"""``agentjobs check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from agentjobs.model.errors import ExitCode, UserError
from agentjobs.project.project import POLICY, TABLE, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.checkup.finding import Finding
    from agentjobs.checkup.parallel_advice import Advice


@click.command(name="check")
@click.option("--baseline", is_flag=True,
              help="Also run the checks of each profile in use once on the base, and report which fail; also those of "
              "its first rows, with their own variables: checks that pass before any work prove nothing.")
@click.option("--no-gate", is_flag=True, help="Do not run landing.gate.")
@click.option("--json", "as_json", is_flag=True, help="Print findings and advice as one JSON object.")
def command(baseline: bool, no_gate: bool, as_json: bool) -> int:
    """Report what would go wrong, before it costs money: policy, table, prompts, programs, repository, machine.

    Before the first task it also runs landing.gate once on the commit that work will land on: if it fails there,
    nothing can land. The result is kept for that commit.

    One line for each finding. Exit 1 if one of them is an error; warnings do not fail. Without errors it also gives
    advice: whether the open tasks should run in parallel at all, and what that would take. The advice does not
    change the exit code.

    \b
    Example:
      agentjobs check
      agentjobs check --baseline
      agentjobs check --json | jq -r .advice.verdict
    """
    if baseline and as_json:
        raise click.UsageError("--baseline and --json cannot be combined")
    from agentjobs.text.for_people import many

    project = Project.here()
    found = []
    for finding in _findings(project, gate=not no_gate):
        found.append(finding)
        if not as_json:
            click.echo(f"agentjobs: {finding}", err=True)
    errors = sum(not finding.warning for finding in found)
    if baseline and not errors:
        for line, red in _baseline(project):
            errors += red
            click.echo(line)
        for finding in _green_before(project):
            found.append(finding)
            click.echo(f"agentjobs: {finding}", err=True)
    advice, more = (None, []) if errors else _advice(project)
    if as_json:
        _print_json(project, [*found, *more], advice)
        return ExitCode.FAILED if errors else ExitCode.OK
    for finding in more:
        click.echo(f"agentjobs: {finding}", err=True)
    if advice is not None:
        from agentjobs.views.parallel_text import lines

        for line in lines(advice, project.policy.phases):
            click.echo(line)
    tasks = "" if errors else f"{many(len(project.file.table), 'task')}: "
    warnings = sum(finding.warning for finding in [*found, *more])
    click.echo(f"{tasks}{many(errors, 'error')}, {many(warnings, 'warning')}")
    return ExitCode.FAILED if errors else ExitCode.OK


def _advice(project: Project) -> tuple[Advice | None, list[Finding]]:
    """Return the advice on parallel runs, and a warning for each task that does not fit."""
    from agentjobs.checkup.finding import Finding
    from agentjobs.checkup.parallel_facts import look
    from agentjobs.checkup.too_large import warnings_of

    try:
        found = look(project)
    except (UserError, OSError) as error:
        return None, [Finding(f"no advice, because files of the tasks cannot be read: {error}", warning=True)]
    return found.advice, list(warnings_of(found.too_large))


def _findings(project: Project, *, gate: bool) -> Iterator[Finding]:
    from agentjobs.checkup.check import findings

    failed = False
    for finding in findings(project):
        failed |= not finding.warning
        yield finding
    if gate and not failed:
        yield from _gate(project)


def _gate(project: Project) -> Iterator[Finding]:
    """Yield a finding for each command of the gate that fails, or sometimes fails, before any work."""
    from agentjobs.checkup.finding import Finding
    from agentjobs.run.baseline import measure_gate, profiles_in_use

    if not (project.lands and project.policy.landing.gate and profiles_in_use(project)):
        return
    if project.store.exists() and project.store.started_ids():
        return  # the run itself asks the tip when the gate fails
    try:
        found = measure_gate(project)
    except UserError as error:
        yield Finding(error.message, error.file or POLICY)
        return
    for check in found.checks:
        if not check.green:
            cure = "a flaky gate costs attempts" if check.flaky else "nothing can land; fix it first"
            last = " | ".join(check.excerpt.splitlines()[-6:])
            what = f"landing.gate: `{check.command}` {check.ended} on {found.commit[:10]}, before any work"
            yield Finding(f"{what}: {cure}: {last}", POLICY, warning=check.flaky)


def _green_before(project: Project) -> Iterator[Finding]:
    from agentjobs.checkup.finding import Finding
    from agentjobs.run.baseline import green_before

    for row in green_before(project):
        message = f"all checks of {row.id} pass before any work: they cannot prove that it was done"
        yield Finding(message, TABLE, row.line, warning=True)


def _print_json(project: Project, findings: list[Finding], advice: Advice | None) -> None:
    value = msgspec.to_builtins({"findings": findings, "advice": advice})
    click.echo(msgspec.json.encode(project.masking.texts(value)).decode())


def _baseline(project: Project) -> Iterator[tuple[str, bool]]:
    """Yield a line for each check, and whether it is an error: it fails although the profile needs it to pass."""
    from agentjobs.run.baseline import measure, profiles_in_use

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
