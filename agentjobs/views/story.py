"""The story of one task, read from its facts: every attempt, why it started, how it ended, where its files are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from agentjobs.core.review_findings import blocking, place
from agentjobs.model.errors import UserError
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Lost, Running
from agentjobs.model.tasks import Settled  # noqa: TC001 - a field of a type that is decoded
from agentjobs.project.store import step_files
from agentjobs.views.prompt import check_known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.project.project import Project


class StepTold(Struct, frozen=True):
    """One process of an attempt."""

    name: str
    state: str
    """One of: prepared, running, exited, lost."""
    code: int | None
    started_at: float
    ended_at: float
    """0 while it runs."""
    killed: str
    """Why we stopped it, if we did."""
    log: str
    output_bytes: int
    doing: str = ""
    """The last action of a running agent, if its output shows it."""


class ReviewTold(Struct, frozen=True):
    """One verdict, or why there is none."""

    step: str
    reviewer: str
    blocks: int
    """Number of findings that prevent the work from landing."""
    detail: str
    """Why there is no verdict."""
    summary: str
    findings: tuple[str, ...]
    """One line each."""
    touched: tuple[str, ...]


class AttemptTold(Struct, frozen=True):
    """One attempt."""

    number: int
    round: int
    mode: str
    why: str
    profile: str
    agent: str
    session: str
    fresh: bool
    started_at: float
    ended_at: float
    steps: tuple[StepTold, ...]
    reviews: tuple[ReviewTold, ...]
    outcome: str
    """Empty while it is not over."""
    detail: str
    check: str
    """The command that failed."""
    errors: str
    tokens: int
    cost: float
    spent: Spending
    """Tokens by kind, and whether the cost is an estimate."""
    in_flight: Spending
    """Most that requests used which were open when it was killed, in addition to ``spent``."""
    changed: tuple[str, ...]
    outside: tuple[str, ...]
    findings: tuple[str, ...]
    """Differences between the agent's report and its commit."""
    base: str
    commit: str
    landed: str
    directory: str
    tree: str


class Story(Struct, frozen=True):
    """One task."""

    id: str
    status: str
    row: dict[str, str]
    """All cells; empty if the row was removed."""
    line: int
    attempts: tuple[AttemptTold, ...]
    rounds: tuple[Settled, ...]
    wish: str
    """What a person asked for and is not done yet."""
    tree: str
    """Path of its tree, if it exists."""
    kept: tuple[str, ...]
    """Refs that keep the earlier content of its tree, from before it started over or was removed."""


def story(project: Project, task_id: str) -> Story:
    """Read the story of a task, without secrets. UserError for an id that never existed."""
    check_known(project, task_id)
    project.file.load()
    table, store = project.file.table, project.store
    row = table.row(task_id) if task_id in table else None
    open_round = store.open_round(task_id)
    found = Story(
        id=task_id,
        status=row.status.value if row else "not in the table",
        row=row.cells if row else {},
        line=row.line if row else 0,
        attempts=tuple(_attempt(project, attempt) for attempt in store.attempts(task_id)),
        rounds=tuple(store.settled(task_id)),
        wish=open_round.wish.value if open_round and open_round.wish else "",
        **_left(project, task_id),
    )
    return msgspec.convert(project.masking.texts(msgspec.to_builtins(found)), Story)


def _left(project: Project, task_id: str) -> dict[str, Any]:
    """Return the path of a task's tree, and the refs that keep its earlier content: no attempt records these."""
    tree = project.trees_dir / task_id
    kept: list[str] = []
    with contextlib.suppress(UserError):
        if project.uses_trees:
            names = [project.git.kept(task_id, name) for name in ("before-*", "cleaned")]
            kept = project.git.line("for-each-ref", "--format=%(refname)", *names).splitlines()
    return {"tree": str(tree) if tree.is_dir() else "", "kept": tuple(kept)}


def _attempt(project: Project, attempt: Attempt) -> AttemptTold:
    intent, end, result = attempt.intent, attempt.end, attempt.result
    directory = project.store.attempt_dir(intent.id, intent.number)
    return AttemptTold(
        number=intent.number,
        round=intent.round,
        mode=intent.mode.value,
        why=intent.why,
        profile=intent.profile,
        agent=intent.agent,
        session=(end.session if end else "") or intent.session or _session(project, attempt),
        fresh=intent.fresh,
        started_at=intent.started_at,
        ended_at=result.at if result else 0.0,
        steps=tuple(_step(project, attempt, step) for step in attempt.steps),
        reviews=tuple(_reviews(attempt)),
        outcome=result.outcome.value if result else "",
        detail=(result.detail if result else "")
        or (end.detail if end and (not result or result.outcome is end.outcome) else ""),
        check=result.check if result else "",
        errors=result.errors if result else "",
        tokens=end.tokens if end else 0,
        cost=end.cost if end else 0.0,
        spent=end.spent if end else Spending(),
        in_flight=end.in_flight if end else Spending(),
        changed=end.changed if end else (),
        outside=end.outside if end else (),
        findings=end.findings if end else (),
        base=intent.base,
        commit=(result.commit if result else "") or (end.commit if end else ""),
        landed=result.landed if result else "",
        directory=str(directory.relative_to(project.root)),
        tree=intent.tree,
    )


def _reviews(attempt: Attempt) -> Iterator[ReviewTold]:
    for step in attempt.steps:
        end = step.verdict
        if step.review is None or end is None:
            continue
        lines = []
        for found in end.findings:
            how = f"{found.severity}, disputed" if found.disputed else found.severity
            lines.append(f"{place(found)} ({how}) {found.title or found.trigger}")
        held = len(blocking(end.findings, attempt.intent.review_blocks))
        yield ReviewTold(step.name, step.review.reviewer, held, end.detail, end.summary, tuple(lines), end.touched)


def _step(project: Project, attempt: Attempt, step: Step) -> StepTold:
    state = step.state
    files = step_files(project.store.attempt_dir(attempt.intent.id, attempt.number), step.name)
    try:
        said = files.log.stat().st_size
    except FileNotFoundError:
        said = 0
    return StepTold(
        name=step.name,
        state=type(state).__name__.lower(),
        code=state.code if isinstance(state, Exited) else None,
        started_at=step.started_at,
        ended_at=state.at if isinstance(state, Exited | Lost) else 0.0,
        killed=step.kill.why if step.kill and not isinstance(state, Running) else "",
        log=str(files.log.relative_to(project.root)),
        output_bytes=said,
        doing=_doing(project, attempt, step) if isinstance(state, Running) else "",
    )


def _session(project: Project, attempt: Attempt) -> str:
    from agentjobs.run.steps.gauges import session_at  # imports much

    return session_at(project, attempt)


def _doing(project: Project, attempt: Attempt, step: Step) -> str:
    from agentjobs.run.steps.gauges import doing_at  # imports much; only needed if something runs

    try:
        return doing_at(project, attempt, step)
    except UserError:  # the story is shown without agentjobs.toml
        return ""
