"""The work of one attempt on its way to the target: its commit and message, the merge onto the target, what it came to.

The merge queue decides when work lands (see ``queue``). Here is what it needs of a single attempt.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.disk.files import read_json
from agentjobs.disk.write import printable
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Made, Over, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Prepare, StepKind
from agentjobs.run.check_runs import notes
from agentjobs.text.excerpt import signature

if TYPE_CHECKING:
    from agentjobs.model.decisions import SendBack
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project


def message(project: Project, task: Task, attempt: Attempt) -> str:
    """Return the message of the commit that lands: the task, the attempt, its agent and its checks."""
    from agentjobs.workspace.trailers import landing_message

    title = task.row.cells.get("title", "")
    return landing_message(
        f"{task.row.id}: {title}" if title else task.row.id,
        task=task.row.id,
        attempt=attempt.number,
        agent=attempt.intent.agent,
        checks=attempt.intent.checks + project.policy.landing.gate,
    )


def candidate(project: Project, attempt: Attempt) -> tuple[str, str]:
    """Return the commit that is judged and landed, and its parent: those of the newest run of the attempt's checks."""
    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    check = attempt.last(StepKind.VERIFY)
    plan = read_json(attempt_dir / f"{check.name}.plan.json", Prepare) if check else None
    if plan is not None:
        return plan.commit, plan.parent
    return (attempt.end.commit if attempt.end else ""), attempt.intent.base


def merge(project: Project, task: Task, attempt: Attempt) -> tuple[str, str] | Result:
    """Merge the work onto the tip of the target, in the attempt's own tree.

    Returns the merged commit and its parent. A conflict is the attempt's result: both sides are in the files of the
    tree then, for the next agent to resolve.
    """
    from agentjobs.workspace import target_branch, worktree

    git, intent, end = project.git, attempt.intent, attempt.end
    commit, parent = candidate(project, attempt)
    tip = project.tip()
    if tip == parent or end is None:
        return commit, parent
    worktree.create(git, Path(intent.tree), commit)  # somebody may have removed it
    text = message(project, task, attempt)
    merged = target_branch.integrate(git, Path(intent.tree), commit, tip, text, end.at, stands_on=parent)
    if not merged.conflicts:
        return merged.commit, tip
    detail = f"conflicts with what landed meanwhile in {some(merged.conflicts)}"
    return Result(
        outcome=Outcome.CONFLICT,
        at=end.at,
        detail=detail,
        signature=f"{signature(detail.encode())}-{tip[:12]}",  # with another tip it is not going in circles
        commit=commit,
        tokens=end.tokens,
        cost=end.cost,
        session=end.session,
        base=tip,
        errors=f"{detail}\n" + "\n".join(merged.messages) + "\nBoth sides are in these files, between "
        "<<<<<<< and >>>>>>> markers: the first is what landed, the second is this task's earlier work. "
        "Resolve every one so that both intentions hold.",
    )


def landed(project: Project, attempt: Attempt, now: float) -> Result | None:
    """Return the result of work that is on the target although a kill kept us from recording it."""
    commit, parent = candidate(project, attempt)
    if not project.lands or not isinstance(attempt, Made) or commit in {"", parent, attempt.intent.base}:
        return None
    try:
        there = project.git.contains(project.tip(), commit)
    except UserError:
        return None
    return has_landed(project, attempt, commit, now) if there else None


def has_landed(project: Project, attempt: Made, commit: str, now: float) -> Result:
    """Return the result of an attempt with its work on the target as ``commit``."""
    end = attempt.end
    project.store.event(now, attempt.intent.id, "landed", attempt=attempt.number, commit=commit)
    return Result(
        Outcome.OK, now, tree=end.tree, commit=commit, tokens=end.tokens, cost=end.cost, session=end.session,
        landed=commit, detail=notes(project, attempt),
    )  # fmt: skip


def sent_back(project: Project, task: Task, attempt: Made, back: SendBack, now: float) -> Result | None:
    """Return the result of work that may not land; its tree is on the tip of the target by then.

    None where nothing is wrong with it any more: it did not merge, and does now.
    """
    merged = merge(project, task, attempt)
    if isinstance(merged, Result):
        if not back.errors:
            return merged
        return replace(merged, errors=f"{merged.errors}\n\nBefore that the gate said of this work:\n{back.errors}")
    if not back.errors:
        return None
    end, check = attempt.end, back.check
    said = "" if back.silent else signature(back.errors.encode("utf-8", "surrogateescape"), attempt.intent.tree)
    return Result(
        Outcome.GATE_FAILED, now, tree=end.tree, commit=merged[0], tokens=end.tokens, cost=end.cost,
        session=end.session, base=merged[1], check=check,
        detail=f"the gate failed on it: {' '.join(check.split())[:120]}" if check else "the gate failed on it",
        signature=said, errors=back.errors,
    )  # fmt: skip


def base_after(project: Project, attempt: Attempt) -> str:
    """Return the commit that the attempt after this one is based on.

    That is the last base of this one. For work that the gate refused it is the tip, with all that landed since:
    its errors may come of just that. A conflict with the tip is left for the end of the next attempt.
    """
    from agentjobs.workspace import target_branch

    if not isinstance(attempt, Over):
        return attempt.intent.base
    result = attempt.result
    base = result.base or attempt.intent.base
    if result.outcome is not Outcome.GATE_FAILED or not base:
        return base
    git, tip = project.git, project.tip()
    if tip == base or not git.contains(tip, base):
        return base
    merged = target_branch.merge_onto(git, result.commit, tip, attempt.intent.id, result.at, stands_on=base)
    return base if merged.conflicts else tip


def some(paths: tuple[str, ...], most: int = 5) -> str:
    """Return paths in words, and how many more there are than ``most``."""
    shown = ", ".join(map(printable, paths[:most]))
    return f"{shown} and {len(paths) - most} more" if len(paths) > most else shown
