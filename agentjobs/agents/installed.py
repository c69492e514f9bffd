"""Which agents exist (presets and sections of agentjobs.toml), and which of them are installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import Struct, field

from agentjobs.agents.failure_text import message_in
from agentjobs.disk.files import read_raw
from agentjobs.disk.processes import MARK
from agentjobs.launch.launcher import kill_leftovers
from agentjobs.model.errors import UserError
from agentjobs.policy import presets
from agentjobs.policy.agents import NO_PRESET, PLACEHOLDERS, Agent, expand, preset_of, table_of
from agentjobs.project.project import POLICY, find_root
from agentjobs.text.nearest import unknown
from agentjobs.text.toml import decode, load
from agentjobs.text.versions import Standing, range_of, standing, too_old, version_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import IO

K = TypeVar("K", bound="Hashable")

VERSION_S = 10.0
"""How long a program may take to print its version; some need five seconds to start."""

END_S = 1.0
SAID_BYTES = 64 * 1024


class Place(Struct, frozen=True):
    """Where agents are looked up: in a project, or outside."""

    root: Path | None = None
    """None outside of a project."""
    data: bytes = b""
    raw: dict[str, Any] = field(default_factory=dict)
    """The parsed agentjobs.toml."""
    problem: str = ""
    """Why agentjobs.toml cannot be read."""


class Choice(Struct, frozen=True):
    """One agent as it would be started in a place."""

    name: str
    table: dict[str, Any]
    """All its settings: the preset's, replaced by those of the section."""
    section: dict[str, Any]
    """Its section in agentjobs.toml."""
    preset: str
    """The preset it starts from; empty for none."""
    profiles: tuple[str, ...] = ()
    """The profiles that use it."""


class Installed(Struct, frozen=True):
    """One line of ``agentjobs agents``."""

    name: str
    about: str
    install: str
    program: str
    """Path of the program; empty if it is not installed."""
    version: str
    tested: tuple[str, ...]
    standing: Standing
    preset: str
    profiles: tuple[str, ...]
    section: tuple[str, ...]
    """The keys in its section of agentjobs.toml."""
    problem: str = ""


class Question(NamedTuple):
    """A command that prints a version, and its environment."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    program: str = ""
    """Its name for people."""
    pattern: str | None = None


class Answer(NamedTuple):
    """The version, or why it is unknown."""

    version: str
    problem: str = ""


class Doubt(NamedTuple):
    """A problem of an installed agent."""

    words: str
    fatal: bool = False
    """It does not even start: every task would fail."""


CALLED = {"node": "Node.js"}
"""Names for people of programs that agents need."""


def place_of(directory: Path) -> Place:
    """Return the place that ``directory`` is in. An unreadable file goes into ``problem``; it is not an error."""
    try:
        root = find_root(directory)
    except UserError:
        return Place()
    data = read_raw(root / POLICY, follow=True)
    try:
        return Place(root, data, load(data, POLICY))
    except UserError as error:
        return Place(root, data, problem=str(error))


def choices(place: Place) -> dict[str, Choice]:
    """Return all agents by name: the presets, then those defined only in agentjobs.toml."""
    sections, profiles = (_tables(place.raw.get(key)) for key in ("agents", "profiles"))
    found = {}
    for name in dict.fromkeys((*presets.names(), *sections)):
        section = sections.get(name)
        table = table_of(name, section, presets.preset)
        if table is not None:
            chosen = preset_of(name, section)
            used = tuple(profile for profile, said in profiles.items() if said.get("agent") == name)
            found[name] = Choice(name, table, section or {}, chosen if presets.preset(chosen) else "", used)
    return found


def choice_of(place: Place, name: str) -> Choice:
    """Return one agent by its name; UserError names the nearest one, or what is missing in agentjobs.toml."""
    if place.problem:
        raise UserError(place.problem)
    known = choices(place)
    if name not in known:
        raise UserError(unknown("agent", name, known))
    return known[name]


class _Agents(Struct):
    agents: dict[str, Agent]


def settings_of(place: Place, choice: Choice) -> Agent:
    """Return an agent's settings. Raises UserError with file and line if its section is wrong."""
    return decode(place.data, {"agents": {choice.name: choice.table}}, _Agents, POLICY).agents[choice.name]


