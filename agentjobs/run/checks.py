"""What an attempt came to: the agent's end is judged, checks are read, verified work is landed.

Success is never an agent's word: its tree is committed as it is, compared with what it may change, and that very
commit is what the checks run on and what lands.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from agentjobs.agents.stream import excerpt
from agentjobs.core.findings import rejection
from agentjobs.disk.files import read_json
from agentjobs.disk.logs import read_tail
from agentjobs.disk.write import printable
from agentjobs.launch import local
from agentjobs.model.errors import TreeBusy, TreeError, UserError, is_machines, said
from agentjobs.model.facts import AgentEnd, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Lost, Prepare, StepKind
from agentjobs.project.store import step_files
from agentjobs.run import check_runs, claim_check, handoff_turn
from agentjobs.run.check_runs import ended
from agentjobs.run.steps import start
from agentjobs.run.steps.ended import is_patient, verdict_on
from agentjobs.run.steps.open_request import in_flight
from agentjobs.run.steps.spending import told_by, was_written
from agentjobs.text.excerpt import error_excerpt, signature
from agentjobs.text.path_patterns import in_scope, normalise

if TYPE_CHECKING:
    from agentjobs.agents.outcome import Verdict
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.workspace.snapshot import Snapshot

LANDING_TRIES = 50
"""How often the target may move between our look at it and our swap, in one poll."""


class _Work(NamedTuple):
    """What the tree of an agent that ended holds."""

    taken: Snapshot
    changed: tuple[str, ...]
    unlandable: tuple[str, ...]
    """What no commit can hold, in words."""
    removed: tuple[str, ...]
    setup: str
    markers: tuple[str, ...]


class Verdicts:
    """Reads what steps left, for one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.store = project.store
        self.swept: set[str] = set()
        """Markers of ended agents whose leftovers have been ended already."""

    # --- the agent's end

    def judge(self, task: Task, attempt: Attempt, now: float) -> None:
        """Write ``agent.end.json``: end what still lives, commit the tree, classify."""
        intent = attempt.intent
        self.sweep(attempt)
        self.swept.discard(intent.marker)
        step, verdict = attempt.first(StepKind.AGENT), verdict_on(self.project, task, attempt, now)
        if verdict is None or step is None or not isinstance(step.phase, Exited | Lost):
            return
        told = told_by(self.project, task, attempt)
        end = AgentEnd(
            outcome=verdict.outcome,
            at=step.phase.at,
            detail=verdict.detail,
            signature=verdict.signature,
            session=told.session or intent.session,
            unwritten=verdict.outcome is not Outcome.OK and not was_written(self.project, task, attempt, told),
            tokens=told.spent.tokens,
            cost=told.spent.cost or 0.0,
            spent=told.spent,
            in_flight=Spending() if verdict.outcome is Outcome.OK else in_flight(self.project, task, attempt),
            reset_at=verdict.reset_at,
        )
        if intent.base:
            try:
                end = self._with_tree(task, attempt, end, verdict)
            except TreeBusy as error:
                if is_patient(error, attempt, now):
                    raise
                if verdict.outcome is Outcome.OK:
                    end = replace(end, outcome=Outcome.INFRA, detail=str(error))
            if verdict.outcome is Outcome.OK:  # who was cut short has not said yet what it did
                end = claim_check.examined(self.project, task, attempt, end)
        self.store.count_open(intent.id, str(intent.number), end.in_flight)
        self.store.write_fact(intent.id, intent.number, "agent.end.json", end)

    def sweep(self, attempt: Attempt) -> None:
        """End what the attempt's agent left behind."""
        if attempt.intent.marker not in self.swept:
            ran = [step for step in attempt.steps if step.kind is StepKind.AGENT]
            attempt_dir = self._dir(attempt)
            records = [step_files(attempt_dir, step.name) for step in ran]
            local.sweep([attempt.intent.marker], records, start.places((attempt.intent, attempt_dir)))
            self.swept.add(attempt.intent.marker)

    def _with_tree(self, task: Task, attempt: Attempt, end: AgentEnd, verdict: Verdict) -> AgentEnd:
        """Commit what the tree holds, keep it under a ref, and look at what was changed."""
        try:
            work = self._committed(task, attempt, end.at, finished=verdict.outcome is Outcome.OK)
        except TreeBusy:
            raise
        except (UserError, OSError) as error:
            if is_machines(error):
                raise  # the work waits as it stands, until git can work again
            if verdict.outcome is not Outcome.OK:
                return end
            told = printable(said(error))
            return replace(end, outcome=Outcome.CRASHED, detail=told, signature=signature(told.encode()))
        profile = self.project.profile(task.row, attempt.intent.profile)
        outside = in_scope(work.changed, task.row.files) if profile.scope == "files" else ()
        end = replace(
            end, tree=work.taken.tree, commit=work.taken.commit,
            changed=tuple(map(printable, work.changed)), outside=tuple(map(printable, outside)),
            removed=tuple(map(printable, work.removed)), setup=work.setup, inside=bool(work.unlandable),
        )  # fmt: skip
        if verdict.outcome is not Outcome.OK:
            return end
        if work.unlandable:
            outcome = Outcome.VERIFY_FAILED if work.changed else Outcome.NO_CHANGE
            return replace(end, outcome=outcome, detail="; ".join(work.unlandable))
        if outside:
            return replace(end, outcome=Outcome.OUT_OF_SCOPE, detail=f"changed {_names(outside)}")
        if work.markers:
            detail = f"conflict markers left in {_names(work.markers)}"
            return replace(end, outcome=Outcome.VERIFY_FAILED, detail=detail)
        if not work.changed and profile.require_change:
            return replace(end, outcome=Outcome.NO_CHANGE, detail="said it was done and changed nothing")
        return end

    def _committed(self, task: Task, attempt: Attempt, at: float, *, finished: bool) -> _Work:
        """Commit what the tree holds, keep it under a ref, and leave the tree standing on it.

        With ``finished`` nothing is left beside the commit but what was there when the agent began; else the
        conversation may go on with all that it has there.
        """
        from agentjobs.workspace import nested, target, worktree

        git, intent, settings = self.project.git, attempt.intent, self.project.policy.workspace
        tree_dir = Path(intent.tree)
        if not os.path.lexists(tree_dir):
            raise TreeError(f"the tree {tree_dir} is gone")
        if worktree.create(git, tree_dir, intent.base):
            raise TreeError(f"{tree_dir} was not as agentjobs made it; what stood there is kept beside it")
        ref = git.kept(intent.id, intent.number)
        named = [normalise(path) for path in task.row.files]
        taken = worktree.keep(git, tree_dir, intent.base, ref, self.message(task, attempt), at, named=named)
        unlandable = nested.keep(git, tree_dir, taken, ref, at)
        changed = git.changed(intent.base, taken.commit)
        removed: tuple[str, ...] = ()
        spoilt = False
        if finished and not unlandable:
            removed, spoilt = worktree.restore(git, self.project.root, tree_dir, taken.commit, settings)
        else:
            worktree.reset(git, tree_dir, taken.commit)
        markers = target.has_markers(git, intent.base, taken.commit)
        return _Work(taken, changed, unlandable, removed, (settings.setup or "") if spoilt else "", markers)

    def message(self, task: Task, attempt: Attempt) -> str:
        """Return the message of the commit that lands: what it is, whose it is, and by what it was checked."""
        from agentjobs.workspace.target import landing_message

        title = task.row.cells.get("title", "")
        subject = f"{task.row.id}: {title}" if title else task.row.id
        return landing_message(
            subject,
            task=task.row.id,
            attempt=attempt.number,
            agent=attempt.intent.agent,
            checks=attempt.intent.checks + self.project.policy.landing.gate,
        )

    # --- checks

    def integrate_for_verify(self, task: Task, attempt: Attempt, name: str, now: float) -> None:
        """Write the plan of a check: the task's work on top of what has landed by now, with the tree on it."""
        attempt_dir = self.store.attempt_dir(task.row.id, attempt.number)
        plan_path = attempt_dir / f"{name}.plan.json"
        if read_json(plan_path, Prepare) is None and not check_runs.write_rest(self.store, attempt, name, now):
            if attempt.end is not None and attempt.end.setup:
                from agentjobs.workspace import worktree

                keep = self.project.policy.workspace.keep
                worktree.note_handed(self.project.git, Path(attempt.intent.tree), with_setup=True, keep=keep)
            commit, parent = self.candidate(attempt)
            if self.project.lands and attempt.intent.base:
                merged = self.merge(task, attempt, commit, parent)
                if isinstance(merged, Result):
                    self.write_result(attempt, merged, merged.at)
                    return
                commit, parent = merged
            check_runs.write_plan(self.store, attempt, name, Prepare(commit, parent, attempt.intent.checks, now))
        self._stand_on(attempt, name)

    def write_result(self, attempt: Attempt, result: Result, now: float) -> None:
        """Write ``result.json``, with what the agent said wrongly, and tell of it."""
        intent = attempt.intent
        told = claim_check.with_findings(result, attempt.end)
        self.store.write_fact(intent.id, intent.number, "result.json", told)
        self.store.event(
            now, intent.id, "result", attempt=intent.number, outcome=result.outcome.value, detail=result.detail
        )

    def candidate(self, attempt: Attempt) -> tuple[str, str]:
        """Return the commit that is to be judged or landed, and the commit it stands on."""
        attempt_dir = self.store.attempt_dir(attempt.intent.id, attempt.number)
        check = attempt.last(StepKind.VERIFY, StepKind.GATE)
        plan = read_json(attempt_dir / f"{check.name}.plan.json", Prepare) if check else None
        if plan is not None:
            return plan.commit, plan.parent
        return (attempt.end.commit if attempt.end else ""), attempt.intent.base

    def merge(self, task: Task, attempt: Attempt, commit: str, parent: str) -> tuple[str, str] | Result:
        """Put the work onto the target's tip; a conflict is a result, its files in the tree for the next agent."""
        from agentjobs.workspace import target, worktree

        git, intent, end = self.project.git, attempt.intent, attempt.end
        tip = self.project.tip()
        if tip == parent or end is None:
            return commit, parent
        worktree.create(git, Path(intent.tree), commit)  # somebody may have removed it
        merged = target.integrate(
            git, Path(intent.tree), commit, tip, self.message(task, attempt), end.at, stands_on=parent
        )
        if not merged.conflicts:
            return merged.commit, tip
        detail = f"conflicts with what landed meanwhile in {_names(merged.conflicts)}"
        return Result(
            outcome=Outcome.CONFLICT,
            at=end.at,
            detail=detail,
            signature=f"{signature(detail.encode())}-{tip[:12]}",  # with another tip it is no sign of going in circles
            commit=commit,
            tokens=end.tokens,
            cost=end.cost,
            session=end.session,
            base=tip,
            errors=f"{detail}\n" + "\n".join(merged.messages) + "\nBoth sides are in these files, between "
            "<<<<<<< and >>>>>>> markers: the first is what landed, the second is this task's earlier work. "
            "Resolve every one so that both intentions hold.",
        )

    def _stand_on(self, attempt: Attempt, name: str) -> None:
        """Put the tree on the very commit that is to be judged."""
        from agentjobs.workspace import worktree

        attempt_dir = self.store.attempt_dir(attempt.intent.id, attempt.number)
        plan = read_json(attempt_dir / f"{name}.plan.json", Prepare)
        if plan is None or not attempt.intent.base:
            return
        git, tree_dir = self.project.git, Path(attempt.intent.tree)
        worktree.create(git, tree_dir, plan.commit)  # somebody may have removed it
        worktree.reset(git, tree_dir, plan.commit)

    # --- landing

    def land(self, task: Task, attempt: Attempt, now: float) -> Result | str:
        """Land verified work. A result when that is settled; else the name of the gate step to start."""
        from agentjobs.workspace import target

        project = self.project
        check = attempt.last(StepKind.VERIFY, StepKind.GATE)
        if check is not None and not isinstance(check.phase, Exited) and not isinstance(check.phase, Lost):
            self._stand_on(attempt, check.name)
            return check.name
        commit, parent = self.candidate(attempt)
        lost = check is not None and isinstance(check.phase, Lost)
        gated = not lost and (not project.policy.landing.gate or (check is not None and check.kind is StepKind.GATE))
        verified = not lost
        for _ in range(LANDING_TRIES):
            if project.git.contains(project.tip(), commit) or (gated and verified and project.tip() == parent):
                if target.land(
                    project.git, project.policy.target, commit, parent, trees_dir=project.trees_dir
                ):
                    return self.has_landed(attempt, commit, now)
                continue
            merged = self.merge(task, attempt, commit, parent)
            if isinstance(merged, Result):
                return merged
            moved = merged != (commit, parent)
            commit, parent = merged
            checks = (attempt.intent.checks if moved or lost else ()) + project.policy.landing.gate
            if not checks:
                verified = gated = True
                continue
            runs = sum(step.kind is StepKind.GATE for step in attempt.steps)
            name = f"gate-{runs + 1}" if runs else "gate"
            check_runs.write_plan(self.store, attempt, name, Prepare(commit, parent, checks, now))
            self._stand_on(attempt, name)
            return name
        raise UserError(f"the target {project.policy.target} keeps moving while work lands on it")

    def landed(self, attempt: Attempt, now: float) -> Result | None:
        """Return the result of work that is on the target though a kill kept us from writing it down."""
        commit, parent = self.candidate(attempt)
        if not self.project.lands or attempt.end is None or commit in {"", parent, attempt.intent.base}:
            return None
        try:
            there = self.project.git.contains(self.project.tip(), commit)
        except UserError:
            return None
        return self.has_landed(attempt, commit, now) if there else None

    def has_landed(self, attempt: Attempt, commit: str, now: float) -> Result:
        """Return the result of an attempt whose work is on the target."""
        end = attempt.end
        assert end is not None
        self.store.event(now, attempt.intent.id, "landed", attempt=attempt.number, commit=commit)
        return Result(
            Outcome.OK, now, tree=end.tree, commit=commit, tokens=end.tokens, cost=end.cost, session=end.session,
            landed=commit,
        )  # fmt: skip

    def blamed(self, task: Task, attempt: Attempt, errors: str, check: str, now: float) -> Result:
        """Return the result of work that made the gate of a batch fail; its tree is on the target's tip by then."""
        commit, parent = self.candidate(attempt)
        merged = self.merge(task, attempt, commit, parent)
        if isinstance(merged, Result):
            return replace(merged, errors=f"{merged.errors}\n\nBefore that the gate said of this work:\n{errors}")
        end = attempt.end
        assert end is not None
        return Result(
            Outcome.GATE_FAILED, now, tree=end.tree, commit=merged[0], tokens=end.tokens, cost=end.cost,
            session=end.session, base=merged[1], check=check,
            detail=f"the gate failed on it: {' '.join(check.split())[:120]}" if check else "the gate failed on it",
            signature=signature(errors.encode("utf-8", "surrogateescape"), attempt.intent.tree), errors=errors,
        )  # fmt: skip

    def base_after(self, attempt: Attempt) -> str:
        """Return what the attempt after this one stands on.

        That is what this one came to stand on; for work that the gate of a batch refused, the tip, with all that landed
        since: its errors may come of just that. A conflict with it is left to be met when the work is done.
        """
        from agentjobs.workspace import target

        result = attempt.result
        base = (result.base if result else "") or attempt.intent.base
        if result is None or result.outcome is not Outcome.GATE_FAILED or not base:
            return base
        git, tip = self.project.git, self.project.tip()
        if tip == base or not git.contains(tip, base):
            return base
        merged = target.merge_onto(git, result.commit, tip, attempt.intent.id, result.at, stands_on=base)
        return base if merged.conflicts else tip

    # --- results

    def result(self, task: Task, attempt: Attempt, outcome: Outcome, now: float) -> Result:
        """Return what ``result.json`` is to say about an attempt that ended with ``outcome``."""
        intent, end = attempt.intent, attempt.end
        commit, parent = self.candidate(attempt)
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
            output, _ = read_tail(step_files(self._dir(attempt), "agent").log, self.project.masking)
            agent = self.project.policy.agents.get(intent.agent)
            errors = excerpt(output, agent.reading if agent else ())
            if end.outside:
                files = ", ".join(task.row.files)
                errors = f"{end.detail}\nThis task may change only: {files}\nPut every other file back as it was."
            elif end.detail and outcome in {Outcome.NO_CHANGE, Outcome.VERIFY_FAILED}:
                errors = end.detail
            elif outcome is Outcome.CONTEXT_FULL:
                errors = handoff_turn.told(self.project, attempt, end.detail)
            return replace(
                result, detail=end.detail, signature=end.signature, reset_at=end.reset_at, errors=errors
            )
        if outcome in {Outcome.VERIFY_FAILED, Outcome.GATE_FAILED}:
            return self._failed_check(attempt, result)
        if outcome is Outcome.REJECTED:
            return rejection(result, attempt)
        if outcome is Outcome.INFRA:
            return self._infra(attempt, result)
        if outcome is Outcome.OK and intent.base and commit != intent.base:
            with contextlib.suppress(UserError):
                self.project.git.keep(self.project.git.kept(intent.id, "done"), commit)
        return result

    def _dir(self, attempt: Attempt) -> Path:
        return self.store.attempt_dir(attempt.intent.id, attempt.number)

    def _failed_check(self, attempt: Attempt, result: Result) -> Result:
        check = attempt.last(StepKind.VERIFY, StepKind.GATE)
        if check is None:
            return result
        command, number, how, said = check_runs.failed_check(self.project, attempt, check)
        self._stand_on(attempt, check.name)
        shown = command.encode("utf-8", "surrogateescape")
        # A check that says nothing (`grep -q`) fails alike each time: that is no sign of going in circles.
        silent = not said.strip()
        removed = attempt.end.removed if attempt.end else ()
        without = (
            f"\n\nThe checks ran without ignored files that were made during this task, because they do not land: "
            f"{_names(removed)}. What checks need beside the commit, workspace.setup has to make."
        )
        return replace(
            result,
            check=command,
            detail=f"check {number} {how}: {' '.join(command.split())[:120]}",
            signature="" if silent else signature(shown + b"\n" + said, attempt.intent.tree),
            errors=f"$ {command}\n{how}, and said {'nothing' if silent else 'this:'}\n{error_excerpt(said)}".rstrip()
            + (without if removed else ""),
        )

    def _infra(self, attempt: Attempt, result: Result) -> Result:
        setup = attempt.last(StepKind.SETUP)
        check = attempt.last(StepKind.VERIFY, StepKind.GATE)
        step = check or setup
        if step is None:
            return result
        output, _ = read_tail(step_files(self._dir(attempt), step.name).log, self.project.masking)
        what = f"the setup command {ended(step)}" if step is setup else f"{step.name} {ended(step)} again and again"
        return replace(result, detail=what, signature=signature(output), errors=error_excerpt(output))


def _names(paths: tuple[str, ...], most: int = 5) -> str:
    shown = ", ".join(map(printable, paths[:most]))
    return f"{shown} and {len(paths) - most} more" if len(paths) > most else shown
