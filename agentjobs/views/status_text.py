"""``status`` as text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.core.pauses import told_of
from agentjobs.policy.limits import dollars
from agentjobs.text.for_people import (
    clock,
    columns,
    duration,
    indented,
    many,
    names,
    one_line,
    paused_text,
    size,
    until_text,
)
from agentjobs.views.advice import advice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.views.status import Failures, Live, PhaseStand, Standing

MOST = 30
"""Most lines of one list; a terminal shows no more."""


def counts_line(counts: Mapping[str, int], total: int, by_hand: Sequence[str] = ()) -> str:
    """Return the number of tasks of each status; ``by_hand``: those that are DONE only in the table."""
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    if by_hand:  # at the end, because it is a list
        done = f"{counts['DONE']} DONE"
        parts.remove(done)
        parts.append(f"{done}, {len(by_hand)} of them accepted by hand and not landed: {names(by_hand)}")
    return f"{many(total, 'task')}: {', '.join(parts)}" if parts else "no tasks yet"


def status_lines(standing: Standing) -> Iterator[str]:
    """Yield what ``status`` prints."""
    yield counts_line(standing.counts, standing.total, standing.by_hand)
    yield _in_play(standing)
    if standing.slots != standing.slots_of_policy:
        yield f"slots: {standing.slots}, set by `agentjobs slots` (agentjobs.toml has {standing.slots_of_policy})"
    if standing.phases:
        yield "phases:"
        yield from columns([_phase_cells(stand) for stand in standing.phases], "  ")
    if standing.tokens or standing.cost:
        estimate = " (partly an estimate: not every agent reports its cost)" if standing.estimated else ""
        yield f"spent: {standing.tokens:,} tokens, {money(standing.cost, standing.unknown)}{estimate}"
    if standing.open_tokens:
        yield f"  up to {standing.open_tokens:,} tokens more were in flight when agents were killed; budgets count them"
    if standing.halt is not None:
        halt = standing.halt
        yield f"halted at {clock(halt.at)}: {halt.why}: {halt.detail}"
        yield f"  {advice(f'{halt.why}: {halt.detail}')}"
    if (paused := standing.paused) is not None:
        yield paused_text(paused.by, paused.at, paused.ends_at, paused.why)
    yield from _pause_lines(standing)
    if standing.held:
        yield f"nothing starts: {standing.held}"
        yield f"  {advice(standing.held)}"
    if standing.running:
        yield "running:"
        yield from columns([live_cells(live, standing.now) for live in standing.running], "  ")
    if standing.between:
        yield "between steps:"
        yield from _most([(b.id, b.what) for b in standing.between])
    if standing.blocked:
        yield "blocked:"
        yield from _most([(i, f"behind {culprit}") for i, culprit in standing.blocked.items()])


def money(cost: float, unknown: int) -> str:
    """Return a sum of dollars; ``unknown``: number of tasks with an unknown or partly unknown cost."""
    if not unknown:
        return f"${dollars(cost)}"
    known = f"at least ${dollars(cost)}" if cost else "cost unknown"
    return f"{known} (the cost of {many(unknown, 'task')} is not known)"


def _phase_cells(stand: PhaseStand) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {status}" for status, count in stand.counts.items() if count)
    return (stand.name, stand.state, stand.planning, counts or "no tasks")


def _pause_lines(standing: Standing) -> Iterator[str]:
    for account, pause in sorted(standing.pauses.items()):
        told = told_of(account, pause)
        if pause.stuck:
            yield f"stopped: {told}"
            yield f"  {advice(pause.outcome.value)}"
        elif pause.until > standing.now:
            yield f"paused until {until_text(pause.until)}: {told}"
            yield "  (`agentjobs dispatch --force` ends the pause now)"
        else:
            yield f"tried one at a time since {clock(pause.until)}: {told}"


def _in_play(standing: Standing) -> str:
    scope = standing.scope
    if scope is None:
        return "nothing is in play yet (agentjobs dispatch)"
    if scope.everything:
        what = "everything" + (f" but {names(scope.out)}" if scope.out else "")
    else:
        phases = f"phase {names(scope.phases)}" if scope.phases else ""
        tasks = names(scope.ids) if scope.ids else ""
        what = " and ".join(filter(None, (phases, tasks))) or "nothing (stopped)"
    return f"in play: {what}" + (f"; {outside_line(standing.outside)}" if standing.outside else "")


def outside_line(count: int) -> str:
    """Return the line about tasks that wait only for a person."""
    return f"{count} {'task waits' if count == 1 else 'tasks wait'} for `agentjobs dispatch`"


def rest_lines(standing: Standing) -> Iterator[str]:
    """Yield what a person can do when nothing is left to do for ``run``."""
    failed = standing.counts.get("FAILED", 0)
    if failed:
        blocked = f", {len(standing.blocked)} blocked" if standing.blocked else ""
        yield f"{failed} FAILED{blocked}: `agentjobs status --failures` groups them by error"
    if standing.outside:
        yield outside_line(standing.outside)


def live_cells(live: Live, now: float) -> tuple[str, ...]:
    """Return the cells of a line about a running step."""
    quiet = duration(now - live.output_at)
    said = f"{size(live.output_bytes)}, quiet for {quiet}" if live.output_bytes else f"silent for {quiet}"
    age = duration(now - live.started_at)
    what = f"attempt {live.attempt} ({live.mode})" if live.mode else f"run {live.attempt}"
    return (live.id, what, live.step, age, said,
            f"ending: {live.ending}" if live.ending else one_line(live.doing, 60))  # fmt: skip


def _most(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from columns(rows[:MOST], "  ")
    if len(rows) > MOST:
        yield f"  … {len(rows) - MOST} more"


def failure_lines(groups: Sequence[Failures]) -> Iterator[str]:
    """Yield what ``status --failures`` prints: each kind of failure, how often, and one example of it."""
    for group in groups:
        what = f"{group.outcome}: {one_line(group.check)}" if group.check else group.outcome
        yield f"{len(group.ids)} × {what}" + (f"  [{group.signature}]" if group.signature else "")
        yield f"  {names(group.ids, 8)}"
        if group.detail:
            yield f"  {one_line(group.detail)}"
        lines = [line for line in group.errors.splitlines() if line.strip()]
        if one_line(group.errors) == one_line(group.detail):
            lines = []
        yield from (f"  | {indented(line, 140)}" for line in lines[:6])
    if not groups:
        yield "no task is FAILED"
