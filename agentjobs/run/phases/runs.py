"""Runs the `plan` command of a phase once, as an attempt with its own id, and decides which phase is open.

A plan run is kept as an attempt of ``+plan.<phase>``; the `round` of its intent is the generation, which ``retry
--phase`` raises in ``phases.json``. Besides the facts of an attempt it has ``tasks.jsonl`` (its stdin),
``rows.jsonl`` (its stdout), ``known.json`` (the rows before it) and ``planned.json`` (its result); ``result.json`` is
written last, and a generation with one that is `ok` is not planned again.
"""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING

import msgspec

from agentjobs.core.phases import (
    STEP,
    Due,
    Planned,
    Stage,
    due,
    holds,
    lost_too_often,
    next_of_planning,
    plan_id,
    waits,
)
from agentjobs.disk.files import read_json, write_bytes, write_json
from agentjobs.disk.logs import read_tail
from agentjobs.launch import launcher
from agentjobs.model.decisions import Conclude, End, Launch, Wait
from agentjobs.model.errors import UserError, said
from agentjobs.model.facts import Intent, Mode, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt
from agentjobs.model.steps import Exited
from agentjobs.model.tasks import SETTLED, Settled, Status
from agentjobs.policy.phases import phase_before
from agentjobs.project.phase_state import (
    blocked_in,
    census_of,
    dir_of,
    generations,
    open_planning,
    plannings,
    rows_of,
    stages_of,
    undone,
)
from agentjobs.project.state import OpenRound
from agentjobs.project.store import step_files
from agentjobs.run.steps import start
from agentjobs.text.excerpt import error_excerpt
from agentjobs.text.for_people import many

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

    from agentjobs.core.phase_counts import Census
    from agentjobs.model.decisions import Decision
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Row, Task
    from agentjobs.project.project import Project
    from agentjobs.project.row_states import Roster
    from agentjobs.run.attempts import Attempts

HALT = "plan"


