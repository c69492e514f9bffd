"""Data against a JSON Schema: where it is wrong, and what was expected there. Pure; the home of jsonschema.

Nothing is fetched: a schema holds all that it refers to.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

FAULTS_MAX = 50
"""Faults of one file that are told."""
SHOWN = 60
"""Characters of a value that is wrong."""
LONGEST = 300
"""Characters of one fault."""


class Fault(Struct, frozen=True):
    """One thing that is wrong with a file; ``line`` from 1, 0 where it is not known."""

    line: int
    path: str
    """A JSON pointer; empty: the whole value."""
    message: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.message}" if self.path or self.line else self.message


class Schema:
    """A schema that was read; UserError, with its ``file``, for one that is none."""

    def __init__(self, data: bytes, file: str) -> None:
        self._file = file
        self._text = _text(data, file)
        self._validator = _validator(self._text, file)

    def faults(self, data: bytes, *, lines: bool = False) -> Iterator[Fault]:
        """Yield what is wrong with ``data``: one JSON value, or with ``lines`` one on each line.

        A file without any value is a fault. UserError where the schema itself cannot be applied.
        """
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            yield Fault(line, "", "is not UTF-8")
            return
        if not text.strip():
            yield Fault(0, "", "is empty; expected JSON, one value a line" if lines else "is empty; expected JSON")
            return
        if not lines:
            yield from self._value(text, 1, known_line=False)
            return
        for number, row in enumerate(text.split("\n"), 1):
            if row.strip():
                yield from self._value(row, number, known_line=True)

    def _value(self, text: str, first: int, *, known_line: bool) -> Iterator[Fault]:
        try:
            value = json.loads(text, parse_constant=_refuse)
        except json.JSONDecodeError as error:
            yield Fault(first + error.lineno - 1, "", f"is no JSON: {error.msg} (column {error.colno})")
            return
        except (ValueError, RecursionError) as error:
            yield Fault(first, "", f"is no JSON that can be read: {_cut(str(error))}")
            return
        for wrong in self._errors(value):
            path = [*wrong.absolute_path]
            line = first if known_line else first + _line_of(text, path)
            yield Fault(line, _pointer(path), _words(wrong))

    def _errors(self, value: Any) -> Iterator[ValidationError]:
        from jsonschema.exceptions import best_match  # slow to import
        from referencing.exceptions import Unresolvable

        try:
            for wrong in sorted(self._validator.iter_errors(value), key=_place):
                # Of "under none of these" the branch that came nearest says more.
                yield (best_match([wrong]) or wrong) if wrong.context else wrong
        except Unresolvable as error:
            raise UserError(f"the schema refers to what is not in it: {_cut(str(error))}", file=self._file) from None
        except RecursionError:
            raise UserError("the schema, or the value, is nested without end", file=self._file) from None


def _place(error: ValidationError) -> list[str]:
    return [f"{part:09}" if isinstance(part, int) else part for part in error.absolute_path]


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("the schema is not UTF-8", file=file) from None


@lru_cache(maxsize=16)
def _validator(text: str, file: str) -> Validator:
    from jsonschema import Draft202012Validator, SchemaError, validators  # slow to import
    from referencing import Registry

    try:
        schema: Any = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        message = f"the schema is no JSON: {error.msg}"
        raise UserError(message, file=file, line=error.lineno, column=error.colno) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the schema is no JSON that can be read: {_cut(str(error))}", file=file) from None
    if not isinstance(schema, dict):
        raise UserError("a schema is a JSON object", file=file, line=1)
    dialect = schema.get("$schema")
    nothing: Any = None
    kind: Any = validators.validator_for(schema, default=nothing) if dialect is not None else Draft202012Validator
    if kind is None:
        words = f'"$schema": {_cut(repr(dialect))} is no draft of JSON Schema known here'
        raise UserError(words, file=file, line=_line_with(text, "$schema"))
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        path = [*error.absolute_path]
        message = f"no valid schema: {_pointer(path) or '/'}: {_words(error)}"
        raise UserError(message, file=file, line=1 + _line_of(text, path)) from None
    except RecursionError:
        raise UserError("the schema is nested too deeply", file=file) from None
    known = {name.rstrip("#") for name in _strings(schema, "$id")}
    for reference in _strings(schema, "$ref"):
        if not reference.startswith("#") and reference.partition("#")[0] not in known:
            words = f'"$ref": {_cut(reference)!r} leads out of the schema, and nothing is fetched: put it into "$defs"'
            raise UserError(words, file=file, line=_line_with(text, reference))
    validator: Validator = kind(schema, registry=Registry())
    return validator


def _strings(value: Any, key: str) -> Iterator[str]:
    """Yield the texts that stand under a key anywhere."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found = one.get(key)
            if isinstance(found, str):
                yield found
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _line_with(text: str, word: str) -> int | None:
    at = text.find(json.dumps(word))
    return None if at < 0 else text.count("\n", 0, at) + 1


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is not in JSON")


# --- what is said -----------------------------------------------------------------------------------------


def _words(error: ValidationError | Any) -> str:
    """Return the library's words, with the value that is wrong cut short."""
    message, value = str(error.message), repr(error.instance)
    if message.startswith(value):
        message = _shown(error.instance) + message[len(value) :]
    return _cut(message, LONGEST)


def _shown(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=repr))


def _cut(text: str, most: int = SHOWN) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * most]).split())
    return line if len(line) <= most else f"{line[:most]}…"


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


# --- where it stands --------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def _line_of(text: str, path: list[str | int]) -> int:
    """Return how many lines stand before the value at ``path`` of a JSON text that has been read."""
    at = _SPACE.match(text, 0).end()  # type: ignore[union-attr]
    for part in path:
        found = _member(text, at, part)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at)


def _member(text: str, at: int, part: str | int) -> int | None:
    """Return where the member ``part`` of the value at ``at`` begins; the last one of that name, as when it is read."""

    def past(place: int) -> int:
        return _SPACE.match(text, place).end()  # type: ignore[union-attr]

    opened, at = text[at], past(at + 1)
    found, number = None, 0
    while text[at] not in "}]":
        key: object = number
        if opened == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = past(past(at) + 1)  # over the colon
        if key == part:
            found = at
            if opened == "[":
                return found
        _, at = _DECODER.raw_decode(text, at)
        at = past(at)
        number += 1
        if text[at] == ",":
            at = past(at + 1)
    return found
