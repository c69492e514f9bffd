"""The merge queue: verified tasks merged in memory, checked as one batch in one tree, landed together.

A run of the gate is kept as an attempt of its own, under ``QUEUE_ID``, with two more facts: ``batch.json`` (who is in
it) and ``verdict.json`` (what follows). Its ``result.json`` is written when every task has been told. Killed
anywhere, the next poll goes on from these: landing is a compare-and-swap to the very commit that was checked, so it
is done once, or found done.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.decide import GATE_RUNS_MAX, next_of_gate
from agentjobs.core.gate import QUEUE_ID, Batch, Case, Member, Probe, Verdict, judge
from agentjobs.core.pauses import LANDING, Pause, hold_s
from agentjobs.disk.files import read_json, write_json
from agentjobs.disk.logs import read_tail
from agentjobs.launch import local
from agentjobs.model.decisions import Conclude, End, Launch, Look, Wait
from agentjobs.model.errors import UserError, said
from agentjobs.model.facts import Intent, Mode, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt
from agentjobs.model.steps import Prepare, Running, StepKind
from agentjobs.project.store import step_files
from agentjobs.run import check_runs
from agentjobs.run.landing.runs import GateRuns
from agentjobs.run.steps import start
from agentjobs.text.excerpt import error_excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentjobs.model.decisions import Decision
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.run.attempts import Attempts

MOVED = "the target has moved"

ERRORS_MAX = 4000
"""Characters of a run's output that a task is told which nothing but its absence proves at fault."""


