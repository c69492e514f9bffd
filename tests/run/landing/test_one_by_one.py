"""Landing one by one: the queue with one task at a time, without a gate or with ``batch = 1``."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.processes import MARK
from agentjobs.launch import launcher
from agentjobs.project.store import step_files
from tests.kit.harness import Project
from tests.run.landing.test_queue import RED, TOLD, runs

if TYPE_CHECKING:
    from pathlib import Path

COUNTED = 'echo run >>"$AGENTJOBS_ROOT/../runs"; until [ -e "$AGENTJOBS_ROOT/../open" ]; do sleep 0.01; done'
"""A check that notes that it runs, and waits until the test lets it pass."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "p", settings={"slots": 4, "verify_slots": 4})


def checks_run(project: Project) -> int:
    return (project.directory / "runs").read_text().count("run")


def probes(project: Project) -> list[tuple[str, str]]:
    return [(run["probe"], run["result"]) for run in runs(project)]


def let_pass(project: Project) -> None:
    (project.directory / "open").touch()


def test_a_task_that_lands_where_it_was_checked_is_checked_once(project: Project) -> None:
    project.configure(profiles={"default": {"verify": [COUNTED]}})
    let_pass(project)
    project.plans(a="ok")
    assert project.settle() == {"a": "DONE"}
    assert (checks_run(project), runs(project)) == (1, [])


def test_tasks_side_by_side_are_checked_again_where_another_landed_first(project: Project) -> None:
    project.configure(profiles={"default": {"verify": [COUNTED]}})
    project.plans(a="ok", b="ok", c="ok", d="ok")
    project.dispatch()
    project.poll_until(lambda: (project.directory / "runs").exists() and checks_run(project) == 4)
    let_pass(project)
    assert set(project.settle().values()) == {"DONE"}
    assert sorted(project.landings()) == ["a", "b", "c", "d"]
    assert checks_run(project) == 4 + 3
    assert probes(project) == [("single", "ok")] * 3
    assert project.starts() == dict.fromkeys("abcd", 1)
    assert project.processes() == []


def test_a_failure_in_its_own_files_sends_the_task_back_at_once(project: Project) -> None:
    project.configure(landing={"gate": [TOLD], "batch": 1})
    project.plans(a="text:bad,ok")
    assert project.settle() == {"a": "DONE"}
    assert project.outcomes("a") == ["gate_failed", "ok"]
    assert probes(project) == [("single", "gate_failed"), ("single", "ok")]
    assert "error: bad" in project.prompt("a", 2)


def test_a_failure_that_names_no_file_sends_the_task_back_when_it_comes_twice_and_not_without_it(
    project: Project,
) -> None:
    project.configure(landing={"gate": [RED], "batch": 1})
    project.plans(a="text:bad,ok")
    assert project.settle() == {"a": "DONE"}
    assert project.outcomes("a") == ["gate_failed", "ok"]
    red = ("single", "gate_failed")
    assert probes(project) == [red, red, ("tip", "ok"), ("single", "ok")]
    assert "it is red" in project.prompt("a", 2)


def test_without_a_gate_two_that_do_not_go_together_cost_the_second_one_attempt(project: Project) -> None:
    project.configure(profiles={"default": {"verify": [f"{COUNTED}; ! test -e a.txt || ! test -e b.txt"]}})
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0}, limits={"breaker": 0})
    project.plans(a="ok", b="ok")
    project.dispatch()
    project.poll_until(lambda: (project.directory / "runs").exists() and checks_run(project) == 2)
    let_pass(project)
    assert sorted(project.settle().values()) == ["DONE", "FAILED"]
    assert probes(project) == [("single", "gate_failed")] * 2, "nothing checks the target alone"


def test_a_gate_that_fails_once_by_chance_bothers_no_agent(project: Project) -> None:
    fails_once = 'mkdir "$AGENTJOBS_ROOT/../failed-before" && exit 1; exit 0'
    project.configure(landing={"gate": [fails_once], "batch": 1})
    project.plans(a="ok")
    assert project.settle() == {"a": "DONE"}
    assert (project.outcomes("a"), project.starts()) == (["ok"], {"a": 1})
    assert probes(project) == [("single", "gate_failed"), ("single", "ok")]


