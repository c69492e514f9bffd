"""``slots``: more or fewer agents at once, while a run goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.harness import Project


def test_a_run_at_work_takes_the_new_number(project: Project) -> None:
    project.configure(slots=1)
    project.plans(a="@go ok", b="@go ok", c="@go ok", d="@go ok")
    project.dispatch()
    run = project.start("run")
    try:
        assert project.run("slots", code=0).stdout == "1, from agentjobs.toml\n"
        assert project.run("slots", "3", code=0).stdout == "3, set by `agentjobs slots` (agentjobs.toml has 1)\n"
        project.wait_for(lambda: len(project.starts()) == 3)
        assert "slots: 3, set by `agentjobs slots` (agentjobs.toml has 1)" in project.run("status", code=0).stdout
        found = json.loads(project.run("status", "--json", code=0).stdout)
        assert (found["slots"], found["slots_of_policy"], len(found["running"])) == (3, 1, 3)
        assert project.run("slots", "--default", code=0).stdout == "1, from agentjobs.toml\n"
        assert "slots:" not in project.run("status", code=0).stdout
        project.open()
        assert run.wait(60) == 2
    finally:
        run.kill()
        run.wait()
    assert set(project.statuses().values()) == {"DONE"}


def test_a_lower_number_ends_nothing_and_starts_nothing(project: Project) -> None:
    project.configure(slots=2)
    project.plans(a="@go ok", b="@other ok", c="ok")
    project.dispatch()
    project.wait_for(lambda: len(project.starts()) == 2)
    (project.root / ".agentjobs" / "slots").write_text("1\n")
    project.open()
    project.poll_until(lambda: project.statuses()["a"] == "DONE")
    project.poll(code=0)
    assert project.starts() == {"a": 1, "b": 1}
    project.open("other")
    assert project.loop().last == 2


def test_it_may_be_set_before_the_first_dispatch(project: Project) -> None:
    project.plans(a="@go ok", b="@go ok")
    project.run("slots", "1", code=0)
    assert "nothing is in play yet" in project.poll(code=1).stderr
    project.dispatch()
    assert len([s for s in project.statuses().values() if s == "IN_PROGRESS"]) == 1
    project.open()
    assert project.loop().last == 2


@pytest.mark.parametrize("content", ["", "0\n", "-1", "many", "1.5", "9" * 400])
def test_a_file_that_is_not_a_number_is_named(project: Project, content: str) -> None:
    project.plans(a="ok")
    project.run("slots", "1", code=0)
    (project.root / ".agentjobs" / "slots").write_text(content)
    for command in ("dispatch", "status", "slots"):
        stderr = project.run(command, code=1).stderr
        assert stderr.startswith("agentjobs: .agentjobs/slots: "), stderr
        assert "is not a number of slots" in stderr
        assert stderr.count("\n") == 1
    project.run("slots", "--default", code=0)
    assert project.settle() == {"a": "DONE"}


@pytest.mark.parametrize("argv", [("0",), ("x",), ("2", "--default")])
def test_wrong_usage_is_named(project: Project, argv: tuple[str, ...]) -> None:
    project.run("slots", *argv, code=64)
