"""What an agent keeps on disk of a conversation: found after a kill, read and never written."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import MsgspecError, Struct, json

from agentjobs.jsonlines import lookup, matches, read_events, scalar_text
from agentjobs.logfile import read_head
from agentjobs.model import Spending
from agentjobs.plainfile import is_plain, open_plain
from agentjobs.usage import Measured, amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentjobs.evidence import Transcript

MOST_FILES = 200
"""So many of the newest files are looked into for the attempt's own."""

MOST_BYTES = 256 * 1024 * 1024
"""Of a larger transcript only the end is read."""

ANY = "*"
SESSION = "{session}"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Found(Struct, frozen=True):
    """The attempt's own conversation."""

    session: str = ""
    """Its id, where the transcript tells it."""
    lines: bytes = b""
    measured: Measured | None = None
    """What a database says of it."""
    also: tuple[str, ...] = ()
    """Paths of more files that belong to it."""


def find(where: Transcript, *, env: Mapping[str, str], session: str, tree: str, since: float, own: str) -> Found | None:
    """Return the transcript of an attempt; None where there is none.

    ``env``: the agent's environment; ``session``: the id, if it is known; ``tree``: the directory it worked in;
    ``since``: when it began (seconds since the epoch); ``own``: the task's own directory, ``{dir}``.
    """
    values = {"session": session or ANY, "tree": os.path.realpath(tree), "dir": own}
    if where.database is not None:
        return _in_database(where, expanded(where.database, env, values), session, values["tree"], since)
    found = _own(where, env, values, session, since, lambda path: _lines(_read(path)))
    if found is None:
        return None
    path, told = found.path, found.session or session
    lines = found.lines if where.owner is not None else _lines(_read(path))
    told = told or (_named(path, where.files) if where.owner is not None else "")
    return Found(told, lines, also=tuple(more(where, env, told, path)))


def more(where: Transcript, env: Mapping[str, str], session: str, path: str) -> list[str]:
    """Return the paths of a conversation's other files, such as those of sub-agents; ``path`` is the first."""
    if not session:
        return []
    patterns = (expanded(pattern, env, {"session": session}) for pattern in where.also)
    found = {other for pattern in patterns for other in glob.glob(pattern, recursive=True)}  # noqa: PTH207 - absolute
    return sorted(found - {path})[:MOST_FILES]


def lines_of(path: str) -> bytes:
    """Return the JSON lines of a transcript; nothing where it cannot be read."""
    return _lines(_read(path))


def locate(
    where: Transcript, *, env: Mapping[str, str], session: str, tree: str, since: float, own: str
) -> str:
    """Return the path of an attempt's transcript, of which only the beginning is looked at; empty where there is none.

    The arguments are those of ``find``.
    """
    values = {"session": session or ANY, "tree": os.path.realpath(tree), "dir": own}
    found = _own(where, env, values, session, since, lambda path: read_head(Path(path)))
    return found.path if found is not None else ""


class _Own(NamedTuple):
    path: str
    session: str = ""
    """The id that the owner's line tells."""
    lines: bytes = b""
    """What was read to know whose it is."""


def _own(
    where: Transcript,
    env: Mapping[str, str],
    values: Mapping[str, str],
    session: str,
    since: float,
    read: Callable[[str], bytes],
) -> _Own | None:
    """Return the newest file that is the attempt's own; ``read`` gives as much of one as is looked at for that."""
    wanted = {path: _filled(value, values) for path, value in where.owner.items()} if where.owner else None
    for path in _newest(where, env, values, since):
        if wanted is None:
            return _Own(path)
        lines = read(path)
        event = next((event for event in read_events(lines) if matches(event.fields, wanted)), None)
        told = scalar_text(lookup(event.fields, where.id)) if event is not None and where.id else None
        if event is not None and (not session or told in {None, session}):
            return _Own(path, told or "", lines)
    return None


def _named(path: str, patterns: Sequence[str]) -> str:
    """Return the part of a path that ``{session}`` stands for in one of the globs; empty where it is in none."""
    parts = path.split("/")
    for pattern in patterns:
        names = pattern.split("/")
        at = next((at for at in range(1, len(names) + 1) if SESSION in names[-at]), 0)  # the end of a path is plain
        if not 0 < at <= len(parts):
            continue
        before, _, after = names[-at].partition(SESSION)
        form = fnmatch.translate(before).removesuffix(r"\Z") + "(.+)" + fnmatch.translate(after)
        found = re.match(form, parts[-at])
        if found is not None:
            return found[1]
    return ""


def _lines(content: bytes) -> bytes:
    """Return JSON lines; a file that is one JSON value over many lines becomes one line."""
    if not content.startswith((b"{\n", b"{\r\n")):
        return content
    try:
        return json.encode(json.decode(content))
    except (ValueError, RecursionError, MsgspecError):
        return content


def _newest(where: Transcript, env: Mapping[str, str], values: Mapping[str, str], since: float) -> list[str]:
    """Return the files that were written since the attempt began, the newest first."""
    found: list[tuple[float, str]] = []
    for pattern in where.files:
        if SESSION in pattern and values["session"] == ANY and where.owner is None:
            continue  # whose it is nobody could say
        for path in glob.glob(expanded(pattern, env, values), recursive=True):  # noqa: PTH207 - absolute patterns
            with contextlib.suppress(OSError):
                changed = os.stat(path).st_mtime  # noqa: PTH116 - a Path costs more than the look
                if changed >= since - 1.0:
                    found.append((changed, path))
    return [path for _, path in sorted(found, reverse=True)[:MOST_FILES]]


def expanded(pattern: str, env: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Return a path with ``${NAME:-default}``, a leading ``~`` and the placeholders filled in.

    What is filled in stands for itself, whatever characters it has.
    """
    text = _VARIABLE.sub(lambda found: glob.escape(env.get(found[1], "")) or found[2] or "", pattern)
    if text.startswith("~/"):
        text = glob.escape(env.get("HOME", "")) + text[1:]
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value if value == ANY else glob.escape(value))
    return text


def _filled(value: object, values: Mapping[str, str]) -> object:
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def _read(path: str) -> bytes:
    try:
        with os.fdopen(open_plain(path, follow=True), "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            return file.read(MOST_BYTES)
    except OSError:
        return b""


def _in_database(where: Transcript, path: str, session: str, tree: str, since: float) -> Found | None:
    import sqlite3  # noqa: PLC0415 - for the few agents that use one

    paths = glob.glob(path)  # noqa: PTH207 - an absolute pattern
    if not paths or not is_plain(paths[0], follow=True):
        return None
    values = {"session": session, "tree": tree, "since_ms": int(since * 1000)}
    try:
        with sqlite3.connect(f"file:{paths[0]}?mode=ro", uri=True, timeout=2.0) as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute(where.query or "", values).fetchone()
        connection.close()
    except sqlite3.Error:
        return None
    if row is None:
        return None
    told = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    tokens = [int(amount(told.get(name))) for name in ("input", "cache_read", "cache_write", "output")]
    cost = amount(told["cost"]) if told.get("cost") is not None else None
    spending = Spending(tokens[0], tokens[1], tokens[2], tokens[3], cost)
    model = str(told.get("model") or "")
    measured = Measured(spending, whole=True, whole_cost=True, parts={model: spending} if model else {})
    return Found(str(told.get("session") or session), measured=measured)
