"""``pause`` and ``go``: no agent starts, what runs is finished, and the file may be made by anybody."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project


def paused_file(project: Project) -> Path:
    return project.root / ".agentjobs" / "paused"


def let_pass(project: Project) -> None:
    """Let the end of the pause pass."""
    path = paused_file(project)
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"until": "2001-01-01T00:00:00Z"}))


def test_what_runs_is_finished_and_lands_and_nothing_starts_until_go(project: Project) -> None:
    project.configure(slots=1)
    project.plans(a="@go ok", b="ok")
    project.dispatch()
    said = project.run("pause", "--why", "the machine is needed", code=0).stdout
    assert ": the machine is needed (no agent starts; `agentjobs go` continues)" in said
    project.open()
    project.poll_until(lambda: project.statuses()["a"] == "DONE")
    polled = project.poll(code=0)
    assert polled.stderr.startswith("agentjobs: paused by ")
    assert "the machine is needed" in polled.stderr
    assert project.statuses() == {"a": "DONE", "b": ""}
    assert project.starts() == {"a": 1}
    shown = project.run("status", code=0).stdout
    assert "paused by " in shown
    assert "`agentjobs go` continues" in shown
    assert json.loads(project.run("status", "--json", code=0).stdout)["paused"]["why"] == "the machine is needed"
    assert "paused by " in project.dispatch().stderr
    assert project.run("go", code=0).stdout == "the pause is over; agents start with the next poll\n"
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}
    assert project.run("go", code=0).stderr == "agentjobs: nobody has paused the run\n"


def test_a_poll_in_a_pause_waits_as_long_as_it_is_asked_to_and_does_nothing(project: Project) -> None:
    project.configure(slots=1)
    project.plans(a="@go ok", b="ok")
    project.dispatch()
    project.run("pause", code=0)
    project.open()
    project.poll_until(lambda: project.statuses()["a"] == "DONE")
    began = time.monotonic()
    made = json.loads(project.poll("--wait", "1.5", "--json", code=0).stdout)
    assert time.monotonic() - began >= 1.5
    assert (made["acted"], made["running"], made["until"]) == (0, [], None)
    assert project.starts() == {"a": 1}


def test_a_run_waits_for_the_file_to_go_away(project: Project) -> None:
    project.configure(slots=1)
    project.plans(a="@go ok", b="ok")
    project.dispatch()
    paused_file(project).touch()
    run = project.start("run")
    try:
        project.open()
        project.wait_for(lambda: project.statuses()["a"] == "DONE")
        assert run.poll() is None
        assert project.statuses()["b"] == ""
        paused_file(project).unlink()
        assert run.wait(60) == 2
    finally:
        run.kill()
        run.wait()
    assert project.statuses() == {"a": "DONE", "b": "DONE"}


def test_a_pause_ends_by_itself(project: Project) -> None:
    project.plans(a="@go ok")
    project.dispatch()
    assert " until 20" in project.run("pause", "--until", "2h", code=0).stdout
    made = project.run("poll", "--json", code=0).stdout
    assert json.loads(made)["code"] == 0
    let_pass(project)
    assert "paused" not in project.run("status", code=0).stdout
    project.open()
    assert project.loop().last == 2


def test_an_agent_whose_setup_has_just_ended_waits_too(project: Project) -> None:
    setup = f"until [ -e {project.directory}/ready ]; do sleep 0.05; done"
    project.configure(workspace={"setup": setup})
    project.plans(a="ok")
    project.dispatch()
    project.run("pause", code=0)
    project.open("ready")
    project.poll_until(lambda: "setup.exit" in project.attempts("a")[0])
    project.poll(code=0)
    assert project.starts() == {}
    project.run("go", code=0)
    assert project.loop().last == 2
    assert project.outcomes("a") == ["ok"]


def test_a_script_may_write_the_file_and_its_author_is_named(project: Project) -> None:
    project.plans(a="ok")
    project.dispatch()
    paused_file(project).write_text('{"by": "the chat bot", "until": "2100-01-31T07:00:00+01:00"}\n')
    shown = project.run("status", code=0).stdout
    assert "paused by the chat bot since " in shown
    assert " until 2100-01-31 " in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("until 7\n", "JSON is malformed"),
        ('{"untill": "2100-01-31T07:00:00Z"}', "unknown field `untill`"),
        ('{"until": "tomorrow"}', "Invalid RFC3339"),
        ("\udcff", "agentjobs: .agentjobs/paused: "),
    ],
)
def test_a_file_that_is_not_understood_starts_nothing(project: Project, content: str, said: str) -> None:
    project.configure(slots=1)
    project.plans(a="@go ok", b="ok")
    project.dispatch()
    paused_file(project).write_bytes(content.encode("utf-8", "surrogateescape"))
    for command in ("poll", "run", "status"):
        stderr = project.run(command, code=1).stderr
        assert stderr.startswith("agentjobs: .agentjobs/paused: "), stderr
        assert said in stderr
        assert stderr.count("\n") == 1
    assert project.run("go", code=0).stdout
    project.open()
    assert project.loop().last == 2


def test_wrong_usage_is_named(project: Project) -> None:
    project.plans(a="ok")
    assert "nothing is in play yet" in project.run("pause", code=1).stderr
    assert "--until 'never' is not a time" in project.run("pause", "--until", "never", code=64).stderr
    assert "--until '2001-01-31' is not a time" in project.run("pause", "--until", "2001-01-31", code=64).stderr
