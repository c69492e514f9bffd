"""A new run of the gate: the work of its tasks merged one onto the other, what has to pass, what is written down."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.gate import QUEUE_ID, Batch, Case, Member, Probe
from agentjobs.disk.files import read_json, write_json
from agentjobs.model.decisions import SendBack
from agentjobs.model.facts import Intent, Made, Mode, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.run.landing.land import candidate, message

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.run.attempts import Attempts
    from agentjobs.run.landing.runs import GateRuns


class NewRuns:
    """Begins runs of the gate, for one project."""

    def __init__(self, project: Project, attempts: Attempts, runs: GateRuns) -> None:
        self.project = project
        self.store = project.store
        self.attempts = attempts
        self.runs = runs

    def merged(self, ids: tuple[str, ...], now: float) -> tuple[Batch | None, int]:
        """Merge what the last run asked for, or else the work of these verified tasks.

        Returns the batch, None where there is none, and how many attempts were ended because they conflict.
        """
        landing = self.project.policy.landing
        if landing.together == 1:
            first = Case(Probe.SINGLE, ids[:1])
        else:
            before = self.runs.last()
            if before is not None and read_json(self.runs.dir_of(before.number) / "batch.json", Batch) is None:
                ids = ids[:1]  # what was asked for could not be merged: one by one they can
            first = Case(Probe.BATCH, ids)
        case = self.runs.asked() or first
        if case.probe in {Probe.BATCH, Probe.REST}:
            more = tuple(id_ for id_ in ids if id_ not in case.ids and id_ not in case.accused)
            case = replace(case, ids=(*case.ids, *more)[: max(len(case.ids), landing.batch)])
        tip = self.project.tip()
        members, told = self._chain(case, tip, now)
        if not set(case.ids) <= {member.id for member in members}:
            # The case was about all of them; what is left begins anew, with the next look.
            if case.probe not in {Probe.BATCH, Probe.SINGLE}:
                self._abandon(now)
            if case.probe is not Probe.BATCH or not members:
                return None, told
            case = Case(Probe.BATCH, tuple(m.id for m in members), proved=case.proved)
        case = self._with_proof(case, tip)
        tasks = {id_: self.runs.waiting(id_) for id_ in case.names}
        attempts = {id_: task.last.number for id_, task in tasks.items() if task is not None and task.last}
        return Batch(case, tip, tuple(members), attempts), told

    def checks_for(self, batch: Batch) -> tuple[str, ...]:
        """Return what has to pass before a batch lands; a task that lands alone is also checked by its own commands.

        Those have passed already if the target has not moved since.
        """
        gate, task = self.project.policy.landing.gate, self.runs.alone(batch)
        if task is None or task.last is None or candidate(self.project, task.last)[0] == batch.head:
            return gate
        return task.last.intent.checks + gate

    def begin(self, batch: Batch, checks: tuple[str, ...], now: float) -> None:
        """Write down a run that has to make a batch pass these checks."""
        what = " ".join(member.id for member in batch.members) or "nothing"
        intent = self._intent(f"{batch.case.probe.value}: {what} on {batch.tip[:12]}", batch.tip, checks, now)
        task, settings = self.runs.alone(batch), self.project.policy.workspace
        own = task.last if task is not None else None
        if own is not None:  # its checks may need what is in its own tree
            intent = replace(intent, tree=own.intent.tree)
        if settings.setup:
            from agentjobs.workspace.setup import is_absent, setup_due

            git, tree = self.project.git, Path(intent.tree)
            if is_absent(git, tree, settings) if own is not None else setup_due(git, tree, batch.head, settings):
                intent = replace(intent, setup=settings.setup)
        write_json(self.runs.dir_of(intent.number) / "batch.json", batch)
        self.store.write_fact(QUEUE_ID, intent.number, "attempt.json", intent)
        self.store.event(now, QUEUE_ID, "begin", attempt=intent.number, why=intent.why)

    def send_back(self, task: Task, attempt: Attempt, back: SendBack, now: float) -> bool:
        """End an attempt that may not land; False where it still waits, because its tree or git is not to be had."""
        self.attempts.apply(task, back, now)
        return self.runs.waiting(task.row.id, attempt.number) is None

    def _intent(self, why: str, tip: str, checks: tuple[str, ...], now: float) -> Intent:
        number = self.store.claim(QUEUE_ID)
        return Intent(
            id=QUEUE_ID, number=number, round=0, mode=Mode.FIRST, profile="", agent="", started_at=now, why=why,
            base=tip, tree=str(self.store.dir / "gate"), marker=f"{uuid.uuid4().hex[:12]}.{QUEUE_ID}.{number}",
            checks=checks,
        )  # fmt: skip

    def _abandon(self, now: float) -> None:
        """Write down a run that is not made, so that what asked for it asks no more."""
        intent = self._intent("left: a task of it does not merge any more", "", (), now)
        result = Result(Outcome.STOPPED, now, detail=intent.why)
        self.store.write_fact(QUEUE_ID, intent.number, "attempt.json", intent)
        self.store.write_fact(QUEUE_ID, intent.number, "result.json", result)

    def _with_proof(self, case: Case, tip: str) -> Case:
        run = self.runs.last()
        verdict = self.runs.verdict(run.number) if run is not None else None
        green = run is not None and verdict is not None and verdict.landed and self.runs.batch(run.number).head == tip
        # A case that holds the target for proved was made for the tip it stood on then.
        same = run is not None and self.runs.batch(run.number).tip == tip
        return replace(case, proved=green or (case.proved and same) or not self.project.policy.landing.gate)

    def _chain(self, case: Case, tip: str, now: float) -> tuple[list[Member], int]:
        """Merge each task's work onto the one before it; what conflicts with the target itself is closed."""
        from agentjobs.workspace import target_branch

        git = self.project.git
        members: list[Member] = []
        told = 0
        head = tip
        for task_id in case.ids:
            task = self.runs.waiting(task_id)
            attempt = task.open if task is not None else None
            if task is None or not isinstance(attempt, Made):
                continue
            commit, parent = candidate(self.project, attempt)
            # What its checks saw is what would land, or has landed: then a poll was killed before it could write so.
            if head == parent or (case.probe is Probe.SINGLE and git.contains(tip, commit)):
                head = commit
                members.append(Member(task_id, attempt.number, head))
                continue
            text, at = message(self.project, task, attempt), attempt.end.at
            merged = target_branch.merge_onto(git, commit, head, text, at, stands_on=parent)
            if not merged.conflicts:
                head = merged.commit
                members.append(Member(task_id, attempt.number, head))
                continue
            if head != tip and not target_branch.merge_onto(git, commit, tip, text, at, stands_on=parent).conflicts:
                continue  # it conflicts with what may not land: the next batch will show
            told += self.send_back(task, attempt, SendBack(), now)
        return members, told
