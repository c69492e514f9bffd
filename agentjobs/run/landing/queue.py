"""The merge queue: verified tasks merged in memory, checked as one batch in one tree, landed together.

A run of the gate is kept as an attempt under ``QUEUE_ID``, with two more facts: ``batch.json`` (the tasks in it) and
``verdict.json`` (what follows). Its ``result.json`` is written once every task has its result. If it is
killed anywhere, the next poll goes on from these: landing is a compare-and-swap to the very commit that was checked,
so it is done once, or found done.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.core.gate import GATE_RUNS_MAX, QUEUE_ID, Batch, Probe, Verdict, judge, next_of_gate
from agentjobs.core.pauses import LANDING, work_waits_until
from agentjobs.disk.processes import MARK
from agentjobs.model.decisions import Conclude, End, Launch, Look, SendBack, Wait
from agentjobs.model.errors import UserError, said
from agentjobs.model.facts import Intent, Made, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt
from agentjobs.model.steps import Prepare, StepKind
from agentjobs.prompts import briefing
from agentjobs.run import check_runs
from agentjobs.run.landing.gate_output import errors_of, failed_command, trouble_of
from agentjobs.run.landing.land import has_landed
from agentjobs.run.landing.new_runs import NewRuns
from agentjobs.run.landing.runs import GateRuns
from agentjobs.run.steps import start
from agentjobs.run.steps.ended import is_patient
from agentjobs.run.tree_trouble import give_up_tree, hold, is_of_tree, lift_hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.model.decisions import Decision
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.run.attempts import Attempts

MOVED = "the target has moved"

BUSY_S = 1.0
"""How soon a tree that another process has locked is asked for again."""


class MergeQueue:
    """Runs the gate for one project. The caller holds the lock.

    ``read`` returns a task as it is now, None where its round is settled.
    """

    def __init__(self, project: Project, attempts: Attempts, read: Callable[[str], Task | None]) -> None:
        self.project = project
        self.store = project.store
        self.attempts = attempts
        self.runs = GateRuns(project, read)
        self.new = NewRuns(project, attempts, self.runs)
        self.until = float("inf")
        """When to look again at the run that is under way, unless it ends before."""

    # --- a run that is under way

    def advance(self, now: float) -> int:
        """Do what the open run needs now; return how many things that were."""
        self.until = float("inf")
        acted = 0
        while (run := self.runs.open()) is not None:
            decision = self._next(run, now)
            if isinstance(decision, Launch) or (
                isinstance(decision, Conclude) and decision.outcome is not Outcome.STOPPED
            ):
                held_until = work_waits_until(self.store.halt(), self.store.hold(), now)
                decision = Wait(held_until, LANDING) if held_until else decision
            if isinstance(decision, Wait):
                self.until = decision.until or self.until
                return acted
            if not self._guarded(run, decision, now):
                self.until = now + BUSY_S
                return acted
            acted += 1
        return acted

    def _next(self, run: Attempt, now: float) -> Decision:
        batch = self.runs.batch(run.number)
        verdict = self.runs.verdict(run.number)
        if verdict is not None:
            return Conclude(Outcome.OK if verdict.landed else Outcome.GATE_FAILED)
        case = batch.case
        if case.probe is Probe.TIP:
            wanted = any(self.runs.waiting(id_) is not None for id_ in case.accused)
        else:
            there = [self.runs.waiting(member.id, member.attempt) is not None for member in batch.members]
            wanted = (bool(there) and all(there)) or self._is_in(batch)  # with one gone it would prove nothing
        return next_of_gate(run, self.project.policy, now, wanted=wanted)

    def _guarded(self, run: Attempt, decision: Decision, now: float) -> bool:
        """Carry out a decision; where git or the machine refuses, the queue is held, and then a person is called."""
        try:
            if isinstance(decision, Launch):
                self._launch(run, decision, now)
            elif isinstance(decision, End):
                self.attempts.end(run, decision, now)
            elif isinstance(decision, Look):
                check_runs.look(self.project, run, decision.step)
            elif isinstance(decision, Conclude):
                return self._conclude(run, decision.outcome, now)
        except (UserError, OSError) as error:
            if is_patient(error, run, now):
                return False
            if is_of_tree(error, run):
                give_up_tree(run)  # it is made anew when the gate is tried once more
            self._hold(run.number, said(error), now)
            return False
        return True

    def _hold(self, number: int, detail: str, now: float) -> None:
        hold(self.store, QUEUE_ID, number, detail, now)

    def _launch(self, run: Attempt, launch: Launch, now: float) -> None:
        intent, batch = run.intent, self.runs.batch(run.number)
        if self.project.git.resolve(batch.head) is None:  # a power cut, or `git gc`: it can be merged again
            self._close(run, Outcome.STOPPED, "the commit it was to run on is gone", now)
            return
        self.attempts.be_alone(intent, [])
        env = self._environment(run, batch)
        self._stand(intent, batch, launch)
        if launch.kind is StepKind.SETUP:
            argv: tuple[str, ...] = ("/bin/sh", "-c", intent.setup)
        else:
            if not check_runs.write_rest(self.store, run, launch.name, now):
                plan = Prepare(batch.head, batch.tip, intent.checks, now)
                check_runs.write_plan(self.store, run, launch.name, plan)
            argv = self.attempts.check_argv(run, launch.name)
        start.start(self.project, intent, self.runs.dir_of(run.number), launch.name, argv, env=env)

    def _stand(self, intent: Intent, batch: Batch, launch: Launch) -> None:
        """Put the tree of a run on the last commit of its batch."""
        from agentjobs.workspace import worktree

        git, tree, settings = self.project.git, Path(intent.tree), self.project.policy.workspace
        worktree.create(git, tree, batch.head)
        # What an earlier run left behind must not be what makes this one green; what its own setup made stays, and in
        # the tree of a task what it was given.
        anew = (launch.kind is StepKind.SETUP or not intent.setup) and batch.case.probe is not Probe.SINGLE
        worktree.reset(git, tree, batch.head, ignored_to_keep=settings.keep if anew else None)
        if settings.copy or settings.link:
            worktree.setup_files(git, self.project.root, tree, copy=settings.copy, link=settings.link)
        if intent.setup and launch.kind is not StepKind.SETUP:
            from agentjobs.workspace.setup import note_present, setup_done

            note_present(git, tree)
            if batch.case.probe is not Probe.SINGLE:  # in a task's tree, an agent may have changed what is kept
                setup_done(git, tree, batch.head, settings)

    def _environment(self, run: Attempt, batch: Batch) -> dict[str, str]:
        """Return the environment of the gate: for a task that lands alone, that of its checks."""
        task = self.runs.alone(batch)
        if task is None or task.last is None:
            return briefing.gate_environment(self.project, run.intent, batch)
        intent, attempt_dir = task.last.intent, self.store.attempt_dir(task.row.id, task.last.number)
        start.kill_leftovers(self.store, task.last)  # what its earlier checks left running in the tree
        return briefing.environment(self.project, task.row, intent, attempt_dir, "gate") | {MARK: run.intent.marker}

    # --- what a run came to

    def _conclude(self, run: Attempt, outcome: Outcome, now: float) -> bool:
        """Land or send back what a run was for, and close it; False: it has to be tried again a little later."""
        number = run.number
        batch = self.runs.batch(number)
        verdict = self.runs.verdict(number)
        if verdict is None:
            members = (self.runs.open_task(member.id, member.attempt) for member in batch.members)
            start.kill_leftovers(self.store, run, *(task.last for task in members if task is not None and task.last))
            verdict = self._judge(run, batch, outcome, now)
            if verdict is None:
                return True
            self.store.write_fact(QUEUE_ID, number, "verdict.json", verdict)
        if not self._tell(run, batch, verdict, now):
            return False
        if verdict.red_tip:
            detail = f"the gate fails on {self.project.policy.target} itself, without any work on it: {verdict.why}"
            self.store.set_state("halt", Halt(LANDING, detail, now))
        over = Outcome.OK if verdict.landed else Outcome.GATE_FAILED
        self._close(run, over, verdict.why, now)
        return True

    def _close(self, run: Attempt, outcome: Outcome, detail: str, now: float) -> None:
        self.store.write_fact(QUEUE_ID, run.number, "result.json", Result(outcome, now, detail=detail))
        if outcome is not Outcome.INFRA:
            lift_hold(self.store)

    def _judge(self, run: Attempt, batch: Batch, outcome: Outcome, now: float) -> Verdict | None:
        """Return the verdict on a run that has ended, landed if that is what it says; None: the run came to nothing."""
        if self._is_in(batch):  # landed by a poll that was killed before it could write so
            return judge(batch.case, green=True, owned={}, errors="")
        stale = "" if outcome is not Outcome.STOPPED else "nobody waits for it any more"
        if any(self.runs.waiting(m.id, m.attempt) is None for m in batch.members):
            stale = "a task left while it ran"
        if outcome is Outcome.INFRA:
            self._hold(run.number, f"the gate could not be run: {trouble_of(self.project, run)}", now)
            stale = "could not be run"
        if not stale and outcome is Outcome.OK and not self._land(batch):
            stale = MOVED
            self._give_up_moving(run.number, now)
        if stale:
            self._close(run, Outcome.INFRA if outcome is Outcome.INFRA else Outcome.STOPPED, stale, now)
            return None
        if outcome is Outcome.OK:
            return judge(batch.case, green=True, owned={}, errors="")
        owned, errors = errors_of(self.project, run, batch)
        return judge(batch.case, green=False, owned=owned, errors=errors)

    def _is_in(self, batch: Batch) -> bool:
        """Whether the target holds all of the batch already."""
        if not batch.members or batch.head == batch.tip:
            return False
        with contextlib.suppress(UserError):
            return self.project.git.contains(self.project.tip(), batch.head)
        return False

    def _give_up_moving(self, number: int, now: float) -> None:
        """Call a person where the target moves faster than the gate can be run."""
        runs = (self.store.attempt(QUEUE_ID, n) for n in range(max(1, number - GATE_RUNS_MAX + 1), number))
        moved = [run is not None and run.result is not None and run.result.detail == MOVED for run in runs]
        if len(moved) >= GATE_RUNS_MAX - 1 and all(moved):
            detail = f"{self.project.policy.target} has moved during each of the last {GATE_RUNS_MAX} runs of the gate"
            self.store.set_state("halt", Halt(LANDING, detail, now))

    def _land(self, batch: Batch) -> bool:
        """Move the target to what was checked; False where it stands elsewhere by now."""
        from agentjobs.workspace import target_branch

        project = self.project
        if not batch.members or project.tip() != batch.tip:  # a target that was deleted is not made again as it was
            return project.tip() == batch.tip
        return target_branch.land(
            project.git, project.policy.target, batch.head, batch.tip, trees_dir=project.store.dir
        )

    def _tell(self, run: Attempt, batch: Batch, verdict: Verdict, now: float) -> bool:
        """Close the attempts of the verdict that are still open; return False if one could not be closed yet."""
        if verdict.landed:
            self._have_landed(batch, now)
        check, silent = failed_command(self.project, run, batch.case) if verdict.blamed else ("", False)
        for task_id, errors in verdict.blamed.items():
            task = self.runs.waiting(task_id, batch.attempts.get(task_id, 0))
            if task is None or task.last is None:
                continue
            if not self.new.send_back(task, task.last, SendBack(errors, check, silent), now):
                return False
            self.store.event(now, task_id, "blamed", attempt=task.last.number, run=run.number, why=verdict.why)
        return True

    def _have_landed(self, batch: Batch, now: float) -> None:
        for member in batch.members:
            task = self.runs.open_task(member.id, member.attempt)
            if task is not None and isinstance(task.open, Made):
                self.attempts.close(task, task.open, has_landed(self.project, task.open, member.commit, now), now)

    # --- a new run

    def form(self, ids: tuple[str, ...], now: float, *, starts: bool = True) -> int:
        """Land these verified tasks if nothing is left to check, else begin a run of the gate; return what was done.

        What the last run asked for comes first. ``starts=False``: begin no run.
        """
        self.until = float("inf")
        if self.runs.open() is not None:
            return 0
        try:
            batch, told = self.new.merged(ids, now)
            checks = self.new.checks_for(batch) if batch is not None else ()
            if batch is None or (checks and not starts):
                return told
            if not checks:
                if self._land(batch):  # else somebody has just moved the target: it is merged again in the next pass
                    self._have_landed(batch, now)
                    lift_hold(self.store)
                return 1 + told
            self.new.begin(batch, checks, now)
            return 1 + told + self.advance(now)
        except (UserError, OSError) as error:
            self._hold(1 + max(self.store.numbers(QUEUE_ID), default=0), said(error), now)
        return 0
