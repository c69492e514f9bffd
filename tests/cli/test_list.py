"""``list``: one line per task, with filters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit.harness import Project

NO_RETRY = {"resumes": 0, "repairs": 0, "restarts": 0}


def listed(project: Project, *argv: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in json.loads(project.run("list", *argv, "--json", code=0).stdout)}


def mixed(project: Project) -> None:
    """Leave a task DONE, one FAILED, one running, one that waits for it, one that waits for a slot, one blocked."""
    project.configure(slots=1, retry=NO_RETRY)
    project.rows(
        {"id": "good", "plan": "ok", "kind": "x", "priority": 9, "after": ""},
        {"id": "bad", "plan": "wrong", "kind": "y", "priority": 8, "after": ""},
        {"id": "runs", "plan": "@go ok", "kind": "x", "priority": 7, "after": ""},
        {"id": "next", "plan": "ok", "kind": "y", "priority": 0, "after": "runs"},
        {"id": "later", "plan": "ok", "kind": "x y", "priority": 0, "after": ""},
        {"id": "behind", "plan": "ok", "kind": "", "priority": 0, "after": "bad"},
    )
    project.dispatch()
    project.poll_until(lambda: project.starts()["runs"] == 1 and project.statuses()["bad"] == "FAILED")


def test_each_task_says_what_it_does_or_waits_for(project: Project) -> None:
    mixed(project)
    found = listed(project)
    assert [(i, one["status"], one["state"]) for i, one in found.items()] == [
        ("good", "DONE", "done"),
        ("bad", "FAILED", "failed"),
        ("runs", "IN_PROGRESS", "agent runs"),
        ("next", "TODO", "waits"),
        ("later", "TODO", "waits"),
        ("behind", "TODO", "blocked"),
    ]
    assert "check 1 failed" in found["bad"]["why"]
    assert [found[i]["why"] for i in ("next", "later", "behind")] == [
        "for runs to be DONE", "for its turn", "behind bad",
    ]  # fmt: skip
    assert (found["runs"]["attempt"], found["runs"]["mode"]) == (1, "first")
    assert (found["good"]["cost"], found["good"]["tokens"], found["good"]["cost_partial"]) == (0.01, 100, False)
    assert found["good"]["seconds"] >= 0
    assert (found["later"]["cost"], found["later"]["seconds"], found["later"]["attempt"]) == (None, None, 0)
    lines = project.run("list", code=0).stdout.splitlines()
    assert lines[0].split() == ["id", "status", "attempt", "cost", "time", "what"]
    assert lines[1].split()[:4] == ["good", "DONE", "1", "$0.01"]
    assert lines[5].split() == ["later", "TODO", "-", "-", "-", "waits:", "for", "its", "turn"]
    project.run("pause", code=0)
    assert listed(project, "later")["later"]["why"] == "the run is paused (agentjobs go)"
    project.run("stop", code=0)
    assert listed(project, "later")["later"]["why"] == "not in play (agentjobs dispatch)"
    assert listed(project, "runs")["runs"]["state"] == "waits"


@pytest.mark.parametrize(
    ("argv", "ids"),
    [
        (("--failed",), "bad"),
        (("--status", "done", "--failed"), "good bad"),
        (("--status", "TODO"), "next later behind"),
        (("--where", "kind=x"), "good runs"),
        (("--where", "kind=x y"), "later"),
        (("--where", "kind=x", "--where", "kind="), "good runs behind"),
        (("--where", "kind=x", "--where", "status=DONE"), "good"),
        (("--where", "profile=default", "--failed"), "bad"),
        (("--where", "profile=other"), ""),
        (("later", "good"), "good later"),
        (("later", "good", "--failed"), ""),
    ],
)
def test_filters_are_combined(project: Project, argv: tuple[str, ...], ids: str) -> None:
    project.rows(
        {"id": "good", "status": "DONE", "kind": "x"},
        {"id": "bad", "status": "FAILED", "kind": "y"},
        {"id": "runs", "status": "SKIPPED", "kind": "x"},
        {"id": "next", "status": "", "kind": "y"},
        {"id": "later", "status": "TODO", "kind": "x y"},
        {"id": "behind", "status": "", "kind": ""},
    )
    assert list(listed(project, *argv)) == ids.split()


def test_only_the_tasks_of_a_phase(project: Project) -> None:
    profile = {"agent": "fake", "verify": ["true"]}
    project.configure(phases=["one", "two"], profiles={"one": profile, "two": profile})
    project.rows({"id": "a", "profile": "one"}, {"id": "b", "profile": "two"}, {"id": "c", "profile": ""})
    assert list(listed(project, "--phase", "two")) == ["b"]
    assert list(listed(project, "--phase", "two", "--phase", "one")) == ["a", "b"]
    assert list(listed(project, "--phase", "two", "--where", "profile=one")) == []


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("x",), 1, "no task 'x'"),
        (("--where", "knid=x"), 1, "no column 'knid' in tasks.tsv; did you mean \"kind\"?"),
        (("--where", "kind"), 64, "write COLUMN=VALUE"),
        (("--status", "OPEN"), 64, "'OPEN' is not one of"),
    ],
)
def test_what_is_not_there_is_named(project: Project, argv: tuple[str, ...], code: int, said: str) -> None:
    project.rows({"id": "a", "kind": "x"})
    assert said in project.run("list", *argv, code=code).stderr
