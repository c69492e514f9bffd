"""The checks of an attempt: what they run on, and the result of an attempt, with what they said."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.agents.stream import excerpt
from agentjobs.core.decide import SETUP_AGAIN
from agentjobs.core.review_findings import rejection
from agentjobs.disk.files import read_json
from agentjobs.disk.logs import read_tail
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Prepare, StepKind
from agentjobs.project.store import step_files
from agentjobs.run import check_runs, handoff_turn, reported_changes_check
from agentjobs.run.check_runs import ended
from agentjobs.run.landing.land import candidate, merge, some
from agentjobs.run.programs import absent_program
from agentjobs.text.excerpt import error_excerpt, signature

if TYPE_CHECKING:
    from agentjobs.core.pauses import Meaning
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.project.store import Store


def integrate(project: Project, task: Task, attempt: Attempt, name: str, now: float) -> None:
    """Write the plan of check ``name``: the work on top of what has landed by now. Put the tree there.

    A conflict is written as the attempt's result instead, and so is a tree that is gone after its setup ran again.
    """
    from agentjobs.workspace import setup, worktree

    store, settings, tree = project.store, project.policy.workspace, Path(attempt.intent.tree)
    if attempt.step(SETUP_AGAIN) is not None and setup.is_absent(project.git, tree, settings):
        if not tree.is_dir():  # the attempt that follows gets one that is set up, with the work so far
            detail = "its tree was removed after the setup command had run again in it"
            lost = result_of(project, task, attempt, Outcome.INFRA, now)
            write_result(project, attempt, replace(lost, detail=detail, signature="", errors=""), now)
            return
        worktree.note_handed(project.git, tree, with_setup=True, keep=settings.keep)
        setup.note_present(project.git, tree)
    merged_there = False
    plan_path = store.attempt_dir(task.row.id, attempt.number) / f"{name}.plan.json"
    if read_json(plan_path, Prepare) is None and not check_runs.write_rest(store, attempt, name, now):
        commit, parent = candidate(project, attempt)
        if project.lands and attempt.intent.base:
            merged = merge(project, task, attempt)
            if isinstance(merged, Result):
                write_result(project, attempt, merged, merged.at)
                return
            merged_there = merged[1] != parent
            commit, parent = merged
        check_runs.write_plan(store, attempt, name, Prepare(commit, parent, attempt.intent.checks, now))
    _stand_on(project, attempt, name, stands=merged_there)


def _stand_on(project: Project, attempt: Attempt, name: str, *, stands: bool = False) -> None:
    """Put the tree on the very commit that is judged, unless it ``stands`` there already."""
    from agentjobs.workspace import worktree

    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    plan = read_json(attempt_dir / f"{name}.plan.json", Prepare)
    if plan is None or not attempt.intent.base:
        return
    git, tree_dir = project.git, Path(attempt.intent.tree)
    stands = stands or project.store.standing.get(attempt.intent.tree) == plan.commit
    if not stands or not tree_dir.is_dir():
        worktree.create(git, tree_dir, plan.commit)  # somebody may have removed it
        worktree.reset(git, tree_dir, plan.commit)
    worktree.put_files(git, project.root, tree_dir, project.policy.workspace)


def write_result(project: Project, attempt: Attempt, result: Result, now: float) -> None:
    """Write ``result.json``, with what the agent reported wrongly, and its event."""
    intent = attempt.intent
    checked = reported_changes_check.with_findings(result, attempt.end)
    project.store.write_fact(intent.id, intent.number, "result.json", checked)
    project.store.event(
        now, intent.id, "result", attempt=intent.number, outcome=result.outcome.value, detail=result.detail
    )


def result_of(project: Project, task: Task, attempt: Attempt, outcome: Outcome, now: float) -> Result:
    """Return the content of ``result.json`` for an attempt that ended with ``outcome``."""
    intent, end = attempt.intent, attempt.end
    commit, parent = candidate(project, attempt)
    result = Result(
        outcome=outcome,
        at=now,
        tree=end.tree if end else "",
        commit=commit,
        tokens=end.tokens if end else 0,
        cost=end.cost if end else 0.0,
        session=end.session if end else intent.session,
        base=parent if intent.base else "",
    )
    if end is not None and end.outcome is outcome and outcome is not Outcome.OK:
        output, _ = read_tail(_log(project, attempt, "agent"), project.masking)
        agent = project.policy.agents.get(intent.agent)
        errors = excerpt(output, agent.reading if agent else ())
        if end.outside:
            files = ", ".join(task.row.files)
            errors = f"{end.detail}\nThis task may change only: {files}\nPut every other file back as it was."
        elif end.detail and outcome in {Outcome.NO_CHANGE, Outcome.VERIFY_FAILED}:
            errors = end.detail
        elif outcome is Outcome.CONTEXT_FULL:
            errors = handoff_turn.told(project, attempt, end.detail)
        return replace(result, detail=end.detail, signature=end.signature, reset_at=end.reset_at, errors=errors)
    if outcome is Outcome.VERIFY_FAILED:
        return _failed_check(project, attempt, result)
    if outcome is Outcome.REJECTED:
        return rejection(result, attempt)
    if outcome is Outcome.INFRA:
        return _infra(project, attempt, result)
    if outcome is Outcome.OK:
        if intent.base and commit != intent.base:
            with contextlib.suppress(UserError):
                project.git.keep(project.git.kept(intent.id, "done"), commit)
        return replace(result, detail=check_runs.notes(project, attempt))
    return result


def _log(project: Project, attempt: Attempt, step: str) -> Path:
    return step_files(project.store.attempt_dir(attempt.intent.id, attempt.number), step).log


def _failed_check(project: Project, attempt: Attempt, result: Result) -> Result:
    check = attempt.last(StepKind.VERIFY)
    if check is None:
        return result
    failed = check_runs.failed_check(project, attempt, check)
    command = failed.command
    code = check.state.code if isinstance(check.state, Exited) else 0
    if absent := absent_program(project, command, code, failed.said):
        shown = " ".join(command.split())[:120]
        detail = f"check {failed.number} cannot start, as there is no {absent} (exit {code}): {shown}"
        return replace(result, outcome=Outcome.INFRA, check=command, detail=detail, errors=failed.shown)
    _stand_on(project, attempt, check.name)
    head = command.encode("utf-8", "surrogateescape")
    removed = attempt.end.removed if attempt.end else ()
    without = (
        f"\n\nThe checks ran without ignored files that were made during this task, because they do not land: "
        f"{some(removed)}. What checks need beside the commit, workspace.setup has to make."
    )
    return replace(
        result,
        check=command,
        detail=f"check {failed.number} {failed.ended}: {' '.join(command.split())[:120]}",
        # A check that prints nothing (`grep -q`) fails alike each time: that does not mean going in circles.
        signature=signature(head + b"\n" + failed.said, attempt.intent.tree) if failed.said.strip() else "",
        errors=failed.shown + (without if removed else ""),
    )


def _infra(project: Project, attempt: Attempt, result: Result) -> Result:
    setup = attempt.last(StepKind.SETUP)
    step = attempt.last(StepKind.VERIFY) or setup
    if step is None:
        return result
    output, _ = read_tail(_log(project, attempt, step.name), project.masking)
    what = f"the setup command {ended(step)}" if step is setup else f"{step.name} {ended(step)} again and again"
    return replace(result, detail=what, signature=signature(output), errors=error_excerpt(output))


def excused(store: Store, attempt: Attempt, result: Result, meaning: Meaning) -> Result:
    """Stop counting attempts that failed because of their account; return this one's result."""
    own = f"{attempt.intent.id}/{attempt.number}"
    for key in meaning.excused:
        task_id, _, number = key.rpartition("/")
        if key != own:
            store.excuse(task_id, int(number))
    return replace(result, outcome=Outcome.UNREACHABLE) if own in meaning.excused else result
