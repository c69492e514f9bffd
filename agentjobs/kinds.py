"""Kinds of job: the directories of ``templates/``, copied into a project by ``init``."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

from msgspec import Struct

from agentjobs.errors import UserError

LEFT_OUT = frozenset({"demo.sh", "__pycache__", "node_modules", ".ruff_cache"})
"""Names that are about the template itself, or were left by running it."""


class Written(Struct, frozen=True):
    """What ``write_kind`` did, as paths below the directory."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    """Were there already, and stay as they are."""


def templates_dir() -> Path:
    """Return where the templates are: in an installed package, or beside it in a checkout. UserError if gone."""
    package = Path(__file__).resolve().parent
    for found in (package / "templates", package.parent / "templates"):
        if found.is_dir():
            return found
    raise UserError("the templates are missing; install agentjobs again")


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return tuple(sorted(path.name for path in templates_dir().iterdir() if (path / "agentjobs.toml").is_file()))


def summary(kind: str) -> str:
    """Return what a kind says of itself: the first sentence of its agentjobs.toml."""
    with (templates_dir() / kind / "agentjobs.toml").open(encoding="utf-8") as file:
        first = file.readline()
    sentence = first.lstrip("# ").removeprefix("agentjobs.toml: ").partition(". ")[0]
    return sentence.strip() if first.startswith("#") else ""


def write_kind(kind: str, directory: Path) -> Written:
    """Copy a kind's files into ``directory``; what is there stays as it is. UserError for an unknown kind."""
    if kind not in kinds():
        close = difflib.get_close_matches(kind, kinds(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(kinds())}"
        raise UserError(f"no kind of job called {kind!r}; {hint}")
    source = templates_dir() / kind
    policy = directory / "agentjobs.toml"
    own = [path.name for path in source.iterdir() if path.is_dir() and path.name not in LEFT_OUT]
    if policy.exists() and own and not any((directory / name).exists() for name in own):
        message = f"belongs to another kind of job: {kind} would not fit it; move it away, or use another directory"
        raise UserError(message, file=policy.name)
    made: list[str] = []
    kept: list[str] = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if LEFT_OUT.intersection(relative.parts) or path.is_dir():
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
