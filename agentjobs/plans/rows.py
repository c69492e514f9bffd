"""``plan rows``: lines, CSV or JSON lines become rows of the table. Bytes in, bytes out, the same each time.

A table that is planned again keeps what was done: nothing is removed, rows that are TODO get their new cells,
and all others stay as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from msgspec import Struct

from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.plans import records
from agentjobs.table.table import PERSONAL, Table, append, apply, parse, parse_status
from agentjobs.text import tsv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Format = Literal["auto", "lines", "csv", "tsv", "jsonl", "null"]
"""How input is read; ``auto`` looks at it, ``null`` are lines that end in NUL."""

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
_RUN: Final = re.compile(r"([.-])\1+")
_LONGEST: Final = 80
"""Of an id made from text; leaves room for a number behind it."""


class Planned(Struct, frozen=True):
    """What a merge came to, as ids in the order of the input."""

    added: tuple[str, ...] = ()
    refreshed: tuple[str, ...] = ()
    """Were TODO and had a cell that differed."""
    kept: tuple[str, ...] = ()
    """Were begun, settled or just the same."""
    differing: tuple[str, ...] = ()
    """Those kept ones for which other cells were given; each with its status: ``parse (DONE, other files)``."""


def read_rows(
    data: bytes,
    format: Format = "auto",  # noqa: A002 -- the name of the option
    *,
    file: str = "<stdin>",
    id_template: str | None = None,
    column: str | None = None,
) -> list[dict[str, str]]:
    """Return a row with an ``id`` for each line, record of a table or JSON object; UserError with its line.

    The id is, in this order: what ``id_template`` (``conv-{name}``) gives, the column ``id``, the text of the
    first column. Unless it was given as such it is made fit for an id and unique by ``-2``, ``-3`` … in input
    order. A line goes into ``column`` (``item``); quoted where that is ``files``, since a line is one path.
    """
    taken: dict[str, int] = {}
    numbers: dict[str, int] = {}
    rows: list[dict[str, str]] = []
    for line, cells in records.read(data, format, file=file, column=column):
        _check_columns(cells, file, line)
        given = cells.get("id", "") if id_template is None else ""
        if given:
            if not tsv.is_id(given):
                raise UserError(f"bad id {tsv.quoted(given)}: {tsv.ID_RULE}", file=file, line=line)
            if given.lower() in taken:
                message = f"id {tsv.quoted(given)} is already on line {taken[given.lower()]}: ids are unique"
                raise UserError(f"{message} (whatever their case)", file=file, line=line)
            id_ = given
        else:
            id_ = _unique(slug(_id_text(id_template, cells, file, line)), taken, numbers)
        taken[id_.lower()] = line
        row = {"id": id_, **{name: value for name, value in cells.items() if name != "id"}}
        rows.append(row)
    return rows


def merge_rows(
    table: Table | None, rows: Sequence[Mapping[str, str]], *, file: str = "tasks.tsv"
) -> tuple[bytes, Planned]:
    """Return the bytes of the table with ``rows`` in it, and what became of each.

    ``rows`` have an ``id`` each, unique. New ones are appended as TODO (or the status they bring); those that
    are TODO get the cells that ``rows`` give; the rest stays byte for byte. UserError if a new id differs
    from one in the table only in case.
    """
    base = parse(b"id\tstatus\n", file) if table is None else table
    folded = {id_.lower(): id_ for id_ in base.ids}
    added: list[Mapping[str, str]] = []
    updates: dict[str, dict[str, str]] = {}
    kept: list[str] = []
    differing: list[str] = []
    for row in rows:
        id_ = row["id"]
        if id_ not in base:
            if id_.lower() in folded:
                other = folded[id_.lower()]
                message = f"id {tsv.quoted(other)} differs from the new {tsv.quoted(id_)} only in case: rename one"
                raise base.error(other, "id", message)
            added.append({**row, "status": str(parse_status(row.get("status", "")) or Status.TODO)})
            continue
        cells = {name: value for name, value in row.items() if name not in {"id", "status"}}
        status = base.cell(id_, "status")
        others = [name for name, value in cells.items() if base.cell(id_, name) != value]
        if others and parse_status(status) is Status.TODO:
            updates[id_] = cells
            continue
        kept.append(id_)
        if others:
            differing.append(f"{id_} ({status}, other {', '.join(others)})")
    data = apply(base, updates)
    if added:
        data = append(parse(data, base.file), added)
    new = tuple(row["id"] for row in added)
    return data, Planned(added=new, refreshed=tuple(updates), kept=tuple(kept), differing=tuple(differing))


def slug(text: str, longest: int = _LONGEST) -> str:
    """Return ``text`` as an id: accents dropped, runs of anything else that no id may hold made ``-``.

    Where nothing or too much is left, part of a hash of ``text`` makes up for what went.
    """
    import hashlib
    import unicodedata

    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    word = _RUN.sub(r"\1", _UNFIT.sub("-", plain)).strip("._-")
    short = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    if not word:
        return f"row-{short}"
    if len(word) > longest:
        return f"{word[: longest - 9].rstrip('._-')}-{short}"
    return re.sub(r"\.lock$", "-lock", word)


def _unique(word: str, taken: Mapping[str, int], numbers: dict[str, int]) -> str:
    """Return ``word``, with the first of -2, -3 … that makes it unlike all ``taken`` (lower case).

    ``numbers`` remembers how far each word has got: 100,000 times the same word is linear.
    """
    id_, number = word, numbers.get(word.lower(), 1)
    while id_.lower() in taken:
        number += 1
        id_ = f"{word}-{number}"
    numbers[word.lower()] = number
    return id_


def _id_text(template: str | None, cells: Mapping[str, str], file: str, line: int) -> str:
    """Return the text an id is made from."""
    if template is None:
        texts = (value for name, value in cells.items() if name not in {"id", *TOOL_COLUMNS})
        return next(texts, "")

    def meaning(found: re.Match[str]) -> str:
        name = found[1]
        if found[0] in {"{{", "}}"}:
            return found[0][0]
        if name is None:
            raise UserError(f"id template {tsv.quoted(template)}: a literal {found[0]} is written twice")
        if name not in cells:
            known = ", ".join(cells)
            raise UserError(
                f"id template: no column {tsv.quoted(name)}; here are {known}", file=file, line=line
            )
        return cells[name]

    return _PLACEHOLDER.sub(meaning, template)


def _check_columns(cells: Mapping[str, str], file: str, line: int) -> None:
    """Raise UserError for what a table cannot hold, or what the tool would write over."""

    def refuse(message: str) -> NoReturn:
        raise UserError(message, file=file, line=line)

    for name, value in cells.items():
        if name in TOOL_COLUMNS and name != "status":
            refuse(f"column {tsv.quoted(name)} belongs to agentjobs, which writes over it: rename it")
        if not name.strip():
            refuse("a column has no name")
        if name == "status" and parse_status(value) not in PERSONAL:
            refuse(f"status {tsv.quoted(value)} of a new row: use {', '.join(sorted(PERSONAL))}")
        for text in (name, value):
            if "\0" in text or not _is_utf8(text):
                what = "a NUL" if "\0" in text else "half a surrogate pair"
                refuse(f"{tsv.quoted(text)} has {what} in it, which no table can hold")


def _is_utf8(text: str) -> bool:
    """Return True if ``text`` can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
