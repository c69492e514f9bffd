"""Put tasks in play, and start what there is room for."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from agentjobs.commands.in_play import Report, clear_halt, widened
from agentjobs.core.ready_rows import Queue, in_play
from agentjobs.model.errors import UserError
from agentjobs.model.state import Scope
from agentjobs.model.tasks import SETTLED, Status
from agentjobs.policy.phases import plans_first
from agentjobs.project.ids import check_phases, known, rows_of_phases
from agentjobs.run.drive import poll
from agentjobs.table.table import EMPTY, check_graph
from agentjobs.text.for_people import many

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def dispatch(
    project: Project,
    *,
    ids: tuple[str, ...] = (),
    only: int | None = None,
    phases: tuple[str, ...] = (),
    dry_run: bool,
    force: bool,
    lock_timeout_s: float,
) -> Report:
    """Put tasks in play, clear halts, and take a turn.

    ``ids``, ``phases`` or the first ``only`` tasks; everything if none of them is given. UserError if the table, an
    id, a phase or the base is wrong.
    """
    from agentjobs.run.baseline import require_green, require_known_cost
    from agentjobs.run.programs import require_programs
    from agentjobs.run.steps.sandbox import require
    from agentjobs.workspace.target_branch import check_target

    check_phases(project, phases)
    if plans_first(project.policy) and not dry_run and not os.path.lexists(project.file.path):
        project.file.make(EMPTY)  # the plan of the first phase fills it
    project.file.load()
    table = project.file.table
    check_graph(table)
    known(project, ids)
    rows = rows_of_phases(project, phases)
    if project.uses_trees:
        project.tip()
    if project.lands:
        check_target(project.git, project.policy.target, trees_dir=project.trees_dir)
    behind = stale_target(project)
    require(project)
    require_known_cost(project)
    if dry_run:
        return _dry_run(project, ids or rows, only, phases)
    project.store.create()
    everything = not ids and only is None and not phases
    coming = project.policy.phases if everything else phases
    require_programs(project, ids or rows, force=force, phases=coming)
    require_green(project, ids or rows, force=force, phases=coming)
    with project.store.lock(lock_timeout_s):
        before = project.store.scope()
        scope = before or Scope(time.time())
        if only is not None and scope.everything:
            raise UserError(
                f"everything is in play already, so --only {only} would start nothing less: `agentjobs stop` first "
                "takes all tasks out of play; what it stops is resumed by a later dispatch"
            )
        scope = widened(scope, ids or _pilot(project, only), everything=everything, phases=phases, back=rows)
        clear_halt(project, force=force)
        project.store.set_state("scope", scope)
    turn = poll(project, wait_s=0.0, lock_timeout_s=lock_timeout_s)
    return Report((_in_play(project, scope),), tuple(filter(None, (behind, _only_failed(project), turn.why))))


def stale_target(project: Project) -> str:
    """Say which commits of the base new trees will not see, as they start from the target; empty if none."""
    from agentjobs.workspace.target_branch import left_behind

    return left_behind(project.git, project.policy.target, project.policy.base) if project.lands else ""


def has_open_rows(project: Project) -> bool:
    """Return whether the table, as it was last read, has a row that is not settled."""
    return any(count for status, count in project.file.table.counts().items() if status not in SETTLED)


def _only_failed(project: Project) -> str:
    """Return what to do where nothing can start but rows that have failed; empty otherwise."""
    failed = project.file.table.counts().get(Status.FAILED, 0)
    if not failed or has_open_rows(project):
        return ""
    return f"{many(failed, 'task')} FAILED, and dispatch does not start them again: `agentjobs retry --failed`"


def _pilot(project: Project, only: int | None) -> tuple[str, ...]:
    """Return the ids of the first ``only`` tasks; empty if ``only`` is None. UserError before any task is planned."""
    if only is None:
        return ()
    if not len(project.file.table) and project.policy.phases:
        first = project.policy.phases[0]
        raise UserError(f"there is no task yet; plan the first phase with `agentjobs dispatch --phase {first}`")
    return first_unsettled(project, only)


def _in_play(project: Project, scope: Scope) -> str:
    """Return a line about what is in play, and how many tasks have which status."""
    counts = project.file.table.counts()
    what = "everything" if scope.everything else many(len(scope.ids), "task")
    if scope.phases and not scope.everything:
        what = f"phase {', '.join(scope.phases)}" + (f" and {what}" if scope.ids else "")
    stand = ", ".join(f"{count} {status.value}" for status, count in counts.items() if count)
    return f"in play: {what}; the table: {stand or 'no rows'}"


def first_unsettled(project: Project, count: int) -> tuple[str, ...]:
    """Return the first ``count`` tasks that are not settled: running ones first, then in the order of their start."""
    table = project.file.table
    statuses = project.file.table.statuses()
    active = [i for i in project.store.active() if i in statuses and statuses[i] not in SETTLED]
    scope = project.store.scope()
    at_work = [i for i in active if scope is not None and in_play(scope, i, table.profile(i))]
    chosen = at_work[:count]
    everything = Scope(0.0, everything=True)
    later = list(project.policy.phases[1:])  # tasks of a phase start after those of earlier phases
    while len(chosen) < count:
        queue = Queue(table, statuses, everything, frozenset(chosen))
        found = [i for i, _ in zip(queue.ready(later), range(count - len(chosen)), strict=False)]
        if not found and not later:
            break
        if not found:
            del later[0]
        for task_id in found:  # as if it were done, so that the tasks after it follow
            chosen.append(task_id)
            statuses[task_id] = Status.DONE
    return tuple(chosen)


def _dry_run(project: Project, ids: tuple[str, ...], only: int | None, phases: tuple[str, ...]) -> Report:
    statuses = project.file.table.statuses()
    closed, plans = _first_phases(project, statuses, phases, everything=not ids and only is None and not phases)
    if ids:
        chosen: tuple[str, ...] = tuple(i for i in ids if statuses[i] not in SETTLED)
    else:
        total = sum(status not in SETTLED for status in statuses.values())
        chosen = first_unsettled(project, only if only is not None else max(1, total))
    lines = []
    for number, task_id in enumerate(chosen):
        row = project.file.table.row(task_id)
        profile = project.profile(row)
        now = number < project.slots and not row.after and row.profile not in closed
        when = "now" if now else "later"
        agent = project.policy.agents[profile.agent].command[0]
        lines.append(f"{task_id}\t{when}\t{row.profile}\t{agent}\t{' '.join(row.files)}")
    return Report(tuple(lines), (*plans, f"{many(len(chosen), 'task')} would be in play; nothing was changed"))


def _first_phases(
    project: Project, statuses: dict[str, Status], phases: tuple[str, ...], *, everything: bool
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the profiles of which nothing can start yet, and what would be planned now, for people."""
    if not project.policy.phases:
        return frozenset(), ()
    from agentjobs.core.phases import due
    from agentjobs.project.phase_state import stages_now

    scope = Scope(0.0, everything=everything, phases=phases)
    at_work = frozenset(project.store.active())
    found = due(stages_now(project, statuses, scope, at_work))
    return found.closed, (f"phase {found.plan} would be planned",) if found.plan else ()
