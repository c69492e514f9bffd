"""Phases under odd plans, odd rows and odd wishes: each ends, and says what a person is to do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.run.phases.test_phases import PLAN, pipeline, plans, row

if TYPE_CHECKING:
    from pathlib import Path


def printing(text: str) -> str:
    """Return a plan that prints what the file beside the project holds."""
    return PLAN + f"cat ../{text}"


def test_a_plan_that_wants_to_run_again_ends_where_its_rows_are_blocked(tmp_path: Path) -> None:
    rows = [row("r1", "read", plan="same"), row("r2", "read", after="r1")]
    project = pipeline(tmp_path, read={"rows": rows, "again": True})
    project.configure({"retry": {"repairs": 0, "restarts": 0}})
    assert project.settle() == {"r1": "FAILED", "r2": "TODO"}
    assert len(plans(project)) == 2, "once, and once more when nothing of it could go on"


def test_a_byte_order_mark_on_a_line_of_its_own_is_nothing(tmp_path: Path) -> None:
    project = pipeline(tmp_path, read={"plan": printing("rows")})
    (tmp_path / "rows").write_text("\ufeff\n" + json.dumps(row("a", "read")), encoding="utf-8")
    assert project.settle() == {"a": "DONE"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("r1", "read", after="w1")], 'rows.jsonl:1: after names "w1" of a later phase: neither ever begins'),
        ([row("r1", "read", profile="write")], "none of the rows that it printed is of this phase"),
        ([row("r1", "read", text="x" * 5000)], "it printed more than 4KiB (limits.output)"),
    ],
)
def test_rows_that_would_wait_for_ever_or_help_nobody_are_told(
    tmp_path: Path, rows: list[dict[str, str]], words: str
) -> None:
    project = pipeline(tmp_path, read={"rows": rows}, write={})
    project.configure({"limits": {"output": "4KiB"}})
    project.rows({**row("w1", "write"), "profile": "write"}, columns=["id", "status", "profile", "after"])
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert words in looped.stderr


def test_a_plan_cannot_begin_its_phase_anew(tmp_path: Path) -> None:
    again = f"{sys.executable} -m agentjobs retry --phase read 2>../said; " + f"echo '{json.dumps(row('a', 'read'))}'"
    project = pipeline(tmp_path, read={"plan": PLAN + again})
    assert project.settle() == {"a": "DONE"}
    assert len(plans(project)) == 1
    assert "this is called by the plan of phase read" in (tmp_path / "said").read_text()


def test_a_pilot_takes_tasks_of_the_first_phase_first(tmp_path: Path) -> None:
    project = pipeline(tmp_path, read={}, write={})
    project.rows(
        {**row("w1", "write"), "profile": "write", "priority": "9", "output": "write/w1.txt", "status": ""},
        {**row("r1", "read"), "profile": "read", "output": "read/r1.txt"},
    )
    project.dispatch("--only", "1")
    assert project.loop().last == 2
    assert project.statuses() == {"w1": "", "r1": "DONE"}


def test_a_task_in_play_whose_phase_has_not_begun_is_told(tmp_path: Path) -> None:
    project = pipeline(tmp_path, read={}, write={})
    project.rows(
        {**row("w1", "write"), "profile": "write", "output": "write/w1.txt", "status": ""},
        {**row("r1", "read"), "profile": "read", "output": "read/r1.txt"},
    )
    said = "w1 waits for phase read, which is not over and not in play: `agentjobs dispatch --phase read`"
    project.dispatch("w1")
    looped = project.loop()
    assert looped.last == 3
    assert said in looped.stderr
    project.run("retry", "w1", code=0)
    looped = project.loop()
    assert looped.last == 3
    assert said in looped.stderr
    project.dispatch("--phase", "read")
    assert project.loop().last == 2
    assert project.statuses() == {"w1": "DONE", "r1": "DONE"}
