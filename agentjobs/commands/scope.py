"""What is in play: dispatch, retry, skip, stop. Each says what is wanted; a turn of the engine does it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.core import reviews
from agentjobs.core.decide import verified_at
from agentjobs.core.pauses import lifted
from agentjobs.core.ready import Queue, in_play
from agentjobs.disk.files import read_raw, write_bytes
from agentjobs.model.errors import UserError
from agentjobs.model.state import Scope
from agentjobs.model.tasks import SETTLED, Settled, Status
from agentjobs.policy.phases import plans_first
from agentjobs.project.ids import check_phases, known, rows_of_phases
from agentjobs.project.project import POLICY
from agentjobs.project.rounds import Rounds
from agentjobs.project.store import Marker
from agentjobs.run.drive import poll
from agentjobs.run.engine import Engine
from agentjobs.text.columns import many

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextlib import AbstractContextManager

    from agentjobs.model.facts import Attempt
    from agentjobs.project.project import Project

ENDING_S = 5.0
"""So much longer than its polite signals take, an agent that is being ended is waited for."""



class Report(Struct, frozen=True):
    """What a command has to say: lines for stdout, warnings for stderr."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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
    """Widen what is in play, clear what waits for a person, and take a turn.

    ``ids``, ``phases`` or the first ``only`` tasks; everything where none of them is said. UserError where the table,
    an id, a phase or the base is wrong.
    """
    from agentjobs.run.baseline import require_green
    from agentjobs.run.steps.sandbox import require
    from agentjobs.table.table import check_graph
    from agentjobs.workspace.target import check_target

    check_phases(project, phases)
    if plans_first(project.policy) and not dry_run and not os.path.lexists(project.file.path):
        from agentjobs.table.table import EMPTY

        project.file.make(EMPTY)  # the first phase is planned into it
    project.file.load()
    table = project.file.table
    check_graph(table)
    known(project, ids)
    rows = rows_of_phases(project, phases)
    if project.uses_trees:
        project.tip()
    if project.lands:
        check_target(project.git, project.policy.target, trees_dir=project.trees_dir)
    require(project)
    require_known_cost(project)
    if dry_run:
        return _dry_run(project, ids or rows, only, phases)
    project.store.create()
    everything = not ids and only is None and not phases
    require_green(project, ids or rows, force=force, phases=project.policy.phases if everything else phases)
    with project.store.lock(lock_timeout_s):
        before = project.store.scope()
        scope = before or Scope(time.time())
        scope = _widened(scope, ids or _pilot(project, only), everything=everything, phases=phases, back=rows)
        _go_on(project, force=force)
        project.store.set_state("scope", scope)
    turn = poll(project, wait_s=0.0, lock_timeout_s=lock_timeout_s)
    return Report((_in_play(project, scope),), (turn.why,) if turn.why else ())


def require_known_cost(project: Project) -> None:
    """Raise UserError where a budget of money could not be kept, as nobody would know what is spent."""
    policy = project.policy
    if not policy.limits.money:
        return
    from agentjobs.core.budget import beyond
    from agentjobs.run.baseline import profiles_in_use  # only with a budget
    from agentjobs.text.toml import line_of

    found = beyond(policy, (*profiles_in_use(project), *policy.phases))
    if found is not None:
        data = read_raw(project.root / POLICY, follow=True)
        raise UserError(found[1], file=POLICY, line=line_of(data, ("limits", policy.limits.money)))


def _pilot(project: Project, only: int | None) -> tuple[str, ...]:
    """Return the ids of a pilot of so many tasks; none where nobody asked for one. UserError before any is planned."""
    if only is None:
        return ()
    if not len(project.file.table) and project.policy.phases:
        first = project.policy.phases[0]
        raise UserError(f"there is no task yet; `agentjobs dispatch --phase {first}` plans the first phase")
    return first_unsettled(project, only)


def _in_play(project: Project, scope: Scope) -> str:
    """Say what is in play, and how the table stands."""
    counts = project.file.table.counts()
    what = "everything" if scope.everything else many(len(scope.ids), "task")
    if scope.phases and not scope.everything:
        what = f"phase {', '.join(scope.phases)}" + (f" and {what}" if scope.ids else "")
    stand = ", ".join(f"{count} {status.value}" for status, count in counts.items() if count)
    return f"in play: {what}; the table: {stand or 'no rows'}"


def _go_on(project: Project, *, force: bool) -> None:
    """Clear what waits for a person: a halt, an account that is stuck; with ``force`` every pause."""
    store = project.store
    store.set_state("halt", None)
    before = store.pauses()
    after = {} if force else lifted(before, time.time())
    if after != before:
        store.set_pauses(after)
    store.clear_tally()


def _widened(
    scope: Scope, ids: Iterable[str], *, everything: bool, phases: tuple[str, ...] = (), back: Iterable[str] = ()
) -> Scope:
    """Return a scope with these ids and phases in it; ``back``: ids that are out no more."""
    now = time.time()
    if everything:
        return Scope(now, everything=True)
    chosen = tuple(ids)
    merged = scope.ids + tuple(i for i in chosen if i not in set(scope.ids))
    out = tuple(i for i in scope.out if i not in {*chosen, *back})
    return Scope(now, scope.everything, merged, out, phases=tuple(dict.fromkeys(scope.phases + phases)))


