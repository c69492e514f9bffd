"""Checks that check nothing: `check` names them before they let work through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.checkup import commands as commanddoubts
from agentjobs.core.gate import Batch, Case
from agentjobs.model.facts import Intent, Mode
from agentjobs.model.tasks import Row, Status
from agentjobs.project.project import Project as Opened
from agentjobs.prompts import briefing

if TYPE_CHECKING:
    from tests.kit.harness import Project


PROOOF = "AGENTJOBS_ROW_PROOOF is never set, as the table has no such column; did you mean AGENTJOBS_ROW_PROOF?"


def verify(project: Project, *commands: str, **more: Any) -> None:
    project.configure({"profiles": {"default": {"verify": list(commands), **more}}})


def findings(project: Project, *args: str) -> list[str]:
    said = project.run("check", *args).stderr.splitlines()
    return [line.removeprefix("agentjobs: ") for line in said if "never set" in line or "always fails" in line]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("test -s $AGENTJOBS_FILE", "AGENTJOBS_FILE is never set; did you mean AGENTJOBS_FILES?"),
        ('test -n "${AGENTJOBS_TAKS}"', "AGENTJOBS_TAKS is never set; did you mean AGENTJOBS_TASK?"),
        ("test $AGENTJOBS_X=y", "AGENTJOBS_X is never set"),
        ("test ${AGENTJOBS_X:?no} = y", "AGENTJOBS_X is never set"),
        ("test -n $AGENTJOBS_VERDICT", "AGENTJOBS_VERDICT is never set"),
        ("test -z $AGENTJOBS_ROW_PROOOF", PROOOF),
        ("python3 -c 'import os; os.environ[\"AGENTJOBS_files\"]'", "AGENTJOBS_files is never set"),
        ("${AGENTJOBS_ROW_OUT:-true}", ""),
        ("test ${AGENTJOBS_X-y} = y", ""),
        ("AGENTJOBS_X=1 sh -c 'test $AGENTJOBS_X'", ""),
        ("export AGENTJOBS_X=1; test $AGENTJOBS_X", ""),
        ("env | grep -v AGENTJOBS_ROW_", ""),
        ("test $AGENTJOBS_ROW_PROOF$AGENTJOBS_ROW_NOTE -a ${#AGENTJOBS_FILES}", ""),
    ],
)  # fmt: skip
def test_variables_that_nobody_sets_are_errors(project: Project, command: str, said: str) -> None:
    verify(project, command)
    project.rows({"id": "a", "proof": "x"})
    found = findings(project)
    assert len(found) == bool(said)
    if said:
        assert f"profiles.default.verify: {said}" in found[0]
        assert found[0].startswith("agentjobs.toml:")
    project.configure({"profiles": {"default": {"verify": ["true"]}}})
    project.rows({"id": "a", "proof": "x", "verify": command}, {"id": "b", "verify": command, "status": "DONE"})
    told = [line.partition(": verify of 'a': ")[2] for line in findings(project)]
    assert [line.startswith(said) for line in told] == [True] * bool(said)


def test_each_place_has_its_own_variables(project: Project) -> None:
    verify(project, "true")
    project.rows({"id": "a"})
    project.configure(landing={"gate": ["test $AGENTJOBS_TASKS", "test $AGENTJOBS_TASK"], "batch": 4})
    assert [line.partition(": ")[2] for line in findings(project)] == [
        "landing.gate: AGENTJOBS_TASK is never set; did you mean AGENTJOBS_TASKS?"
    ]
    project.configure(landing={"gate": ["test $AGENTJOBS_TASK"], "batch": 1})
    assert findings(project) == []
    project.configure(workspace={"setup": "echo $AGENTJOBS_ROOOT"})
    assert "workspace.setup: AGENTJOBS_ROOOT is never set; did you mean AGENTJOBS_ROOT?" in findings(project)[0]


def test_the_names_it_knows_are_those_there_are(project: Project) -> None:
    project.rows({"id": "a", "files": "x"})
    opened = Opened(project.root)
    opened.file.load()
    intent = Intent(id="a", number=1, round=1, mode=Mode.FIRST, profile="default", agent="fake", started_at=0.0, why="")
    row = Row("a", 2, Status.TODO, files=("x",), cells={"id": "a"})
    there = briefing.environment(opened, row, intent, Path("x"), "verify")
    prefix = "AGENTJOBS_"
    assert {name.removeprefix(prefix) for name in there if name.startswith(prefix)} == commanddoubts.STEP | {"ROW_ID"}
    gate = briefing.gate_environment(opened, intent, Batch(case=Case(), tip="x"))
    assert {name.removeprefix(prefix) for name in gate if name.startswith(prefix)} == commanddoubts.GATE


def test_programs_that_are_not_there_are_named(project: Project) -> None:
    (project.root / "there.sh").write_text("#!/bin/sh\n")
    (project.root / "there.sh").chmod(0o755)
    fine = ["test -s x", "if true; then :; fi", "! grep x y", "A=1 sh -c x", "./there.sh", "[ -n x ]", "(cd x && y)",
            "$AGENTJOBS_PYTHON -m x", "true;false", ". ./x", "export A=1; true"]  # fmt: skip
    verify(project, *fine, "no-such-program --x", "A=b ./not-there.sh")
    project.rows({"id": "a"})
    assert [line.partition(": ")[2] for line in findings(project)] == [
        f"{kind}profiles.default.verify: {word!r} is neither on PATH nor an executable file: it always fails"
        for kind, word in (("", "no-such-program"), ("warning: ", "./not-there.sh"))  # a task may make a file
    ]
    project.configure(workspace={"setup": "true"})
    assert ["no-such-program" in line for line in findings(project)] == [True], "setup may make files, no programs"


def green(project: Project) -> list[str]:
    done = project.run("check", "--baseline", code=0)
    return [line.partition(": warning: ")[2] for line in done.stderr.splitlines() if "before any work" in line]


def test_rows_whose_checks_pass_before_any_work_are_named(project: Project) -> None:
    (project.root / "b.txt").write_text("ok\n")
    project.git("add", "b.txt")
    project.git("commit", "-qm", "b is there")
    verify(project, 'grep -qs ok "$AGENTJOBS_TASK.txt"', "test -e README")
    project.rows({"id": "a"}, {"id": "b"}, {"id": "c", "verify": "true"}, {"id": "d", "verify": "test -e d.txt"},
                 {"id": "e", "verify": "true", "status": "DONE"})  # fmt: skip
    assert green(project) == [
        f"all checks of {id_} pass before any work: they cannot prove that it was done" for id_ in ("b", "c")
    ]
    assert not (project.root / ".agentjobs" / "baseline" / "tree").exists()
    assert json.loads(project.run("check", "--json", code=0).stdout)["findings"] is not None


def test_a_test_suite_may_be_green_before(project: Project) -> None:
    verify(project, "test -e README")
    project.rows({"id": "a"})
    assert green(project) == []
    verify(project, "test -n $AGENTJOBS_TASK", require_change=False)
    assert green(project) == []


def test_what_one_row_leaves_is_not_there_for_the_next(project: Project) -> None:
    verify(project, "test -e left-$AGENTJOBS_TASK || { touch left-a left-b; false; }")
    project.rows({"id": "a"}, {"id": "b"})
    assert green(project) == []
