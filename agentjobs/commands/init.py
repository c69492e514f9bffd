"""Kinds of job: the directories of ``templates/``, which ``init`` copies into a project."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

from msgspec import Struct

import agentjobs
from agentjobs.model.errors import UserError
from agentjobs.table.table import parse
from agentjobs.text.nearest import did_you_mean
from agentjobs.text.toml import load
from agentjobs.text.toml_write import value_text
from agentjobs.workspace.git import Git

DEMO = "demo"
"""The directory of a template with a small repository to try it on."""

_BASE = re.compile(r'^base = "main"', re.MULTILINE)

LEFT_OUT = frozenset({DEMO, "demo.sh", "__pycache__", "node_modules", ".ruff_cache"})
"""Names that belong to the template itself, or were left by running it."""


class Written(Struct, frozen=True):
    """The result of ``write_kind``, as paths below the directory."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    """Existing files, which were not changed."""


def templates_dir() -> Path:
    """Return the directory of the templates, in an installed package or a checkout. UserError if missing."""
    package = Path(agentjobs.__path__[0]).resolve()
    for found in (package / "templates", package.parent / "templates"):
        if found.is_dir():
            return found
    raise UserError("the templates are missing; install agentjobs again")


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return tuple(sorted(path.name for path in templates_dir().iterdir() if (path / "agentjobs.toml").is_file()))


def summary(kind: str) -> str:
    """Return the first sentence of a kind's agentjobs.toml."""
    with (templates_dir() / kind / "agentjobs.toml").open(encoding="utf-8") as file:
        first = file.readline()
    sentence = first.lstrip("# ").removeprefix("agentjobs.toml: ").partition(". ")[0]
    return sentence.strip() if first.startswith("#") else ""


def write_kind(source: Path, directory: Path) -> Written:
    """Copy a kind's files into ``directory``; existing files are not changed. UserError if ``source`` is not a kind."""
    if not (source / "agentjobs.toml").is_file():
        raise UserError(f"{source} is not a kind of job: it has no agentjobs.toml")
    if source.resolve() == directory.resolve():
        raise UserError("--from is the current directory; run this in the project instead")
    policy = directory / "agentjobs.toml"
    own = [path.name for path in source.iterdir() if path.is_dir() and path.name not in LEFT_OUT]
    if policy.exists() and own and not any((directory / name).exists() for name in own):
        kind = source.resolve().name
        message = f"belongs to another kind of job: {kind} would not fit it; move it away, or use another directory"
        raise UserError(message, file=policy.name)
    return _copied(source, directory, LEFT_OUT)


def write_demo(kind: str, directory: Path) -> Written:
    """Copy the demo of a kind into ``directory``, which must be empty, and make a repository of it.

    UserError for an unknown kind, one without a demo, and a directory with files.
    """
    source = source_of(kind) / DEMO
    if not source.is_dir():
        have = [name for name in kinds() if (templates_dir() / name / DEMO).is_dir()]
        raise UserError(f"{kind} has no demo; these have one: {', '.join(have)}")
    if any(directory.iterdir()):
        raise UserError("--demo needs an empty directory, because it makes a new repository")
    git = Git(directory)
    git.run("init", "-q", "-b", "main")
    written = _copied(source, directory, frozenset({"__pycache__"}))
    sources = [name for name in written.made if not (source.parent / name).exists()]  # not the job's own table
    git.run("add", "--", *sources)
    git.run("commit", "-q", "-m", f"What to try {kind} on")
    return written


def fit_in(directory: Path, written: Written) -> str:
    """Set ``base`` of a new agentjobs.toml to the current branch; return what is wrong with the place, if anything.

    A directory without a repository is left alone: `check` reports it, and not all kinds need one.
    """
    git, path = Git(directory), directory / "agentjobs.toml"
    with contextlib.suppress(UserError):
        if git.refusal():
            return ""
        here = git.branch()
        if path.name in written.made and (here != "HEAD" or not git.resolve("main")):
            text = path.read_text(encoding="utf-8")
            path.write_text(_BASE.sub(lambda _: f"base = {value_text(here)}", text, count=1), encoding="utf-8")
        if git.toplevel.resolve() != directory.resolve():
            return f"this is not the top of the repository, where paths in `files` start: run it in {git.toplevel}"
    return ""


def next_steps(directory: Path, *, demo: bool) -> str:
    """Return what to do next with a kind that was copied into ``directory``; it depends on how its tasks are made."""
    policy: dict[str, Any] = {}
    with contextlib.suppress(UserError):  # a file of the user with errors: `check` reports it
        policy = load((directory / "agentjobs.toml").read_bytes(), "agentjobs.toml")
    skill = "SKILL.md and " if (directory / "SKILL.md").is_file() else ""
    first = "read SKILL.md" if demo and skill else f"read {skill}agentjobs.toml"
    if policy.get("phases"):
        return f"{first}, then `agentjobs check` and `agentjobs dispatch`, which plans the tasks of the first phase"
    if policy.get("plan"):
        return f"{first}, then `agentjobs plan`, which makes the tasks, then `agentjobs check`"
    table = directory / "tasks.tsv"
    if demo and table.is_file() and len(parse(table.read_bytes(), table.name)):
        return f"{first}, then `agentjobs check`; the tasks are in tasks.tsv"
    return f"{first}, fill tasks.tsv (by hand, or with `agentjobs plan rows` or `plan files`), then `agentjobs check`"


def source_of(kind: str) -> Path:
    """Return the directory of a kind. UserError for an unknown one."""
    if kind in kinds():
        return templates_dir() / kind
    raise UserError(f"no kind of job called {kind!r}; {did_you_mean(kind, kinds())}")


def _copied(source: Path, directory: Path, left_out: frozenset[str]) -> Written:
    made: list[str] = []
    kept: list[str] = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if left_out.intersection(relative.parts) or path.is_dir():
            continue
        target = directory / relative
        if target.exists() or target.is_symlink():
            kept.append(str(relative))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        shutil.copymode(path, target)
        made.append(str(relative))
    return Written(tuple(made), tuple(kept))
