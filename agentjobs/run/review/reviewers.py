"""Carries out reviews: starts a reviewer on the verified commit, reads its verdict, restores the tree.

Safe to kill after any effect: the plan is a fact, the start is claimed, and a verdict is read again until it is
recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.core.accounts import account_of
from agentjobs.core.pauses import pause_after, put
from agentjobs.core.review_findings import weighed
from agentjobs.core.reviews import as_attempt, runs
from agentjobs.disk.delete import delete
from agentjobs.disk.files import read_json, write_bytes
from agentjobs.disk.write import printable
from agentjobs.model.errors import GitError, UserError
from agentjobs.model.outcomes import Outcome
from agentjobs.model.reviews import Finding, ReviewEnd, ReviewPlan
from agentjobs.model.steps import Exited, Lost
from agentjobs.project.store import own_dir
from agentjobs.prompts import briefing
from agentjobs.run.review import briefing as reviewbrief
from agentjobs.run.review.verdict_file import Verdict, read_verdict
from agentjobs.run.steps import start
from agentjobs.run.steps.ended import verdict_on
from agentjobs.run.steps.open_request import in_flight
from agentjobs.run.steps.spending import told_by
from agentjobs.text.path_patterns import normalise
from agentjobs.workspace import worktree
from agentjobs.workspace.snapshot import snapshot

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project

NAMES_TOLD = 5

PATH_MAX = 4096
"""Most bytes of a path that git is asked about."""


class Reviewers:
    """Starts and reads reviews, for one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.store = project.store

    def _dir(self, attempt: Attempt) -> Path:
        return self.store.attempt_dir(attempt.intent.id, attempt.number)

    # --- start

    def launch(self, task: Task, attempt: Attempt, name: str, now: float, candidate: tuple[str, str]) -> None:
        """Start a review that has certainly not been started. ``candidate``: the commit and its base.

        UserError or OSError if it cannot be started.
        """
        attempt_dir, intent = self._dir(attempt), attempt.intent
        plan = read_json(attempt_dir / f"{name}.plan.json", ReviewPlan)
        if plan is None:
            plan = reviewbrief.planned(self.project, attempt, name, *candidate, now)
            self.store.write_fact(intent.id, attempt.number, f"{name}.plan.json", plan)
        start.kill_leftovers(self.store, attempt)
        self._stand_on(attempt, plan.commit)
        own = own_dir(attempt_dir, name)
        if own.is_symlink() or own.exists():  # an author without a sandbox may have written there
            delete(own)
        own.mkdir(mode=0o700)
        text = reviewbrief.prompt(self.project, task, attempt, name, plan)
        prompt = attempt_dir / f"{name}.prompt.md"
        write_bytes(prompt, text.encode("utf-8", "surrogateescape"))
        step = next((s for s in runs(self._read(attempt)) if s.name == name), None)
        if step is None:
            raise UserError("cannot be read", file=str(attempt_dir / f"{name}.plan.json"))
        reviewer = as_attempt(attempt, step).intent
        agent = briefing.agent_settings(self.project, reviewer)
        start.start(
            self.project, reviewer, attempt_dir, name, plan.argv,
            env=reviewbrief.environment(self.project, task, reviewer, attempt_dir, name, plan),
            stdin=str(prompt) if agent.prompt == "stdin" else None,
        )  # fmt: skip
        self.store.event(now, intent.id, "review", attempt=attempt.number, step=name, reviewer=plan.reviewer)

    def _read(self, attempt: Attempt) -> Attempt:
        return self.store.attempt(attempt.intent.id, attempt.number) or attempt

    def _stand_on(self, attempt: Attempt, commit: str) -> None:
        git, tree = self.project.git, Path(attempt.intent.tree)
        try:
            worktree.create(git, tree, commit)  # it may have been removed
            worktree.reset(git, tree, commit)
        except GitError:  # or git's records of it are damaged; the work is in the commit
            worktree.put_aside(tree)
            worktree.remove(git, tree, force=True)
            worktree.create(git, tree, commit)

    # --- end

    def weigh(self, task: Task, attempt: Attempt, name: str, now: float) -> None:
        """Write ``<step>.end.json``: kill what still runs, restore the tree, read the verdict, pause its account."""
        intent = attempt.intent
        step = next(step for step in runs(attempt) if step.name == name)
        if step.review is None or step.verdict is not None or not isinstance(step.state, Exited | Lost):
            return
        start.kill_leftovers(self.store, attempt)
        reviewer = as_attempt(attempt, step)
        ended = verdict_on(self.project, task, reviewer, now)
        if ended is None:
            return
        touched = self._put_back(attempt, step.review.commit)
        outcome, detail, given = ended.outcome, ended.detail, None
        if outcome is Outcome.OK:
            given = self._verdict(attempt, step)
            detail = given if isinstance(given, str) else ""
        end = ReviewEnd(
            outcome=outcome,
            at=step.state.at,
            valid=isinstance(given, Verdict),
            findings=self._findings(task, attempt, step, given) if isinstance(given, Verdict) else (),
            summary=" ".join(given.summary.split())[:1000] if isinstance(given, Verdict) else "",
            detail=detail or ("" if isinstance(given, Verdict) else outcome.value),
            touched=touched,
            spent=told_by(self.project, task, reviewer).spent,
        )
        if outcome is not Outcome.OK:
            self.store.tally.count_open(intent.id, f"{attempt.number}.{name}", in_flight(self.project, task, reviewer))
        self._pause(reviewer, step, end, ended.reset_at, now)
        self.store.write_fact(intent.id, attempt.number, f"{name}.end.json", end)
        self.store.event(
            now, intent.id, "verdict" if end.valid else "no verdict", attempt=attempt.number, step=name,
            reviewer=step.review.reviewer, findings=len(end.findings), detail=end.detail or end.outcome.value,
        )  # fmt: skip

    def _put_back(self, attempt: Attempt, commit: str) -> tuple[str, ...]:
        """Restore the tree to the commit; return what the reviewer had changed in it, as far as that can be seen."""
        git, tree = self.project.git, Path(attempt.intent.tree)
        changed: tuple[str, ...] = ()
        if tree.is_dir():
            try:
                taken = snapshot(git, tree, commit, "agentjobs: what a reviewer changed", 0.0)
                changed = git.changed(commit, taken.commit)
            except UserError:
                changed = (".git",)
        self._stand_on(attempt, commit)
        return tuple(map(printable, changed[:NAMES_TOLD]))

    def _pause(self, reviewer: Attempt, step: Step, end: ReviewEnd, reset_at: float, now: float) -> None:
        """Pause the reviewer's account, or end its pause; this is written first, or a limit might be missed."""
        before, intent = self.store.pauses(), reviewer.intent
        account = account_of(self.project.policy, intent.agent)
        pause = pause_after(
            before.get(account), end.outcome, started_at=intent.started_at, reset_at=reset_at,
            detail=f"{intent.id}: {intent.profile}: {end.detail}",
            key=f"{intent.id}/{intent.number}/{step.name}", limits=self.project.policy.limits, now=now,
        )  # fmt: skip
        after = dict(before)
        put(after, account, pause)
        if after != before:
            self.store.set_pauses(after)

    # --- the verdict

    def _verdict(self, attempt: Attempt, step: Step) -> Verdict | str:
        """Return a valid verdict, or what is wrong with it, in one line."""
        assert step.review is not None
        path = own_dir(self._dir(attempt), step.name) / reviewbrief.VERDICT
        given = read_verdict(path, self.project.masking)
        if isinstance(given, str):
            return given
        known = self._files(step.review, {found.file for found in given.findings})
        strange = sorted({found.file for found in given.findings if _path(found.file) not in known})
        if strange:
            names = ", ".join(strange[:NAMES_TOLD])
            return f"its verdict names files that are neither in the change nor in the tree: {names}"[:500]
        return given

    def _files(self, plan: ReviewPlan, named: set[str]) -> set[str]:
        """Return which of these files are in the change or in the tree."""
        paths = {path for path in map(_path, named) if path}
        there = set(reviewbrief.blobs(self.project, plan.commit, paths)) if paths else set()
        return there | (paths & set(self.project.git.changed(plan.parent, plan.commit)))

    def _findings(self, task: Task, attempt: Attempt, step: Step, given: Verdict) -> tuple[Finding, ...]:
        """Return the findings with the content ids of their files; those that are disputed are marked."""
        plan = step.review
        assert plan is not None
        ids = reviewbrief.blobs(self.project, plan.commit, {_path(found.file) for found in given.findings})
        findings = [
            Finding(
                file=_path(found.file), severity=found.severity, trigger=found.trigger, impact=found.impact,
                line=int(found.line or 0), title=found.title, blob=ids.get(_path(found.file), ""),
            )
            for found in given.findings
        ]  # fmt: skip
        earlier = [
            before.verdict
            for other in task.attempts
            if other.number < attempt.number
            for before in runs(other)
            if before.verdict is not None and before.verdict.valid
            and before.review is not None and before.review.reviewer == plan.reviewer
        ]  # fmt: skip
        return weighed(findings, earlier)


def _path(text: str) -> str:
    """Return a path of a finding as git has it; empty if it is not inside the tree."""
    if len(text.encode("utf-8", "surrogatepass")) > PATH_MAX:
        return ""
    try:
        return normalise(text).rstrip("/")
    except UserError:
        return ""