def test_a_target_that_fails_by_itself_is_no_fault_of_a_task_that_lands_alone(project: Project) -> None:
    project.configure(landing={"gate": ["echo it is red; exit 1"], "batch": 1})
    project.plans(a="ok")
    project.dispatch()
    project.poll_until(lambda: project.state("halt") is not None)
    assert "fails on agentjobs/landed itself" in project.state("halt")["detail"]
    assert project.starts() == {"a": 1}
    assert [probe for probe, _ in probes(project)] == ["single", "single", "tip"]


def test_a_gate_that_prints_nothing_twice_is_no_sign_of_going_in_circles(project: Project) -> None:
    project.configure(landing={"gate": ["! grep -q bad *.txt"], "batch": 1}, retry={"restarts": 0})
    project.plans(a="text:bad,text:bad again,ok")
    assert project.settle() == {"a": "DONE"}
    assert project.outcomes("a") == ["gate_failed", "gate_failed", "ok"]


def test_a_run_for_a_task_that_is_skipped_is_ended_before_anything_else_happens_in_its_tree(project: Project) -> None:
    project.configure(landing={"gate": [COUNTED], "batch": 1})
    project.plans(a="ok", b="ok")
    project.dispatch()
    project.poll_until(lambda: (project.directory / "runs").exists())
    waiting = runs(project)[0]["ids"][0]
    project.run("skip", waiting)
    let_pass(project)
    other = {"a": "b", "b": "a"}[waiting]
    assert project.settle() == {waiting: "SKIPPED", other: "DONE"}
    assert project.landings() == [other]
    assert [run["result"] for run in runs(project)] == ["stopped", "ok"]
    assert project.processes() == []


# --- what versions before the one queue left on disk: a gate as a step of the task's own attempt

FILES = {
    "prepared": (),
    "lost": ("gate.lock", "gate.json"),
    "passed": ("gate.lock", "gate.json", "gate.exit.json"),
    "failed": ("gate.lock", "gate.json", "gate.exit.json"),
    "landed": ("gate.lock", "gate.json", "gate.exit.json"),
    "running": (),
}


def older_gate(project: Project, state: str) -> None:
    """Write the separate gate that older versions ran for the verified task a, and move the target."""
    base = project.git("rev-parse", "main")
    tip = project.git("commit-tree", "-p", base, "-m", "somebody else", f"{base}^{{tree}}")
    project.git("update-ref", "refs/heads/agentjobs/landed", tip)
    attempt_dir = project.root / ".agentjobs/attempts/a/001"
    verified = json.loads((attempt_dir / "verify.plan.json").read_text())["commit"]
    merged = project.git(
        "commit-tree", "-p", tip, "-m", project.git("log", "-1", "--format=%B", verified), f"{verified}^{{tree}}"
    )
    facts = {
        "gate.lock": "",
        "gate.json": '{"pid":999999,"start":"1","boot":"0","mark":"0123456789ab.a.1"}',
        "gate.exit.json": json.dumps({"code": int(state == "failed")}),
        "gate.1.check": "true\n",
        "gate.plan.json": json.dumps({"commit": merged, "parent": tip, "checks": ["true"], "at": 1.0}),
    }
    for name in ("gate.1.check", "gate.plan.json", *FILES[state]):
        (attempt_dir / name).write_text(facts[name])
    if state == "landed":
        project.git("update-ref", "refs/heads/agentjobs/landed", merged)
    if state == "running":
        launcher.start(
            step_files(attempt_dir, "gate"), argv=("sh", "-c", COUNTED), cwd=str(project.tree("a")), stdin=None,
            file_size=1 << 30,
            env={**os.environ, "AGENTJOBS_ROOT": str(project.root), MARK: "0123456789ab.a.1"},
        )  # fmt: skip


@pytest.mark.parametrize("state", FILES)
def test_a_gate_of_an_older_version_is_read_and_the_work_lands_once(project: Project, state: str) -> None:
    project.configure(landing={"approve": True})
    project.plans(a="ok")
    project.dispatch()
    project.poll_until(lambda: project.statuses()["a"] == "LANDING")
    older_gate(project, state)
    project.configure(landing={"approve": False})
    if state == "running":
        project.poll(code=0)
        assert runs(project) == [], "nothing else happens in the tree as long as it runs"
        let_pass(project)
    assert project.settle() == {"a": "DONE"}
    assert (project.landings(), project.outcomes("a")) == (["a"], ["ok"])
    assert project.starts() == {"a": 1}
    assert project.git("rev-list", "--count", "main..agentjobs/landed") == "2"
    assert probes(project) == [("single", "ok")]
    assert project.processes() == []
