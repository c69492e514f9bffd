"""The runs of the gate as they are on disk: attempts of ``QUEUE_ID``, each with a batch and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.core.decide import decide
from agentjobs.core.gate import QUEUE_ID, Batch, Case, Probe, Verdict, still
from agentjobs.disk.files import read_json
from agentjobs.disk.plain_files import is_directory
from agentjobs.model.decisions import Land
from agentjobs.model.facts import Over
from agentjobs.model.steps import KillReason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project


class GateRuns:
    """Reads the gate runs of one project and the tasks that wait for one. ``read`` returns None for a settled task."""

    def __init__(self, project: Project, read: Callable[[str], Task | None]) -> None:
        self.project = project
        self.store = project.store
        self.read = read
        self._newest = 0

    def last(self) -> Attempt | None:
        """Return the newest run of the gate; the thousands before it are not looked at."""
        while self._newest and is_directory(self.dir_of(self._newest + 1)):
            self._newest += 1
        if self._newest and (run := self.store.attempt(QUEUE_ID, self._newest)) is not None:
            return run
        for number in reversed(self.store.numbers(QUEUE_ID)):
            run = self.store.attempt(QUEUE_ID, number)
            if run is not None:
                self._newest = number
                return run
        return None

    def open(self) -> Attempt | None:
        """Return the run that is not over."""
        run = self.last()
        return None if isinstance(run, Over) else run

    def asked(self) -> Case | None:
        """Return what the last run asks for, while that still has a point; of a batch, while tasks land in batches."""
        run = self.last()
        if not isinstance(run, Over):
            return None
        verdict = self.verdict(run.number)
        if verdict is None or verdict.follow is None:
            return None
        follow = verdict.follow
        if self.project.policy.landing.together == 1 and follow.probe not in {Probe.SINGLE, Probe.TIP}:
            return None
        attempts = self.batch(run.number).attempts
        return still(follow, {id_ for id_ in follow.names if self.waiting(id_, attempts.get(id_, 0)) is not None})

    def steps(self) -> list[tuple[int, str, int, str]]:
        """Return what runs, as (pid, id, number, step name)."""
        run = self.open()
        if run is None:
            return []
        return [(running.pid, QUEUE_ID, run.number, step.name) for step, running in run.running]

    def is_ending(self) -> bool:
        """Return True if the open run is being stopped: processes that it started may still be there."""
        run = self.open()
        kills = [step.kill for step in run.steps if step.kill is not None] if run is not None else []
        return any(kill.why is KillReason.STOPPED for kill in kills)

    def ending(self) -> dict[str, str]:
        """Return the task that has to wait, and why: a check runs in its tree for work that may not land any more."""
        run = self.open()
        batch = self.batch(run.number) if run is not None and self.steps() else None
        if batch is None or batch.case.probe is not Probe.SINGLE:
            return {}
        member = batch.members[0]
        left = self.waiting(member.id, member.attempt) is None
        return {member.id: f"{member.id} waits: a check in its tree is being ended"} if left else {}

    def dir_of(self, number: int) -> Path:
        """Return the directory of a run."""
        return self.store.attempt_dir(QUEUE_ID, number)

    def batch(self, number: int) -> Batch:
        """Return what was merged for a run."""
        batch = read_json(self.dir_of(number) / "batch.json", Batch)
        return batch if batch is not None else Batch(Case(), "")

    def verdict(self, number: int) -> Verdict | None:
        """Return what follows from a run, once that is known."""
        return read_json(self.dir_of(number) / "verdict.json", Verdict)

    def waiting(self, task_id: str, attempt: int = 0) -> Task | None:
        """Return the task if its newest attempt (with this number) is verified and may land."""
        task = self._open(task_id)
        if task is None or task.open is None or not task.in_play or task.wish is not None:
            return None
        if attempt and task.open.number != attempt:
            return None
        return task if isinstance(decide(task, self.project.policy, 0.0), Land) else None

    def alone(self, batch: Batch) -> Task | None:
        """Return the task that lands alone, while it may land; None for a batch."""
        return self.waiting(batch.members[0].id) if batch.case.probe is Probe.SINGLE else None

    def open_task(self, task_id: str, attempt: int) -> Task | None:
        """Return the task if this attempt of it is not over."""
        task = self._open(task_id)
        return task if task is not None and task.open is not None and task.open.number == attempt else None

    def _open(self, task_id: str) -> Task | None:
        """Return the task if a round of it is open, be its marker readable or not (a power cut)."""
        return self.read(task_id) if self.store.is_active(task_id) else None