def first_unsettled(project: Project, count: int) -> tuple[str, ...]:
    """Return the first ``count`` tasks that are not settled: those at work first, then as they would be started."""
    table = project.file.table
    statuses = project.file.table.statuses()
    active = [i for i in project.store.active() if i in statuses and statuses[i] not in SETTLED]
    scope = project.store.scope()
    at_work = [i for i in active if scope is not None and in_play(scope, i, table.profile(i))]
    chosen = at_work[:count]
    everything = Scope(0.0, everything=True)
    later = list(project.policy.phases[1:])  # those of a phase do not begin before the ones of an earlier phase
    while len(chosen) < count:
        queue = Queue(table, statuses, everything, frozenset(chosen))
        found = [i for i, _ in zip(queue.ready(later), range(count - len(chosen)), strict=False)]
        if not found and not later:
            break
        if not found:
            del later[0]
        for task_id in found:  # as if it were done: what waits for it may come along
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
        now = number < project.policy.slots and not row.after and row.profile not in closed
        when = "now" if now else "later"
        agent = project.policy.agents[profile.agent].command[0]
        lines.append(f"{task_id}\t{when}\t{row.profile}\t{agent}\t{' '.join(row.files)}")
    return Report(tuple(lines), (*plans, f"{many(len(chosen), 'task')} would be in play; nothing was changed"))


