"""An agent's output for people: what it wrote, ran, edited and met, by the ``reading`` of its settings. Pure.

No bytes make it raise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from agentjobs.agents.failure_text import (
    FRAME,
    PLAIN,
    POOR,
    TELLING,
    cleaned,
    label_of,
    message_in,
    unwrapped,
    words_of,
)
from agentjobs.text.excerpt import clean_lines, error_excerpt
from agentjobs.text.json_lines import every, lookup, matches, read_events, scalar_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.policy.agent_output import Reading
    from agentjobs.text.json_lines import Event

PRINTS: Final = "prints"
"""Kind of a line that is not JSON and that no entry of ``reading`` matches."""
OTHER: Final = "other"
"""Kind of a JSON line of an agent without ``reading``."""

PROGRESS: Final = frozenset({"says", "thinks", "runs", "edits", "reads", "searches", "uses", "gives"})
"""After one of these an earlier error was overcome."""
DOES: Final = (PROGRESS - {"gives", "thinks"}) | {"error", "asks"}
"""Kinds that show what a running agent is doing."""
LONGEST_LINE: Final = 400
NEAR: Final = 15
"""Without an entry for errors, this many of the last plain lines are searched for a message,"""
EVENTS: Final = 20
"""and this many of the last JSON lines."""
SAID: Final = ("result", "message.content.*.text", "item.text", "part.text", "content", "response", "text", "message")
"""Where agents' lines contain text of the model."""
SHORT_TEXT: Final = 20
"""A shorter text is a word of the program, not of the model."""

_WRONG = re.compile(r"(?i)error|fail|fatal|denied|exceeded|abort|reject|refus")
_MODEL = re.compile(r"(?i)assistant|user|tool|delta|message_|content_block")
"""Kinds of events that contain text of the model or output of its tools."""
_TELLS: Final = {
    "says": "says: ", "thinks": "thinks: ", "runs": "runs: ", "edits": "edits ", "reads": "reads ", "uses": "uses ",
    "searches": "searches for ", "gives": "  gives: ", "asks": "asks: ", "error": "error: ", "done": "done: ",
}  # fmt: skip


class Said(NamedTuple):
    """One item of an agent's output for people."""

    kind: str
    """A kind of ``Reading``, or ``PRINTS`` or ``OTHER``."""
    text: str


def read(output: bytes, reading: Sequence[Reading]) -> list[Said]:
    """Return an output as items for people, in its order, notes included.

    Lines that are not JSON and that no entry matches are ``PRINTS``. JSON lines that no entry matches are left out,
    unless there are no entries for JSON at all.
    """
    known = any(entry.event is not None for entry in reading)
    found: list[Said] = []
    open_pieces = ""
    for raw in output.split(b"\n"):
        events = [*read_events(raw)][::-1]
        if not events:
            said = [(one, False) for line in clean_lines(raw) if line.strip() and (one := _plain(line, reading))]
        elif known:
            said = [one for event in events for one in _parts(event.fields, reading)]
        else:
            said = [(Said(OTHER, words_of(event.fields) or label_of(event.fields)), False) for event in events]
        for one, piece in said:
            if piece and open_pieces == one.kind and found:
                found[-1] = Said(one.kind, found[-1].text + one.text)
            else:
                found.append(one)
            open_pieces = one.kind if piece else ""
    return found


def lines_for_people(output: bytes, reading: Sequence[Reading], most: int = LONGEST_LINE) -> list[str]:
    """Return an output as lines for people, each with at most ``most`` characters; plain text stays as it is."""
    lines: list[str] = []
    events = any(entry.event is not None for entry in reading)
    said = ""
    for kind, text in read(output, reading):
        if kind == "note" or (kind == PRINTS and events and cleaned(text)[1] == FRAME):
            continue
        if kind == PRINTS:
            lines.append(text)
            continue
        again = kind == "done" and text == said  # the last event repeats the last text
        said = text if kind == "says" else said
        lines.append(line_for_people(Said(kind, "" if again else text), most))
    return lines


def line_for_people(said: Said, most: int = LONGEST_LINE) -> str:
    """Return one item as a line for people."""
    words = unwrapped(said.text) if said.kind in {"error", OTHER} else " ".join(said.text[: 4 * most].split())
    line = _TELLS.get(said.kind, "") + words
    return (line if len(line) <= most else f"{line[: most - 2]} …").rstrip(": ")


def excerpt(output: bytes, reading: Sequence[Reading]) -> str:
    """Return the important parts of an agent's output as lines for people: no raw JSON, and of bounded length."""
    if b"{" not in output:  # plain text stays as it is
        return error_excerpt(output)
    return error_excerpt("\n".join(lines_for_people(output, reading)).encode("utf-8", "replace"))


def doing(output: bytes, reading: Sequence[Reading]) -> str:
    """Return in one line what a running agent does or wrote last; empty if its output does not show it."""
    if not any(entry.event is not None for entry in reading):
        return ""
    last = next((one for one in reversed(read(output, reading)) if one.kind in DOES), None)
    return line_for_people(last) if last is not None else ""


def event_words(event: Event, reading: Sequence[Reading] = ()) -> str:
    """Return the message of an event in one line, or a description of it."""
    for entry in reading:
        if entry.kind == "error" and entry.event is not None and matches(event.fields, entry.event):
            words = " ".join(filter(None, (unwrapped(text) for text in _texts(event.fields, entry))))
            if words:
                return words
    return words_of(event.fields) or label_of(event.fields)


