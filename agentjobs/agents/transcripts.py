"""What an agent keeps on disk of a conversation: found after a kill, read and never written."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import math
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from msgspec import MsgspecError, Struct, json
from msgspec.structs import replace

from agentjobs.agents.usage import Measured, amount
from agentjobs.disk.plain_files import is_plain, open_plain
from agentjobs.model.spending import Spending
from agentjobs.text.json_lines import lookup, matches, read_events, scalar_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.policy.agent_output import Transcript

MOST_FILES = 200
"""Most files, the newest ones, that are searched for the attempt's own."""

MOST_BYTES = 256 * 1024 * 1024
"""Only the end of a larger transcript is read."""

HEAD_BYTES = 256 * 1024
"""The line that identifies a transcript is within this many bytes from its beginning."""

SLACK_S = 600.0
"""Seconds by which the clock of the disk may differ from ours. A file last written longer ago than this before an agent
started is not that agent's; the later ones are listed in ``Standing``."""

ANY = "*"
SESSION = "{session}"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Found(Struct, frozen=True):
    """The attempt's own conversation."""

    session: str = ""
    """Its id, if the transcript has it."""
    lines: bytes = b""
    measured: Measured | None = None
    """Its usage according to a database."""
    also: tuple[str, ...] = ()
    """Paths of more files that belong to it."""


class Standing(Struct, frozen=True):
    """Fact ``<step>.before.json``: the transcripts from before an agent started. None of them is its own."""

    at: float
    """When they were listed (seconds since the epoch)."""
    files: dict[str, str] = {}
    """By path, the state of each recently written file: its size and time."""


class Whose(Struct, frozen=True, kw_only=True):
    """The attempt that the transcript belongs to."""

    env: Mapping[str, str]
    """The agent's environment."""
    tree: str
    """The directory it works in."""
    since: float
    """When it started (seconds since the epoch)."""
    own: str
    """The task's own directory, ``{dir}``."""
    session: str = ""
    """The id of its conversation; empty while unknown."""
    before: Standing | None = None
    """The transcripts from before it started; None if not recorded."""
    others: frozenset[str] = frozenset()
    """The ids of conversations that are not its own."""
    alone: bool = True
    """No other agent works in that directory: a new conversation there is this one's."""

    @property
    def values(self) -> dict[str, str]:
        """Values of the placeholders in paths and lines."""
        return {"session": self.session or ANY, "tree": os.path.realpath(self.tree), "dir": self.own}


def find(where: Transcript, whose: Whose) -> Found | None:
    """Return the transcript of an attempt; None if there is none, or if it is unclear which one it is."""
    if where.database is not None:
        return _in_database(where, whose)[0]
    found = _own(where, whose)
    if found is None:
        return None
    session = found.session or whose.session or _named(found.path, where.files)
    also = more(where, replace(whose, session=session), found.path)
    return Found(session, lines_of(found.path), also=tuple(also))


def more(where: Transcript, whose: Whose, path: str) -> list[str]:
    """Return the paths of a conversation's other files, such as those of sub-agents; ``path`` is the first."""
    if not whose.session:
        return []
    patterns = (expanded(pattern, whose.env, whose.values) for pattern in where.also)
    found = {other for pattern in patterns for other in glob.glob(pattern, recursive=True)}  # noqa: PTH207 - absolute
    return sorted(found - {path})[:MOST_FILES]


def lines_of(path: str) -> bytes:
    """Return the JSON lines of a transcript; nothing if it cannot be read."""
    return _lines(_read(path))


def locate(where: Transcript, whose: Whose) -> str:
    """Return the path of an attempt's transcript; empty if ``find`` would find none."""
    found = _own(where, whose)
    return found.path if found is not None else ""


def unwritten(where: Transcript, whose: Whose) -> bool:
    """Return whether the conversation ``whose.session`` certainly cannot be resumed from what is on disk."""
    if not whose.session:
        return False
    if where.database is not None:
        found, certain = _in_database(where, whose)
        return found is None and certain
    own = _own(where, replace(whose, since=-math.inf))
    if own is None or where.resumable is None:
        return own is None
    wanted = where.resumable
    return not any(matches(event.fields, wanted) for event in read_events(lines_of(own.path)))


def standing(where: Transcript, whose: Whose, now: float) -> Standing | None:
    """List the transcripts that cannot be the agent's own; None if its own is found by its id."""
    if not where.files or _by_id(where, whose.session):
        return None
    return Standing(now, {path: state for path, _, state in _files(where, whose, now - SLACK_S)})


class _Own(NamedTuple):
    path: str
    session: str = ""
    """The id in the owner's line."""


