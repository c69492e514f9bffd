"""Work in a task's tree is continued, from an agent that was stopped or from a person's repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.harness import Project


pytestmark = pytest.mark.sample(1)

def stop(project: Project) -> None:
    project.run("stop", code=0)
    project.dispatch()


def stop_one(project: Project) -> None:
    project.run("stop", "a", code=0)
    project.dispatch("a")


def skip(project: Project) -> None:
    project.run("skip", "a", code=0)
    project.run("retry", "a", code=0)


def skip_in_the_table(project: Project) -> None:
    project.edit("a", status="SKIPPED")
    project.poll_until(lambda: project.outcomes("a") == ["stopped"])
    project.poll_until(lambda: project.table()["a"]["note"] == "skipped by hand")
    project.edit("a", status="TODO")



def removed_and_back(project: Project) -> None:
    table = (project.root / "tasks.tsv").read_text()
    project.rows({"id": "z", "status": "SKIPPED"})
    project.poll_until(lambda: project.outcomes("a") == ["stopped"])
    (project.root / "tasks.tsv").write_text(table)


@pytest.mark.sample(2)
@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("interrupted", [stop, stop_one, skip, skip_in_the_table, removed_and_back])
def test_an_agent_that_was_stopped_is_followed_by_one_in_the_same_tree(
    project: Project, interrupted: Callable[[Project], None], *, resumes: bool
) -> None:
    if not resumes:
        project.configure(agents={"fake": {"resume": None}})
    project.plans(a="half,finish")
    project.dispatch()
    project.wait_for(lambda: (project.tree("a") / "a.txt.part").exists())
    interrupted(project)
    assert project.loop().last == 2
    assert project.statuses()["a"] == "DONE", project.story()
    assert project.outcomes("a") == ["stopped", "ok"]
    assert "half" in (project.landed("a.txt") or "")
    same_conversation = resumes and interrupted in {stop, stop_one}
    told = "You were interrupted" if same_conversation else "Earlier work on this task"
    assert told in project.prompt("a", 2)


@pytest.mark.sample(1)
@pytest.mark.parametrize("trouble", ["half_limit", "half_auth", "half_overloaded"])
def test_an_agent_that_met_trouble_is_followed_by_one_in_the_same_tree(project: Project, trouble: str) -> None:
    project.configure(agents={"fake": {"resume": None}})
    project.plans(a=f"{trouble},finish")
    project.dispatch()
    project.poll_until(lambda: len(project.outcomes("a")) == 1 and project.outcomes("a") != ["open"])
    project.run("dispatch", "--force")
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}, project.story()
    assert project.starts() == {"a": 2}


def failed(project: Project, plan: str = "wrong,lie") -> None:
    """Let a task fail: its agent says success, and its check does not."""
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.plans(a=plan)
    assert project.settle() == {"a": "FAILED"}


def write(project: Project) -> None:
    (project.tree("a") / "a.txt").write_text("ok by hand\n")


def commit(project: Project) -> None:
    write(project)
    git = "git -c user.name=me -c user.email=me@example.org"
    project.shell(f"cd .agentjobs/trees/a && {git} commit -qam repaired")


def commit_on_a_branch(project: Project) -> None:
    project.shell("cd .agentjobs/trees/a && git switch -qc repair")
    commit(project)


def stage(project: Project) -> None:
    write(project)
    project.shell("cd .agentjobs/trees/a && git add -A")


def delete_and_write_anew(project: Project) -> None:
    (project.tree("a") / "a.txt").unlink()
    (project.tree("a") / "new.txt").write_text("x\n")
    write(project)


EDITS = [write, commit, commit_on_a_branch, stage, delete_and_write_anew]


def retry(project: Project) -> None:
    project.run("retry", "a", code=0)


def retry_failed(project: Project) -> None:
    project.run("retry", "--failed", code=0)


def by_the_table(project: Project) -> None:
    project.edit("a", status="TODO")


def skipped_first(project: Project) -> None:
    project.run("skip", "a", code=0)
    project.run("retry", "a", code=0)


@pytest.mark.sample(3)
@pytest.mark.parametrize("again", [retry, retry_failed, by_the_table, skipped_first])
@pytest.mark.parametrize("edit", EDITS)
def test_what_a_person_repaired_in_the_tree_is_checked_and_lands(
    project: Project, edit: Callable[[Project], None], again: Callable[[Project], None]
) -> None:
    failed(project)
    edit(project)
    again(project)
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}, project.story()
    assert project.landed("a.txt") == "ok by hand"
    assert "A person has since edited these files" in project.prompt("a", 2)
    assert "a.txt" in project.prompt("a", 2)
    second = project.attempts("a")[1]["attempt"]
    assert second["base"] == project.attempts("a")[0]["attempt"]["base"]
    assert "a person edited a.txt" in second["why"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("outcome", ["wrong", "crash", "lie", "same", "hang"])
def test_a_tree_that_nobody_edited_begins_anew(project: Project, outcome: str) -> None:
    if outcome == "hang":
        project.configure(limits={"attempt_minutes": 0.005})
    failed(project, plan=f"{outcome},ok")
    project.configure(limits={"attempt_minutes": None})  # the second agent has time, however slow the machine is
    retry(project)
    assert project.loop().last == 2
    assert project.attempts("a")[1]["attempt"]["mode"] == "first"
    assert project.statuses() == {"a": "DONE"}


def test_an_edit_is_gone_on_with_when_the_target_has_moved(project: Project) -> None:
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.plans(a="wrong,lie", b="ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}
    write(project)
    retry(project)
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}
    assert sorted(project.landings()) == ["a", "b"]


def test_what_cannot_be_gone_on_with_is_kept_and_told(project: Project) -> None:
    failed(project, plan="wrong,ok")
    write(project)
    (path,) = project.root.glob(".agentjobs/attempts/a/001/result.json")
    path.write_text(path.read_text().replace('"base":"', '"base":"dead'))
    retry(project)
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}
    assert project.git("show", "refs/agentjobs/a/before-2:a.txt") == "ok by hand"
    assert "is kept" in project.attempts("a")[1]["attempt"]["why"]
    assert [event["ref"] for event in project.events() if event["event"] == "kept"] == ["refs/agentjobs/a/before-2"]
    assert "git show refs/agentjobs/a/before-2" in project.run("show", "a", code=0).stdout


def test_show_says_where_the_tree_is(project: Project) -> None:
    failed(project)
    assert str(project.tree("a")) in project.run("show", "a", code=0).stdout


def test_done_that_was_written_into_the_table_is_counted_apart(project: Project) -> None:
    """An agent writes DONE into the row of the task it works on; tasks that wait for it start at once."""
    project.rows({"id": "a", "plan": "claim"}, {"id": "z", "plan": "ok", "after": "a"}, columns=["status"])
    project.dispatch()
    ran = project.run("run", "--quiet", code=2)
    line = "2 tasks: 2 DONE, 1 of them accepted by hand and not landed: a"
    assert line in ran.stdout
    assert line in project.run("status", code=0).stdout
    assert line in project.run("status", "--check", code=0).stdout
    assert '"by_hand":["a"]' in project.run("status", "--json", code=0).stdout
    assert project.landings() == ["z"]


def test_done_by_hand_of_a_row_that_never_began_or_failed_is_counted_apart(project: Project) -> None:
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.rows(
        {"id": "a", "plan": "ok", "status": "DONE"}, {"id": "b", "plan": "wrong"}, {"id": "c", "plan": "ok"},
        {"id": "d", "plan": "wrong"},
    )  # fmt: skip
    project.settle()
    project.edit("b", status="DONE")
    assert project.loop().last == 2
    line = "4 tasks: 1 FAILED, 3 DONE, 2 of them accepted by hand and not landed: a b"
    assert project.run("status", code=0).lines[0] == line
    # To write DONE where the work did land says nothing new.
    project.edit("c", status="TODO", plan="text:again")
    assert project.loop().last == 2
    assert project.run("status", code=0).lines[0] == line


@pytest.mark.parametrize("resumes", [True, False])
def test_an_edit_in_the_tree_of_a_stopped_task_lands(project: Project, *, resumes: bool) -> None:
    if not resumes:
        project.configure(agents={"fake": {"resume": None}})
    project.plans(a="half,lie")
    project.dispatch()
    project.wait_for(lambda: (project.tree("a") / "a.txt.part").exists())
    project.run("stop", code=0)
    write(project)
    project.dispatch()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}, project.story()
    assert project.landed("a.txt") == "ok by hand"
    assert project.landed("a.txt.part") == "half"