def line_words(line: str, reading: Sequence[Reading] = ()) -> str:
    """Return the message in a plain line with an error, without the prefix of its program."""
    error = _line_error([line], reading)
    return error[1] if error is not None else cleaned(line)[0] or unwrapped(line)


def last_words(events: Sequence[Event], lines: Sequence[str], reading: Sequence[Reading]) -> str:
    """Return the most likely error message of a failed program in one line; empty if it has none.

    ``events`` are its JSON lines, newest first, and ``lines`` its other lines. Of the errors that ``reading`` matches,
    and that were not overcome, the one with the first entry counts, and of several of those the newest.
    """
    best = min(filter(None, (_event_error(events, reading), _line_error(lines, reading))), default=None)
    if best is not None:
        return best[1]
    plain = [line for line in lines if not _is_note(line, reading)]
    told_by_event = any(entry.kind == "error" and entry.event is not None for entry in reading)
    if any(entry.kind == "error" and entry.line is not None for entry in reading) and not told_by_event:
        return message_in(plain[-NEAR:], TELLING)  # all its other lines are the model's
    strong = message_in(plain, TELLING)
    if strong:
        return strong
    if not told_by_event:
        generic = next((words for event in events[:EVENTS] if (words := _trouble(event))), "")
        if generic:
            return generic
    weak = message_in(plain, PLAIN if told_by_event else POOR)
    return weak or (words_of(events[0].fields) if events and not reading else "")


def last_text(output: bytes) -> str:
    """Return the last text of an agent: all that is not JSON, or the text of the newest line that has one."""
    events = list(read_events(output))
    if not events:
        return "\n".join(clean_lines(output)).strip()
    for event in events:
        for path in SAID:
            words = "\n".join(value for value in every(event.fields, path) if isinstance(value, str)).strip()
            if len(words) >= SHORT_TEXT:
                return words
    return ""


def _event_error(events: Sequence[Event], reading: Sequence[Reading]) -> tuple[int, str] | None:
    """Return the error among the events that counts, and the place of its entry."""
    best: tuple[int, str] | None = None
    for event in events:
        went_on = False
        for rank, entry, text in _read(event.fields, reading):
            if entry.kind == "error":
                words = unwrapped(text)
                if words and (best is None or rank < best[0]):
                    best = (rank, words)
            went_on = went_on or entry.kind in PROGRESS
        if went_on:
            return best
    return best


def _line_error(lines: Sequence[str], reading: Sequence[Reading]) -> tuple[int, str] | None:
    found: list[tuple[int, str]] = []
    for rank, entry in enumerate(reading):
        if entry.kind == "error" and entry.line is not None:
            words = next(filter(None, (_matched(entry.line, line) for line in reversed(lines))), "")
            if words:
                found.append((rank, unwrapped(words)))
    return min(found, default=None)


def _trouble(event: Event) -> str:
    """Return the message of an event that has the form of an error and was not written by the model."""
    fields = event.fields
    kind = " ".join(str(fields.get(name, "")) for name in ("type", "event", "kind", "role"))
    state = " ".join(str(fields.get(name, "")) for name in ("type", "event", "kind", "subtype", "level", "status"))
    flagged = fields.get("is_error") is True or fields.get("success") is False or fields.get("ok") is False
    named = any(fields.get(name) for name in ("error", "errors", "errorMessage", "error_message"))
    if _MODEL.search(kind) or not (flagged or named or _WRONG.search(state)):
        return ""
    return words_of(fields)


def _read(fields: Mapping[str, object], reading: Sequence[Reading]) -> Iterator[tuple[int, Reading, str]]:
    """Yield what the entries find in one event: place of the entry, entry, text; at most one for each part."""
    places = dict.fromkeys(entry.parts for entry in reading if entry.event is not None)
    for place in places:
        for part in [fields] if place is None else every(fields, place):
            for rank, entry in enumerate(reading):
                if entry.parts != place or entry.event is None or not matches(fields, entry.event):
                    continue
                if entry.part is not None and not (isinstance(part, dict) and matches(part, entry.part)):
                    continue
                texts = list(_texts(part, entry))
                if texts or not entry.text:
                    yield rank, entry, " ".join(texts)
                    break


def _parts(fields: Mapping[str, object], reading: Sequence[Reading]) -> Iterator[tuple[Said, bool]]:
    for _, entry, text in _read(fields, reading):
        yield Said(entry.kind, text), entry.pieces


def _plain(line: str, reading: Sequence[Reading]) -> Said:
    for entry in reading:
        if entry.line is not None and (words := _matched(entry.line, line)):
            return Said(entry.kind, words)
    return Said(PRINTS, line)


def _matched(pattern: str, line: str) -> str:
    found = re.search(pattern, line)
    return next(filter(None, found.groups()), found[0]) if found is not None else ""


def _is_note(line: str, reading: Sequence[Reading]) -> bool:
    return any(entry.kind == "note" and entry.line is not None and _matched(entry.line, line) for entry in reading)


def _texts(value: object, entry: Reading) -> Iterator[str]:
    """Yield the texts at the paths of an entry, without repeats."""
    seen = set()
    for path in entry.text:
        for found in _walk(value, path.split(".")):
            text = scalar_text(found)
            if text and text.strip() and text not in seen:
                seen.add(text)
                yield text


def _walk(value: object, path: Sequence[str]) -> Iterator[object]:
    """Yield all values at a path, even inside JSON in a string."""
    if not path:
        yield value
        return
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = msgspec.json.decode(value)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            return
    if path[0] == "*":
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _walk(item, path[1:])
        return
    found = lookup(value, path[0])
    if found is not None:
        yield from _walk(found, path[1:])