class PhaseRuns:
    """Runs the plans of one project, and decides which rows may start. The caller holds the lock."""

    def __init__(self, project: Project, roster: Roster, attempts: Attempts) -> None:
        self.project = project
        self.store = project.store
        self.roster = roster
        self.attempts = attempts
        self.until = math.inf
        """When to look at a running plan run again, unless it ends before."""
        self.is_planning = False
        """True if a plan run was not over at the last call of ``steps``."""
        self._stages: tuple[Stage, ...] = ()
        self._due = Due()
        self._early: Row | None = None
        """A row in play that would start over now if its phase had started."""
        self._census: Census | None = None
        self._blocked: tuple[frozenset[str], Collection[str]] | None = None
        """Tasks at work at the last search for blocked rows, and its result; valid until a status changes."""

    # --- what may start

    def look(self, tasks: list[Task]) -> list[Task]:
        """Read the state of the phases; return the tasks without those that wait for their phase."""
        at_work = frozenset(task.row.id for task in tasks if task.last is not None)
        statuses, touched = self.roster.statuses, self.roster.touched()
        if self._census is None or touched is None:
            self._census = census_of(self.project, statuses)
        for task_id in touched or ():
            self._census.note(task_id, statuses[task_id])
        if touched or touched is None:
            self._blocked = None

        def blocked() -> Collection[str]:
            if self._blocked is None or self._blocked[0] != at_work:
                self._blocked = at_work, blocked_in(self.project, statuses, at_work)
            return self._blocked[1]

        self._stages = stages_of(self.project, self._census, self.roster.scope, at_work, blocked)
        self._due = due(self._stages)
        early = [task for task in tasks if self._is_early(task)]
        self._early = next((task.row for task in early if task.in_play), None)
        return [task for task in tasks if task not in early] if early else tasks

    def _is_early(self, task: Task) -> bool:
        wanted = task.last is None and task.wish in {None, Status.TODO}
        return wanted and task.row.profile in self._due.closed

    def ready(self, closed: Container[str] = ()) -> Iterator[Row]:
        """Yield the rows that may start, as ``Roster.ready`` does, but none of a closed phase."""
        return self.roster.ready(_Either(self._due.closed, closed))

    def waits(self) -> str:
        """Return what a phase in play waits for, if nothing continues by itself."""
        if why := waits(self._stages):
            return why
        rows = (self.project.file.table.row(task_id) for task_id in self.roster.queue.ready())
        row = self._early or next((row for row in rows if row.profile in self._due.closed), None)
        return holds(self._stages, row.id, row.profile) if row is not None else ""

    def steps(self) -> list[tuple[int, str, int, str]]:
        """Return the running steps as (pid, id, number, step name); sets ``is_planning`` if a plan run is open."""
        found = (open_planning(self.project, name) for name in self.project.policy.phases)
        runs = [run for run in found if run is not None]
        self.is_planning = bool(runs)
        return [
            (running.pid, run.intent.id, run.number, step.name)
            for run in runs
            for step, running in run.running
        ]

    # --- plan runs

    def begin(self, now: float) -> int:
        """Start the plan run that is due; return the number of actions."""
        phase = self._due.plan
        if not phase or self.store.halt() is not None:
            return 0
        task_id, rows = plan_id(phase), rows_of(self.project)
        number = self.store.claim(task_id)
        before = phase_before(self.project.policy, phase)
        self.roster.save()
        lines = [self._line(row) for row in rows.get(before, ())]
        attempt_dir = self.store.attempt_dir(task_id, number)
        write_bytes(attempt_dir / "tasks.jsonl", b"".join(lines))
        write_json(attempt_dir / "known.json", rows[phase])
        profile = self.project.policy.profiles[phase]
        intent = Intent(
            id=task_id, number=number, round=generations(self.project).get(phase, 1), mode=Mode.FIRST, profile=phase,
            agent="", started_at=now, why=f"phase {phase} has to be planned",
            marker=f"{uuid.uuid4().hex[:12]}.+plan.{number}", checks=(profile.plan or "",),
        )  # fmt: skip
        self.store.write_fact(task_id, number, "attempt.json", intent)
        self.store.event(now, task_id, "begin", attempt=number, why=intent.why)
        return 1 + self.advance(now)

    def _line(self, task_id: str) -> bytes:
        cells = self.project.file.table.row(task_id).cells
        return msgspec.json.encode({name: value for name, value in cells.items() if value}) + b"\n"

    def advance(self, now: float) -> int:
        """Do what the plan runs that are not over need now; return the number of actions."""
        self.until = math.inf
        policy = self.project.policy
        acted = 0
        for phase in policy.phases:
            while (run := open_planning(self.project, phase)) is not None:
                decision = next_of_planning(run, policy, now, wanted=self._wanted(run))
                if isinstance(decision, Wait):
                    self.until = min(self.until, decision.until or math.inf)
                    break
                self._carry_out(run, decision, now)
                acted += 1
                if isinstance(decision, End):
                    break
        return acted

    def _wanted(self, run: Attempt) -> bool:
        phase, scope = run.intent.profile, self.roster.scope
        same = run.intent.round == generations(self.project).get(phase, 1)
        return same and (scope.everything or phase in scope.phases)

    def _carry_out(self, run: Attempt, decision: Decision, now: float) -> None:
        if isinstance(decision, Launch):
            try:
                self._launch(run)
            except (UserError, OSError) as error:
                self._fail(run, Outcome.INFRA, f"its command could not be started: {said(error)}", now)
        elif isinstance(decision, End):
            self.attempts.end(run, decision, now)
        elif isinstance(decision, Conclude):
            self._conclude(run, decision.outcome, now)

    def _launch(self, run: Attempt) -> None:
        from agentjobs.prompts.briefing import plan_environment

        project, intent, attempt_dir = self.project, run.intent, dir_of(self.project, run)
        rows = attempt_dir / "rows.jsonl"
        write_bytes(rows, b"")  # readable only for us, whatever the umask of the command
        launcher.start(
            step_files(attempt_dir, STEP),
            argv=("/bin/sh", "-c", 'exec >"$0" && exec /bin/sh -c "$1"', str(rows), intent.checks[0]),
            cwd=str(project.root),  # the user's own command, so no sandbox
            env=plan_environment(project, intent, undone(project, phase_before(project.policy, intent.profile))),
            stdin=str(attempt_dir / "tasks.jsonl"),
            file_size=project.policy.limits.file_size_bytes,
        )

    # --- the end of a plan run

    def _conclude(self, run: Attempt, outcome: Outcome, now: float) -> None:
        start.kill_leftovers(self.store, run)
        if outcome is Outcome.OK:
            self._succeed(run, now)
        elif outcome is Outcome.LOST and lost_too_often(plannings(self.project, run.intent.profile)[:-1]):
            self._fail(run, outcome, "its command was killed several times", now)
        elif outcome.rules.outside:
            self._close(run, Result(outcome, now))
        else:
            self._fail(run, outcome, self._ended(run, outcome), now)

    def _succeed(self, run: Attempt, now: float) -> None:
        from agentjobs.run.phases.rows import merge, printed  # only when a plan run has ended

        phase, attempt_dir = run.intent.profile, dir_of(self.project, run)
        try:
            rows = printed(self.project, phase, attempt_dir / "rows.jsonl")
            change = merge(self.project, rows)
            change(self.project.file.table)
        except UserError as error:
            self._fail(run, Outcome.REJECTED, str(error), now)
            return
        ids = tuple(row["id"] for row in rows)
        generation = run.intent.round
        if generation > 1:
            self._revive(ids)
        self.roster.save()
        self.project.file.rewrite(change)
        self.roster.load(self.roster.scope, now)
        if generation > 1:
            self._retire(phase, ids, now)
        there = rows_of(self.project)[phase]
        again = self.project.policy.profiles[phase].again
        if not there and not again:
            what = "none of the rows that it printed is of this phase" if ids else "it printed no row"
            self._fail(run, Outcome.REJECTED, f"it planned no task: {what}, and the table has none", now)
            return
        known = read_json(attempt_dir / "known.json", list[str]) or []
        added = len(set(there) - set(known))
        planned = Planned(ids, added, again and (added > 0 or self._goes_on(there)))
        self.store.write_fact(run.intent.id, run.number, "planned.json", planned)
        self._close(run, Result(Outcome.OK, now, detail=f"{many(added, 'task')} added"))
        self.store.event(now, run.intent.id, "planned", attempt=run.number, added=added)

    def _goes_on(self, ids: list[str]) -> bool:
        """Return whether any of these rows is neither settled nor blocked for good."""
        statuses = self.roster.statuses
        unsettled = [task_id for task_id in ids if statuses[task_id] not in SETTLED]
        if not unsettled:
            return False
        rounds, scope = self.roster.rounds, self.roster.scope
        begun = (rounds.task(task_id, scope) for task_id in self.store.active())
        at_work = frozenset(task.row.id for task in begun if task is not None and task.last is not None)
        return not set(unsettled).issubset(blocked_in(self.project, statuses, at_work))

    def _earlier(self, phase: str) -> set[str]:
        """Return the ids that plan runs of earlier generations printed and those of this one did not."""
        now = generations(self.project).get(phase, 1)
        old: set[str] = set()
        new: set[str] = set()
        for run in self.store.attempts(plan_id(phase)):
            planned = read_json(dir_of(self.project, run) / "planned.json", Planned)
            (new if run.intent.round == now else old).update(planned.rows if planned else ())
        return old - new

    def _retire(self, phase: str, ids: tuple[str, ...], now: float) -> None:
        """Skip rows that only an earlier generation planned, if they have not started since."""
        from agentjobs.run.phases.rows import RETIRED

        rounds = self.roster.rounds
        for task_id in sorted(self._earlier(phase) - set(ids)):
            if task_id not in self.project.file.table:
                continue
            open_round = self.store.open_round(task_id)
            if open_round is not None:
                task = rounds.task(task_id, self.roster.scope)
                if task is not None and task.last is None:
                    dropped = msgspec.structs.replace(open_round, wish=Status.SKIPPED, note=RETIRED)
                    self.store.set_open_round(task_id, dropped)
            elif self.roster.statuses.get(task_id) is Status.TODO:
                self.store.settle(task_id, Settled(rounds.next_round(task_id), Status.SKIPPED, RETIRED, now))
                self.roster.settled(task_id)

    def _revive(self, ids: tuple[str, ...]) -> None:
        """Start a new round for rows that an earlier plan run had dropped, if they are planned again."""
        from agentjobs.run.phases.rows import RETIRED

        file = self.project.file
        for task_id in ids:
            if task_id not in file.table or file.cell(task_id, "note") != RETIRED:
                continue
            if self.store.open_round(task_id) is None:
                self.store.set_open_round(task_id, OpenRound(self.roster.rounds.next_round(task_id)))
            file.set(task_id, {"status": Status.TODO.value, "ended": "", "note": ""})

    def _ended(self, run: Attempt, outcome: Outcome) -> str:
        """Describe how a command failed, with the last line of its output."""
        step = run.steps[-1]
        if outcome is Outcome.TIMEOUT:
            how = f"its command took longer than limits.verify_minutes ({self.project.policy.limits.verify_minutes:g})"
        elif outcome is Outcome.RUNAWAY:
            how = "its command printed too much (limits.output)"
        else:
            how = f"its command failed (exit {step.state.code if isinstance(step.state, Exited) else '?'})"
        output, _ = read_tail(step_files(dir_of(self.project, run), STEP).log, self.project.masking)
        lines = [line for line in error_excerpt(output).splitlines() if line.strip()]
        return f"{how}: {lines[-1].strip()[:200]}" if lines else how

    def _fail(self, run: Attempt, outcome: Outcome, detail: str, now: float) -> None:
        """Halt for a person; this is written first, because the result ends the plan run."""
        log = step_files(dir_of(self.project, run), STEP).log.relative_to(self.project.root)
        told = f"phase {run.intent.profile} could not be planned: {detail} (log: {log})"
        self.store.set_state("halt", Halt(HALT, told, now))
        self.store.event(now, run.intent.id, "halt", attempt=run.number, why=HALT, detail=told)
        self._close(run, Result(outcome, now, detail=detail))

    def _close(self, run: Attempt, result: Result) -> None:
        self.store.write_fact(run.intent.id, run.number, "result.json", result)


class _Either:
    """The union of two containers."""

    def __init__(self, one: Container[str], other: Container[str]) -> None:
        self._both = (one, other)

    def __contains__(self, name: object) -> bool:
        return any(name in one for one in self._both)
