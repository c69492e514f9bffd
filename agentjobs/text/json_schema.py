"""Check data against a JSON Schema: where is it wrong, and what was expected there? Pure; the only user of jsonschema.

Nothing is fetched: a schema must contain all that it refers to.
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
"""Most faults reported for one file."""
SHOWN = 60
"""Most characters shown of a wrong value."""
LONGEST = 300
"""Most characters of one fault."""


class Fault(Struct, frozen=True):
    """One fault in a file; ``line`` counts from 1 and is 0 if unknown."""

    line: int
    path: str
    """A JSON pointer; empty means the whole value."""
    message: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.message}" if self.path or self.line else self.message


class Schema:
    """A parsed schema. Raises UserError, with its ``file``, if it is not a valid one."""

    def __init__(self, data: bytes, file: str) -> None:
        self._file = file
        self._text = _text(data, file)
        self._validator = _validator(self._text, file)

    def faults(self, data: bytes, *, lines: bool = False) -> Iterator[Fault]:
        """Yield what is wrong with ``data``: one JSON value, or with ``lines`` one on each line.

        A file without any value is a fault. Raises UserError if the schema itself cannot be applied.
        """
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            yield Fault(line, "", "is not UTF-8")
            return
        if not text.strip():
            yield Fault(0, "", "is empty; expected JSON, one value per line" if lines else "is empty; expected JSON")
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
            yield Fault(first + error.lineno - 1, "", f"is not JSON: {error.msg} (column {error.colno})")
            return
        except (ValueError, RecursionError) as error:
            yield Fault(first, "", f"is not readable JSON: {_cut(str(error))}")
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
                # An error of "anyOf" says more if it shows the branch that came nearest.
                yield (best_match([wrong]) or wrong) if wrong.context else wrong
        except Unresolvable as error:
            raise UserError(f"a reference leads out of the schema: {_cut(str(error))}", file=self._file) from None
        except RecursionError:
            raise UserError("the schema, or the value, is nested too deeply or without end", file=self._file) from None


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
        message = f"the schema is not JSON: {error.msg}"
        raise UserError(message, file=file, line=error.lineno, column=error.colno) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the schema is not readable JSON: {_cut(str(error))}", file=file) from None
    if not isinstance(schema, dict):
        raise UserError("a schema must be a JSON object", file=file, line=1)
    dialect = schema.get("$schema")
    nothing: Any = None
    kind: Any = validators.validator_for(schema, default=nothing) if dialect is not None else Draft202012Validator
    if kind is None:
        words = f'"$schema": {_cut(repr(dialect))} is not a known draft of JSON Schema'
        raise UserError(words, file=file, line=_line_with(text, "$schema"))
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        path = [*error.absolute_path]
        message = f"not a valid schema: {_pointer(path) or '/'}: {_words(error)}"
        raise UserError(message, file=file, line=1 + _line_of(text, path)) from None
    except RecursionError:
        raise UserError("the schema is nested too deeply", file=file) from None
    known = {name.rstrip("#") for name in _strings(schema, "$id")}
    for reference in _strings(schema, "$ref"):
        if not reference.startswith("#") and reference.partition("#")[0] not in known:
            words = f'"$ref": {_cut(reference)!r} leads out of the schema. Nothing is fetched; put it into "$defs"'
            raise UserError(words, file=file, line=_line_with(text, reference))
    validator: Validator = kind(schema, registry=Registry())
    return validator


def _strings(value: Any, key: str) -> Iterator[str]:
    """Yield all strings under ``key``, at any depth."""
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


# --- messages --------------------------------------------------------------------------------------------


def _words(error: ValidationError | Any) -> str:
    """Return the library's message, with the wrong value cut short."""
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


# --- lines -----------------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def _line_of(text: str, path: list[str | int]) -> int:
    """Return the number of lines before the value at ``path`` of a valid JSON text."""
    at = _SPACE.match(text, 0).end()  # type: ignore[union-attr]
    for part in path:
        found = _member(text, at, part)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at)


def _member(text: str, at: int, part: str | int) -> int | None:
    """Return where the member ``part`` of the value at ``at`` starts; of several with that name, the last."""

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
