"""The table on disk: tasks.tsv, which people edit, and table.tsv, a copy of what we last wrote.

People and ``sed`` may write tasks.tsv at any time. So we never write a whole table, only a few cells into whatever is
there at that moment; and a status that differs from the one we wrote was set by a person. table.tsv is written first:
after a kill between the two writes, the next poll sees that the cells in tasks.tsv are an old copy of ours
(``table.human_edits``) and writes them again.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from agentjobs.disk.files import read_raw, write_bytes
from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.table.table import EMPTY, Edits, Table, append, apply, human_edits, parse
from agentjobs.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Updates = dict[str, dict[str, str]]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
WRITTEN_S = 1.0
"""A table that lacks something and was written less than this ago may still be in the middle of a write."""
LEFT_SO_S = 30.0
"""Nobody is still writing a file that has not changed for this long."""
LOOK_S = 0.05
LOOKS_MAX = 250
"""How often we read a table again that somebody else keeps changing (some seconds) before we give up."""


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
        """The table as last read; call ``load`` first."""
        if self._table is None:
            raise AssertionError("not loaded")
        return self._table

    def load(self, looks: int = 1) -> Edits | None:
        """Read the table if it changed, and return what people edited since we last wrote.

        None: nothing has changed since the last ``absorb``. Raises UserError if the table is missing, unreadable or
        write-protected.
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
            except UserError:  # only a power cut does this; treat it as lost, the facts are enough
                self.base = None
        self._edits = Edits() if self.base is self.table else human_edits(self.base, self.table)
        if self._edits.gone and looks < LOOKS_MAX and self._await():  # rows are missing and the file is still changing
            return self.load(looks + 1)
        return self._edits

    def unfinished(self, memory: Path) -> bool:
        """Return whether the table looks cut off, as if in the middle of a write; True once for each such content.

        Its last line has no end, and it is not what we wrote: do not use a row that is cut short, and do not treat the
        rows behind it as gone. ``memory`` is the file that remembers, for other polls too, which content was seen
        before.
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
        """Wait until the table has stayed unchanged for a moment; return whether it has changed meanwhile."""
        give_up_at = time.monotonic() + WRITTEN_S
        while (now := _identity(self.path)) == self._seen:
            if not 0 <= time.time() - now[2] / 1e9 < WRITTEN_S or time.monotonic() > give_up_at:
                return False
            time.sleep(LOOK_S)
        return True

    def _read(self, known: bytes = b"") -> None:
        """Read the table. If it is not ``known`` and its last line has no end, wait a moment for the rest."""
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
        """Use this as the table before there is one; nothing is written."""
        self._table = parse(data, self.path.name)

    def check_writable(self) -> None:
        """Raise UserError if the table is write-protected: better before any work than after."""
        target = self.path.resolve()
        if not stat.S_IMODE(target.stat().st_mode) & 0o222 or not os.access(target.parent, os.W_OK):
            raise UserError("is read-only; make it writable (chmod u+w) to go on", file=self.path.name)

    def absorb(self, edits: Edits) -> None:
        """Accept people's edits as read, after the caller has noted every wish. Old copies are marked for repair."""
        repair: Updates = {}
        if self.base is not None:
            for task_id in edits.stale:
                repair[task_id] = {c: self.base.cell(task_id, c) for c in TOOL_COLUMNS if c in self.base.header}
        for task_id, cells in repair.items():
            self.pending[task_id] = {**cells, **self.pending.get(task_id, {})}
        self._remember(apply(self.table, repair) if repair else self.table.data)
        self._edits = None

    def set(self, task_id: str, cells: Mapping[str, str]) -> None:
        """Set cells of our columns, to be written by the next ``save``. Notes may contain text of agents."""
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
        """Write the pending cells into the current table; return whether anything was written.

        A cell that a person has changed in the meantime is kept; the next ``load`` reports it.
        """
        if not self.pending:
            return False
        # What people may have seen: their edit counts as a wish, even if we remember a newer status by the second look.
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
                if edits != Edits() and self.base is not None:  # the next ``load`` reports it
                    self._edits = human_edits(self.base, self.table)
                return True
        raise UserError("keeps changing while it is written; is another program in a loop?", file=self.path.name)

    def make(self, data: bytes) -> None:
        """Create the table. Raises UserError if there is one by now."""
        if read_raw(self.base_path):  # of a table that was deleted: all its rows are gone
            write_bytes(self.base_path, EMPTY, durable=True)
        try:
            with self.path.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise UserError(f"cannot write: {error.strerror}", file=self.path.name) from None

    def rewrite(self, change: Callable[[Table], bytes]) -> None:
        """Replace the table by ``change`` of its current content. The caller has loaded it."""
        for _ in range(LOOKS_MAX):
            if _identity(self.path) != self._seen:
                self._read()
            data = change(self.table)
            if data == self.table.data or self._replace(data):
                self._base_seen = (0,)  # compare anew what is loaded next
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
        """Replace the table by ``data`` unless it has changed since we read it."""
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
                if _identity(temporary) != self._seen:  # an edit came between the check and the rename
                    exchange(temporary, target)
                    edited = read_raw(temporary) if _identity(temporary) != written else b""
                    temporary.unlink()
                    if edited:  # and another one while ours was in place
                        self._bring_over(data, edited)
                    return False
                temporary.unlink()
            else:
                temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(f"cannot write: {error.strerror}; the table is unchanged", file=self.path.name) from None
        self._seen = written
        if self.base is not None and self.base.data == data:
            self._table = self.base
        else:
            self._table = parse(data, self.path.name)
        return True

    def _bring_over(self, ours: bytes, edited: bytes) -> None:
        """Merge what a person made of ``ours``, which was in place for a moment, into the current table."""
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
        self._seen = (0,)  # read it as what it is: a person's edit


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two files in one step, so that the old content can still be checked; False: not done.

    Uses renameat2(2) of Linux. Other systems, and file systems without it, need a plain rename.
    """
    import ctypes  # 10 ms, and most polls write nothing

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return int(done) == 0


def _is_ended(path: Path) -> bool:
    """Return whether the last line of a file has its end, without reading the other lines."""
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"
    except OSError:  # empty, or gone
        return True


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes with every write: inode, size, time of change (ns)."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)