def program_of(agent: Agent, root: Path | None, word: str | None = None) -> str:
    """Return the path of an agent's program (or of ``word``, from another command of its); empty if not found."""
    program = named(word or agent.command[0], root)
    if "/" in program and not os.path.isabs(program):
        # Runs in the tree, where it will be if it is here.
        return program if root is not None and (root / program).exists() else ""
    return shutil.which(program, path=agent.env.get("PATH", os.environ.get("PATH", os.defpath))) or ""


def named(word: str, root: Path | None) -> str:
    """Return the program for the first word of a command."""
    return expand((word,), {**dict.fromkeys(PLACEHOLDERS, "x"), "root": str(root or "")})[0]


def missing(agent: Agent, root: Path | None, word: str | None = None) -> str:
    """Describe that a program is missing, and how to get it."""
    program = named(word or agent.command[0], root)
    if "/" in program and not os.path.isabs(program):
        return f"no such program: {program}"
    what = f"install {agent.about or 'it'}" + (f" ({agent.install})" if agent.install else "")
    return f"no program {program!r} on PATH; {what}, or name it by path"


def absent_files(argv: Sequence[str], root: Path) -> dict[str, bool]:
    """Return the files of the project that a command names after its program and that do not exist.

    The value is True for the script that the program runs (``sh {root}/agent.sh``); the agent may write the others.
    """
    paths = {word.removeprefix("{root}/"): at == 1 for at, word in enumerate(argv) if at and word.startswith("{root}/")}
    return {path: script for path, script in paths.items() if "{" not in path and not (root / path).exists()}


def installed(place: Place) -> list[Installed]:
    """Return every agent and its installed version; all programs are asked at the same time."""
    known = choices(place)
    agents: dict[str, Agent] = {}
    problems: dict[str, str] = {}
    for name, choice in known.items():
        try:
            agents[name] = settings_of(place, choice)
        except UserError as error:
            problems[name] = str(error)
    programs = {name: program_of(agent, place.root) for name, agent in agents.items()}
    there = {name: agent for name, agent in agents.items() if programs[name]}
    cwd = place.root or Path.cwd()
    told = ask(there, cwd=cwd, timeout_s=VERSION_S)
    for name, doubt in unmet(there, told, cwd=cwd, timeout_s=VERSION_S).items():
        told[name] = Answer("", doubt.words)
    return [
        _line(choice, agents.get(name), programs.get(name, ""), told.get(name, Answer("", problems.get(name, ""))))
        for name, choice in known.items()
    ]


def _line(choice: Choice, agent: Agent | None, program: str, answer: Answer) -> Installed:
    tested = agent.tested if agent else ()
    return Installed(
        name=choice.name,
        about=agent.about if agent else "",
        install=agent.install if agent else "",
        program=program,
        version=answer.version,
        tested=tested,
        standing=standing(answer.version, tested),
        preset=choice.preset,
        profiles=choice.profiles,
        section=tuple(choice.section),
        problem=answer.problem,
    )


# --- versions -------------------------------------------------------------------------------------------


def ask(agents: Mapping[str, Agent], *, cwd: Path, timeout_s: float) -> dict[str, Answer]:
    """Ask agents for their versions, all at the same time; those without a command for it are left out.

    After ``timeout_s`` all that still runs is killed, including whatever the commands started.
    """
    return _ask({
        name: Question(a.version, tuple(a.env.items()), os.path.basename(a.command[0]), a.version_pattern)
        for name, a in agents.items()
        if a.version
    }, cwd=cwd, timeout_s=timeout_s)  # fmt: skip


