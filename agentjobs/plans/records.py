"""Lines, CSV and JSON lines as rows of text, each with its line number."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

from agentjobs.model.columns import USER_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.text import tsv

if TYPE_CHECKING:
    from collections.abc import Iterator

    Source = Iterator[tuple[int, dict[str, str]]]

_NAME: Final = re.compile(r"[^\W\d][\w-]*")
_LOOSE: Final = re.compile(r"[^\W\d][\w-]*(?: [\w()-]+)*")
_LISTS: Final = ("files", "after")
_SEPARATED_BY: Final = {"\t": "tabs", ";": "semicolons", ",": "commas"}
EXPORTED: Final = re.compile(
    r'(?:^|\t)"(?=[^"]*(?:""|[,\n\t]))(?:[^"]|"")*"(?=\t|\r?$)', re.MULTILINE
)
"""A cell that a spreadsheet has put in quotes because it had to; in a table of ours quotes are text."""

_NO_ROWS: Final = (
    (re.compile(r'\A"?sep=[^\n]?"?\r?$', re.MULTILINE | re.IGNORECASE), "a spreadsheet's `sep=`: delete this line"),
    (re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE), "a conflict marker of git: resolve the conflict first"),
    (re.compile(r"^ *\|?(?: *:?-{3,}:? *\|)+(?: *:?-{3,}:?)? *\r?$", re.MULTILINE), "a Markdown table: make it CSV"),
)
"""Lines that are nobody's task, and what they are."""

_C_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\(?:[abtnvfr"\\]|[0-3][0-7]{2}))*"')
_C_ESCAPE: Final = re.compile(rb"\\([0-7]{3}|.)")
_C_MEANING: Final = dict(zip(b'abtnvfr"\\', b'\a\b\t\n\v\f\r"\\', strict=True))


def read(data: bytes, format: str, *, file: str, column: str | None) -> Source:  # noqa: A002 -- the name of the option
    """Yield the line (from 1) and cells of each row; UserError with ``file`` and line otherwise.

    ``column``: where plain lines go; None is ``item``, and says that nobody has said it is plain lines.
    """
    if column is not None:
        tsv.check_name(column)
    if format == "null":
        return _null(data, file, column or "item")
    tsv.check_text(data, file)
    text = data.removeprefix(tsv.BOM).decode()
    if "\n" not in text:  # what a Mac of old wrote
        text = text.replace("\r", "\n")
    kind = guess(text, column, file) if format == "auto" else format
    if kind == "jsonl":
        return _json_lines(text, file)
    if kind == "tsv":
        return _csv(text, file, "\t") if EXPORTED.search(text) else _tsv(text, file)
    if kind == "csv":
        return _csv(text, file, _separator(text))
    return _lines(text, file, column or "item")


def guess(text: str, column: str | None = None, file: str = "<stdin>") -> str:
    """Return the format ``text`` is in: jsonl, csv, tsv or lines. UserError where it may be a table or plain lines.

    A table is only what has a first record of plain, unique names (more than one, or just ``id``) and as many
    fields in every other record: a list of file names with commas in some of them is lines. To take the rows
    of a table for plain lines would cost a paid task for each, its header included.
    """
    if text.lstrip().startswith("{"):
        return "jsonl"
    if column is None:
        _check_lines(text, file)
    for separator, called in _SEPARATED_BY.items():
        first = _first(text, separator)
        if len(first) < 2:  # noqa: PLR2004 -- the line has no such separator
            continue
        kind = "tsv" if separator == "\t" else "csv"
        sizes = _sizes(text, separator)
        even = set(sizes) == {len(first)}
        if _names(first, _NAME) and (even or kind == "tsv"):
            return kind
        several, ours = even and len(sizes) > 1, bool({*USER_COLUMNS} & {name.strip() for name in first})
        looks_so = _names(first, _LOOSE) if separator == "," else True
        if kind == "tsv" or (column is None and (ours or (several and looks_so))):
            raise UserError(
                f"this may be a table ({called} in the first line, which is not a header of names) or plain lines; "
                f"say --format {kind} or --format lines",
                file=file,
                line=1,
            )
    first = _first(text, ",")
    if column is None and len(first) == 1 and {tsv.bare(first[0])} & {*USER_COLUMNS} and first != ["id"]:
        message = "this may be the header of a table of one column or a plain line; say --format csv or --format lines"
        raise UserError(message, file=file, line=1)
    return "csv" if first == ["id"] else "lines"


def _check_lines(text: str, file: str) -> None:
    """Raise UserError for what is neither a table of ours nor plain lines: each line of it would become a paid task."""
    for pattern, what in _NO_ROWS:
        if found := pattern.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise UserError(f"{what} (or say --format lines)", file=file, line=line)
    if text.lstrip().startswith("["):
        import json

        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return
        if any(isinstance(item, dict) for item in value):
            message = "a JSON array: give one object on each line (`jq -c '.[]'` makes that), or say --format lines"
            raise UserError(message, file=file, line=1)


def _names(record: list[str], pattern: re.Pattern[str]) -> bool:
    """Return whether a record may be a header."""
    return all(pattern.fullmatch(name) for name in record) and len(set(record)) == len(record)


def _records(text: str, separator: str) -> Iterator[list[str]]:
    """Yield the records that are not empty."""
    import csv

    return (record for record in csv.reader(text.split("\n"), delimiter=separator, strict=True) if any(record))


def _sizes(text: str, separator: str) -> list[int]:
    """Return how many fields each record has; none where that cannot be read."""
    import csv

    try:
        return [len(record) for record in _records(text, separator)]
    except csv.Error:
        return []


def _first(text: str, separator: str) -> list[str]:
    """Return the cells of the first line; comments above the header of a table of ours are passed over."""
    import csv

    lines = (line for line in text.split("\n") if line.strip())
    first = next(lines, "")
    if separator == "\t" and first.startswith("#"):
        below = next((line for line in lines if not line.startswith("#")), "")
        first = below if "id" in below.strip("\r").split("\t") else first
    try:
        return next(csv.reader([first], delimiter=separator, strict=True), [])
    except csv.Error:
        return []


def _separator(text: str) -> str:
    """Return what separates the fields of a CSV, by its first line."""
    return max(",;\t", key=lambda separator: len(_first(text, separator)))


def _lines(text: str, file: str, column: str) -> Source:
    """Yield each line that is not blank as it is, under ``column``; a path that git has quoted without its quotes."""
    for line, raw in enumerate(text.split("\n"), 1):
        item = raw.removesuffix("\r")
        if item.strip():
            yield line, {column: _path(_unquoted(item, file, line)) if column == "files" else item}


def _null(data: bytes, file: str, column: str) -> Source:
    """Yield what NULs end, as ``git ls-files -z`` prints it."""
    for number, raw in enumerate(data.split(b"\0"), 1):
        if raw:
            item = _decoded(raw, file, number)
            yield number, {column: _path(item) if column == "files" else item}


def _path(name: str) -> str:
    import shlex

    return shlex.quote(name)


def _unquoted(item: str, file: str, line: int) -> str:
    """Return the path that git means: names with odd characters it prints in quotes, as C writes strings."""
    raw = item.encode()
    if not _C_QUOTED.fullmatch(raw):
        return item

    def meaning(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) if len(code) > 1 else _C_MEANING[code[0]]])

    return _decoded(_C_ESCAPE.sub(meaning, raw[1:-1]), file, line)


