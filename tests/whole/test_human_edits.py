"""People and sed write tasks.tsv while agents run: what they mean is done, what they wrote is kept."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import LONG_S

if TYPE_CHECKING:
    from tests.kit.harness import Project


def test_failed_back_to_todo_is_a_new_round(project: Project) -> None:
    project.configure(retry={"repairs": 0, "restarts": 0})
    project.plans(a="same,ok", b="ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}
    project.edit("a", status="TODO")
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}
    assert project.starts() == {"a": 2, "b": 1}
    project.edit("b", status="")
    assert project.poll().code == 0
    assert project.loop().last == 2
    assert project.starts()["b"] >= 2, "an emptied status is TODO"


def test_done_by_hand_is_accepted_and_never_started(project: Project) -> None:
    project.configure(slots=1)
    project.rows(
        {"id": "a", "plan": "ok", "status": "DONE"},
        {"id": "b", "plan": "hang"},
        {"id": "c", "plan": "ok", "after": "b"},
        {"id": "d", "plan": "ok"},
    )
    project.dispatch()
    project.wait_for(lambda: project.ledger())
    project.edit("b", status="DONE")
    project.edit("d", status="SKIPPED")
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE", "c": "DONE", "d": "SKIPPED"}, project.story()
    assert project.starts() == {"b": 1, "c": 1}
    assert project.outcomes("b") == ["stopped"]
    assert "by hand" in project.table()["b"]["note"]
    assert not project.processes()


def test_skipped_while_it_runs_is_ended_and_its_work_is_kept(project: Project) -> None:
    project.plans(a="stubborn", b="ok", c="sleep:0.5")
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3)
    project.edit("a", status="SKIPPED")
    assert project.loop().last == 2
    assert project.statuses() == {"a": "SKIPPED", "b": "DONE", "c": "DONE"}
    assert not project.processes()
    assert project.tree("a").is_dir()
    project.edit("a", status="TODO", plan="ok")
    assert project.loop().last == 2
    assert project.statuses()["a"] == "DONE"


def test_a_row_that_is_removed_is_stopped_and_may_come_back(project: Project) -> None:
    project.plans(a="hang,ok", b="ok", c="sleep:0.3")
    table = project.root / "tasks.tsv"
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3)
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("a\t")))
    assert project.loop().last == 2
    assert project.statuses() == {"b": "DONE", "c": "DONE"}, project.story()
    assert not project.processes()
    with table.open("a") as file:
        file.write("a\thang,ok\n")
    assert project.loop().last == 2
    assert project.statuses() == {"b": "DONE", "c": "DONE", "a": "DONE"}, project.story()


@pytest.mark.parametrize("how", ["plan", "poll and plan", "by hand", "delete the table"])
def test_a_failed_row_that_is_removed_and_planned_anew_starts_afresh(project: Project, how: str) -> None:
    project.configure(retry={"repairs": 0, "restarts": 0})
    project.plans(a="same", b="ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}
    table = project.root / "tasks.tsv"
    lines = table.read_text().splitlines(keepends=True)
    rows = '{"id": "a", "plan": "ok"}\n{"id": "b", "plan": "ok"}\n'
    if how == "delete the table":
        table.unlink()
    else:
        table.write_text("".join(line for line in lines if not line.startswith("a\t")))
    if how in {"poll and plan", "by hand"}:
        assert project.poll().code == 2
    if how == "by hand":
        with table.open("a") as file:
            file.write("a\tok\n")
    else:
        project.run("plan", "rows", code=0, stdin=rows)
    assert project.loop().last == 2
    assert project.statuses() == {"b": "DONE", "a": "DONE"}, project.story()
    assert project.outcomes("a") == ["verify_failed", "ok"], "the old attempt is kept"
    assert project.starts() == {"a": 2, "b": 1}, "what is DONE stays DONE"
    assert project.table()["a"]["attempt"] == "2"


def test_an_old_copy_of_the_table_starts_nothing_again(project: Project) -> None:
    project.plans(a="ok", b="ok", c="same")
    project.configure(retry={"repairs": 0, "restarts": 0})
    table = project.root / "tasks.tsv"
    old = table.read_bytes()
    project.settle()
    new = table.read_bytes()
    table.write_bytes(old)
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE", "c": "FAILED"}
    assert project.starts() == {"a": 1, "b": 1, "c": 1}
    (project.root / ".agentjobs" / "table.tsv").unlink()
    table.write_bytes(old)
    assert project.loop().last == 2
    assert project.starts() == {"a": 1, "b": 1, "c": 1}
    assert project.statuses() == {"a": "DONE", "b": "DONE", "c": "FAILED"}, new


def test_rows_priorities_comments_and_columns_added_while_it_runs(project: Project) -> None:
    project.configure(slots=1)
    project.rows({"id": "a", "plan": "sleep:0.4"}, {"id": "b", "plan": "ok"})
    table = project.root / "tasks.tsv"
    project.dispatch()
    text = table.read_text()
    lines = text.splitlines()
    lines[0] += "\tmine"
    lines.insert(1, "# remember: a is slow")
    lines.insert(3, "")
    lines.append("z\tok")
    table.write_text("\r\n".join(lines) + "\r\n")
    assert project.loop().last == 2
    after = table.read_bytes()
    assert b"# remember: a is slow\r\n" in after
    assert b"\r\n\r\n" in after
    assert after.count(b"\n") == after.count(b"\r\n")
    assert set(project.statuses().values()) == {"DONE"}
    assert list(project.statuses()) == ["a", "b", "z"]
    assert "mine" in project.table()["a"]


@pytest.mark.slow
def test_a_storm_of_sed_against_polls_loses_nothing(project: Project) -> None:
    """300 runs of `sed -i`, each changing another row's own column, while polls rewrite the table."""
    count, runs = 300, 8
    project.configure(slots=2, landing={"enabled": False})
    rows = [{"id": f"run{n}", "plan": "ok", "mine": "-"} for n in range(runs)]
    rows += [{"id": f"row{n:03}", "plan": "ok", "mine": "-", "status": "SKIPPED"} for n in range(count)]
    project.rows(*rows, columns=["status"])
    project.dispatch()
    over = threading.Event()
    codes: list[int] = []

    def polls() -> None:
        while not over.is_set():
            codes.append(project.poll("--wait", "0.3").code)

    poller = threading.Thread(target=polls)
    poller.start()
    script = (
        f'for n in $(seq 0 {count - 1}); do i=$(printf "row%03d" $n); '
        f'sed -i "s/^\\($i\\t[^\\t]*\\t[^\\t]*\\t\\)-/\\1edit-$n/" tasks.tsv; done'
    )
    try:
        subprocess.run(["bash", "-c", script], cwd=project.root, check=True, timeout=LONG_S)
    finally:
        over.set()
        poller.join()
    assert set(codes) <= {0, 2}, codes
    assert project.loop().last == 2
    table = project.table()
    assert len(table) == count + runs
    lost = [n for n in range(count) if table[f"row{n:03}"]["mine"] != f"edit-{n}"]
    assert not lost, f"{len(lost)} edits lost"
    wrong = {i: cells["status"] for i, cells in table.items() if i.startswith("run") and cells["status"] != "DONE"}
    assert not wrong, wrong
    assert {cells["status"] for i, cells in table.items() if i.startswith("row")} == {"SKIPPED"}
    assert project.starts() == {f"run{n}": 1 for n in range(runs)}


@pytest.mark.slow
def test_a_storm_of_wishes(project: Project) -> None:
    """A person skips here and there while polls write; each wish is granted, each other task is done once."""
    project.configure(slots=6, landing={"enabled": False})
    project.rows(*({"id": f"t{n:02}", "plan": "sleep:0.2"} for n in range(16)), columns=["status"])
    project.dispatch()
    started = project.start("poll", "--wait", "30")
    skipped = [f"t{n:02}" for n in range(15, 3, -3)]
    for task_id in skipped:
        project.edit(task_id, status="SKIPPED")
    started.wait(LONG_S)
    assert project.loop().last == 2
    statuses = project.statuses()
    assert {i for i, status in statuses.items() if status == "DONE"} >= statuses.keys() - set(skipped)
    assert set(statuses.values()) <= {"DONE", "SKIPPED"}, project.story()
    assert all(count == 1 for count in project.starts().values())
