"""Starts steps of attempts in their tree and, if the policy says so, in a sandbox."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.agents.transcripts import Whose, standing
from agentjobs.core.watchdog import FIRST
from agentjobs.disk.files import write_json
from agentjobs.disk.plain_files import names_in
from agentjobs.launch import launcher
from agentjobs.model.steps import AGENTS
from agentjobs.project.store import own_dir, step_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.launch.step import StepFiles
    from agentjobs.model.facts import Attempt, Intent
    from agentjobs.project.project import Project
    from agentjobs.project.store import Store


def kill_leftovers(store: Store, *attempts: Attempt) -> None:
    """Kill what the ended steps of these attempts left running, also in their trees, with one look at all processes.

    Those are left out of which nothing can be there: this turn has looked, and has started nothing for them since.
    """
    due = [attempt for attempt in attempts if not store.swept.issuperset(_swept_with(attempt.intent))]
    found = [(attempt, store.attempt_dir(attempt.intent.id, attempt.number)) for attempt in due]
    killed = found and launcher.kill_leftovers(
        [attempt.intent.marker for attempt in due],
        [step_files(attempt_dir, step.name) for attempt, attempt_dir in found for step in attempt.steps],
        [place for attempt, attempt_dir in found for place in _places(attempt.intent, attempt_dir)],
    )
    if not killed:
        store.swept.update(name for attempt in due for name in _swept_with(attempt.intent))


def _swept_with(intent: Intent) -> tuple[str, ...]:
    """Return the names under which ``store.swept`` knows an attempt: its marker, and its tree."""
    return (intent.marker, intent.tree) if intent.base else (intent.marker,)


def _places(intent: Intent, attempt_dir: Path) -> list[launcher.Place]:
    """Return the tree of an attempt, if it has one: no process may stay there."""
    return [launcher.Place(intent.tree, intent.id, tuple(_steps(attempt_dir)))] if intent.base else []


def _steps(attempt_dir: Path) -> Iterator[StepFiles]:
    for name in names_in(attempt_dir):
        if name.endswith(".lock"):
            yield step_files(attempt_dir, name.removesuffix(".lock"))


def start(
    project: Project,
    intent: Intent,
    attempt_dir: Path,
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: str | None = None,
) -> int | None:
    """Start step ``name`` of an attempt and return the pid of its runner; None if it was started before.

    UserError or OSError if it cannot be started.
    """
    if name.partition("-")[0] in AGENTS:
        own_dir(attempt_dir, name).mkdir(mode=0o700, exist_ok=True)
        _note_transcripts(project, intent, attempt_dir, name, env)
    settings = project.policy.workspace
    if intent.tree not in project.store.swept:
        launcher.kill_leftovers((), (), _places(intent, attempt_dir))
    project.store.swept.difference_update(_swept_with(intent))
    project.store.standing.pop(intent.tree, None)
    if intent.base:
        from agentjobs.workspace import clone

        take = clone.attach if settings.kind == "clone" else clone.detach
        take(project.git, Path(intent.tree))
    if settings.sandbox != "none":
        from agentjobs.run.steps.sandbox import confined

        argv, env = confined(project, intent, attempt_dir, name, argv, env)
    return launcher.start(
        step_files(attempt_dir, name),
        argv=argv,
        cwd=intent.tree or str(project.root),
        env=env,
        stdin=stdin,
        file_size=project.policy.limits.file_size_bytes,
    )


def _note_transcripts(project: Project, intent: Intent, attempt_dir: Path, name: str, env: Mapping[str, str]) -> None:
    """Write down which transcripts exist before an agent starts, unless its own will be known by an id of ours."""
    agent, lock = project.policy.agents.get(intent.agent), step_files(attempt_dir, name).lock
    if agent is None or agent.transcript is None or lock.exists() or name.startswith(f"{FIRST}-"):
        return
    tree, own = intent.tree or str(project.root), str(own_dir(attempt_dir, name))
    asked = Whose(env=env, tree=tree, since=intent.started_at, own=own, session=intent.session)
    there = standing(agent.transcript, asked, time.time())
    if there is not None:
        write_json(attempt_dir / f"{name}.before.json", there)
