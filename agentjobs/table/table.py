"""The task table: Linear TSV bytes in, bytes out. Does not read or write files.

Lines stay bytes and cells are split only on demand, so a poll on 100,000 rows stays quick. Everything else (comments,
blank lines, order, line ends, a BOM) is kept byte for byte.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Row, Status
from agentjobs.table.order import find_cycle
from agentjobs.text import tsv
from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

EMPTY = b"id\tstatus\n"


PERSONAL: Final = frozenset({Status.TODO, Status.SKIPPED, Status.DONE, Status.FAILED})
"""Statuses that a person may set; only agentjobs writes the others."""

escape: Final = tsv.escape
unescape: Final = tsv.unescape

DEFAULT: Final = "default"
"""The profile of a row without one."""

ROWS_KEPT: Final = 1000
"""Number of parsed rows that are kept: running tasks are looked up again and again."""

_PROGRESS: Final = ("attempt", "started", "ended")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_STATUS: Final[dict[str, Status]] = {"": Status.TODO, **{str(status): status for status in Status}}


class Edits(Struct, frozen=True):
    """What people changed in the table since we last wrote it."""

    wishes: dict[str, Status] = {}
    """Statuses a person wrote: TODO, SKIPPED, DONE or FAILED."""
    gone: tuple[str, ...] = ()
    """Rows that were removed."""
    new: tuple[str, ...] = ()
    """Rows that were added."""
    stale: tuple[str, ...] = ()
    """Rows with an old status that somebody put back by accident, with an old copy of the line."""


def parse_status(text: str) -> Status | None:
    """Return the status in a cell (empty: TODO; case and outer spaces do not matter), None if it is not one."""
    return _STATUS.get(text) or _STATUS.get(text.strip().upper())


class Table:
    """A parsed, immutable table. Only ``parse`` makes one."""

    __slots__ = ("_column_at", "_head", "_in", "_line_at", "_raw", "_rows", "_states", "data", "file", "header", "ids")

    def __init__(self, data: bytes, file: str) -> None:
        """Parse; see ``parse`` for the errors."""
        tsv.check_text(data, file)
        self.data: Final = data
        """The bytes it was parsed from."""
        self.file: Final = file
        """Its name in messages."""
        self._raw = data.split(b"\n")
        bodies = list(map(tsv.strip_return, self._raw)) if b"\r" in data else self._raw
        if data.startswith(tsv.BOM):
            bodies = [bodies[0].removeprefix(tsv.BOM), *bodies[1:]]
        self._in = lines = tsv.Lines(bodies, file)
        head = next((at for at, body in enumerate(bodies) if tsv.is_task(body)), None)
        if head is None:
            raise UserError('no header: the first line names the columns, "id" among them', file=file, line=1)
        self._head = head
        self._rows: dict[str, Row] = {}
        try:
            self._read(lines, head)
        except UserError as error:
            raise tsv.broken_cell(lines, head, error) or error from None

    def _read(self, lines: tsv.Lines, head: int) -> None:
        """Read the header, ids and statuses."""
        data, bodies = self.data, lines.bodies
        self.header = tsv.parse_header(lines, head)
        """The names of the columns, unescaped."""
        self._column_at = {name: at for at, name in enumerate(self.header)}
        id_cell, status_cell = self._column_at["id"], self._column_at.get("status", -1)
        ids, states, lines_at = tsv.scan(bodies, head + 1, id_cell, status_cell)
        tsv.check_cells(data, lines, lines_at, len(self.header))
        names = b"\n".join(ids).decode().split("\n") if ids else []
        tsv.check_ids(names, lines, lines_at, id_cell)
        self.ids = tuple(names)
        """The ids, in the order of the rows."""
        self._line_at = dict(zip(names, lines_at, strict=True))
        self._states = Counter(states)
        for state in self._states:
            text = state.decode()
            if parse_status(text) is None:
                message = f"unknown status {tsv.quoted(text)}: use one of {', '.join(Status)}"
                raise lines.error(lines_at[states.index(state)], status_cell, message)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._line_at

    @property
    def head_line(self) -> int:
        """The line of the header, from 1."""
        return self._head + 1

    def line_of(self, id_: str) -> int:
        """Return the line of the row, from 1; KeyError for an id that is not here."""
        return self._line_at[id_] + 1

    def differing(self, other: Table) -> list[str]:
        """Return, in order, the ids in both tables with different lines (all, if the headers differ)."""
        mine, theirs, same = self._in.bodies, other._in.bodies, self.header == other.header
        found = []
        for id_, at in self._line_at.items():
            other_at = other._line_at.get(id_)
            if other_at is not None and not (same and mine[at] == theirs[other_at]):
                found.append(id_)
        return found

    def cell(self, id_: str, column: str) -> str:
        """Return one cell, empty if there is no such column or cell; KeyError for an unknown id."""
        body = self._in.bodies[self._line_at[id_]]
        at = self._column_at.get(column)
        return "" if at is None else unescape(_text(body, at).decode())

    def cells(self, column: str) -> Iterator[tuple[str, str]]:
        """Yield ``(id, value)`` for every row, in order; empty values if there is no such column."""
        at = self._column_at.get(column)
        for id_, line_at in self._line_at.items():
            yield id_, "" if at is None else unescape(_text(self._in.bodies[line_at], at).decode())

    def statuses(self) -> dict[str, Status]:
        """Return the status of every row, in order; an unknown status counts as TODO."""
        return {id_: parse_status(text) or Status.TODO for id_, text in self.cells("status")}

    def profile(self, id_: str) -> str:
        """Return the name of a row's profile; KeyError for an unknown id."""
        return _profile(self.cell(id_, "profile"))

    def profiles(self) -> Iterator[tuple[str, str]]:
        """Yield ``(id, name of its profile)`` for every row, in order."""
        return ((id_, _profile(text)) for id_, text in self.cells("profile"))

    def waiting_for(self, id_: str) -> tuple[str, ...]:
        """Return the ids of the rows that have ``id_`` in ``after``, in order; splits cells only where needed."""
        if "after" not in self._column_at:
            return ()
        needle, bodies = id_.encode(), self._in.bodies
        near = (other for other, line_at in self._line_at.items() if needle in bodies[line_at])
        return tuple(other for other in near if id_ in self.cell(other, "after").split())

    def row(self, id_: str) -> Row:
        """Return the parsed row. Raises UserError with file, line and column for an invalid cell."""
        if id_ not in self._rows:
            if len(self._rows) >= ROWS_KEPT:
                self._rows.clear()
            self._rows[id_] = self._parse_row(id_)
        return self._rows[id_]

    def _parse_row(self, id_: str) -> Row:
        line_at = self._line_at[id_]
        body = self._in.bodies[line_at]
        texts = body.decode().split("\t")
        values = map(unescape, texts) if b"\\" in body else texts
        cells = dict.fromkeys(self.header, "")
        cells.update(zip(self.header, values, strict=False))
        priority, files = cells.get("priority", "").strip(), cells.get("files", "")
        if priority and not (_NUMBER.fullmatch(priority) and math.isfinite(float(priority))):
            raise self.error(id_, "priority", f"priority {tsv.quoted(priority)} is not a number")
        try:
            paths = tsv.shell_words(files)
        except ValueError:
            message = f"files {tsv.quoted(files)}: a quote is never closed (the cell is read as shell words)"
            raise self.error(id_, "files", message) from None
        for path in paths:
            try:
                normalise(path)
            except UserError as error:
                raise self.error(id_, "files", error.message) from None
        return Row(
            id=id_,
            line=line_at + 1,
            status=parse_status(cells.get("status", "")) or Status.TODO,
            after=tuple(cells.get("after", "").split()),
            files=paths,
            profile=_profile(cells.get("profile", "")),
            priority=float(priority or 0),
            cells=cells,
        )

    def error(self, id_: str, column: str, message: str) -> UserError:
        """Make the UserError for a cell; at the start of the line where the column is absent."""
        return self._in.error(self._line_at[id_], self._column_at.get(column, 0), message)

    def counts(self) -> dict[Status, int]:
        """Count the rows of each status; every status is a key."""
        found = dict.fromkeys(Status, 0)
        for state, count in self._states.items():
            found[parse_status(state.decode()) or Status.TODO] += count
        return found

    def replaced(self, updates: Mapping[str, Mapping[str, str]]) -> bytes:
        """Return the bytes of the changed table, as described at ``apply``."""
        updates = {id_: cells for id_, cells in updates.items() if id_ in self._line_at}
        header = _extend(self.header, updates.values())
        if any(column in TOOL_COLUMNS for column in header[len(self.header) :]):
            # All at once: then their order is the same in every table, whatever happened first.
            header = _extend(self.header, [dict.fromkeys(TOOL_COLUMNS, "+"), *updates.values()])
        column_at = {name: at for at, name in enumerate(header)}
        lines = self._headed(header)
        for id_, cells in updates.items():
            if cells.get("id", id_) != id_:
                raise ValueError(f"the id of {id_} cannot be changed")
            at = self._line_at[id_]
            texts = self._in.bodies[at].split(b"\t")
            for column, value in cells.items():
                cell = column_at.get(column, len(header))
                if cell >= len(texts) and value:
                    texts += [b""] * (cell + 1 - len(texts))
                if cell < len(texts):
                    texts[cell] = tsv.encode(value)
            end = self._raw[at][len(self._in.bodies[at]) :]
            lines[at] = _guard(b"\t".join(texts)) + end
        return b"\n".join(lines)

    def appended(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """Return the bytes of the longer table, as described at ``append``."""
        header = _extend(self.header, rows)
        lines = self._headed(header)
        end = b"\r\n" if b"\r\n" in self.data else b"\n"
        body = b"\n".join(lines)
        if rows and lines[-1]:
            body += b"\n" if body.endswith(b"\r") else end
        new = (_guard(b"\t".join(tsv.encode(row.get(name, "")) for name in header)) + end for row in rows)
        return body + b"".join(new)

    def _headed(self, header: Sequence[str]) -> list[bytes]:
        """Return a copy of the lines, with missing columns of ``header`` added to the header line."""
        lines = self._raw.copy()
        line = lines[self._head]
        more = b"".join(b"\t" + tsv.encode(name) for name in header[len(self.header) :])
        lines[self._head] = tsv.strip_return(line) + more + (b"\r" if line.endswith(b"\r") else b"")
        return lines


def parse(data: bytes, file: str = "tasks.tsv") -> Table:
    """Parse a table. Raises UserError with file, line and column for anything ambiguous.

    Checked here: the encoding, the header, ids, duplicates, statuses, escapes and cells beyond the header.
    ``Table.row`` (priority, files) and ``check_graph`` (after) check the rest, so that only their callers pay for it.
    """
    return Table(data, file)


def statuses(table: Table) -> dict[Status, int]:
    """Count the rows of each status; every status is a key."""
    return table.counts()


def _profile(cell: str) -> str:
    return cell.strip() or DEFAULT


def apply(table: Table, updates: Mapping[str, Mapping[str, str]]) -> bytes:
    """Return the bytes of the table with the cells ``updates[id][column]`` set; other lines stay as they are.

    A missing column is added at the end of the header, TOOL_COLUMNS first and in their order. A short line is padded
    only if a value needs a later column. Unknown ids are ignored.
    """
    return table.replaced(updates)


def append(table: Table, rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return the bytes of the table with new rows at its end; columns as in ``apply``."""
    return table.appended(rows)


def human_edits(base: Table | None, now: Table) -> Edits:
    """Return what people changed since ``base``, the table last written; without ``base`` every row is new.

    A status is a person's if it differs, is one of PERSONAL, and our other cells of the row are unchanged. If those
    differ too, an old copy of the line came back (``sed -i`` read before we wrote): stale.
    """
    if base is None:
        return Edits(new=now.ids)
    if base.data == now.data:
        return Edits()
    has_status = "status" in now.header
    wishes: dict[str, Status] = {}
    stale: list[str] = []
    for id_ in now.differing(base):
        status = parse_status(now.cell(id_, "status")) or Status.TODO
        if status == (parse_status(base.cell(id_, "status")) or Status.TODO):
            continue
        ours = all(base.cell(id_, column) == now.cell(id_, column) for column in _PROGRESS)
        # Only a person writes SKIPPED, so skipping a task is obeyed however old the rest of the row is.
        if has_status and (ours or status is Status.SKIPPED) and status in PERSONAL:
            wishes[id_] = status
        else:
            stale.append(id_)
    gone = tuple(id_ for id_ in base.ids if id_ not in now)
    new = tuple(id_ for id_ in now.ids if id_ not in base)
    return Edits(wishes=wishes, gone=gone, new=new, stale=tuple(stale))


def check_graph(table: Table) -> None:
    """Raise UserError for an ``after`` that names an unknown task, the task itself, or makes a cycle."""
    after = {id_: tuple(value.split()) for id_, value in table.cells("after") if value}
    for id_, names in after.items():
        for name in names:
            if name == id_:
                raise table.error(id_, "after", f"{id_} waits for itself: remove it from its after")
            if name not in table:
                message = f"after names {tsv.quoted(name)}, which is not an id here: separate ids by spaces"
                raise table.error(id_, "after", message)
    cycle = find_cycle(after)
    if cycle:
        shown = [*cycle[:8], "…"] if len(cycle) > 8 else cycle  # noqa: PLR2004 -- enough to find it
        message = f"these wait for each other: {' -> '.join([*shown, cycle[0]])} (each is after the next)"
        raise table.error(cycle[0], "after", message)


def _text(body: bytes, at: int) -> bytes:
    """Return the text of cell ``at``, empty if the line is too short."""
    texts = body.split(b"\t", at + 1)
    return texts[at] if at < len(texts) else b""


def _guard(line: bytes) -> bytes:
    """Keep a row from turning into a comment if its first cell is not the id."""
    return b" " + line if line.startswith(b"#") else line


def _extend(header: tuple[str, ...], rows: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the header, extended by the columns that ``rows`` fill and it lacks."""
    seen = {column: None for row in rows for column, value in row.items() if value}
    missing = [column for column in seen if column not in header]
    first = [column for column in TOOL_COLUMNS if column in missing]
    return header + tuple(first) + tuple(column for column in missing if column not in first)
