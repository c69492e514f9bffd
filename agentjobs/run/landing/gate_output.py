"""What a run of the gate printed: which task is at fault, which command failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.core.gate import Probe
from agentjobs.disk.logs import read_tail
from agentjobs.model.steps import Running, StepKind
from agentjobs.project.store import step_files
from agentjobs.run import check_runs
from agentjobs.text.excerpt import error_excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentjobs.core.gate import Batch, Case
    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project

ERRORS_MAX = 4000
"""Most characters of gate output given to a task that is at fault only because the gate passes without it."""


def errors_of(project: Project, run: Attempt, batch: Batch) -> tuple[Mapping[str, str], str]:
    """Return the tasks that the errors point to, each with its errors, and the whole output of the failed check."""
    from agentjobs.run.landing.problems import attribute, find

    gate = run.last(StepKind.GATE)
    if gate is None:
        return {}, ""
    failed = check_runs.failed_check(project, run, gate)
    owners = _owners(project, batch)
    found = find(failed.said, tree_dir=run.intent.tree, patterns=project.policy.landing.problems)
    owned, _ = attribute(found, owners)
    if batch.case.probe is Probe.SINGLE:  # all that was said is for the one task
        return dict.fromkeys(owned, failed.shown), failed.shown
    head = f"$ {failed.command}\n{failed.ended}"
    told = {id_: f"{head}, and said of this task's files:\n{text}" for id_, text in owned.items()}
    return told, f"{head}, and said this:\n{error_excerpt(failed.said)[:ERRORS_MAX]}".rstrip()


def _owners(project: Project, batch: Batch) -> dict[str, str]:
    """Return the task that changed each file, where it was one alone."""
    owners: dict[str, str] = {}
    shared: set[str] = set()
    before = batch.tip
    for member in batch.members:
        for path in project.git.changed(before, member.commit):
            if owners.setdefault(path, member.id) != member.id:
                shared.add(path)
        before = member.commit
    return {path: id_ for path, id_ in owners.items() if path not in shared}


def failed_command(project: Project, run: Attempt, case: Case) -> tuple[str, bool]:
    """Return the command that failed, and whether it printed nothing."""
    gate = run.last(StepKind.GATE)
    if gate is None:
        return "", False
    if case.errors and not isinstance(gate.state, Running):
        first = case.errors.split("\n", 1)[0]
        if first.startswith("$ "):
            return first[2:], False
    failed = check_runs.failed_check(project, run, gate)
    return failed.command, not failed.said.strip()


def trouble_of(project: Project, run: Attempt) -> str:
    """Return in words what the last step of a run said before it was lost."""
    step = run.steps[-1] if run.steps else None
    if step is None:
        return "it was not started"
    run_dir = project.store.attempt_dir(run.intent.id, run.number)
    output, _ = read_tail(step_files(run_dir, step.name).log, project.masking)
    return f"{step.name}: {' '.join(error_excerpt(output).split())[:200]}"
