"""The intent of a new attempt: everything that is decided before it starts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.decide import restarts_after
from agentjobs.core.ports import first_port
from agentjobs.model.facts import Intent, Over
from agentjobs.model.outcomes import Outcome
from agentjobs.policy.policy import checks_of
from agentjobs.project.rounds import newest_in_table
from agentjobs.prompts import briefing

if TYPE_CHECKING:
    from agentjobs.model.decisions import Begin
    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task
    from agentjobs.project.project import Project
    from agentjobs.project.state import OpenRound


def claimed(
    project: Project, task: Task, begin: Begin, now: float, *, open_round: OpenRound, base: str, tree: str,
    edited: tuple[str, ...],
) -> Intent:  # fmt: skip
    """Claim the next number of a task, and return the intent of that attempt, without its setup command."""
    row, last = task.row, task.last
    profile = project.profile(row, begin.profile)
    used = max((int(mark.rpartition(".")[2]) for mark in open_round.begun), default=0)
    number = project.store.claim(row.id, max(used, newest_in_table(row), open_round.told))
    agent = project.policy.agents.get(profile.agent)
    # An agent that chooses its session id itself does not get one from us: it would be taken for its own.
    session = "" if agent is not None and agent.chooses_session else str(uuid.uuid4())
    if not begin.fresh and last is not None:
        session = (last.result.session if isinstance(last, Over) else "") or last.intent.session
    intent = Intent(
        id=row.id,
        number=number,
        round=task.round,
        mode=begin.mode,
        profile=begin.profile if begin.profile in project.policy.profiles else row.profile,
        agent=profile.agent,
        started_at=now,
        why=begin.why,
        fresh=begin.fresh,
        session=session,
        model=profile.model or "",
        base=base,
        tree=tree,
        port=first_port(row.id),
        marker=f"{uuid.uuid4().hex[:12]}.{row.id}.{number}",
        restarts=restarts_after(last, begin.mode),
        checks=checks_of(profile),
        review=profile.review,
        review_pass=profile.review_pass,
        review_blocks=profile.review_blocks,
        probe=begin.probe,
        context=begin.context,
        edited=edited,
    )
    attempt_dir = project.store.attempt_dir(row.id, number)
    return replace(intent, argv=tuple(briefing.command(project, row, intent, attempt_dir)))


def before(project: Project, task: Task) -> Attempt | None:
    """Return the newest attempt of the earlier rounds, if the task's tree still exists."""
    if not project.uses_trees or not (project.trees_dir / task.row.id).is_dir():
        return None
    earlier = [a for a in project.store.attempts(task.row.id) if a.intent.round < task.round]
    return earlier[-1] if earlier else None


def landed_unseen(project: Project, task: Task) -> str:
    """Return the commit that an attempt of this round landed as, if the facts that recorded it are lost."""
    if not project.lands:
        return ""
    from agentjobs.workspace.trailers import landed_as

    store = project.store
    open_round, known = store.open_round(task.row.id), {attempt.number for attempt in task.attempts}
    since = {a.number: a.intent.base for a in task.over if a.outcome is Outcome.LOST}
    for number in store.numbers(task.row.id):
        if number not in known and store.attempt(task.row.id, number) is None:
            since[number] = ""
    if open_round is not None and open_round.told:
        since[open_round.told] = ""
    found = (landed_as(project.git, project.policy.target, task.row.id, n, base) for n, base in since.items())
    return next(filter(None, found), "")
