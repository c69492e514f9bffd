"""Carries out the actions of ``decide`` and ``schedule`` on attempts: from their start to the end of the round.

Each effect is claimed (mkdir, a lock, a compare-and-swap) or idempotent: if a poll is killed after any of its
effects, the next one repeats it from the facts. The caller holds the project's lock.
"""

from __future__ import annotations

import contextlib
import os
import signal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core import reviews
from agentjobs.core.accounts import account_of
from agentjobs.core.breaker import counts
from agentjobs.core.budget import UNKNOWN_COST
from agentjobs.core.decide import SETUP_AGAIN, has_begun
from agentjobs.core.pauses import pauses_after
from agentjobs.core.repetition import likeness
from agentjobs.core.watchdog import stop_signals
from agentjobs.disk.files import write_bytes, write_json
from agentjobs.disk.write import printable
from agentjobs.launch import launcher
from agentjobs.model.decisions import Begin, Conclude, Decision, End, Judge, Launch, Look, SendBack, Settle, Weigh
from agentjobs.model.errors import TreeBusy, UserError, is_machines, said
from agentjobs.model.facts import FRESH, Intent, Made, Over, Result
from agentjobs.model.outcomes import UNSPENT, Outcome
from agentjobs.model.state import Halt
from agentjobs.model.steps import Kill, StepKind
from agentjobs.model.tasks import Settled, Status, Task
from agentjobs.project.state import OpenRound
from agentjobs.project.store import step_files
from agentjobs.prompts import briefing
from agentjobs.run import check_runs, checks, handoff_turn
from agentjobs.run import intent as intents
from agentjobs.run.agent_end import AgentEnds
from agentjobs.run.landing import land
from agentjobs.run.steps import start
from agentjobs.run.steps.ended import is_patient, unanswered, verdict_on
from agentjobs.run.tree_trouble import give_up_tree, hold, is_of_tree, lift_hold
from agentjobs.run.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project
    from agentjobs.run.review.reviewers import Reviewers


Guarded = Launch | Judge | Look | Weigh | Conclude | SendBack
"""Actions that work in the tree of one task."""

Retried = Launch | SendBack
"""What is tried once more in a new tree, where the tree is at fault."""


