"""tasks.tsv shared with people: what they write is never lost, old copies of our cells come to nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.table import file as taskfile
from agentjobs.table.file import TaskFile
from agentjobs.table.table import Edits

HEAD = b"id\tstatus\titem\tattempt\tstarted\tended\n"
IDS = ("a", "b", "c")


class Killed(Exception):
    """kill -9, as far as the files are concerned."""


class Watched(TaskFile):
    """Something else may happen just before the table is replaced, after base was written."""

    before: Callable[[], None] | None = None

    def _replace(self, data: bytes) -> bool:
        if self.before is not None:
            happens, self.before = self.before, None
            happens()
        return super()._replace(data)


class Shared:
    """A table, the tool's hand on it, and a person's."""

    def __init__(self, directory: Path, data: bytes = HEAD + b"a\nb\nc\n") -> None:
        self.path = directory / "tasks.tsv"
        self.base = directory / "table.tsv"
        self.path.write_bytes(data)
        self.file = self.open()

    def open(self) -> Watched:
        return Watched(self.path, self.base)

    def read(self) -> bytes:
        return self.path.read_bytes()

    def write(self, data: bytes) -> None:
        """Replace the table as sed -i and editors do."""
        new = self.path.with_name("sed")
        new.write_bytes(data)
        new.replace(self.path)

    def take(self) -> Edits:
        """Load and absorb, as every turn does."""
        edits = self.file.load()
        if edits is None:
            return Edits()
        self.file.absorb(edits)
        return edits

    def cells(self, task_id: str) -> list[str]:
        return next(line for line in self.read().decode().split("\n") if line.split("\t")[0] == task_id).split("\t")


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    made = Shared(tmp_path)
    made.take()
    return made


def test_cells_are_written_and_nothing_else(shared: Shared) -> None:
    shared.write(HEAD + b"# mine\n\na\r\nb\t\tx\\ty\nc")
    shared.take()
    shared.file.set("b", {"status": "DONE", "note": "n"})
    shared.file.set("nobody", {"status": "DONE"})
    assert shared.file.save()
    rows = b"# mine\n\na\r\nb\tDONE\tx\\ty" + b"\t" * 7 + b"n\nc"
    assert shared.read() == HEAD[:-1] + b"\ttokens\tcost\tcommit\tnote\n" + rows
    assert shared.base.read_bytes() == shared.read()
    assert not shared.file.save(), "nothing is pending"
    assert shared.file.load() is None, "our own write is not an edit"


def test_what_is_set_to_what_it_is_costs_no_write(shared: Shared) -> None:
    before = shared.path.stat().st_ino
    shared.file.set("a", {"status": "", "note": ""})
    assert not shared.file.save()
    assert shared.path.stat().st_ino == before


def test_the_mode_and_a_link_stay(shared: Shared, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.tsv"
    shared.path.rename(elsewhere)
    shared.path.symlink_to(elsewhere)
    elsewhere.chmod(0o640)
    shared.take()
    shared.file.set("a", {"status": "DONE"})
    shared.file.save()
    assert shared.path.is_symlink()
    assert elsewhere.stat().st_mode & 0o777 == 0o640
    assert b"DONE" in elsewhere.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["elsewhere.tsv", "table.tsv", "tasks.tsv"]


def test_an_edit_just_before_the_swap_is_merged(shared: Shared) -> None:
    shared.file.set("a", {"status": "IN_PROGRESS", "attempt": "1"})
    shared.file.before = lambda: shared.write(HEAD + b"a\t\tnew item\nb\tSKIPPED\n# and c is gone\n")
    shared.file.save()
    assert shared.read() == HEAD + b"a\tIN_PROGRESS\tnew item\t1\nb\tSKIPPED\n# and c is gone\n"
    edits = shared.take()
    assert edits == Edits(wishes={"b": Status.SKIPPED}, gone=("c",))
    assert shared.take() == Edits()


def test_an_edit_of_the_very_row_just_before_the_swap_wins(shared: Shared) -> None:
    shared.file.set("a", {"status": "IN_PROGRESS", "attempt": "1"})
    shared.file.save()
    shared.file.set("a", {"status": "VERIFYING"})
    shared.file.before = lambda: shared.write(shared.read().replace(b"IN_PROGRESS", b"SKIPPED"))
    shared.file.save()
    assert shared.cells("a")[1] == "SKIPPED"
    assert shared.open().load() == Edits(wishes={"a": Status.SKIPPED}), "another process sees it too"
    assert shared.take() == Edits(wishes={"a": Status.SKIPPED})


def test_an_edit_of_a_row_that_is_just_being_begun_wins(shared: Shared) -> None:
    """The person saw the row as it was before: what we meanwhile remember of it does not make the edit an old one."""
    shared.file.set("a", {"status": "IN_PROGRESS", "attempt": "1", "started": "s"})
    shared.file.before = lambda: shared.write(HEAD + b"a\tDONE\nb\nc\n")
    shared.file.save()
    assert shared.cells("a")[:5] == ["a", "DONE", "", "1", "s"]
    assert shared.take() == Edits(wishes={"a": Status.DONE})


def test_killed_between_the_two_writes(shared: Shared) -> None:
    def die() -> None:
        raise Killed

    shared.file.set("a", {"status": "IN_PROGRESS", "attempt": "1"})
    shared.file.before = die
    with pytest.raises(Killed):
        shared.file.save()
    shared.file = shared.open()
    assert shared.take() == Edits(stale=("a",)), "our own old cells are not a person's request"
    shared.file.save()
    assert shared.cells("a")[1:4] == ["IN_PROGRESS", "", "1"]


def test_a_stale_copy_does_not_undo_what_is_still_to_be_written(shared: Shared) -> None:
    """A resident run holds a settled row back for a moment; just then sed puts an old copy into the table."""
    shared.file.set("a", {"status": "IN_PROGRESS", "attempt": "1", "started": "s"})
    shared.file.save()
    shared.file.set("a", {"status": "DONE", "ended": "e"})
    shared.write(HEAD + b"a\nb\nc\n")
    assert shared.take().stale == ("a",)
    shared.file.save()
    assert shared.cells("a") == ["a", "DONE", "", "1", "s", "e"]


def test_a_table_that_cannot_be_read_is_not_touched(shared: Shared) -> None:
    shared.file.set("a", {"status": "DONE"})
    shared.write(HEAD + b"a\tNONSENSE\n")
    with pytest.raises(UserError, match=r"^tasks\.tsv:2:3: unknown status"):
        shared.file.save()
    assert shared.read() == HEAD + b"a\tNONSENSE\n"
    with pytest.raises(UserError, match=r"^tasks\.tsv:2:3: unknown status"):
        shared.file.load()


def test_a_table_that_is_gone(shared: Shared) -> None:
    shared.path.unlink()
    with pytest.raises(UserError, match=r"^tasks\.tsv: no such file"):
        shared.file.load()


def test_a_table_that_never_rests_is_given_up(shared: Shared) -> None:
    def again() -> None:
        shared.write(shared.read() + b"# more\n")
        shared.file.before = again

    shared.file.set("a", {"status": "DONE"})
    shared.file.before = again
    with pytest.raises(UserError, match="keeps changing"):
        shared.file.save()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_write_protected_directory(shared: Shared, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="read-only"):
            shared.file.check_writable()
    finally:
        tmp_path.chmod(0o700)


def test_a_write_protected_table(shared: Shared) -> None:
    shared.path.chmod(0o444)
    with pytest.raises(UserError, match=r"^tasks\.tsv: is read-only"):
        shared.file.check_writable()


def test_a_memory_that_is_lost_or_broken_makes_every_row_new(shared: Shared) -> None:
    for damage in (b"", b"\xff\xfe"):
        shared.base.write_bytes(damage)
        assert shared.open().load() == Edits(new=IDS)


# --- a person, sed, and kills, in any order


class Life:
    """What the tool does to one row in the end, as far as the table is concerned."""

    def __init__(self) -> None:
        self.cells = {"status": "TODO", "attempt": "", "started": "", "ended": ""}

    def step(self, tick: int) -> dict[str, str]:
        """Return the next thing the tool has to say; a settled row says nothing more."""
        now = self.cells["status"]
        if now == "TODO":
            attempt = str(int(self.cells["attempt"] or 0) + 1)
            self.cells |= {"status": "IN_PROGRESS", "attempt": attempt, "started": self.cells["started"] or str(tick)}
            self.cells["ended"] = ""
        elif now == "IN_PROGRESS":
            self.cells["status"] = "VERIFYING"
        elif now == "VERIFYING":
            outcome = ("TODO", "DONE", "FAILED")[tick % 3]
            self.cells |= {"status": outcome, "ended": "" if outcome == "TODO" else str(tick)}
        return dict(self.cells)

    def wish(self, status: Status, tick: int) -> dict[str, str]:
        self.cells |= {"status": status.value, "ended": "" if status is Status.TODO else str(tick)}
        return dict(self.cells)


@contextmanager
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


rows = st.sampled_from(IDS)
wishes = st.sampled_from(["TODO", "SKIPPED", "DONE", "FAILED"])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("tool"), rows),
        st.tuples(st.just("save")),
        st.tuples(st.just("killed")),
        st.tuples(st.just("take")),
        st.tuples(st.just("wish"), rows, wishes),
        st.tuples(st.just("item"), rows),
        st.tuples(st.just("old copy"), rows, st.integers(1, 6)),
        st.tuples(st.just("wish during save"), rows, wishes),
        st.tuples(st.just("old copy during save"), rows, st.integers(1, 6)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(operations)
def test_nobody_loses_anything(steps: list[tuple[object, ...]]) -> None:
    with directory() as path:
        Story(path).play(steps)


class Story:
    """Plays steps, and knows what must be in the table and what must have been heard."""

    def __init__(self, path: Path) -> None:
        self.shared = Shared(path)
        self.shared.take()
        self.lives = {task_id: Life() for task_id in IDS}
        self.asked: dict[str, Status] = {}
        self.items: dict[str, str] = {}
        self.versions: list[dict[str, list[bytes]]] = []
        self.tick = 0
        self.known: dict[str, list[bytes]] = {}

    def play(self, steps: list[tuple[object, ...]]) -> None:
        for self.tick, step in enumerate(steps):
            self.versions.append(self.lines())
            self.look()
            name, *more = step
            if name == "tool":
                self.tool(str(more[0]))
            elif name == "save":
                self.save()
            elif name == "killed":
                self.killed()
            elif name == "take":
                self.take()
            elif name == "wish":
                self.wish(str(more[0]), Status(str(more[1])))
            elif name == "item":
                self.item(str(more[0]))
            elif name == "old copy":
                self.old_copy(str(more[0]), int(str(more[1])))
            else:
                self.take()
                act = self.wish_of(more) if str(name).startswith("wish") else self.copy_of(more)
                self.shared.file.before = act
                self.shared.file.save()
                self.shared.file.before = None
        self.end()

    def wish_of(self, more: list[object]) -> Callable[[], None]:
        return lambda: self.wish(str(more[0]), Status(str(more[1])))

    def copy_of(self, more: list[object]) -> Callable[[], None]:
        return lambda: self.old_copy(str(more[0]), int(str(more[1])))

    # --- the tool

    def tool(self, task_id: str) -> None:
        self.take()
        self.shared.file.set(task_id, self.lives[task_id].step(self.tick))

    def take(self) -> None:
        # A request for what is so anyway, or that is taken back before it is read, is not a request.
        base = self.shared.file.base
        for task_id, wish in list(self.asked.items()):
            known = base.cell(task_id, "status") if base else ""
            if wish.value in {self.lives[task_id].cells["status"], known or "TODO"}:
                del self.asked[task_id]
        for task_id, wish in self.shared.take().wishes.items():
            self.asked.pop(task_id, None)
            self.shared.file.set(task_id, self.lives[task_id].wish(wish, self.tick))
        self.look()

    def look(self) -> None:
        """Note the progress that the table shows where it is up to date."""
        if (base := self.shared.file.base) is not None:
            progress = ("attempt", "started", "ended")
            self.known = {i: [base.cell(i, c).encode() for c in progress] for i in IDS}

    def save(self) -> None:
        self.take()
        self.shared.file.save()

    def killed(self) -> None:
        def die() -> None:
            raise Killed

        self.take()
        self.shared.file.before = die
        try:
            self.shared.file.save()
        except Killed:
            self.shared.file = self.shared.open()
            for task_id, life in self.lives.items():  # the facts say it all again
                self.take()
                self.shared.file.set(task_id, life.cells)
            self.shared.file.save()  # a wish in a row that shows an old state is taken for an old copy
        self.shared.file.before = None

    # --- people

    def lines(self) -> dict[str, list[bytes]]:
        lines = self.shared.read().split(b"\n")
        return {line.split(b"\t")[0].decode(): line.split(b"\t") for line in lines if line}

    def put(self, task_id: str, cells: list[bytes]) -> None:
        lines = self.lines()
        lines[task_id] = cells
        self.shared.write(b"\n".join(b"\t".join(cells) for cells in lines.values()) + b"\n")

    def wish(self, task_id: str, wish: Status) -> None:
        cells = self.lines()[task_id]
        if (cells + [b""] * 6)[3:6] != self.known.get(task_id, [b""] * 3):
            return  # a wish in a row that shows an old state is taken for an old copy
        cells += [b""] * (2 - len(cells))
        if (cells[1] or b"TODO") == wish.value.encode():
            return
        cells[1] = wish.value.encode()
        self.put(task_id, cells)
        self.asked[task_id] = wish

    def item(self, task_id: str) -> None:
        cells = self.lines()[task_id]
        cells += [b""] * (3 - len(cells))
        self.items[task_id] = f"item {self.tick}"
        cells[2] = self.items[task_id].encode()
        self.put(task_id, cells)

    def old_copy(self, task_id: str, age: int) -> None:
        """Sed read the line a while ago and writes it back, without overwriting what people wrote since."""
        if task_id in self.asked or age > len(self.versions):
            return
        old = list(self.versions[-age][task_id])
        if len(old) > 1 and old[1] in {b"SKIPPED", b"DONE", b"FAILED"}:
            return  # a settled row that comes back later as it was looks like a request
        old += [b""] * (3 - len(old))
        old[2] = self.items.get(task_id, "").encode()
        now = self.lines()[task_id] + [b""] * 6
        if (old + [b""] * 6)[3:6] == now[3:6] and (old[1] or b"TODO") == b"TODO":
            return  # it looks exactly like a request
        self.put(task_id, old)

    # --- the end

    def end(self) -> None:
        self.take()
        for task_id, life in self.lives.items():
            self.shared.file.set(task_id, life.cells)
        self.shared.file.save()
        self.take()
        self.shared.file.save()
        assert not self.asked, "every wish was heard"
        shown = self.lines()
        for task_id, life in self.lives.items():
            cells = [cell.decode() for cell in shown[task_id]] + [""] * 6
            theirs = [life.cells[c] for c in ("attempt", "started", "ended")]
            assert (cells[1] or "TODO", cells[3:6]) == (life.cells["status"], theirs)
            assert cells[2] == self.items.get(task_id, "")


def edit_before_exchange(monkeypatch: pytest.MonkeyPatch, path: Path, *edits: tuple[bytes, bytes]) -> None:
    """Replace something in the table, as an editor does, right before each of the next exchanges."""
    real, waiting = taskfile.exchange, list(edits)

    def late(one: Path, other: Path) -> bool:
        if waiting:
            edited = path.with_name("edited")
            edited.write_bytes(path.read_bytes().replace(*waiting.pop(0)))
            edited.replace(path)
        return real(one, other)

    monkeypatch.setattr(taskfile, "exchange", late)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs renameat2")
def test_an_edit_between_the_last_look_and_the_rename_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's rename is quicker than any look: what was displaced is put back, and merged."""
    path = tmp_path / "tasks.tsv"
    path.write_bytes(b"id\tstatus\tmine\na\tTODO\tx\nb\tTODO\tx\n")
    file = TaskFile(path, tmp_path / "table.tsv")
    file.absorb(file.load() or Edits())
    file.set("a", {"status": "IN_PROGRESS"})
    edit_before_exchange(monkeypatch, path, (b"b\tTODO\tx", b"b\tTODO\tedited"))
    file.save()
    assert path.read_bytes() == b"id\tstatus\tmine\na\tIN_PROGRESS\tx\nb\tTODO\tedited\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.tsv", "tasks.tsv"]


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs renameat2")
def test_an_edit_while_another_is_put_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two edits in a row: one just before the rename, one of what the rename put there, before that is taken back."""
    path = tmp_path / "tasks.tsv"
    path.write_bytes(b"id\tstatus\tmine\na\tTODO\tx\nb\tTODO\tx\nc\tTODO\tx\n")
    file = TaskFile(path, tmp_path / "table.tsv")
    file.absorb(file.load() or Edits())
    file.set("a", {"status": "IN_PROGRESS"})
    first, second = (b"b\tTODO\tx", b"b\tTODO\tfirst"), (b"c\tTODO\tx\n", b"c\tSKIPPED\tx\nd\tTODO\tnew\n")
    edit_before_exchange(monkeypatch, path, first, second)
    file.save()
    told = file.load()
    assert told is not None
    assert (told.wishes, told.new) == ({"c": Status.SKIPPED}, ("d",))
    wanted = b"id\tstatus\tmine\na\tIN_PROGRESS\tx\nb\tTODO\tfirst\nc\tSKIPPED\tx\nd\tTODO\tnew\n"
    assert path.read_bytes() == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.tsv", "tasks.tsv"]