class MergeQueue:
    """Runs the gate for one project. The caller holds the lock.

    ``read`` returns a task as it is now, None where its round is settled.
    """

    def __init__(self, project: Project, attempts: Attempts, read: Callable[[str], Task | None]) -> None:
        self.project = project
        self.store = project.store
        self.attempts = attempts
        self.runs = GateRuns(project, read)
        self.until = float("inf")
        """When the run that is under way is to be looked at again, unless it ends before."""

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
                decision = self._held(now) or decision
            if isinstance(decision, Wait):
                self.until = decision.until or self.until
                return acted
            if not self._guarded(run, decision, now):
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
                self._conclude(run, decision.outcome, now)
        except (UserError, OSError) as error:
            self._hold(run.number, said(error), now)
            return False
        return True

    def _held(self, now: float) -> Wait | None:
        """Return until when nothing is run, because git or the machine has just refused to."""
        halt, hold = self.store.halt(), self.store.hold()
        if halt is not None and halt.why == LANDING:
            return Wait(0.0, LANDING)
        return Wait(hold.until, LANDING) if hold is not None and hold.at <= now < hold.until else None

    def _hold(self, number: int, detail: str, now: float) -> None:
        key = f"{QUEUE_ID}/{number}"
        if self.store.hold() is None:
            self.store.set_state("hold", Pause(Outcome.INFRA, now + hold_s(key), now, detail))
        else:
            self.store.set_state("halt", Halt(LANDING, detail, now))
        self.store.event(now, QUEUE_ID, "held", attempt=number, detail=detail)

    def _launch(self, run: Attempt, launch: Launch, now: float) -> None:
        from agentjobs.workspace import worktree

        git, intent = self.project.git, run.intent
        batch, tree = self.runs.batch(run.number), Path(intent.tree)
        settings = self.project.policy.workspace
        if git.resolve(batch.head) is None:  # a power cut, or `git gc`: it can be merged again
            self._close(run, Outcome.STOPPED, "the commit it was to run on is gone", now)
            return
        self.attempts.be_alone(intent, [])
        worktree.create(git, tree, batch.head)
        # What an earlier run left behind must not be what makes this one green; what its own setup made stays.
        anew = launch.kind is StepKind.SETUP or not intent.setup
        worktree.reset(git, tree, batch.head, ignored_to_keep=settings.keep if anew else None)
        if settings.copy or settings.link:
            worktree.setup_files(git, self.project.root, tree, copy=settings.copy, link=settings.link)
        if launch.kind is StepKind.SETUP:
            argv: tuple[str, ...] = ("/bin/sh", "-c", intent.setup)
        else:
            if intent.setup:
                from agentjobs.workspace.setup import setup_done

                setup_done(git, tree, batch.head, settings)
            if not check_runs.write_rest(self.store, run, launch.name, now):
                plan = Prepare(batch.head, batch.tip, intent.checks, now)
                check_runs.write_plan(self.store, run, launch.name, plan)
            argv = self.attempts.check_argv(run, launch.name)
        from agentjobs.prompts.briefing import gate_environment

        env = gate_environment(self.project, intent, batch)
        start.start(self.project, intent, self.runs.dir_of(run.number), launch.name, argv, env=env)

    # --- what a run came to

    def _conclude(self, run: Attempt, outcome: Outcome, now: float) -> None:
        number = run.number
        batch = self.runs.batch(number)
        verdict = self.runs.verdict(number)
        if verdict is None:
            run_dir = self.runs.dir_of(number)
            records = [step_files(run_dir, step.name) for step in run.steps]
            local.sweep([run.intent.marker], records, start.places((run.intent, run_dir)))
            verdict = self._judge(run, batch, outcome, now)
            if verdict is None:
                return
            self.store.write_fact(QUEUE_ID, number, "verdict.json", verdict)
        self._tell(run, batch, verdict, now)
        if verdict.red_tip:
            detail = f"the gate fails on {self.project.policy.target} itself, without any work on it: {verdict.why}"
            self.store.set_state("halt", Halt(LANDING, detail, now))
        over = Outcome.OK if verdict.landed else Outcome.GATE_FAILED
        self._close(run, over, verdict.why, now)

    def _close(self, run: Attempt, outcome: Outcome, detail: str, now: float) -> None:
        self.store.write_fact(QUEUE_ID, run.number, "result.json", Result(outcome, now, detail=detail))
        if self.store.hold() is not None and outcome is not Outcome.INFRA:
            self.store.set_state("hold", None)

    def _judge(self, run: Attempt, batch: Batch, outcome: Outcome, now: float) -> Verdict | None:
        """Return the verdict on a run that has ended, landed if that is what it says; None: the run came to nothing."""
        if self._is_in(batch):  # landed by a poll that was killed before it could write so
            return judge(batch.case, green=True, owned={}, errors="")
        stale = "" if outcome is not Outcome.STOPPED else "nobody waits for it any more"
        if any(self.runs.waiting(m.id, m.attempt) is None for m in batch.members):
            stale = "a task left while it ran"
        if outcome is Outcome.INFRA:
            self._hold(run.number, f"the gate could not be run: {self._trouble(run)}", now)
            stale = "could not be run"
        if not stale and outcome is Outcome.OK and not self._land(batch):
            stale = MOVED
            self._give_up_moving(run.number, now)
        if stale:
            self._close(run, Outcome.INFRA if outcome is Outcome.INFRA else Outcome.STOPPED, stale, now)
            return None
        if outcome is Outcome.OK:
            return judge(batch.case, green=True, owned={}, errors="")
        owned, errors = self._errors(run, batch)
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
        from agentjobs.workspace import target

        project = self.project
        if not batch.members or project.tip() != batch.tip:  # a target that was deleted is not made again as it was
            return project.tip() == batch.tip
        return target.land(
            project.git, project.policy.target, batch.head, batch.tip, trees_dir=project.store.dir
        )

    def _tell(self, run: Attempt, batch: Batch, verdict: Verdict, now: float) -> None:
        """Close the attempts that the verdict is about; those that know already are left alone."""
        verdicts = self.attempts.verdicts
        for member in batch.members if verdict.landed else ():
            task = self.runs.open_task(member.id, member.attempt)
            if task is not None and task.last is not None:
                self.attempts.close(task, task.last, verdicts.has_landed(task.last, member.commit, now), now)
        check = self._check(run, batch.case)
        for task_id, errors in verdict.blamed.items():
            task = self.runs.waiting(task_id, batch.attempts.get(task_id, 0))
            if task is None or task.last is None:
                continue
            result = verdicts.blamed(task, task.last, errors, check, now)
            self.store.event(now, task_id, "blamed", attempt=task.last.number, run=run.number, why=verdict.why)
            self.attempts.close(task, task.last, result, now)

    # --- what it said

    def _errors(self, run: Attempt, batch: Batch) -> tuple[Mapping[str, str], str]:
        """Return whom the errors in the output lead to, and all that the failed check said."""
        from agentjobs.run.landing.problems import attribute, find

        gate = run.last(StepKind.GATE)
        if gate is None:
            return {}, ""
        command, _, ended, output = check_runs.failed_check(self.project, run, gate)
        owners = self._owners(batch)
        found = find(output, tree_dir=run.intent.tree, patterns=self.project.policy.landing.problems)
        owned, _ = attribute(found, owners)
        head = f"$ {command}\n{ended}"
        told = {id_: f"{head}, and said of this task's files:\n{text}" for id_, text in owned.items()}
        return told, f"{head}, and said this:\n{error_excerpt(output)[:ERRORS_MAX]}".rstrip()

    def _owners(self, batch: Batch) -> dict[str, str]:
        """Return the task that changed each file, where it was one alone."""
        owners: dict[str, str] = {}
        shared: set[str] = set()
        before = batch.tip
        for member in batch.members:
            for path in self.project.git.changed(before, member.commit):
                if owners.setdefault(path, member.id) != member.id:
                    shared.add(path)
            before = member.commit
        return {path: id_ for path, id_ in owners.items() if path not in shared}

    def _check(self, run: Attempt, case: Case) -> str:
        gate = run.last(StepKind.GATE)
        if gate is None:
            return ""
        if case.errors and not isinstance(gate.phase, Running):
            first = case.errors.split("\n", 1)[0]
            if first.startswith("$ "):
                return first[2:]
        return check_runs.failed_check(self.project, run, gate).command

    def _trouble(self, run: Attempt) -> str:
        step = run.steps[-1] if run.steps else None
        if step is None:
            return "it was not started"
        output, _ = read_tail(step_files(self.runs.dir_of(run.number), step.name).log, self.project.masking)
        return f"{step.name}: {' '.join(error_excerpt(output).split())[:200]}"

    # --- a new run

    def form(self, ids: tuple[str, ...], now: float) -> int:
        """Begin a run for what was asked for, or else for these verified tasks; return how many things were done."""
        if self.runs.open() is not None:
            return 0
        before = self.runs.last()
        if before is not None and read_json(self.runs.dir_of(before.number) / "batch.json", Batch) is None:
            ids = ids[:1]  # what was asked for could not be merged: one by one they can
        case = self.runs.asked() or Case(Probe.BATCH, ids)
        if case.probe in {Probe.BATCH, Probe.REST}:
            more = tuple(id_ for id_ in ids if id_ not in case.ids and id_ not in case.accused)
            case = replace(case, ids=(*case.ids, *more)[: max(len(case.ids), self.project.policy.landing.batch)])
        number = self.store.claim(QUEUE_ID)
        try:
            tip = self.project.tip()
            members, closed = self._chain(case, tip, now)
            left = {member.id for member in members}
            if not set(case.ids) <= left:
                if case.probe is not Probe.BATCH or not members:
                    # The case was about all of them; what is left begins anew, with the next look.
                    if case.probe is not Probe.BATCH:
                        self._abandon(number, now)
                    return closed
                case = Case(Probe.BATCH, tuple(m.id for m in members), proved=case.proved)
            case = self._with_proof(case, tip)
            tasks = {id_: self.runs.waiting(id_) for id_ in case.names}
            attempts = {id_: task.last.number for id_, task in tasks.items() if task is not None and task.last}
            self._begin(number, Batch(case, tip, tuple(members), attempts), now)
        except (UserError, OSError) as error:
            self._hold(number, said(error), now)
            return 0
        return 1 + closed + self.advance(now)

    def _abandon(self, number: int, now: float) -> None:
        """Write down a run that is not made, so that what asked for it asks no more."""
        intent = self._intent(number, "", now, "left: a task of it does not merge any more")
        self.store.write_fact(QUEUE_ID, number, "attempt.json", intent)
        self.store.write_fact(QUEUE_ID, number, "result.json", Result(Outcome.STOPPED, now, detail=intent.why))

    def _with_proof(self, case: Case, tip: str) -> Case:
        run = self.runs.last()
        verdict = self.runs.verdict(run.number) if run is not None else None
        green = run is not None and verdict is not None and verdict.landed and self.runs.batch(run.number).head == tip
        # A case that holds the target for proved was made for the tip it stood on then.
        same = run is not None and self.runs.batch(run.number).tip == tip
        return replace(case, proved=green or (case.proved and same))

    def _chain(self, case: Case, tip: str, now: float) -> tuple[list[Member], int]:
        """Merge each task's work onto the one before it; what conflicts with the target itself is closed."""
        from agentjobs.workspace import target

        git, verdicts = self.project.git, self.attempts.verdicts
        members: list[Member] = []
        closed = 0
        head = tip
        for task_id in case.ids:
            task = self.runs.waiting(task_id)
            attempt = task.last if task is not None else None
            if task is None or attempt is None or attempt.end is None:
                continue
            commit, parent = verdicts.candidate(attempt)
            message, at = verdicts.message(task, attempt), attempt.end.at
            merged = target.merge_onto(git, commit, head, message, at, stands_on=parent)
            if not merged.conflicts:
                head = merged.commit
                members.append(Member(task_id, attempt.number, head))
                continue
            if head != tip and not target.merge_onto(git, commit, tip, message, at, stands_on=parent).conflicts:
                continue  # it conflicts with what may not land: the next batch will show
            result = verdicts.merge(task, attempt, commit, parent)
            if isinstance(result, Result):
                self.attempts.close(task, attempt, result, now)
                closed += 1
        return members, closed

    def _begin(self, number: int, batch: Batch, now: float) -> None:
        case = batch.case
        why = f"{case.probe.value}: {' '.join(member.id for member in batch.members) or 'nothing'} on {batch.tip[:12]}"
        intent = self._intent(number, batch.tip, now, why)
        settings = self.project.policy.workspace
        if settings.setup:
            from agentjobs.workspace.setup import setup_due

            if setup_due(self.project.git, Path(intent.tree), batch.head, settings):
                intent = replace(intent, setup=settings.setup)
        write_json(self.runs.dir_of(number) / "batch.json", batch)
        self.store.write_fact(QUEUE_ID, number, "attempt.json", intent)
        self.store.event(now, QUEUE_ID, "begin", attempt=number, why=why)

    def _intent(self, number: int, tip: str, now: float, why: str) -> Intent:
        import uuid

        return Intent(
            id=QUEUE_ID, number=number, round=0, mode=Mode.FIRST, profile="", agent="", started_at=now, why=why,
            base=tip, tree=str(self.store.dir / "gate"), marker=f"{uuid.uuid4().hex[:12]}.{QUEUE_ID}.{number}",
            checks=self.project.policy.landing.gate,
        )  # fmt: skip

