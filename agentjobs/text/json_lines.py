"""Find, search and compare JSON events in an agent's output. Pure; no input makes it raise.

stdout and stderr of an agent share one log, so an event can share its line with other text: terminal escapes, a
progress display that is redrawn with carriage returns, a warning without an end of line. The escapes are removed and
the line is read from its first ``{"`` on, nowhere else. A model's text is inside the strings of an event, where quotes
are escaped, so an event that a model quotes is never found. One risk remains: a line of plain text whose first JSON
object looks like an event of the agent. Agents with rules for events print the text of their model only as JSON, so
such a line would have to come from the program itself, or from a hook or server it started.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_INDEX = 6
"""Most digits of an index into a list; a longer number finds nothing."""
SHORTEST = len('{"":1}')
"""Characters of the shortest line with content; a million shorter ones would take seconds."""
SLOW_TRIES = 2_000
"""At most this many lines per reading are searched for an event next to other text."""
IN_A_ROW = 1_000
"""At most this many events, and states of a redrawn line, are read from one such line."""
CONTROL = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
"""Escape sequences of a terminal, and control characters."""
CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
REGEX_PREFIX = "re:"
"""A wanted value with this prefix is a regular expression, searched in the field's text."""


class Event(msgspec.Struct, frozen=True):
    """One JSON object the agent printed, and the line that holds it."""

    fields: dict[str, object]
    line: str


def read_events(output: bytes) -> Iterator[Event]:
    """Yield the JSON objects among the lines of ``output``, newest first; other lines are skipped.

    An object without a field is skipped. A line that is an array (an agent which prints all its events at once) yields
    its objects. The first line of a tail may be cut: it is then not JSON and is skipped.
    """
    return events_of(reversed(output.split(b"\n")))


def events_of(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the JSON objects of lines that come newest first, in that order."""
    tries = SLOW_TRIES
    for line in lines:
        if len(line) < SHORTEST or (b'{"' not in line and line.lstrip()[:1] not in (b"{", b"[")):
            continue
        found = _whole(line.strip())
        if found is None and tries and b'{"' in line:
            tries -= 1
            found = _embedded(line)
        yield from reversed(found or ())


def _whole(text: bytes) -> list[Event] | None:
    """Return the objects of a line that is nothing but JSON; None for any other."""
    if text[:1] not in (b"{", b"["):
        return None
    value = _decoded(text)
    if value is UNSET:
        return None
    if isinstance(value, dict):
        return [Event(fields=value, line=text.decode("utf-8", "replace"))]
    events = value if isinstance(value, list) else []
    return [Event(fields=item, line=_as_line(item)) for item in events if isinstance(item, dict)]


def _as_line(item: dict[str, object]) -> str:
    """Return an event of an array as a separate line, so that no expression finds the words of another event."""
    try:
        return msgspec.json.encode(item).decode("utf-8", "replace")
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return "{}"


def _embedded(line: bytes) -> list[Event]:
    """Return the objects of a line that also holds other text or terminal escapes."""
    found: list[Event] = []
    for part in line.split(b"\r")[-IN_A_ROW:]:
        if b'{"' not in part:
            continue
        text = CONTROL.sub(b"", part)
        if b'{"' not in text:  # an escape sequence without its end swallows the rest of the line
            text = CONTROL_CHARACTER.sub(b"", part)
        at = text.find(b'{"')
        text = text[at - (at > 0 and text[at - 1 : at] == b"[") :].strip()
        found += _whole(text) or _in_a_row(text.decode("utf-8", "replace"))
    return found


def _in_a_row(text: str) -> list[Event]:
    """Return the objects at the start of ``text``, and those separated from the previous one by other text."""
    import json  # 5 ms

    found: list[Event] = []
    at = 0
    while at >= 0 and len(found) < IN_A_ROW:
        try:
            _, end = json.JSONDecoder(strict=False).raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        found += _whole(text[at:end].encode("utf-8", "replace")) or ()
        at = text.find('{"', end)
    return found


def is_json(line: str) -> bool:
    """Return whether a line is a JSON object or a list of objects: output for programs, not for people."""
    text = line.strip()
    if text.startswith(('{"', '[{"')):
        return True  # True if its end is missing, too: what a killed program left unfinished is not its last word
    if text[:1] not in ("{", "["):
        return False
    value = _decoded(text)
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def is_whole(line: bytes) -> bool:
    """Return whether a line is one complete JSON value."""
    return _decoded(line) is not UNSET


def _decoded(text: str | bytes) -> object:
    """Return the value of a JSON text; UNSET if it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return UNSET


def lookup(value: object, path: str) -> object:
    """Return the value at a dotted path, or None. A number in the path is an index into a list."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) <= LONGEST_INDEX:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def every(value: object, path: str) -> Iterator[object]:
    """Yield all values at a dotted path; `*` in it stands for every entry of a table or a list.

    If there are several paths with `|` between them, the first one that finds a value is used.
    """
    if "|" in path:
        found = (list(every(value, one)) for one in path.split("|"))
        yield from next(filter(None, found), [])
        return
    head, star, rest = path.partition("*")
    if not star:
        there = lookup(value, path)
        if there is not None:
            yield there
        return
    among = lookup(value, head.rstrip(".")) if head else value
    for item in among.values() if isinstance(among, dict) else among if isinstance(among, list) else ():
        if rest:
            yield from every(item, rest.lstrip("."))
        else:
            yield item


def matches(event: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    """Return whether every path of ``wanted`` leads to its value; values are exact, or ``re:`` expressions.

    An expression sees a missing or null value as an empty text.
    """
    return all(_same(lookup(event, path), value) for path, value in wanted.items())


def _same(found: object, wanted: object) -> bool:
    if isinstance(wanted, str) and wanted.startswith(REGEX_PREFIX):
        text = "" if found is None else scalar_text(found)  # missing or null: an empty text
        return text is not None and re.search(wanted[len(REGEX_PREFIX) :], text) is not None
    if isinstance(found, bool) or isinstance(wanted, bool):  # in Python True == 1, in JSON it is not
        return found is wanted
    return found is not None and found == wanted


def scalar_text(value: object) -> str | None:
    """Return a string, number or truth value as JSON shows it, without quotes; None for other types."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None
