"""Test of an agent: one tiny edit, then a second turn of the same conversation, in a scratch project."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agentjobs.agents.installed import VERSION_S, ask, choice_of, missing, program_of, settings_of, unmet
from agentjobs.agents.stream import lines_for_people
from agentjobs.commands.dispatch import dispatch
from agentjobs.commands.stop import stop
from agentjobs.core.decide import verified_at
from agentjobs.disk.logs import read_tail
from agentjobs.launch import launcher
from agentjobs.model.errors import ExitCode, UserError
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Lost, StepKind
from agentjobs.project.project import POLICY, TABLE, Project
from agentjobs.project.store import step_files
from agentjobs.run.engine import Engine
from agentjobs.text.toml_write import table_text
from agentjobs.workspace.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.agents.installed import Choice, Place
    from agentjobs.model.facts import Attempt
    from agentjobs.policy.agents import Agent

TASK = "hello"
FILE, LATER = "hello.txt", "resumed.txt"
LOCK_S = 10.0
GRACE_S = 3.0
LOG_BYTES = 16 * 1024

PROMPT = """\
This only tests whether you can be started and resumed. Do exactly the following, and nothing else.

1. Write a file `{file}` in the current directory. Its only line is:

       {{{{ row["line"] }}}}

2. Then end your turn. Do not write other files or run anything else.

Keep in mind the word `{word}`. If a later message in this conversation says that you were interrupted, write that
word as the only line of a file `{later}` in the current directory, and end your turn.
"""
"""The word is only in the conversation: an agent that knows it later has the conversation."""

SAME = ("inherit",)
SAME_WORKSPACE = ("sandbox", "writable")
"""Settings of a project's workspace that matter to all its agents, and so to one that is tested."""

CHECK = f'grep -qxF "$AGENTJOBS_ROW_LINE" {FILE}'


class Told(Struct, frozen=True):
    """One turn of the agent."""

    argv: tuple[str, ...]
    outcome: Outcome | None
    detail: str
    session: str
    spent: Spending
    took_s: float
    edit: str
    """The state of the file that the agent had to write."""
    done: bool
    """The file has the right content."""
    log: str
    """The end of the agent's output."""


class Tried(Struct, frozen=True):
    """The result of a trial."""

    name: str
    first: Told | None
    resumed: Told | None = None
    unresumed: str = ""
    """Why there was no second turn, if that is not a failure."""
    failure: str = ""
    kept: str = ""
    """The directory of the scratch project, if it still exists."""


def tryout(
    place: Place, name: str, *, model: str | None, timeout_s: float, resume: bool, keep: bool
) -> Tried:
    """Let an agent, as it is set up here, do one tiny edit, then continue the conversation.

    ``timeout_s`` limits each of the two turns. UserError if the agent does not exist, is not installed, or has no
    flag for ``model``. However this ends, nothing keeps running; the directory is kept on failure, or if asked.
    """
    choice = choice_of(place, name)
    agent = settings_of(place, choice)
    if not program_of(agent, place.root):
        raise UserError(f"{name} is not installed here: {missing(agent, place.root)}")
    if agent.requires:
        there, cwd = {name: agent}, place.root or Path.cwd()
        lacks = unmet(there, ask(there, cwd=cwd, timeout_s=VERSION_S), cwd=cwd, timeout_s=VERSION_S).get(name)
        if lacks is not None and lacks.fatal:
            raise UserError(lacks.words)
    directory = Path(tempfile.mkdtemp(prefix="agentjobs-try-")).resolve()
    failed = True
    try:
        word = secrets.token_hex(4)
        project = _scratch(directory, place, choice, word, model=model, timeout_s=timeout_s)
        with _ended(project):
            tried = _turns(project, agent, name, word, resume=resume)
        failed = bool(tried.failure)
        return Tried(
            tried.name, tried.first, tried.resumed, tried.unresumed, tried.failure,
            str(directory) if keep or failed else "",
        )  # fmt: skip
    except (KeyboardInterrupt, UserError):
        failed = False  # the user does not know the directory
        raise
    finally:
        if not keep and not failed:
            shutil.rmtree(directory, ignore_errors=True)


