"""``diff``: what landed, what an attempt did, what is in the tree of a running one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.harness import Project

NO_RETRY = {"resumes": 0, "repairs": 0, "restarts": 0}


def changed(project: Project, *argv: str) -> list[str]:
    """Return the paths that the command names."""
    said = project.run("diff", *argv, code=0).stdout
    return [line.split()[-1].removeprefix("b/") for line in said.splitlines() if line.startswith("diff --git")]


def test_what_landed_is_the_work_of_the_task_alone(project: Project) -> None:
    project.plans(a="ok", b="ok", c="ok")
    project.settle()
    for task_id in "abc":
        assert changed(project, task_id) == [f"{task_id}.txt"]
    assert " 1 file changed, 1 insertion(+)" in project.run("diff", "b", "--stat", code=0).stdout


def test_an_attempt_that_failed_is_compared_with_where_it_began(project: Project) -> None:
    project.configure(retry={"resumes": 0, "repairs": 1, "restarts": 0})
    project.plans(a="wrong,ok", b="lie")
    project.settle()
    first, last = (project.run("diff", "a", "--attempt", n, code=0).stdout for n in ("1", "2"))
    assert first != last
    assert last == project.run("diff", "a", code=0).stdout
    assert project.run("diff", "b", code=0).stdout == "", "nothing was changed"


def test_a_running_agent_is_seen_at_work_and_not_disturbed(project: Project) -> None:
    project.configure(agents={"fake": {"command": ["sh", "-c", "echo half >new.txt; rm a.txt; cat; exec sleep 600"]}})
    (project.root / "a.txt").write_text("tracked\n")
    project.git("add", "a.txt")
    project.git("commit", "-qm", "a tracked file")
    project.rows({"id": "t"})
    project.dispatch()
    tree = project.root / ".agentjobs" / "trees" / "t"
    project.wait_for(lambda: (tree / "new.txt").exists() and not (tree / "a.txt").exists())
    status = project.git("-C", str(tree), "status", "--porcelain")
    assert changed(project, "t") == ["a.txt", "new.txt"]
    assert project.git("-C", str(tree), "status", "--porcelain") == status
    assert len(project.processes()) >= 1
    project.run("stop", code=0)
    assert changed(project, "t") == ["a.txt", "new.txt"], "what a stopped agent left is kept"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("x",), "no task 'x' in tasks.tsv"),
        (("b",), "no attempt of 'b' yet"),
        (("a", "--attempt", "7"), "a has no attempt 7; it has 1"),
    ],
)
def test_what_is_not_there_is_named(project: Project, argv: tuple[str, ...], said: str) -> None:
    project.plans(a="ok")
    project.settle()
    project.plans(a="ok", b="ok")
    assert said in project.run("diff", *argv, code=1).stderr
