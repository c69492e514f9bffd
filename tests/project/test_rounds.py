"""Rounds: what the facts and people's edits come to, killed or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentjobs.core.decide import REMOVED
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Scope
from agentjobs.model.tasks import Settled, Status
from agentjobs.project.project import Project
from agentjobs.project.rounds import Rounds
from agentjobs.project.state import OpenRound
from tests.kit.harness import Project as Scratch

ALL = Scope(1.0, everything=True)
NOW = 1_000_000.0
HEAD = "id\tstatus\tattempt\tstarted\tended\tnote\n"


class Table:
    """A project with a table and no agents."""

    def __init__(self, root: Path) -> None:
        self.path = root / "tasks.tsv"
        self.write("a\nb\n")
        self.project = Project(root)
        self.project.store.create()
        self.store = self.project.store
        self.rounds = Rounds(self.project)
        self.rounds.refresh(NOW)

    def write(self, rows: str) -> None:
        new = self.path.with_name("new")
        new.write_text(HEAD + rows)
        new.replace(self.path)

    def edit(self, rows: str) -> None:
        self.write(rows)
        self.rounds.refresh(NOW)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_what_was_settled_without_an_attempt_is_not_begun(table: Table) -> None:
    """``skip`` was killed after the fact and before the table."""
    table.store.settle("a", Settled(1, Status.SKIPPED, "skipped", NOW))
    assert table.rounds.open(table.project.file.table.row("a"), ALL) is None
    found = table.rounds.open(table.project.file.table.row("b"), ALL)
    assert found is not None
    assert found.round == 1


def test_a_row_that_is_gone_for_a_moment_is_not_given_up(table: Table) -> None:
    """An editor that saves in place shows half a table for an instant."""
    table.store.set_open_round("a", OpenRound(1))
    table.edit("b\n")
    gone = table.rounds.task("a", ALL)
    assert gone is not None
    assert (gone.wish, gone.row.line) == (Status.SKIPPED, 0)
    table.edit("a\nb\n")
    back = table.rounds.task("a", ALL)
    assert back is not None
    assert (back.wish, back.row.line) == (None, 2)


@pytest.mark.parametrize(("status", "reopens"), [("TODO", True), ("IN_PROGRESS", True), ("DONE", False)])
def test_a_removed_row_that_returns_is_wanted_again(table: Table, status: str, reopens: bool) -> None:
    table.edit("b\n")
    table.store.settle("a", Settled(1, Status.SKIPPED, REMOVED, NOW))
    table.edit(f"a\t{status}\nb\n")
    assert table.store.open_round("a") == (OpenRound(2) if reopens else None)


@pytest.mark.parametrize(("was", "status", "reopens"), [
    (Status.FAILED, "TODO", True), (Status.FAILED, "", True), (Status.FAILED, "IN_PROGRESS", False),
    (Status.DONE, "TODO", False), (Status.SKIPPED, "TODO", False),
])  # fmt: skip
def test_a_settled_row_that_returns_stays_settled_unless_it_failed(
    table: Table, was: Status, status: str, reopens: bool
) -> None:
    table.edit("b\n")
    table.store.settle("a", Settled(1, was, "no", NOW))
    table.edit(f"a\t{status}\nb\n")
    assert table.store.open_round("a") == (OpenRound(2) if reopens else None)
    assert table.project.file.pending.get("a", {}).get("status") == (None if reopens else was.value)


def test_a_failed_row_stays_so_where_the_memory_of_the_table_is_lost(table: Table) -> None:
    """What looks new then may be an old copy."""
    table.store.settle("a", Settled(1, Status.FAILED, "no", NOW))
    table.project.file.base_path.unlink()
    table.edit("a\tTODO\nb\n")
    assert table.store.open_round("a") is None
    assert table.project.file.pending["a"]["status"] == "FAILED"


@pytest.mark.parametrize("wish", [Status.DONE, Status.SKIPPED, Status.TODO])
def test_a_wish_that_came_after_the_end_is_heard(table: Table, wish: Status) -> None:
    """The round was settled, the table not yet written, and a person edited the row."""
    table.store.set_open_round("a", OpenRound(1, wish))
    table.store.settle("a", Settled(1, Status.FAILED, "no", NOW))
    table.rounds.close("a")
    found = table.rounds.task("a", ALL)
    assert found is not None
    assert (found.round, found.wish) == (2, None if wish is Status.TODO else wish)


def test_a_wish_that_was_granted_is_over(table: Table) -> None:
    table.store.set_open_round("a", OpenRound(1, Status.SKIPPED))
    table.store.settle("a", Settled(1, Status.SKIPPED, "", NOW))
    assert table.rounds.task("a", ALL) is None
    table.rounds.close("a")
    assert table.store.open_round("a") is None


def test_trouble_found_by_one_start_stops_the_next_of_the_same_pass(tmp_path: Path) -> None:
    """Eight rows may begin at once; the machine refuses the first, so it is asked once more and then a person is."""
    project = Scratch(tmp_path)
    project.configure(slots=8, workspace={"copy": ["missing.env"]})
    project.plans(**{f"t{n}": "ok" for n in range(8)})
    done = project.dispatch()
    assert project.state("halt") is None, done
    begun = [event for event in project.events() if event["event"] == "begin"]
    assert len(begun) == 1, project.story()
    assert [event["outcome"] for event in project.events() if event["event"] == "result"] == [Outcome.INFRA]


def test_a_power_cut_that_took_the_end_of_a_round_repeats_nothing(tmp_path: Path) -> None:
    """The table was flushed, the fact behind it was not, and the marker's removal was not either."""
    scratch = Scratch(tmp_path / "project")
    scratch.plans(a="ok", b="wrong")
    scratch.configure(retry={"repairs": 0, "restarts": 0})
    scratch.dispatch()
    assert scratch.settle() == {"a": "DONE", "b": "FAILED"}
    before = scratch.starts()
    store = scratch.root / ".agentjobs"
    for task_id in "ab":
        (store / f"attempts/{task_id}/settled-1.json").write_bytes(b"")
        (store / f"attempts/{task_id}/001/result.json").write_bytes(b"")
        (store / f"active/{task_id}").write_text('{"round": 1}')
    assert scratch.poll().code == 2
    assert scratch.statuses() == {"a": "DONE", "b": "FAILED"}
    assert scratch.starts() == before
    assert not list((store / "active").iterdir())
    # What a person asks for afterwards is a new round all the same.
    scratch.run("retry", "b", code=0)
    scratch.settle()
    assert scratch.starts()["b"] == before["b"] + 1