class Attempts:
    """Carries out actions on attempts, for one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.store = project.store
        self.agent_ends = AgentEnds(project)
        self.trees = Trees(project)
        self._disarmed = False

    @cached_property
    def reviewers(self) -> Reviewers:
        """Starts and reads reviews; most projects have none."""
        from agentjobs.run.review.reviewers import Reviewers  # only if there are reviews

        return Reviewers(self.project)

    def sweep_for(self, tasks: Iterable[Task]) -> None:
        """Kill the processes that the agents of these tasks left, with one look at the process table."""
        start.kill_leftovers(self.store, *(task.last for task in tasks if task.last is not None))

    def _dir(self, attempt: Attempt) -> Path:
        return self.store.attempt_dir(attempt.intent.id, attempt.number)

    def apply(self, task: Task, decision: Decision, now: float) -> str:
        """Carry out one decision.

        Return why it has to wait if another process holds the lock of the tree, else nothing.
        """
        try:
            self._apply(task, decision, now)
        except TreeBusy as error:
            return f"{task.row.id} waits: {error}"
        return ""

    def _apply(self, task: Task, decision: Decision, now: float) -> None:
        last = task.last
        if isinstance(decision, Begin):
            self.begin(task, decision, now)
        elif isinstance(decision, Settle):
            self.settle(task, decision, now)
        elif last is None:
            raise AssertionError(f"{decision} needs an attempt")
        elif isinstance(decision, End):
            self.end(last, decision, now)
        elif isinstance(decision, Guarded):
            self._guarded(task, last, decision, now)

    def _guarded(self, task: Task, last: Attempt, decision: Guarded, now: float) -> None:
        """Carry out an action in the tree of one task: an error becomes the task's outcome and never ends the poll.

        If the machine fails (git, disk, a missing program), finished work waits; an attempt that was about to start
        ends as ``infra``. A tree in which nothing works is renamed, and made again for what has to start there.
        """
        try:
            try:
                self._carry_out(task, last, decision, now)
            except (UserError, OSError) as error:
                if not isinstance(decision, Retried) or not is_of_tree(error, last):
                    raise
                give_up_tree(last)
                self._carry_out(task, last, decision, now)
            if last.end is not None or isinstance(decision, Judge):
                lift_hold(self.store)
        except (UserError, OSError) as error:
            if self.store.attempt(task.row.id, last.number) is None or is_patient(error, last, now):
                raise
            detail = printable(said(error))
            retried, starts = isinstance(decision, Retried), isinstance(decision, Launch) and last.end is None
            new = starts and last.intent.mode in FRESH  # then nothing has worked in the tree: it is not the cause
            if (is_of_tree(error, last) and not new) or not (retried or is_machines(error)):
                outcome = Outcome.CRASHED
            elif starts or (last.end is not None and last.end.outcome is not Outcome.OK):
                outcome = Outcome.INFRA
            else:
                hold(self.store, task.row.id, last.number, f"{task.row.id}: {detail}", now)
                return
            self.close(task, last, Result(outcome, now, detail=detail, errors=detail), now)

    def _carry_out(self, task: Task, last: Attempt, decision: Guarded, now: float) -> None:
        if isinstance(decision, Launch):
            self.launch(task, last, decision, now)
        elif isinstance(decision, Judge):
            self.judge(task, last, now)
        elif isinstance(decision, Look):
            check_runs.look(self.project, last, decision.step)
        elif isinstance(decision, Weigh):
            self.reviewers.weigh(task, last, decision.step, now)
        elif isinstance(decision, Conclude):
            self.conclude(task, last, decision.outcome, now)
        elif isinstance(last, Made) and (result := land.sent_back(self.project, task, last, decision, now)):
            self.close(task, last, result, now)

    # --- begin and launch

    def begin(self, task: Task, begin: Begin, now: float) -> None:
        """Claim the next attempt, write its intent, start its first step."""
        project, row, last = self.project, task.row, task.last
        base, tree = (self._base(last, begin), str(project.trees_dir / row.id)) if project.uses_trees else ("", "")
        edited: tuple[str, ...] = ()
        anew = begin.mode
        if last is None and (before := intents.before(project, task)) is not None:
            begin, base, edited = self.trees.gone_on(row, before, begin, base, land.base_after(project, before))
            anew = begin.mode if has_begun(before) else anew
        store = self.store
        open_round = store.open_round(row.id)
        if open_round is None or task.wish is not None:
            begun = open_round.begun if open_round is not None and open_round.round == task.round else ()
            open_round = OpenRound(task.round, begun=begun)
            store.set_open_round(row.id, open_round)
        if (commit := intents.landed_unseen(project, task)) != "":
            if last is not None:
                self._release(last)
            store.settle(row.id, Settled(task.round, Status.DONE, "landed before its facts were lost", now, commit))
            store.event(now, row.id, Status.DONE.value, commit=commit)
            return
        intent = intents.claimed(project, task, begin, now, open_round=open_round, base=base, tree=tree, edited=edited)
        intent = replace(intent, setup=self.trees.setup_for(tree, anew, base, row.files))
        number = intent.number
        store.write_fact(row.id, number, "attempt.json", intent)
        store.event(now, row.id, "begin", attempt=number, mode=begin.mode.value, why=begin.why)
        attempt = store.attempt(row.id, number)
        if attempt is not None:
            kind = StepKind.SETUP if intent.setup else StepKind.AGENT
            follow = Task(row, task.round, (*task.attempts, attempt), task.earlier, void=task.void)
            self._guarded(follow, attempt, Launch(kind.value, kind), now)

    def _base(self, last: Attempt | None, begin: Begin) -> str:
        """Return the commit that an attempt's work is compared with: earlier work in its tree counts as its own."""
        anew = last is None or begin.mode in FRESH
        return ("" if anew or last is None else land.base_after(self.project, last)) or self.project.tip()

    def launch(self, task: Task, attempt: Attempt, launch: Launch, now: float) -> None:
        """Start a step that has certainly not been started; make first what it needs."""
        attempt_dir = self.store.attempt_dir(task.row.id, attempt.number)
        if launch.kind is StepKind.VERIFY:
            checks.integrate(self.project, task, attempt, launch.name, now)
            after = self.store.attempt(task.row.id, attempt.number)
            if after is None or isinstance(after, Over):
                return
            if self.trees.lacks_setup(attempt) and attempt.step(SETUP_AGAIN) is None:
                self._start(task, attempt, SETUP_AGAIN, self._setup_again(attempt), None)
            else:
                self._start(task, attempt, launch.name, self.check_argv(attempt, launch.name), None)
            return
        if launch.kind is StepKind.REVIEW:
            self.reviewers.launch(task, attempt, launch.name, now, land.candidate(self.project, attempt))
            return
        intent = attempt.intent
        if launch.name == SETUP_AGAIN and attempt.end is not None:
            self._start(task, attempt, launch.name, self._setup_again(attempt), None)
            return
        if launch.name == handoff_turn.STEP:
            self._start_handoff(task, attempt, now)
            return
        self._remember(task, intent)
        earlier = [*(a.intent.marker for a in task.attempts if a.number < intent.number), *task.void]
        if attempt.last(StepKind.SETUP) is None:  # a setup may have left processes for the agent
            earlier.append(intent.marker)
        self.be_alone(intent, earlier)
        if attempt.last(StepKind.SETUP) is None or launch.kind is StepKind.SETUP:
            self.trees.make(task, intent, now)
        if not intent.tree and task.round > 1 and attempt.number == task.attempts[0].number:
            from agentjobs.run.steps.earlier_output import put_aside  # only if a round follows another

            put_aside(self.project, task.row, attempt_dir)
        if launch.kind is StepKind.SETUP:
            self._start(task, attempt, launch.name, ("/bin/sh", "-c", intent.setup), None)
            return
        self.trees.is_ready(task, intent)
        prompt = attempt_dir / "prompt.md"
        if not prompt.exists():
            text = briefing.attempt_prompt(self.project, task, intent)
            write_bytes(prompt, text.encode("utf-8", "surrogateescape"))
        agent = briefing.agent_settings(self.project, intent)
        stdin = str(prompt) if agent.prompt == "stdin" else None
        self._start(task, attempt, launch.name, intent.argv, stdin)

    def _remember(self, task: Task, intent: Intent) -> None:
        """Note that the attempt was started, in a place that survives if the directory with its facts is deleted."""
        open_round = self.store.open_round(task.row.id) or OpenRound(task.round)
        if intent.marker not in open_round.begun:
            self.store.set_open_round(task.row.id, replace(open_round, begun=(*open_round.begun, intent.marker)))

    def judge(self, task: Task, attempt: Attempt, now: float) -> None:
        """Record the end of an agent; one that was stopped for its full context is first asked for a handoff."""
        if handoff_turn.may_be_asked(attempt, self.project.policy):
            start.kill_leftovers(self.store, attempt)
            verdict = verdict_on(self.project, task, attempt, now)
            full = verdict is not None and verdict.outcome is Outcome.CONTEXT_FULL
            if full and handoff_turn.ask(self.project, task, attempt, now):
                return
        self.agent_ends.judge(task, attempt, now)

    def _start_handoff(self, task: Task, attempt: Attempt, now: float) -> None:
        """Let the conversation write its handoff; if that is not possible, the attempt ends without one."""
        try:
            self.be_alone(attempt.intent, [attempt.intent.marker])
            stdin, argv = handoff_turn.prepare(self.project, attempt)
            self._start(task, attempt, handoff_turn.STEP, argv, stdin)
        except (UserError, OSError):
            self.agent_ends.judge(task, attempt, now)

    def be_alone(self, intent: Intent, earlier: list[str]) -> None:
        """Make sure that no process of an earlier attempt is alive; it would corrupt the work in the tree.

        Also finds attempts whose facts are gone (`git clean -xfd` while they were at work).
        """
        found = launcher.marks_of(str(self.project.root), intent.id)
        earlier += [mark for mark in found if mark != intent.marker and mark not in earlier]
        if earlier and launcher.alive(earlier):
            launcher.kill_leftovers(earlier)
            if left := launcher.alive(earlier):
                pids = ", ".join(map(str, left))
                what = f"processes of an earlier attempt are still running and could not be killed: {pids}"
                raise UserError(f"{intent.id}: {what}; kill them, then poll again")

    def _start(
        self, task: Task, attempt: Attempt, name: str, argv: tuple[str, ...], stdin: str | None
    ) -> None:
        attempt_dir, intent = self.store.attempt_dir(task.row.id, attempt.number), attempt.intent
        env = briefing.environment(self.project, task.row, intent, attempt_dir, name)
        start.start(self.project, intent, attempt_dir, name, argv, env=env, stdin=stdin)

    def _setup_again(self, attempt: Attempt) -> tuple[str, ...]:
        made = attempt.end.setup if attempt.end is not None else ""
        return "/bin/sh", "-c", made or self.project.policy.workspace.setup or ""

    def check_argv(self, attempt: Attempt, name: str) -> tuple[str, ...]:
        """Return the command line that runs the checks in the plan that ``check_runs.write_plan`` wrote."""
        return "/bin/sh", _CHECKS, str(self._dir(attempt) / name)

    # --- end, result, round

    def end(self, attempt: Attempt, end: End, now: float) -> None:
        """Stop a running step: first the polite signals, and when their time is over, kill everything at once."""
        intent = attempt.intent
        attempt_dir = self.store.attempt_dir(intent.id, attempt.number)
        files = step_files(attempt_dir, end.step)
        step = next(step for step in attempt.steps if step.name == end.step)
        sent = step.kill.sent if step.kill is not None else 0
        if not sent:
            write_json(files.kill, Kill(end.why, now, detail=end.detail))
            more = {"detail": end.detail} if end.detail else {}
            self.store.event(now, intent.id, "end", attempt=attempt.number, step=end.step, why=end.why, **more)
        elif not end.hard:
            write_json(attempt_dir / f"{end.step}.kill-{sent + 1}.json", Kill(end.why, now))
        if end.hard:
            launcher.hard_kill(files, intent.marker)
            return
        stop = stop_signals(attempt, step, self.project.policy)
        launcher.signal_group(files, getattr(signal, f"SIG{stop[min(sent, len(stop) - 1)]}"))

    def conclude(self, task: Task, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """Write the attempt's result."""
        if attempt.end is None and attempt.last(StepKind.AGENT) is not None:
            self.agent_ends.judge(task, attempt, now)
            attempt = self.store.attempt(task.row.id, attempt.number) or attempt
        if (review := reviews.unheard(attempt)) is not None:
            self.reviewers.weigh(task, attempt, review.name, now)  # puts the tree back
        landed = land.landed(self.project, attempt, now) if outcome is Outcome.STOPPED else None
        self.close(task, attempt, landed or checks.result_of(self.project, task, attempt, outcome, now), now)

    def close(self, task: Task, attempt: Attempt, result: Result, now: float) -> None:
        """Write ``result.json`` and its consequences: pauses and halts first, or a limit might be missed."""
        store, intent = self.store, attempt.intent
        result = reviews.with_reviews(result, attempt)
        if [step.name for step in attempt.steps] != ["agent"]:  # what it left was killed before its end was recorded
            start.kill_leftovers(store, attempt)
        before, policy = store.pauses(), self.project.policy
        account, scope = account_of(policy, intent.agent), store.scope()
        spoke_at = scope.at if scope is not None else 0.0
        meaning = pauses_after(
            before, account, intent, attempt.end, result, policy.limits, now,
            unanswered(policy, task, attempt, result, before.get(account), spoke_at),
        )  # fmt: skip
        halt, budget = meaning.halt, policy.limits.money
        if halt is None and budget and reviews.cost_unknown(attempt):
            what = f"the cost of attempt {attempt.number} of {intent.id} is not known"
            halt = Halt(UNKNOWN_COST, f"{what}, so limits.{budget} cannot be kept", now)
        if halt is not None:
            store.set_state("halt", halt)
        if meaning.pauses != before:
            store.set_pauses(meaning.pauses)
        result = checks.excused(self.store, attempt, result, meaning)
        if not result.outcome.rules.outside and self._armed:
            store.tally.count(intent.id, result.outcome.value, likeness(task.row, intent.tree, result))
        if result.outcome in UNSPENT:
            store.tally.count_unspent(intent.id, intent.number)
        checks.write_result(self.project, attempt, result, now)

    @property
    def _armed(self) -> bool:
        """Return whether the breaker still counts: until the first success, or until it has enough results."""
        if not self._disarmed:
            self._disarmed = not counts(self.project.policy.limits.breaker, self.store.tally.results())
        return not self._disarmed

    def settle(self, task: Task, settle: Settle, now: float) -> None:
        """Close the round; a wish for TODO opens the next one."""
        row, last = task.row, task.last
        if task.void:
            launcher.kill_leftovers(task.void)
        if settle.status is Status.TODO:
            self.store.set_open_round(row.id, OpenRound(task.round + 1))
            self.store.event(now, row.id, "round", round=task.round + 1)
            return
        result = last.result if last else None
        commit = result.landed or result.commit if result and settle.status is Status.DONE else ""
        open_round = self.store.open_round(row.id)
        note = (open_round.note if open_round else "") or settle.note
        if settle.status is Status.DONE and last is not None and result is not None and result.landed:
            # Before the round is closed: afterwards no poll would finish this.
            self._release(last)
        tree = "" if result is not None and result.outcome is Outcome.OK else self.trees.content(row)
        self.store.settle(row.id, Settled(task.round, settle.status, note, now, commit, tree))
        self.store.event(now, row.id, settle.status.value, note=note)

    def _release(self, attempt: Attempt) -> None:
        """Release the tree of landed work to the pool; what cannot be released now is left to ``clean``."""
        from agentjobs.workspace import pool

        policy, tree = self.project.policy, attempt.intent.tree
        if tree and not launcher.occupied(tree):  # someone works in it, and would find another task's files
            with contextlib.suppress(UserError, OSError):
                spare_dir, keep = self.project.spare_dir, policy.workspace.keep
                judged, _ = land.candidate(self.project, attempt)
                known = (judged, attempt.result.landed if attempt.result else "")
                pool.give_back(self.project.git, Path(tree), spare_dir, most=self.project.slots, keep=keep, known=known)


_CHECKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checks.sh")
