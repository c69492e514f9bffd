"""The table on disk: tasks.tsv, which belongs to people, and table.tsv, which remembers it as last written.

People and ``sed`` may write tasks.tsv at any time. What we write is therefore never a whole table but a few
cells, put into whatever is there at that moment; and a status that differs from the one we wrote is theirs.
table.tsv is written first: killed between the two writes, the next poll sees an old copy of our own cells in
tasks.tsv, knows it for one (``table.human_edits``) and writes them again.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from agentjobs.disk.files import read_raw, write_bytes
from agentjobs.model.errors import UserError
from agentjobs.table.table import TOOL_COLUMNS, Edits, Table, append, apply, human_edits, parse
from agentjobs.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Updates = dict[str, dict[str, str]]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
WRITTEN_S = 1.0
"""A table that lacks something and was written less than this ago may be in the middle of being written."""
LEFT_SO_S = 30.0
"""Nobody is still writing a file that has not changed for this long."""
LOOK_S = 0.05
LOOKS_MAX = 250
"""How often a table that somebody else keeps changing is read again before we give up: some seconds."""


class TaskFile:
    """tasks.tsv of a project, and what we last wrote into it."""

    def __init__(self, path: Path, base_path: Path) -> None:
        self.path = path
        self.base_path = base_path
        self._table: Table | None = None
        self.base: Table | None = None
        self._seen: tuple[int, ...] = ()
        self._base_seen: tuple[int, ...] = ()
        self.pending: Updates = {}
        self._edits: Edits | None = None

    @property
    def table(self) -> Table:
        """The table as last read; ``load`` comes first."""
        if self._table is None:
            raise AssertionError("not loaded")
        return self._table

    def load(self, looks: int = 1) -> Edits | None:
        """Read the table if it is not the one we hold, and return what people did to it since we last wrote.

        None: nothing has changed since the last ``absorb``. UserError where the table is missing, cannot be read
        or cannot be written.
        """
        base_seen = _identity(self.base_path)
        if self._table is not None and _identity(self.path) == self._seen and base_seen == self._base_seen:
            return self._edits
        data = read_raw(self.base_path)
        self._read(data)
        self._base_seen = base_seen
        if not data:
            self.base = None
        elif data == self.table.data:
            self.base = self.table
        else:
            try:
                self.base = parse(data, self.path.name)
            except UserError:  # only a power cut leaves that: as good as lost, the facts know better
                self.base = None
        self._edits = Edits() if self.base is self.table else human_edits(self.base, self.table)
        if self._edits.gone and looks < LOOKS_MAX and self._await():  # rows are gone from a file that goes on changing
            return self.load(looks + 1)
        return self._edits

    def unfinished(self, memory: Path) -> bool:
        """Whether the table looks cut off, as if somebody were still writing it; true once for each such content.

        Its last line has no end, and it is not what we wrote: a row that is cut short is not the row, and the rows
        behind it are not gone. ``memory`` is the file that remembers, for other polls too, what was looked at before.
        """
        seen = _identity(self.path)
        if not seen or seen == self._seen or time.time() - seen[2] / 1e9 > LEFT_SO_S or _is_ended(self.path):
            return False  # an empty one is refused: nothing is lost
        known = read_raw(self.base_path)
        if not known or read_raw(self.path, follow=True) == known:
            return False
        mark = " ".join(map(str, seen)).encode()
        if read_raw(memory) == mark:
            return False
        write_bytes(memory, mark)
        return True

    def _await(self) -> bool:
        """Wait until the table has stood as it was read for a moment; return whether it has changed meanwhile."""
        give_up_at = time.monotonic() + WRITTEN_S
        while (now := _identity(self.path)) == self._seen:
            if not 0 <= time.time() - now[2] / 1e9 < WRITTEN_S or time.monotonic() > give_up_at:
                return False
            time.sleep(LOOK_S)
        return True

    def _read(self, known: bytes = b"") -> None:
        """Read the table; where it is not ``known`` and lacks its last line end, it is given a moment to be whole."""
        for _ in range(LOOKS_MAX):
            seen = _identity(self.path)
            if not seen:
                raise UserError(
                    "no such file; write one with a header line that has `id`, or use `agentjobs plan rows`",
                    file=self.path.name,
                )
            data = read_raw(self.path, follow=True)
            self._seen, whole = seen, data.endswith(b"\n") or not known or data == known
            if _identity(self.path) == seen and (whole or not self._await()):
                break
        self._seen = ()
        self._table = parse(data, self.path.name)
        self._seen = seen

    def imagine(self, data: bytes) -> None:
        """Take this for the table, where there is none yet; nothing is written."""
        self._table = parse(data, self.path.name)

    def check_writable(self) -> None:
        """Raise UserError where the table is write-protected: better before any work than after."""
        target = self.path.resolve()
        if not stat.S_IMODE(target.stat().st_mode) & 0o222 or not os.access(target.parent, os.W_OK):
            raise UserError("is read-only; make it writable (chmod u+w) to go on", file=self.path.name)

    def absorb(self, edits: Edits) -> None:
        """Take what people wrote as read: the caller has noted every wish. Old copies are marked for repair."""
        repair: Updates = {}
        if self.base is not None:
            for task_id in edits.stale:
                repair[task_id] = {c: self.base.cell(task_id, c) for c in TOOL_COLUMNS if c in self.base.header}
        for task_id, cells in repair.items():
            self.pending[task_id] = {**cells, **self.pending.get(task_id, {})}
        self._remember(apply(self.table, repair) if repair else self.table.data)
        self._edits = None

    def set(self, task_id: str, cells: Mapping[str, str]) -> None:
        """Mark cells of the tool's to be written with the next ``save``; notes hold what agents made up."""
        if task_id not in self.table:
            return
        wanted = self.pending.get(task_id, {})
        told = {column: visible(value) for column, value in cells.items()}
        changed = {c: v for c, v in told.items() if wanted.get(c, self.table.cell(task_id, c)) != v}
        if changed:
            self.pending.setdefault(task_id, {}).update(changed)

    def cell(self, task_id: str, column: str) -> str:
        """Return a cell as it will be after the next ``save``."""
        pending = self.pending.get(task_id, {})
        return pending[column] if column in pending else self.table.cell(task_id, column)

    def save(self) -> bool:
        """Write what is pending into the table as it is now; return whether anything was written.

        A cell that a person has changed in the meantime stays theirs; the next ``load`` tells of it.
        """
        if not self.pending:
            return False
        # What people may have seen: a wish in such a row is one, though we remember more of it by the second look.
        known = self.base
        for _ in range(LOOKS_MAX):
            moved = _identity(self.path) != self._seen
            if moved:
                self._read(known.data if known is not None else b"")
            edits = human_edits(known, self.table) if moved and known is not None else Edits()
            data = apply(self.table, self._respecting(edits.wishes))
            if edits == Edits():
                self._remember(data)
            elif known is not None:
                self._remember(apply(known, self.pending))
            if self._replace(data):
                self.pending = {}
                if edits != Edits() and self.base is not None:  # what the next ``load`` is to tell
                    self._edits = human_edits(self.base, self.table)
                return True
        raise UserError("keeps changing while it is written; is another program in a loop?", file=self.path.name)

    def make(self, data: bytes) -> None:
        """Write a table where there is none; UserError where there is one after all."""
        try:
            with self.path.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise UserError(f"cannot write: {error.strerror}", file=self.path.name) from None

    def rewrite(self, change: Callable[[Table], bytes]) -> None:
        """Replace the table with what ``change`` makes of it, as it is at that moment. The caller has loaded it."""
        for _ in range(LOOKS_MAX):
            if _identity(self.path) != self._seen:
                self._read()
            data = change(self.table)
            if data == self.table.data or self._replace(data):
                self._base_seen = (0,)  # whatever is loaded next is compared anew
                return
        raise UserError("keeps changing while it is written; is another program in a loop?", file=self.path.name)

    def _respecting(self, wishes: Iterable[str]) -> Updates:
        theirs = frozenset(wishes)
        return {
            task_id: {c: v for c, v in cells.items() if not (c == "status" and task_id in theirs)}
            for task_id, cells in self.pending.items()
        }

    def _remember(self, data: bytes) -> None:
        if self.base is not None and self.base.data == data:
            return
        write_bytes(self.base_path, data, durable=True)
        self._base_seen = _identity(self.base_path)
        self.base = self.table if data == self.table.data else parse(data, self.path.name)

    def _replace(self, data: bytes) -> bool:
        """Put ``data`` in the table's place unless it has moved since we read it."""
        target = self.path.resolve()
        mode = stat.S_IMODE(target.stat().st_mode)
        temporary = target.with_name(f".{target.name}.agentjobs~")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            written = _identity(temporary)
            if _identity(self.path) != self._seen:
                temporary.unlink()
                return False
            if exchange(temporary, target):
                if _identity(temporary) != self._seen:  # an edit slipped in between the look and the rename
                    exchange(temporary, target)
                    edited = read_raw(temporary) if _identity(temporary) != written else b""
                    temporary.unlink()
                    if edited:  # and another one in the moment when ours stood there
                        self._bring_over(data, edited)
                    return False
                temporary.unlink()
            else:
                temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(f"cannot write: {error.strerror}; it is as it was", file=self.path.name) from None
        self._seen = written
        if self.base is not None and self.base.data == data:
            self._table = self.base
        else:
            self._table = parse(data, self.path.name)
        return True

    def _bring_over(self, ours: bytes, edited: bytes) -> None:
        """Put what a person has made of ``ours``, which stood there for a moment, into what stands there now."""
        was, now = parse(ours, self.path.name), parse(edited, self.path.name)
        cells = {
            task_id: {c: now.cell(task_id, c) for c in now.header if now.cell(task_id, c) != was.cell(task_id, c)}
            for task_id in now.ids
            if task_id in was
        }
        added = [{c: now.cell(task_id, c) for c in now.header} for task_id in now.ids if task_id not in was]
        for _ in range(LOOKS_MAX):
            self._read()
            data = apply(self.table, {task_id: changed for task_id, changed in cells.items() if changed})
            data = append(parse(data, self.path.name), added) if added else data
            if data == self.table.data or self._replace(data):
                break
        self._seen = (0,)  # it is to be read as what it is: a person's


def exchange(one: Path, other: Path) -> bool:
    """Let two files trade names in one step, so that what was there can still be looked at; False: not done.

    renameat2(2) of Linux. Elsewhere, and on file systems that cannot, a rename must do.
    """
    import ctypes  # 10 ms, and most polls write nothing

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return int(done) == 0


def _is_ended(path: Path) -> bool:
    """Whether the last line of a file has its end, if there is one; without reading the others."""
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"
    except OSError:  # it is empty, or gone
        return True


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does: inode, size, time of change (ns)."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)
