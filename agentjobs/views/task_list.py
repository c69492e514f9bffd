"""One line for each task: what it does or waits for, its attempt, what it cost, how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.core.ready_rows import in_play
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED, Status
from agentjobs.project.cells import AT_LEAST, parse_instant
from agentjobs.text.for_people import columns, duration, one_line
from agentjobs.text.nearest import did_you_mean
from agentjobs.views.status import at_work, blocked_by

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from agentjobs.project.project import Project

WHY_MAX = 100


class Listed(Struct, frozen=True):
    """One task."""

    id: str
    status: str
    state: str
    """One of: done, failed, skipped, waits, blocked, or the name of its step with "runs"."""
    why: str
    """What it waits for, what its agent does, or how it ended."""
    profile: str
    attempt: int
    mode: str
    """Why its open attempt started: first, resume, repair, restart; empty without an open round."""
    tokens: int
    cost: float | None
    """Dollars; None if nothing is known."""
    cost_partial: bool
    """The cost of some tokens is not known."""
    seconds: float | None
    """Since its newest round began, until now or until it was settled; None before it began."""


def listed(
    project: Project,
    now: float,
    *,
    ids: Collection[str] = (),
    statuses: Collection[Status] = (),
    where: Mapping[str, Collection[str]] | None = None,
) -> list[Listed]:
    """Return the tasks of the table that pass all filters, in its order; an empty filter passes all.

    ``where``: for each column the cells that pass. UserError for an unknown column. ``project.file`` has been loaded.
    """
    table, store = project.file.table, project.store
    tests = _tests(project, where or {})
    named = set(ids)
    every = table.statuses()
    found = {
        task_id: status
        for task_id, status in every.items()
        if (not named or task_id in named)
        and (not statuses or status in statuses)
        and all(cells.get(task_id, "") in wanted for cells, wanted in tests)
    }
    active, scope = store.active(), store.scope()
    running, between = at_work(project, [i for i in active if i in found], scope)
    live = {one.id: one for one in running}
    waits = {one.id: one for one in between}
    blocked = blocked_by(project, active)
    after = dict(table.cells("after")) if "after" in table.header else {}
    turn = "for its turn" if store.paused(now) is None else "the run is paused (agentjobs go)"
    made = []
    for task_id, status in found.items():
        mode = ""
        if (one := live.get(task_id)) is not None:
            state, why = f"{one.step} runs", f"is being stopped: {one.ending}" if one.ending else one.doing
            mode = one.mode
        elif status in SETTLED:
            state, why = status.value.lower(), table.cell(task_id, "note")
        elif task_id in waits:
            state, why = "waits", waits[task_id].what
        elif task_id in blocked:
            state, why = "blocked", f"behind {blocked[task_id]}"
        elif scope is not None and in_play(scope, task_id, table.profile(task_id)):
            needs = [need for need in after.get(task_id, "").split() if every.get(need) is not Status.DONE]
            state, why = "waits", f"for {' '.join(needs)} to be DONE" if needs else turn
        else:
            state, why = "waits", "not in play (agentjobs dispatch)"
        if (open_one := waits.get(task_id)) is not None and open_one.attempt:
            attempt = store.attempt(task_id, open_one.attempt)
            mode = attempt.intent.mode.value if attempt is not None else ""
        cost = table.cell(task_id, "cost")
        began, ended = (parse_instant(table.cell(task_id, column)) for column in ("started", "ended"))
        made.append(
            Listed(
                task_id, status.value, state, why, table.profile(task_id), int(_number(table.cell(task_id, "attempt"))),
                mode, int(_number(table.cell(task_id, "tokens"))), _number(cost) if cost else None,
                cost.endswith(AT_LEAST), max(0.0, (ended or now) - began) if began else None,
            )
        )  # fmt: skip
    return made


def list_lines(tasks: Sequence[Listed]) -> Iterator[str]:
    """Yield what ``list`` prints."""
    head = ("id", "status", "attempt", "cost", "time", "what")
    yield from columns([head, *(_cells(task) for task in tasks)])


def _cells(task: Listed) -> tuple[str, ...]:
    attempt = f"{task.attempt} {task.mode}".rstrip() if task.attempt else "-"
    cost = "-" if task.cost is None else f"${task.cost:.2f}{AT_LEAST if task.cost_partial else ''}"
    age = "-" if task.seconds is None else duration(task.seconds)
    state = "" if task.state.upper() == task.status else task.state
    return (task.id, task.status, attempt, cost, age, one_line(": ".join(filter(None, (state, task.why))), WHY_MAX))


def _tests(project: Project, where: Mapping[str, Collection[str]]) -> list[tuple[dict[str, str], Collection[str]]]:
    """Return for each column its cells by id, and those that pass."""
    table = project.file.table
    made = []
    for column, wanted in where.items():
        if column == "profile":  # an empty cell means the default one
            made.append(({i: table.profile(i) for i in table.ids}, wanted))
        elif column not in table.header:
            hint = did_you_mean(column, table.header, f"it has {', '.join(table.header)}")
            raise UserError(f"no column {column!r} in {project.file.path.name}; {hint}")
        else:
            made.append((dict(table.cells(column)), wanted))
    return made


def _number(text: str) -> float:
    try:
        return float(text.removesuffix(AT_LEAST) or 0)
    except ValueError:  # a person wrote something else
        return 0.0
