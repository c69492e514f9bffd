"""Somebody removes facts while agents are at work: never two agents in one tree, and the tasks come to their end."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.processes import read_process
from tests.kit.harness import kill_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.harness import Project


@pytest.fixture
def project(project: Project) -> Iterator[Project]:
    """A project; its agents are stopped after the test."""
    yield project
    kill_all(project.processes())


def agents_of(project: Project, task_id: str) -> set[int]:
    """Return the agents of a task that live, by what they wrote into the ledger."""
    pids = {start.pid for start in project.ledger() if start.task == task_id}
    return {pid for pid in pids if (found := read_process(pid)) is not None and not found.dead}


FORGOTTEN = [
    "git clean -xfdq", "git clean -xffdq", "rm -rf .agentjobs", "rm -rf .agentjobs/attempts",
    "rm -rf .agentjobs/attempts/a", "rm -rf .agentjobs/attempts/a/001/*",
    "rm -rf .agentjobs/attempts .agentjobs/active",
    "rm -rf .agentjobs/active", "rm -f .agentjobs/active/a", "rm -rf .agentjobs/active .agentjobs/table.tsv",
    "rm -f .agentjobs/*.json .agentjobs/VERSION .agentjobs/table.tsv", "rm -rf .agentjobs/trees/a",
    "rm -f .agentjobs/attempts/a/001/agent.*", "rm -f .agentjobs/attempts/a/001/attempt.json",
]  # fmt: skip


@pytest.mark.sample(2)
@pytest.mark.parametrize("command", FORGOTTEN)
def test_an_agent_whose_facts_were_removed_never_has_another_beside_it(project: Project, command: str) -> None:
    project.git("config", "clean.requireForce", "false")
    project.plans(a="once", b="sleep:0.5")
    keep = {name: (project.root / name).read_bytes() for name in ("agentjobs.toml", "prompt.md.j2")}
    project.dispatch()
    project.wait_for(lambda: "a" in project.starts())
    table = (project.root / "tasks.tsv").read_bytes()
    project.poll()
    (first,) = agents_of(project, "a")
    project.shell(command)
    for name, text in ({"tasks.tsv": table} | keep).items():
        if not (project.root / name).exists():
            (project.root / name).write_bytes(text)
    project.dispatch()
    assert len(agents_of(project, "a")) <= 1
    if agents_of(project, "a") == {first}:  # it was left alone: agentjobs knows it still
        project.run("stop", "a")
        project.dispatch()
    assert first not in agents_of(project, "a"), project.story()
    assert project.loop().last == 2, project.story()
    assert project.statuses() == {"a": "DONE", "b": "DONE"}, project.story()
    assert sorted(project.landings()) == ["a", "b"]
    assert not project.processes()
    shutil.rmtree(project.root / ".agentjobs")
