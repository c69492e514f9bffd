"""The end of an agent: end what it left behind, commit its tree, write down what it came to.

Success is never an agent's word: its tree is committed as it is, compared with what it may change, and that very
commit is what the checks run on and what lands.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from agentjobs.disk.write import printable
from agentjobs.model.errors import TreeBusy, TreeError, UserError, is_machines, said
from agentjobs.model.facts import AgentEnd
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Lost, StepKind
from agentjobs.run import reported_changes_check
from agentjobs.run.landing.land import message, some
from agentjobs.run.steps import start
from agentjobs.run.steps.ended import is_patient, verdict_on
from agentjobs.run.steps.open_request import in_flight
from agentjobs.run.steps.spending import told_by, was_written
from agentjobs.text.excerpt import signature
from agentjobs.text.path_patterns import in_scope, normalise

if TYPE_CHECKING:
    from agentjobs.agents.classify import Ending
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.workspace.snapshot import Snapshot


class _Work(NamedTuple):
    """What the tree of an agent that ended holds."""

    taken: Snapshot
    changed: tuple[str, ...]
    unlandable: tuple[str, ...]
    """What no commit can hold, in words."""
    removed: tuple[str, ...]
    setup: str
    markers: tuple[str, ...]


class AgentEnds:
    """Records how agents ended, for one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.store = project.store

    def judge(self, task: Task, attempt: Attempt, now: float) -> None:
        """Write ``agent.end.json``: end what still lives, commit the tree, classify."""
        intent = attempt.intent
        start.kill_leftovers(self.store, attempt)
        step, verdict = attempt.first(StepKind.AGENT), verdict_on(self.project, task, attempt, now)
        if verdict is None or step is None or not isinstance(step.state, Exited | Lost):
            return
        told = told_by(self.project, task, attempt)
        end = AgentEnd(
            outcome=verdict.outcome,
            at=step.state.at,
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
            if verdict.outcome is Outcome.OK:  # an agent that was cut short has not reported yet
                end = reported_changes_check.examined(self.project, task, attempt, end)
        self.store.tally.count_open(intent.id, str(intent.number), end.in_flight)
        self.store.write_fact(intent.id, intent.number, "agent.end.json", end)

    def _with_tree(self, task: Task, attempt: Attempt, end: AgentEnd, verdict: Ending) -> AgentEnd:
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
            return replace(end, outcome=Outcome.OUT_OF_SCOPE, detail=f"changed {some(outside)}")
        if work.markers:
            detail = f"conflict markers left in {some(work.markers)}"
            return replace(end, outcome=Outcome.VERIFY_FAILED, detail=detail)
        if not work.changed and profile.require_change:
            return replace(end, outcome=Outcome.NO_CHANGE, detail="said it was done and changed nothing")
        return end

    def _committed(self, task: Task, attempt: Attempt, at: float, *, finished: bool) -> _Work:
        """Commit what the tree holds, keep it under a ref, and leave the tree standing on it.

        With ``finished`` nothing is left beside the commit but what was there when the agent began; else the
        conversation may go on with all that it has there.
        """
        from agentjobs.workspace import nested, target_branch, worktree

        git, intent, settings = self.project.git, attempt.intent, self.project.policy.workspace
        tree_dir = Path(intent.tree)
        if not os.path.lexists(tree_dir):
            raise TreeError(f"the tree {tree_dir} is gone")
        if worktree.create(git, tree_dir, intent.base):
            raise TreeError(f"{tree_dir} was not as agentjobs made it; what stood there is kept beside it")
        ref = git.kept(intent.id, intent.number)
        named = [normalise(path) for path in task.row.files]
        taken = worktree.keep(git, tree_dir, intent.base, ref, message(self.project, task, attempt), at, named=named)
        unlandable = nested.keep(git, tree_dir, taken, ref, at)
        changed = tuple(change.path for change in taken.changes)
        removed: tuple[str, ...] = ()
        spoilt = False
        if finished and not unlandable:
            removed, spoilt = worktree.restore(git, self.project.root, tree_dir, taken.commit, settings)
            self.store.standing[intent.tree] = taken.commit
        else:
            worktree.reset(git, tree_dir, taken.commit)
        markers = target_branch.has_markers(git, taken.changes)
        return _Work(taken, changed, unlandable, removed, (settings.setup or "") if spoilt else "", markers)
