"""Agents that lie, overstep, hang on or leave things behind: none becomes DONE, nothing is left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import SILENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(2)

ONE_TRY = {"resumes": 0, "repairs": 0, "restarts": 0}


def locks(project: Project) -> list[Path]:
    """Return git's locks anywhere in the repository, and trees that are locked."""
    git = project.root / ".git"
    found = [*git.rglob("*.lock"), *git.glob("worktrees/*/locked")]
    return [path for path in found if path.name != "agentjobs-worktree.lock"]  # ours: a file to lock, always there


LIES = {
    "lie": "no_change",
    "error-event": "crashed",
    "silent": "crashed",
    "wrong": "verify_failed",
    "outside": "out_of_scope",
    "delete:tests/test_a.txt": "out_of_scope",
    "only-delete:tests/test_a.txt": "out_of_scope",
    "main": "no_change",
    "commit-wrong": "verify_failed",
    "linger-wrong": "verify_failed",
    "stubborn": "stalled",
    "chatter": "timeout",
    "flood": "runaway",
    "fill:33": "crashed",
    "segv": "crashed",
    "wipe": "out_of_scope",
    "rmtree": "crashed",
    "crash-server": "crashed",
}
"""What an agent does, and what its first attempt must come to."""


def test_no_lie_becomes_done(tmp_path: Path, project: Project) -> None:
    """Every one gets its files to change, checks that want "ok", and one attempt."""
    project.configure(
        slots=8,
        retry=ONE_TRY,
        limits={"idle_minutes": SILENT, "attempt_minutes": 2 * SILENT, "output": "2MiB", "file_size": "32MiB"},
    )
    (project.root / "tests").mkdir()
    (project.root / "tests" / "test_a.txt").write_text("a test\n")
    project.git("add", "-A")
    project.git("commit", "-qm", "a test")
    rows = []
    for number, word in enumerate(LIES):
        files = f"t{number}.txt .gitignore filler.bin"
        rows.append({"id": f"t{number}", "plan": word, "files": files})
    project.rows(*rows)
    statuses = project.settle()
    assert set(statuses.values()) == {"FAILED"}, project.story()
    found = {word: project.outcomes(f"t{number}")[0] for number, word in enumerate(LIES)}
    assert found == LIES
    assert project.landings() == []
    assert not project.processes()
    assert locks(project) == []
    biggest = max((path for path in tmp_path.rglob("*.log")), key=lambda path: path.stat().st_size)
    assert biggest.stat().st_size <= 32 * 2**20, "the log is bounded"
    assert project.git("status", "--porcelain", "--", "README", "tests") == ""


def test_what_outlives_the_agent_is_gone_before_its_checks(project: Project) -> None:
    """A daemon, a process that keeps writing into the tree, a process that ignores TERM after its final event."""
    project.configure(
        profiles={"default": {"verify": ["sleep 0.3", 'grep -q ^ok "$AGENTJOBS_TASK.txt"']}},
        limits={"idle_minutes": 5},
    )
    project.plans(a="server", b="writing-server", c="linger", d="ok")
    project.dispatch()
    project.poll_until(lambda: any("verify" in facts for facts in project.attempts("a")))
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert project.starts() == dict.fromkeys("abcd", 1)
    for task_id in "abcd":
        assert project.landed(f"{task_id}.txt") == f"ok {task_id}"
    assert not project.processes()
    assert locks(project) == []


def test_a_check_may_leave_nothing_behind_either(project: Project) -> None:
    """A check that hangs, one that leaves a server, one that writes without end."""
    project.configure(
        slots=3,
        verify_slots=3,
        retry=ONE_TRY,
        limits={"verify_minutes": SILENT, "output": "2MiB", "file_size": "4MiB"},
        profiles={"default": {"verify": ['sh -c "$AGENTJOBS_ROW_CHECK"']}},
    )
    project.rows(
        {"id": "hangs", "check": "trap '' TERM; sleep 600 & sleep 600"},
        {"id": "leaves", "check": "setsid sleep 600 >/dev/null 2>&1 & exit 0"},
        {"id": "writes", "check": "while :; do echo a line of output; done"},
    )
    statuses = project.settle()
    assert statuses == {"hangs": "FAILED", "leaves": "DONE", "writes": "FAILED"}, project.story()
    assert "ran out of time" in project.table()["hangs"]["note"]
    assert not project.processes()


def test_what_git_ignores_does_not_pass_for_work(project: Project) -> None:
    """The checks see what would land: a file hidden by a new .gitignore is not there."""
    project.configure(retry={"repairs": 1, "restarts": 0})
    project.plans(a="ignored,ok")
    assert project.settle()["a"] == "FAILED"
    assert project.outcomes("a")[0] == "verify_failed"


@pytest.mark.parametrize("word", ["no-git", "nested", "git-lock", "binary", "prose", "commit"])
def test_odd_but_honest_work_lands(project: Project, word: str) -> None:
    project.plans(a=word)
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.landed("a.txt") == "ok a"
    assert project.starts() == {"a": 1}
    assert locks(project) == []
    if word == "nested":
        assert project.landed("vendor/inner/file.txt") == "inner"
    if word == "binary":
        name = os.fsdecode(b"bin\xff\xfe.dat")
        assert name in project.git("ls-tree", "-z", "--name-only", "agentjobs/landed").split("\0")


def test_a_tree_that_was_lost_is_made_again(project: Project) -> None:
    project.plans(a="rmtree,ok", b="wrong,rmtree,ok")
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert project.outcomes("a") == ["crashed", "ok"]
