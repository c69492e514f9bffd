"""A table that is being written: what is cut off is not gone, and what a person left without a line end counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.files import write_bytes
from agentjobs.table.file import TaskFile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project

TABLE = b"id\tstatus\tattempt\n" + b"".join(b"t%d\tIN_PROGRESS\t1\n" % n for n in range(10, 14))


@pytest.mark.sample(2)
@pytest.mark.parametrize("where", ["empty", "header", "id", "status", "middle", "end"])
def test_a_poll_that_meets_half_a_table_ends_nobody(project: Project, where: str) -> None:
    project.rows(*({"id": f"t1{n}", "plan": "sleep:0.3,ok", "note": ""} for n in range(3)), columns=["id", "status"])
    project.dispatch()
    whole = (project.root / "tasks.tsv").read_bytes()
    last = whole.rindex(b"t12")
    at = {"empty": 0, "header": 4, "id": last + 2, "status": last + 6, "middle": whole.index(b"t11") + 5}
    (project.root / "tasks.tsv").write_bytes(whole[: at.get(where, len(whole) - 1)])
    done = project.poll(code=1 if where == "empty" else 0)
    assert ("no header" if where == "empty" else "as if it were being written") in done.stderr
    (project.root / "tasks.tsv").write_bytes(whole)
    assert project.settle() == {"t10": "DONE", "t11": "DONE", "t12": "DONE"}
    assert project.starts() == {"t10": 1, "t11": 1, "t12": 1}


def test_a_row_that_a_person_took_out_is_gone_at_the_second_look(project: Project) -> None:
    project.plans(a="ok", b="hang")
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 2)
    lines = (project.root / "tasks.tsv").read_text().splitlines()
    (project.root / "tasks.tsv").write_text("\n".join(lines[:2]))  # an editor that writes no last line end
    project.poll(code=0)
    assert project.events()[-1]["event"] != "end"
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}
    assert not project.processes()


def test_a_run_takes_a_table_without_a_last_line_end_as_it_is(project: Project) -> None:
    project.plans(a="ok", b="hang")
    running = project.start("run")
    project.wait_for(lambda: project.ledger() and project.statuses().get("a") == "DONE")
    text = (project.root / "tasks.tsv").read_text()
    (project.root / "tasks.tsv").write_text(text.replace("IN_PROGRESS", "SKIPPED").rstrip("\n"))
    assert running.wait(60) == 2
    assert project.statuses() == {"a": "DONE", "b": "SKIPPED"}


def test_dispatch_takes_it_at_once(project: Project) -> None:
    project.plans(a="ok")
    assert project.settle() == {"a": "DONE"}
    with (project.root / "tasks.tsv").open("a") as file:
        file.write("b\tok")
    project.dispatch()
    assert project.settle() == {"a": "DONE", "b": "DONE"}


@pytest.mark.parametrize("size", [0, 10, len(TABLE) - 20, len(TABLE) - len(b"t13\tIN_PROGRESS\t1\n"), len(TABLE) - 1])
def test_what_is_still_being_written_is_read_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path, base = tmp_path / "tasks.tsv", tmp_path / "table.tsv"
    write_bytes(base, TABLE)
    path.write_bytes(TABLE[:size])
    monkeypatch.setattr(time, "sleep", lambda _: path.write_bytes(TABLE))  # the writer goes on meanwhile
    file = TaskFile(path, base)
    edits = file.load()
    assert edits is not None
    assert (edits.gone, edits.new, edits.stale, edits.wishes) == ((), (), (), {})
    assert file.table.data == TABLE


def test_a_table_that_is_cut_off_is_taken_for_unfinished_once(tmp_path: Path) -> None:
    path, base, memory = tmp_path / "tasks.tsv", tmp_path / "table.tsv", tmp_path / "table.cut"
    write_bytes(base, TABLE)
    path.write_bytes(TABLE[:-9])
    assert [TaskFile(path, base).unfinished(memory) for _ in range(3)] == [True, False, False]
    path.write_bytes(TABLE[:-4])
    assert TaskFile(path, base).unfinished(memory), "another content is looked at anew"
    for data in (TABLE, TABLE[:20] + b"\n"):
        path.write_bytes(data)
        assert not TaskFile(path, base).unfinished(memory)
    write_bytes(base, TABLE[:-1])
    path.write_bytes(TABLE[:-1])
    assert not TaskFile(path, base).unfinished(memory), "it is as we wrote it"