def _decoded(raw: bytes, file: str, line: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        message = f"{tsv.quoted(raw.decode('utf-8', 'replace'))} is not UTF-8, which no table can hold; leave it out"
        raise UserError(message, file=file, line=line) from None


def _tsv(text: str, file: str) -> Source:
    """Yield the rows of a table of ours: escapes are read; comments are none where there are no ids."""
    lines = tsv.Lines([line.removesuffix("\r").encode() for line in text.split("\n")], file)
    filled = [at for at, body in enumerate(lines.bodies) if body.strip()]
    head = next((at for at in filled if tsv.is_task(lines.bodies[at])), None)
    if head is None:
        return
    header = tsv.parse_names(lines, head)
    rows = [at for at in filled if at > head and ("id" not in header or tsv.is_task(lines.bodies[at]))]
    tsv.check_cells(text.encode(), lines, rows, len(header))
    for at in rows:
        cells = [tsv.unescape(cell) for cell in lines.bodies[at].decode().split("\t")]
        yield at + 1, dict(zip(header, [*cells, *[""] * len(header)], strict=False))


def _csv(text: str, file: str, separator: str) -> Source:
    """Yield the records below the header."""
    import csv

    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
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
                try:
                    tsv.check_name(name, header)
                except UserError as error:
                    raise UserError(error.message, file=file, line=line) from None
            continue
        if len(record) > len(header):
            message = f"{len(record)} fields, but the header names {len(header)} columns"
            raise UserError(message, file=file, line=line)
        yield line, dict(zip(header, record + [""] * (len(header) - len(record)), strict=True))


def _json_lines(text: str, file: str) -> Source:
    """Yield the objects, numbers as they are written."""
    import json

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) < len(items):
            raise UserError("a key is there twice")
        return found

    def constant(name: str) -> object:
        raise UserError(f"{name} is not valid JSON")

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
            for name in value:
                tsv.check_name(name, value)
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
        import shlex

        return shlex.join(value) if name == "files" else " ".join(value)
    lists = " and ".join(_LISTS)
    raise UserError(f"{tsv.quoted(name)} is not a text, number or boolean (lists of text only in {lists})")
