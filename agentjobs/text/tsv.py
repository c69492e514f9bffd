"""Linear TSV, the text level of the table: escapes, ids, shell words, and errors in the bytes."""

from __future__ import annotations

import re
from operator import methodcaller
from typing import TYPE_CHECKING, Final, NamedTuple

from agentjobs.model.columns import TOOL_COLUMNS, USER_COLUMNS
from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

ID_RULE: Final = (
    'use letters, digits, ".", "_" and "-": at most 100, first a letter or digit, '
    'no "..", not ending in "." or ".lock"'
)
BOM: Final = b"\xef\xbb\xbf"

_ID: Final = re.compile(r"(?!.*\.\.)(?!.*\.(?:lock)?\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_IDS: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,99}+(?<!\.)\n)*+")
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPES: Final = re.compile(rb"\\.?")
_KNOWN_ESCAPES: Final = frozenset({b"\\t", b"\\n", b"\\r", b"\\\\"})
_MEANING: Final = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
_HASH: Final = ord("#")
_count_tabs: Final = methodcaller("count", b"\t")


def escape(value: str) -> str:
    r"""Return the text of a cell: tab, newline, return, backslash become ``\t``, ``\n``, ``\r``, ``\\``."""
    value = value.replace("\\", "\\\\").replace("\t", "\\t")
    return value.replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """Return the value of a cell's text. Raises UserError (``column`` counts in the text) on a bad escape."""
    if "\\" not in text:
        return text

    def meaning(found: re.Match[str]) -> str:
        value = _MEANING.get(found[1])
        if value is None:
            what = f"unknown escape {found[0]}" if found[1] and found[1].isprintable() else "a lone backslash"
            message = f"{what}: write a backslash as \\\\ (the others are \\t, \\n and \\r)"
            raise UserError(message, column=found.start() + 1)
        return value

    return _ESCAPE.sub(meaning, text)


def encode(value: str) -> bytes:
    """Return the bytes of a cell that holds ``value``.

    What no table can hold (NUL; lone surrogates, which stand for odd bytes of a file name) is replaced: a
    note about such a file must not make the table unreadable.
    """
    return escape(value).replace("\0", "\ufffd").encode("utf-8", "replace")


def quoted(value: str, most: int = 60) -> str:
    """Return ``value`` in double quotes for a message: one line, no control characters, at most ``most`` characters."""
    short = value if len(value) <= most else value[: most - 1] + "…"
    safe = (one if one.isprintable() else one.encode("unicode_escape").decode() for one in short)
    return f'"{"".join(safe)}"'


def is_id(text: str) -> bool:
    """Return whether ``text`` may be the id of a task: it becomes the name of a directory and a part of a git ref."""
    return _ID.fullmatch(text) is not None


def shell_words(text: str) -> tuple[str, ...]:
    """Split as a POSIX shell would, without expanding anything; ValueError on an open quote."""
    if not any(character in text for character in "'\"\\\t\r\n"):
        return tuple(word for word in text.split(" ") if word)
    import shlex

    return tuple(shlex.split(text))


def is_task(line: bytes) -> bool:
    """Return whether a line holds cells: it is neither blank (white space only) nor a comment."""
    return bool(line) and line[0] != _HASH and bool(line.strip())


def strip_return(line: bytes) -> bytes:
    """Return the line without the carriage return of its CRLF end."""
    return line[:-1] if line.endswith(b"\r") else line


class Lines(NamedTuple):
    """The lines of a table without their ends and BOM, and the name of the file for messages."""

    bodies: Sequence[bytes]
    file: str

    def error(self, line_at: int, cell: int, message: str, offset: int = 0) -> UserError:
        """Make the UserError for a cell; line, cell and ``offset`` (characters in the cell) count from 0."""
        before = self.bodies[line_at].split(b"\t")[:cell]
        column = sum(len(text.decode()) + 1 for text in before) + offset + 1
        return UserError(message, file=self.file, line=line_at + 1, column=column)


