"""A lock that some process holds delays the task it is about, for a short while, and nobody else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest

from agentjobs.model.errors import TreeBusy
from agentjobs.workspace import lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kit.harness import Project


pytestmark = pytest.mark.sample(1)

@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def poll_until(project: Project, statuses: dict[str, str]) -> str:
    """Poll until the table says so, and return what the last poll said."""
    give_up_at = time.monotonic() + 60
    while True:
        said = project.poll("--wait", "1", code=0).stderr
        if project.statuses() == statuses:
            return said
        assert time.monotonic() < give_up_at, project.story()


@pytest.mark.parametrize("workspace", ["worktree", "clone"])
def test_a_held_tree_delays_its_own_task_alone(project: Project, workspace: str) -> None:
    project.configure(workspace={"kind": workspace})
    project.plans(a="ok", b="ok", c="ok")
    with held(project.root / ".agentjobs" / "trees" / ".a.lock"):
        project.dispatch()
        said = poll_until(project, {"a": "IN_PROGRESS", "b": "DONE", "c": "DONE"})
        assert "a waits: another process holds the lock " in said
        assert ".a.lock" in said
    assert project.loop().last == 2
    assert project.statuses()["a"] == "DONE"
    assert project.starts() == {"a": 1, "b": 1, "c": 1}


def test_a_tree_that_is_held_when_its_agent_ends_is_judged_later(project: Project) -> None:
    project.plans(a="sleep:1", b="ok")
    project.dispatch()
    with held(project.root / ".agentjobs" / "trees" / ".a.lock"):
        give_up_at = time.monotonic() + 60
        while "a waits: " not in project.poll("--wait", "1", code=0).stderr:
            assert time.monotonic() < give_up_at, project.story()
        poll_until(project, {"a": "IN_PROGRESS", "b": "DONE"})
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}
    assert project.starts() == {"a": 1, "b": 1}


def test_a_held_list_of_worktrees_delays_what_needs_a_new_tree(project: Project) -> None:
    project.plans(a="ok", b="ok")
    with held(project.root / ".git" / "agentjobs-worktree.lock"):
        project.dispatch()
        assert "agentjobs-worktree.lock" in project.poll(code=0).stderr
        assert not project.starts()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}


def test_a_lock_that_was_waited_for_in_vain_is_not_waited_for_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with held(path):
        with pytest.raises(TreeBusy, match="another process holds the lock"), lock.flock(path, 0.05):
            pass
        assert pauses
        pauses.clear()
        with pytest.raises(TreeBusy), lock.flock(path, 60):
            pass
        assert len(pauses) <= 1
    with lock.flock(path):
        pass