def _scratch(
    directory: Path, place: Place, choice: Choice, word: str, *, model: str | None, timeout_s: float
) -> Project:
    """Make a project with one task for the agent: a repository, agentjobs.toml, a prompt, a table."""
    files = {
        POLICY: policy_text(place, choice, model=model, timeout_s=timeout_s),
        "prompt.md.j2": PROMPT.format(file=FILE, later=LATER, word=word),
        TABLE: f"id\tfiles\tline\n{TASK}\t{FILE}\tagentjobs was here: {secrets.token_hex(4)}\n",
        "README.md": "A scratch project of `agentjobs agents try`.\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    git = Git(directory)
    git.run("init", "-q", "-b", "main")
    git.run("add", "README.md")
    git.run("commit", "-q", "-m", "A scratch project")
    project = Project(directory)
    project.policy  # noqa: B018 - a model that the agent has no flag for is an error now
    return project


def policy_text(place: Place, choice: Choice, *, model: str | None, timeout_s: float) -> str:
    """Return agentjobs.toml of the scratch project: without retries, with the agent as it is in ``place``."""
    profile: dict[str, Any] = {"agent": choice.name, "verify": [CHECK], "scope": "any"}
    if chosen := model or _model_of(place, choice):
        profile["model"] = chosen
    minutes = timeout_s / 60
    workspace = place.raw.get("workspace")
    settings = {
        **{key: place.raw[key] for key in SAME if key in place.raw},
        "base": "main",
        "slots": 1,
        "limits": {
            "attempt_minutes": minutes, "idle_minutes": minutes, "start_interval_s": 0, "stop_grace_s": GRACE_S,
            "min_free_memory": "1MiB", "breaker": 0,
        },
        "retry": {"resumes": 0, "repairs": 0, "restarts": 0},
        "landing": {"approve": True},
        "workspace": {key: workspace[key] for key in SAME_WORKSPACE if key in workspace}
        if isinstance(workspace, dict) else {},
    }  # fmt: skip
    text = table_text(settings) + "\n" + table_text(profile, ("profiles", "default"))
    if choice.section:
        text += "\n" + table_text(_settled(choice.section, place.root), ("agents", choice.name))
    return text


def _model_of(place: Place, choice: Choice) -> str | None:
    """Return the model that the first profile with this agent asks for."""
    if not choice.profiles:
        return None
    model = place.raw["profiles"][choice.profiles[0]].get("model")
    return model if isinstance(model, str) else None


def _settled(section: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """Return a section for another project: ``{root}`` is still the directory it means now."""
    here = str(root).replace("{", "{{").replace("}", "}}")
    return {
        key: [word.replace("{root}", here) if isinstance(word, str) else word for word in value]
        if key in {"command", "resume"} and isinstance(value, list)
        else value
        for key, value in section.items()
    }


# --- the turns --------------------------------------------------------------------------------------------


def _turns(project: Project, agent: Agent, name: str, word: str, *, resume: bool) -> Tried:
    _dispatch(project)
    attempt = _over(project, 1)
    if attempt is None:
        return Tried(name, None, failure="it was never started")
    line = project.file.table.row(TASK).cells["line"]
    first = _told(project, attempt, FILE, line)
    if failure := _failure(first):
        return Tried(name, first, failure=failure)
    if not resume:
        return Tried(name, first)
    if not agent.resume:
        return Tried(name, first, unresumed="it has no resume command, so every attempt is a new conversation")
    if not first.session:
        return Tried(name, first, failure="it does not report its session id, so it could not be resumed")
    # Verified work that waits for approval is stopped and put in play again, which continues the conversation.
    stop(project, (), lock_timeout_s=LOCK_S)
    _dispatch(project)
    attempt = _over(project, 2)
    if attempt is None or attempt.intent.fresh:
        return Tried(name, first, failure="the conversation was not resumed")
    resumed = _told(project, attempt, LATER, word)
    failure = _failure(resumed)
    if failure and resumed.outcome is Outcome.OK:
        failure = f"the resumed conversation did not remember the first turn ({failure})"
    elif failure:
        failure = f"resumed, {failure}"
    return Tried(name, first, resumed, failure=failure)


def _dispatch(project: Project) -> None:
    dispatch(project, ids=(), only=None, dry_run=False, force=False, lock_timeout_s=LOCK_S)


def _over(project: Project, number: int) -> Attempt | None:
    """Take turns until attempt ``number`` is verified or over; None if it never is."""
    engine = Engine(project)
    while True:
        with project.store.lock(LOCK_S):
            turn = engine.turn()
        attempt = project.store.attempt(TASK, number)
        if attempt is not None and (isinstance(attempt, Over) or verified_at(attempt)):
            return attempt
        if turn.code is not ExitCode.OK:
            return None
        if not turn.acted:
            engine.wait(turn.until)


def _told(project: Project, attempt: Attempt, file: str, line: str) -> Told:
    end, result = attempt.end, attempt.result
    step = attempt.last(StepKind.AGENT)
    ended = step.state.at if step is not None and isinstance(step.state, Exited | Lost) else 0.0
    outcome, detail = (end.outcome, end.detail) if end is not None else (None, "")
    if end is None and result is not None:
        outcome, detail = result.outcome, result.detail
    agent = project.policy.agents.get(attempt.intent.agent)
    reading = agent.reading if agent is not None else ()
    edit, done = _edit(Path(attempt.intent.tree) / file, line)
    files = step_files(project.store.attempt_dir(TASK, attempt.number), "agent")
    return Told(
        argv=attempt.intent.argv,
        outcome=outcome,
        detail=detail,
        session=end.session if end is not None else "",
        spent=end.spent if end is not None else Spending(),
        took_s=max(0.0, ended - step.started_at) if step is not None and ended else 0.0,
        edit=edit,
        done=done,
        log="\n".join(lines_for_people(read_tail(files.log, project.masking, LOG_BYTES)[0], reading)),
    )


def _edit(path: Path, line: str) -> tuple[str, bool]:
    try:
        found = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"{path.name} is missing", False
    if found == line:
        return f"{path.name} has the right content", True
    return f"{path.name} holds {found[:80]!r}, not {line!r}", False


def _failure(told: Told) -> str:
    """Return why a turn failed; empty if it did not."""
    if told.outcome is not Outcome.OK:
        return f"it ended as {told.outcome.value if told.outcome else 'unknown'}"
    return "" if told.done else told.edit


# --- clean up


@contextlib.contextmanager
def _ended(project: Project) -> Iterator[None]:
    """Kill everything that the project runs when this block ends, however it ends; SIGTERM counts as ^C."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        try:
            if _running(project):
                with contextlib.suppress(UserError):
                    stop(project, (), lock_timeout_s=LOCK_S)
        finally:
            _sweep(project)
            for number, handler in before.items():
                signal.signal(number, handler)


def _interrupt(_: int, __: object) -> None:
    raise KeyboardInterrupt


def _running(project: Project) -> bool:
    attempts = project.store.attempts(TASK)
    return any(attempt.running for attempt in attempts)


def _sweep(project: Project) -> None:
    """Kill everything that any attempt has left, even one that had only half started."""
    store = project.store
    attempts = store.attempts(TASK)
    files = [step_files(store.attempt_dir(TASK, a.number), step.name) for a in attempts for step in a.steps]
    launcher.kill_leftovers([attempt.intent.marker for attempt in attempts], files)