def check_text(data: bytes, file: str) -> None:
    """Raise UserError unless ``data`` is UTF-8 text without NUL."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError("this is UTF-16: save the table as UTF-8", file=file, line=1, column=1)
    at, what = data.find(b"\0"), "a NUL byte"
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            if at < 0 or error.start < at:
                at, what = error.start, f"byte 0x{data[error.start]:02x} is not UTF-8"
    if at >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        column = len(data[start:at].removeprefix(BOM if start == 0 else b"").decode()) + 1
        line = data.count(b"\n", 0, at) + 1
        raise UserError(
            f"{what}: a table is UTF-8 text, including file names", file=file, line=line, column=column
        )


def check_cells(data: bytes, lines: Lines, lines_at: Iterable[int], columns: int) -> None:
    """Raise UserError for a bad escape, a stray carriage return or text beyond the last of ``columns``.

    Counts first over all of ``data`` and reads the lines ``lines_at`` only if the counts look wrong.
    """
    wide = max(map(_count_tabs, lines.bodies)) >= columns
    escapes = b"\\" in data and not _KNOWN_ESCAPES.issuperset(_ESCAPES.findall(data))
    returns = b"\r" in data and data.count(b"\r") != data.count(b"\r\n")
    if not (wide or escapes or returns):
        return
    for at in lines_at:
        body = lines.bodies[at]
        if b"\\" not in body and b"\r" not in body and body.count(b"\t") < columns:
            continue
        for cell, text in enumerate(body.decode().split("\t")):
            if cell >= columns and text:
                message = f"{quoted(text)} is beyond the last column: the header names {columns} columns"
                raise lines.error(at, cell, message)
            if "\r" in text:
                message = "a carriage return inside a line: write it as \\r"
                raise lines.error(at, cell, message, text.index("\r"))
            try:
                unescape(text)
            except UserError as error:
                raise lines.error(at, cell, error.message, (error.column or 1) - 1) from None


def check_ids(ids: Sequence[str], lines: Lines, lines_at: Sequence[int], cell: int) -> None:
    """Raise UserError for an invalid id, one that appears twice, or two that differ only in upper and lower case."""
    joined = "\n".join(ids)
    low = joined.lower()
    rough = ids if low == joined else low.split("\n")
    # One pass in C over all of them; one by one only if that finds something.
    if ".." in joined or ".lock" in joined or not _IDS.fullmatch(joined + "\n"):
        for at, id_ in zip(lines_at, ids, strict=True):
            if not id_:
                raise lines.error(at, cell, f"this row has no id: {ID_RULE}")
            if not is_id(id_):
                spaced = " " in id_ and b"\t" in lines.bodies[0]
                tabs = "; is a tab missing? Columns are separated by tabs, not by spaces" if spaced else ""
                raise lines.error(at, cell, f"bad id {quoted(id_)}: {ID_RULE}{tabs}")
    if len(set(rough)) == len(rough):
        return
    first: dict[str, int] = {}
    for index, (at, folded) in enumerate(zip(lines_at, rough, strict=True)):
        if folded in first:
            other = ids[first[folded]]
            line = lines_at[first[folded]] + 1
            if other == ids[index]:
                message = f"id {quoted(other)} appears twice (also line {line}); rename one"
            else:
                message = (
                    f"id {quoted(ids[index])} differs from {quoted(other)} on line {line} only in upper and "
                    "lower case: ids name directories, and some disks ignore case"
                )
            raise lines.error(at, cell, message)
        first[folded] = index


def check_name(name: str, others: Collection[str] = ()) -> None:
    """Raise UserError for a column that is one of ours except for case, spaces, width or punctuation around it.

    Every spreadsheet writes ``Files``; taken for the user's own column it would silently drop the scope. ``others``:
    the names next to it.
    """
    ours = (*USER_COLUMNS, *TOOL_COLUMNS)
    if name in ours or (meant := bare(name)) not in ours:
        return
    todo = "rename one of the two" if meant in others else "write it like that"
    raise UserError(f"column {quoted(name)} is not {quoted(meant)}; {todo}")


def bare(name: str) -> str:
    """Return ``name`` without case, width, accents, white space, invisible characters and surrounding punctuation."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", name.upper()).casefold()
    word = "".join(one for one in plain if unicodedata.category(one)[0] not in "CMZ")
    marks = {one for one in word if unicodedata.category(one)[0] == "P"} - {*"#%&@"} | {*"`=+|<>^~"}
    return word.strip("".join(marks))


def parse_header(lines: Lines, at: int) -> tuple[str, ...]:
    """Return the names in the header line. Raises UserError like ``parse_names``, and if no column is ``id``."""
    names = parse_names(lines, at)
    if "id" not in names:
        found = ", ".join(quoted(name) for name in names[:12])
        message = f'no column "id" in the header; its tab-separated columns are: {found}'
        raise lines.error(at, 0, message)
    return names


def parse_names(lines: Lines, at: int) -> tuple[str, ...]:
    """Return the names in a header. Raises UserError for a name that is empty, used twice, or nearly one of ours."""
    names: list[str] = []
    for cell, text in enumerate(lines.bodies[at].decode().split("\t")):
        try:
            name = unescape(text)
        except UserError as error:
            raise lines.error(at, cell, error.message, (error.column or 1) - 1) from None
        if "\r" in text:
            raise lines.error(at, cell, "a carriage return inside the header", text.index("\r"))
        if not name.strip():
            raise lines.error(at, cell, f"column {cell + 1} of the header has no name")
        if name in names:
            message = f"column {quoted(name)} appears twice (columns {names.index(name) + 1} and {cell + 1})"
            raise lines.error(at, cell, message)
        names.append(name)
    for cell, name in enumerate(names):
        try:
            check_name(name, names)
        except UserError as error:
            raise lines.error(at, cell, error.message) from None
    return tuple(names)


def broken_cell(lines: Lines, head: int, error: UserError) -> UserError | None:
    """Return a better message than ``error`` if that is in a cell broken over several lines by a spreadsheet."""
    opened = (-1, -1)
    for at in range(head, len(lines.bodies)):
        texts = lines.bodies[at].split(b"\t")
        if opened[0] >= 0:
            if texts[0].count(b'"') % 2 and texts[0].endswith(b'"'):
                if opened[0] < (error.line or 0) <= at + 1:
                    message = f"a quoted cell that goes on to line {at + 1}: write it on one line, \\n for a line break"
                    return lines.error(*opened, message)
                opened = (-1, -1)
        else:
            odd = [cell for cell, text in enumerate(texts) if text.startswith(b'"') and text.count(b'"') % 2]
            opened = (at, odd[-1]) if odd else opened
    return None


def scan(
    bodies: Sequence[bytes], start: int, id_cell: int, status_cell: int
) -> tuple[list[bytes], list[bytes], list[int]]:
    """Return the ids, statuses and lines (from 0) of all rows. This loop decides how fast a poll is."""
    ids: list[bytes] = []
    states: list[bytes] = []
    lines_at: list[int] = []
    splits = max(id_cell, status_cell) + 1
    has_status = status_cell >= 0
    for at, body in enumerate(bodies[start:], start):
        # Every blank line and comment starts with a character up to "#"; an id never does.
        if not body or (body[0] <= _HASH and not is_task(body)):
            continue
        cells = body.split(b"\t", splits)
        if len(cells) < splits:
            cells += [b""] * (splits - len(cells))
        ids.append(cells[id_cell])
        states.append(cells[status_cell] if has_status else b"")
        lines_at.append(at)
    return ids, states, lines_at