def _first_phases(
    project: Project, statuses: dict[str, Status], phases: tuple[str, ...], *, everything: bool
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the profiles of which nothing may begin yet, and what would be planned now, for people."""
    if not project.policy.phases:
        return frozenset(), ()
    from agentjobs.core.phases import due
    from agentjobs.project.phase_state import stages_now

    scope = Scope(0.0, everything=everything, phases=phases)
    at_work = frozenset(project.store.active())
    found = due(stages_now(project, statuses, scope, at_work))
    return found.closed, (f"phase {found.plan} would be planned",) if found.plan else ()


# --- retry, skip, stop ------------------------------------------------------------------------------------


def retry(
    project: Project,
    ids: tuple[str, ...] = (),
    *,
    failed: bool = False,
    phases: tuple[str, ...] = (),
    and_later: bool = False,
    lock_timeout_s: float,
) -> Report:
    """Give settled tasks a new round, put them in play, clear what waits for a person. UserError for an unknown id.

    ``phases`` are planned again, and all their tasks but those SKIPPED get a new round; ``and_later``: likewise the
    phases after the first of them.
    """
    check_phases(project, phases)
    planned = os.environ.get("AGENTJOBS_PHASE") if os.environ.get("AGENTJOBS_ROOT") == str(project.root) else None
    if phases and planned:
        raise UserError(f"this is called by the plan of phase {planned}, which would never come to an end")
    order = project.policy.phases if phases else ()
    if and_later:
        phases = order[min(map(order.index, phases)) :]
    chosen = _chosen(project, ids, lambda s: failed and s is Status.FAILED)
    statuses = project.file.table.statuses()
    rows = tuple(i for i in rows_of_phases(project, phases) if statuses[i] is not Status.SKIPPED)
    if not chosen and not phases:
        return Report((), ("no task is FAILED",))
    everyone = tuple(dict.fromkeys(chosen + rows))
    with _locked(project, lock_timeout_s):
        if phases:
            from agentjobs.project.phase_state import raise_generation

            raise_generation(project, phases)
        rounds = Rounds(project)
        rounds.refresh(time.time())
        statuses = project.file.table.statuses()
        for task_id in everyone:
            marker = project.store.marker(task_id)
            if marker is not None:
                project.store.set_marker(task_id, replace(marker, wish=Status.TODO, note=""))
            elif statuses[task_id] in SETTLED or project.store.settled(task_id):
                project.store.set_marker(task_id, Marker(rounds.next_round(task_id)))
                project.file.set(task_id, {"status": "TODO", "started": "", "ended": "", "note": "", "commit": ""})
        scope = project.store.scope() or Scope(time.time())
        everything = scope.everything and not scope.out
        project.store.set_state("scope", _widened(scope, chosen, everything=everything, phases=phases, back=rows))
        _go_on(project, force=False)
        project.file.save()
    again = [f"phase {name} is planned again" for name in phases if project.policy.profiles[name].plan is not None]
    next_ = ("now `agentjobs poll` or `agentjobs run`",)
    return Report(tuple(f"{task_id}\tTODO" for task_id in everyone), (*again, *next_))


def skip(project: Project, ids: tuple[str, ...], *, note: str, lock_timeout_s: float) -> Report:
    """Settle tasks as SKIPPED, and end what runs of them; one that is DONE stays so. UserError for an unknown id."""
    chosen = _chosen(project, ids, lambda _: False)
    note = " ".join(note.split())
    done: list[str] = []
    with _locked(project, lock_timeout_s):
        rounds = Rounds(project)
        rounds.refresh(time.time())
        statuses = project.file.table.statuses()
        for task_id in chosen:
            marker = project.store.marker(task_id)
            if marker is not None:
                project.store.set_marker(task_id, replace(marker, wish=Status.SKIPPED, note=note))
            elif statuses[task_id] is Status.DONE:
                done.append(task_id)
            else:
                said = note or "skipped by hand"
                project.store.settle(
                    task_id, Settled(rounds.next_round(task_id), Status.SKIPPED, said, time.time())
                )
                project.file.set(task_id, rounds.settled_cells(task_id) or {})
        project.file.save()
    _carry_through(project, chosen, lock_timeout_s)
    lines = tuple(f"{task_id}\tSKIPPED" for task_id in chosen if task_id not in done)
    return Report(lines, tuple(f"{task_id} is DONE and stays so" for task_id in done))


def approve(project: Project, ids: tuple[str, ...], *, everything: bool, lock_timeout_s: float) -> Report:
    """Let verified work land that waits for it. UserError for an unknown id, and for a task that does not wait."""
    project.file.load()
    known(project, ids)
    with _locked(project, lock_timeout_s):
        Rounds(project).refresh(time.time())
        waiting = {}
        for task_id in project.store.active():
            numbers = project.store.numbers(task_id)
            attempt = project.store.attempt(task_id, numbers[-1]) if numbers else None
            if attempt is not None and attempt.result is None and not attempt.approved and awaits(attempt):
                waiting[task_id] = attempt
        for task_id in ids:
            if task_id not in waiting:
                status = project.file.table.statuses()[task_id].value
                raise UserError(f"{task_id} does not wait for approval: it is {status}")
        unjudged = {task_id for task_id, attempt in waiting.items() if not reviews.passed(attempt)}
        chosen = tuple(i for i in waiting if i not in unjudged) if everything else ids
        for task_id in chosen:
            number = waiting[task_id].number
            write_bytes(project.store.attempt_dir(task_id, number) / "approved", b"")
            project.store.event(time.time(), task_id, "approved", attempt=number)
    more = tuple(f"{i} {reviews.UNREVIEWED}, and is approved by its id alone" for i in sorted(unjudged - set(chosen)))
    more = more if chosen or more else ("nothing waits for approval",)
    return Report(tuple(f"{task_id}\tapproved" for task_id in chosen), more if everything or not chosen else ())


def awaits(attempt: Attempt) -> bool:
    """Whether an attempt that is not over is verified, and judged as far as its reviewers will."""
    return bool(verified_at(attempt)) and (reviews.passed(attempt) or reviews.lacking(attempt))


def stop(project: Project, ids: tuple[str, ...], *, lock_timeout_s: float) -> Report:
    """Take tasks (without ids: all) out of play and end what runs; their work stays, ``dispatch`` resumes them.

    UserError for an unknown id, and before anything was put in play.
    """
    project.file.load()
    known(project, ids)
    if project.store.scope() is None:
        raise UserError("nothing is in play")
    with _locked(project, lock_timeout_s):
        scope = project.store.scope() or Scope(time.time())
        if not ids:
            scope = Scope(time.time())
        else:
            out = tuple(dict.fromkeys(scope.out + ids)) if scope.everything or scope.phases else ()
            scope = replace(scope, ids=tuple(i for i in scope.ids if i not in set(ids)), out=out)
        project.store.set_state("scope", scope)
        begun = [i for i in project.store.active() if not ids or i in ids]
    _carry_through(project, begun, lock_timeout_s)
    idle = tuple(f"{task_id} was not at work; it is out of play now" for task_id in ids if task_id not in begun)
    return Report(tuple(f"{task_id}\tstopped" for task_id in begun), idle)


def _chosen(
    project: Project, ids: tuple[str, ...], wanted: Callable[[Status], bool]
) -> tuple[str, ...]:
    project.file.load()
    known(project, ids)
    found = tuple(i for i, status in project.file.table.statuses().items() if wanted(status) and i not in ids)
    return tuple(dict.fromkeys(ids)) + found


def _locked(project: Project, lock_timeout_s: float) -> AbstractContextManager[None]:
    project.store.create()
    return project.store.lock(lock_timeout_s)


def _carry_through(project: Project, ids: Collection[str], lock_timeout_s: float) -> None:
    """Take turns that begin nothing, until none of these tasks runs any more, or will not end."""
    if project.store.scope() is None:
        return
    engine = Engine(project, starts=False)
    limits = project.policy.limits
    signals = max((len(agent.stop) for agent in project.policy.agents.values()), default=1)
    give_up_at = time.monotonic() + limits.stop_grace_s * signals + ENDING_S
    while True:
        with project.store.lock(lock_timeout_s):
            turn = engine.turn()
        ending = any(i in ids for i in turn.running) or engine.ends_gate
        if not ending or time.monotonic() >= give_up_at:
            return
        engine.wait(turn.until)