def unmet(agents: Mapping[str, Agent], known: Mapping[str, Answer], *, cwd: Path, timeout_s: float) -> dict[str, Doubt]:
    """Return which agents do not start because a program they need is missing or too old in their environment.

    ``known`` has their versions: an agent that prints its own has all it needs, or contains it.
    """
    asked = {
        (name, program): Question((program, "--version"), tuple(agent.env.items()), program)
        for name, agent in agents.items()
        if name in known and not known[name].version
        for program in agent.requires
    }
    answers = _ask(asked, cwd=cwd, timeout_s=timeout_s)
    found: dict[str, Doubt] = {}
    for (name, program), answer in answers.items():
        least, called = agents[name].requires[program], CALLED.get(program, program)
        if answer.version and not too_old(answer.version, least):
            continue
        here = f"this is {called} {answer.version}" if answer.version else f"there is no {program}"
        found[name] = Doubt(f"{name} needs {called} {least}; {here}", fatal=True)
    return found


def _ask(asked: Mapping[K, Question], *, cwd: Path, timeout_s: float) -> dict[K, Answer]:
    mark = f"version.{os.getpid()}.{time.monotonic_ns()}"
    deadline = time.monotonic() + timeout_s
    runs: dict[Question, _Run] = {}
    try:
        for question in dict.fromkeys(asked.values()):
            runs[question] = _Run(question, cwd, mark)
        for run in runs.values():
            run.wait(deadline)
    finally:
        if runs:
            kill_leftovers([mark])
    found = {question: run.answer(timeout_s) for question, run in runs.items()}
    return {name: found[question] for name, question in asked.items()}


class _Run:
    """One command that prints a version."""

    def __init__(self, question: Question, cwd: Path, mark: str) -> None:
        self.name = question.program or question.argv[0]
        self.pattern = question.pattern
        self.problem = ""
        self.late = False
        # Files, not pipes: a child that keeps running would keep a pipe open.
        self.out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by answer()
        self.err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self.process = subprocess.Popen(
                question.argv, cwd=cwd, env={**os.environ, **dict(question.env), MARK: mark},
                stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self.problem = f"{self.name} cannot be started: {error.strerror or error}"

    def wait(self, deadline: float) -> None:
        if self.process is not None:
            try:
                self.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.late = True

    def answer(self, timeout_s: float) -> Answer:
        """Read what was printed; a command that was killed has no answer."""
        with self.out, self.err:
            if self.process is None:
                return Answer("", self.problem)
            with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel
                self.process.wait(END_S)
            if self.late:
                return Answer("", f"{self.name} did not print its version within {timeout_s:g} s")
            out, err = (_text(file) for file in (self.out, self.err))
            if code := self.process.returncode:
                words = message_in((err or out).splitlines())
                said = f": {words}" if words else ""
                return Answer("", f"{self.name} failed when asked for its version (exit {code}){said}")
            version = version_in(out, self.pattern) or version_in(err, self.pattern)
            return Answer(version, "" if version else f"{self.name} printed no version")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(SAID_BYTES).decode("utf-8", "replace")


# --- for `check` ----------------------------------------------------------------------------------------


def doubts(agents: Mapping[str, Agent], *, cwd: Path, timeout_s: float) -> dict[str, Doubt]:
    """Return problems of installed agents, their versions included, by their names."""
    asked = {name: agent for name, agent in agents.items() if agent.tested or agent.requires}
    told = ask(asked, cwd=cwd, timeout_s=timeout_s)
    found = unmet(agents, told, cwd=cwd, timeout_s=timeout_s)
    for name, agent in agents.items():
        if name in found:
            continue
        advice = f"`agentjobs agents try {name}` shows whether it works"
        answer = told.get(name, Answer(""))
        where = standing(answer.version, agent.tested)
        if answer.problem:
            found[name] = Doubt(answer.problem)
        elif where in {Standing.NEWER, Standing.OLDER}:
            found[name] = Doubt(f"{answer.version} is {where.value} ({range_of(agent.tested)}); {advice}")
        elif where is Standing.UNTESTED and agent.preset not in {None, NO_PRESET}:
            found[name] = Doubt(f"its preset was never tested with the real program; {advice}")
    return found


def _tables(value: Any) -> dict[str, dict[str, Any]]:
    return {key: item for key, item in value.items() if isinstance(item, dict)} if isinstance(value, dict) else {}
