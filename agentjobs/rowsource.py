"""Lines, CSV and JSON lines as rows of text, each with its line number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentjobs import tsv
from agentjobs.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Source = Iterator[tuple[int, dict[str, str]]]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LISTS: Final = ("files", "after")


def read(data: bytes, format: str, *, file: str, column: str) -> Source:  # noqa: A002 -- the name of the option
    """Yield the line (from 1) and cells of each row; UserError with ``file`` and line otherwise."""
    tsv.check_text(data, file)
    text = data.removeprefix(tsv.BOM).decode()
    kind = guess(text) if format == "auto" else format
    if kind == "jsonl":
        return _json_lines(text, file)
    if kind == "csv":
        return _csv(text, file)
    return _lines(text, column)


def guess(text: str) -> str:
    """Return the format ``text`` is in: jsonl, csv or lines.

    CSV is only what has a first record of plain, unique names (more than one, or just ``id``) and as many
    fields in every other record: a list of file names with commas in some of them is lines.
    """
    if text.lstrip().startswith("{"):
        return "jsonl"
    import csv  # noqa: PLC0415 -- only planning needs it

    try:
        records = [record for record in csv.reader(text.split("\n"), strict=True) if record]
    except csv.Error:
        return "lines"
    if not records:
        return "lines"
    names = records[0]
    named = all(_NAME.fullmatch(name) for name in names) and len(set(names)) == len(names)
    even = all(len(record) == len(names) for record in records)
    return "csv" if named and even and (len(names) > 1 or names == ["id"]) else "lines"


def _lines(text: str, column: str) -> Source:
    """Yield each line that is not blank as it is, under ``column``."""
    import shlex  # noqa: PLC0415

    for line, raw in enumerate(text.split("\n"), 1):
        item = raw.removesuffix("\r")
        if item.strip():
            yield line, {column: shlex.quote(item) if column == "files" else item}


def _csv(text: str, file: str) -> Source:
    """Yield the records below the header."""
    import csv  # noqa: PLC0415
    import io  # noqa: PLC0415

    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise UserError(f"not CSV: {error}", file=file, line=line) from None
        if record is None:
            return
        if not any(field.strip() for field in record):
            continue
        if not header:
            header = [name.strip() for name in record]
            for at, name in enumerate(header):
                if not name or name in header[:at]:
                    what = (
                        f"column {tsv.quoted(name)} is there twice"
                        if name
                        else f"column {at + 1} has no name"
                    )
                    raise UserError(what, file=file, line=line)
            continue
        if len(record) > len(header):
            message = f"{len(record)} fields, but the header names {len(header)} columns"
            raise UserError(message, file=file, line=line)
        yield line, dict(zip(header, record + [""] * (len(header) - len(record)), strict=True))


def _json_lines(text: str, file: str) -> Source:
    """Yield the objects, numbers as they are written."""
    import json  # noqa: PLC0415

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) < len(items):
            raise UserError("a key is there twice")
        return found

    def constant(name: str) -> object:
        raise UserError(f"{name} is no JSON")

    decoder = json.JSONDecoder(
        object_pairs_hook=pairs, parse_float=str, parse_int=str, parse_constant=constant
    )
    for line, raw in enumerate(text.split("\n"), 1):
        if not raw.strip():
            continue
        try:
            value = decoder.decode(raw)
            if not isinstance(value, dict):
                raise UserError('not an object: each line is one, such as {"id": "a"}')  # noqa: TRY301
            cells = {name: _cell(name, item) for name, item in value.items()}
        except json.JSONDecodeError as error:
            message = f"not JSON: {error.msg}"
            raise UserError(message, file=file, line=line, column=error.colno) from None
        except RecursionError:
            raise UserError("nested too deep", file=file, line=line) from None
        except UserError as error:
            raise UserError(error.message, file=file, line=line) from None
        yield line, cells


def _cell(name: str, value: object) -> str:
    """Return a JSON value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and name in _LISTS and all(isinstance(item, str) for item in value):
        import shlex  # noqa: PLC0415

        return shlex.join(value) if name == "files" else " ".join(value)
    lists = " and ".join(_LISTS)
    raise UserError(f"{tsv.quoted(name)} is no text, number or boolean (lists of text only in {lists})")