def _by_id(where: Transcript, session: str) -> bool:
    """Return whether a transcript can be recognised by the id of its conversation."""
    in_line = where.id is not None or any(SESSION in str(value) for value in (where.owner or {}).values())
    return bool(session) and (in_line or all(SESSION in pattern for pattern in where.files))


def _own(where: Transcript, whose: Whose) -> _Own | None:
    """Return the file that is the attempt's own.

    If the id is known, that is the newest file with this id. Otherwise it is the only file that appeared since the
    agent started; with two of them it is unclear.
    """
    values, session = whose.values, whose.session
    wanted = {path: _filled(value, values) for path, value in where.owner.items()} if where.owner else None
    known = _by_id(where, session)
    found: list[_Own] = []
    for path in _newest(where, whose, known=known):
        told = ""
        if wanted is not None:
            event = next((event for event in read_events(_head(path)) if matches(event.fields, wanted)), None)
            if event is None:
                continue
            told = (scalar_text(lookup(event.fields, where.id)) or "") if where.id else ""
            if session and told not in {"", session}:
                continue
        if known or wanted is None:
            return _Own(path, told)
        if (told or _named(path, where.files)) not in whose.others:
            found.append(_Own(path, told))
    return found[0] if len(found) == 1 and whose.alone else None


def _newest(where: Transcript, whose: Whose, *, known: bool) -> list[str]:
    """Return the files that may be the attempt's own, newest first."""
    before = whose.before
    if known:
        earliest = -math.inf if all(SESSION in pattern for pattern in where.files) else whose.since - SLACK_S
    else:
        earliest = before.at - SLACK_S if before is not None else whose.since
    new_file = where.id is not None or any(SESSION in pattern for pattern in where.files)
    found: list[tuple[float, str]] = []
    for path, changed, state in _files(where, whose, earliest):
        was = before.files.get(path) if before is not None and not known else None
        if was is None or (was != state and not new_file):
            found.append((changed, path))
    return [path for _, path in sorted(found, reverse=True)[:MOST_FILES]]


def _files(where: Transcript, whose: Whose, earliest: float) -> Iterator[tuple[str, float, str]]:
    """Yield path, time and state of the transcripts that were written since ``earliest``."""
    values = whose.values
    for pattern in where.files:
        if SESSION in pattern and not whose.session and where.owner is None:
            continue  # its owner is unclear
        for path in glob.glob(expanded(pattern, whose.env, values), recursive=True):  # noqa: PTH207 - absolute patterns
            with contextlib.suppress(OSError):
                found = os.stat(path)  # noqa: PTH116 - a Path costs more than the call
                if found.st_mtime >= earliest:
                    yield path, found.st_mtime, f"{found.st_size}:{found.st_mtime_ns}"


def _named(path: str, patterns: Sequence[str]) -> str:
    """Return the part of a path that ``{session}`` matches in one of the globs; empty if no glob matches."""
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


def expanded(pattern: str, env: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Return a path with ``${NAME:-default}``, a leading ``~`` and the placeholders filled in.

    Filled-in values are taken literally, whatever characters they have.
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


def _head(path: str) -> bytes:
    try:
        with os.fdopen(open_plain(path, follow=True), "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _read(path: str) -> bytes:
    try:
        with os.fdopen(open_plain(path, follow=True), "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            return file.read(MOST_BYTES)
    except OSError:
        return b""


def _in_database(where: Transcript, whose: Whose) -> tuple[Found | None, bool]:
    """Return the conversation according to a database, and whether that is certain: it was read, or does not exist."""
    import sqlite3  # for the few agents that use one

    values = whose.values
    paths = glob.glob(expanded(where.database or "", whose.env, values))  # noqa: PTH207 - an absolute pattern
    if not paths:
        return None, True
    if not is_plain(paths[0], follow=True) or not (whose.session or whose.alone):
        return None, False
    asked = {"session": whose.session, "tree": values["tree"], "since_ms": int(whose.since * 1000)}
    try:
        with sqlite3.connect(f"file:{paths[0]}?mode=ro", uri=True, timeout=2.0) as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute(where.query or "", asked).fetchone()
        connection.close()
    except sqlite3.Error:
        return None, False
    if row is None:
        return None, True
    told = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    session = str(told.get("session") or whose.session)
    if not whose.session and session in whose.others:
        return None, True
    tokens = [int(amount(told.get(name))) for name in ("input", "cache_read", "cache_write", "output")]
    cost = amount(told["cost"]) if told.get("cost") is not None else None
    spending = Spending(tokens[0], tokens[1], tokens[2], tokens[3], cost)
    model = str(told.get("model") or "")
    measured = Measured(spending, whole=True, whole_cost=True, parts={model: spending} if model else {})
    return Found(session, measured=measured), True
