"""JSON lines in an agent's output: found, looked into, compared. Pure; no bytes make it raise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_INDEX = 6
"""Digits of an index into a list; a longer number leads nowhere."""
SHORTEST = len('{"":1}')
"""Characters of a line that says anything; a million of shorter ones would take seconds."""
REGEX_PREFIX = "re:"
"""A wanted value that begins so is a regular expression, searched in the field's text."""


class Event(msgspec.Struct, frozen=True):
    """One JSON object the agent printed, and the line it stood in."""

    fields: dict[str, object]
    line: str


def read_events(output: bytes) -> Iterator[Event]:
    """Yield the JSON objects among the lines of ``output``, newest first; everything else is passed over.

    An object without a field says nothing. A line that is an array (an agent which prints all its events at once)
    yields its objects. The first line of a tail may be cut: it is then no JSON and is passed over like any other.
    """
    for raw in reversed(output.split(b"\n")):
        line = raw.strip()
        if line[:1] not in (b"{", b"[") or len(line) < SHORTEST:
            continue
        try:
            value: object = msgspec.json.decode(line)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            continue
        found = value if isinstance(value, list) else [value]
        text = line.decode("utf-8", "replace")
        for item in reversed(found):
            if isinstance(item, dict):
                yield Event(fields=item, line=text)


def is_json(line: str) -> bool:
    """Tell whether a line is a JSON object or a list of some: what a program prints for programs."""
    text = line.strip()
    if text.startswith(('{"', '[{"')):
        return True  # also where its end is missing: what a killed program had not finished is not its last word
    if text[:1] not in ("{", "["):
        return False
    try:
        value: object = msgspec.json.decode(text)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return False
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def lookup(value: object, path: str) -> object:
    """Return what a dotted path leads to, or None. A number in the path is an index into a list."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) <= LONGEST_INDEX:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def every(value: object, path: str) -> Iterator[object]:
    """Yield all that a dotted path leads to; `*` in it goes through every entry of a table or a list.

    Of several paths with `|` between them it is the first that leads anywhere.
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
    """Tell whether every path of ``wanted`` leads to its value; values are exact, or ``re:`` expressions.

    For an expression what is missing, or null, is an empty text.
    """
    return all(_same(lookup(event, path), value) for path, value in wanted.items())


def _same(found: object, wanted: object) -> bool:
    if isinstance(wanted, str) and wanted.startswith(REGEX_PREFIX):
        text = "" if found is None else scalar_text(found)  # what is missing, or null, is an empty text
        return text is not None and re.search(wanted[len(REGEX_PREFIX) :], text) is not None
    if isinstance(found, bool) or isinstance(wanted, bool):  # in Python True == 1, in JSON it is not
        return found is wanted
    return found is not None and found == wanted


def scalar_text(value: object) -> str | None:
    """Return a string, number or truth value as JSON shows it, without quotes; None for all else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None
