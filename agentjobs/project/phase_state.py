"""The state of a project's phases: their rows in the table, their plan runs on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.phase_counts import Census
from agentjobs.core.phases import SHOWN, Planned, Planning, Stage, plan_id
from agentjobs.core.ready_rows import Queue
from agentjobs.disk.files import read_json, write_json
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Scope
from agentjobs.model.tasks import SETTLED, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project

GENERATIONS = "phases.json"
"""State file: how often each phase was planned, from 1; a phase that is not in it is in its first generation."""


def generations(project: Project) -> dict[str, int]:
    """Return the generation of each phase that has had more than one."""
    return read_json(project.store.dir / GENERATIONS, dict[str, int]) or {}


def raise_generation(project: Project, phases: Collection[str]) -> None:
    """Let the plans of these phases run again. The caller holds the lock."""
    known = generations(project)
    known.update({name: known.get(name, 1) + 1 for name in phases})
    write_json(project.store.dir / GENERATIONS, known, durable=True)


def plannings(project: Project, phase: str) -> list[Attempt]:
    """Return the plan runs of a phase in this generation, oldest first."""
    generation = generations(project).get(phase, 1)
    return [run for run in project.store.attempts(plan_id(phase)) if run.intent.round == generation]


def rows_of(project: Project) -> dict[str, list[str]]:
    """Return the ids of each phase, in the order of the table."""
    found: dict[str, list[str]] = {name: [] for name in project.policy.phases}
    for task_id, name in project.file.table.profiles():
        if name in found:
            found[name].append(task_id)
    return found


def census_of(project: Project, statuses: Mapping[str, Status]) -> Census:
    """Count the rows of the phases."""
    return Census(project.policy.phases, project.file.table.profiles(), statuses)


def stages_of(
    project: Project, census: Census, scope: Scope, at_work: frozenset[str], blocked: Callable[[], Collection[str]]
) -> tuple[Stage, ...]:
    """Return the state of the phases. ``at_work``: ids with an attempt in their open round.

    ``blocked`` finds the rows that are blocked for good; it is called only for the first phase that is not over, and
    only if nothing of that phase is at work.
    """
    policy = project.policy
    found: list[Stage] = []
    for name in policy.phases:
        rows = census.open[name]
        going = len(rows)
        if going and not any(task_id in rows for task_id in at_work) and all(stage.over for stage in found):
            stuck = blocked()
            going = sum(task_id not in stuck for task_id in rows) if stuck else going
        planning, again = _planning(project, name)
        in_play = scope.everything or name in scope.phases
        total, undone = census.total(name), census.undone(name, SHOWN + 1)
        stage = Stage(name, planning, again, policy.profiles[name].min_done, in_play, total, census.done[name], going)
        found.append(replace(stage, undone=undone))
    return tuple(found)


def stages_now(
    project: Project, statuses: Mapping[str, Status], scope: Scope, at_work: frozenset[str]
) -> tuple[Stage, ...]:
    """Return the state of the phases before anything of them is known."""
    census = census_of(project, statuses)
    return stages_of(project, census, scope, at_work, lambda: blocked_in(project, statuses, at_work))


def blocked_in(project: Project, statuses: Mapping[str, Status], at_work: frozenset[str]) -> Collection[str]:
    """Return the rows of all phases that cannot start without a person."""
    table = project.file.table
    if "after" not in table.header:
        return ()
    moving = at_work | {i for i, s in statuses.items() if s is not Status.TODO and s not in SETTLED}
    return Queue(table, statuses, Scope(0.0, everything=True), moving).blocked(moving).keys()


def _planning(project: Project, phase: str) -> tuple[Planning, bool]:
    """Return how far the planning of a phase is, and whether it asks for another plan run."""
    if project.policy.profiles[phase].plan is None:
        return Planning.BY_HAND, False
    if open_planning(project, phase) is not None:
        return Planning.RUNS, False
    for run in reversed(plannings(project, phase)):
        if isinstance(run, Over) and run.outcome is Outcome.OK:
            planned = read_json(dir_of(project, run) / "planned.json", Planned) or Planned()
            return Planning.DONE, planned.again
    return Planning.DUE, False


def open_planning(project: Project, phase: str) -> Attempt | None:
    """Return the plan run that is not over, of any generation."""
    store, task_id = project.store, plan_id(phase)
    for number in reversed(store.numbers(task_id)):
        run = store.attempt(task_id, number)
        if run is not None:
            return None if isinstance(run, Over) else run
    return None


def dir_of(project: Project, run: Attempt) -> Path:
    """Return the directory of a plan run."""
    return project.store.attempt_dir(run.intent.id, run.number)


def undone(project: Project, phase: str) -> tuple[str, ...]:
    """Return the ids of a phase that are neither DONE nor SKIPPED; empty without a phase."""
    if not phase:
        return ()
    file = project.file
    ids = (task_id for task_id, name in file.table.profiles() if name == phase)
    return tuple(i for i in ids if file.cell(i, "status").strip().upper() not in {"DONE", "SKIPPED"})
