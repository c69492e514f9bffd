"""``retry``, ``skip``, ``stop`` and ``clean`` through the real program: what a person wants, and nobody's work lost."""

from __future__ import annotations

import pytest

from tests.kit.harness import Project


def trees(project: Project) -> list[str]:
    directory = project.root / ".agentjobs" / "trees"
    return sorted(path.name for path in directory.iterdir() if path.is_dir())


def give_up_at_once(project: Project) -> None:
    project.configure(retry={"restarts": 0, "resumes": 0, "repairs": 0})


# --- retry ------------------------------------------------------------------------------------------------------


def test_retry_gives_failed_tasks_a_new_round(project: Project) -> None:
    give_up_at_once(project)
    project.plans(a="wrong,ok", b="crash,ok", c="ok")
    assert project.settle() == {"a": "FAILED", "b": "FAILED", "c": "DONE"}
    assert project.run("retry", "--failed", code=0).lines == ["a\tTODO", "b\tTODO"]
    assert project.statuses() == {"a": "TODO", "b": "TODO", "c": "DONE"}
    assert project.loop().last == 2
    assert project.statuses() == dict.fromkeys("abc", "DONE")
    assert project.starts() == {"a": 2, "b": 2, "c": 1}
    assert project.run("retry", "--failed", code=0).lines == []


def test_retry_of_a_task_that_waits_for_another_does_not_jump_the_queue(project: Project) -> None:
    project.rows({"id": "a", "plan": "@go ok"}, {"id": "b", "plan": "ok", "after": "a"})
    project.dispatch()
    project.run("retry", "b", code=0)
    project.poll(code=0)
    assert "b" not in project.starts()
    project.open()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}


@pytest.mark.slow
def test_a_new_round_waits_for_the_new_rounds_of_what_it_needs(project: Project) -> None:
    give_up_at_once(project)
    project.rows({"id": "a", "plan": "wrong,wrong,sleep:0.5"}, {"id": "b", "plan": "ok", "after": "a"})
    assert project.settle()["a"] == "FAILED"
    project.run("skip", "b", code=0)
    for expected in ({"a": "FAILED", "b": "TODO"}, {"a": "DONE", "b": "DONE"}):
        project.run("retry", "a", "b", code=0)
        assert project.loop().last == 2
        assert project.statuses() == expected
    assert [start.task for start in project.ledger()] == ["a", "a", "a", "b"]


# --- skip and stop ----------------------------------------------------------------------------------------------


def test_skip_ends_what_runs_and_begins_nothing(project: Project) -> None:
    project.configure(slots=1)
    project.plans(a="hang", b="ok")
    project.dispatch()
    project.wait_for(project.ledger)
    done = project.run("skip", "a", "--note", "not\tnow", code=0)
    assert done.lines == ["a\tSKIPPED"]
    cells = project.table()["a"]
    assert (cells["status"], cells["note"]) == ("SKIPPED", "not now")
    assert project.processes() == []
    assert project.starts() == {"a": 1}
    assert project.loop().last == 2
    assert project.statuses() == {"a": "SKIPPED", "b": "DONE"}


def test_skip_works_before_any_dispatch_and_leaves_done_tasks_alone(project: Project) -> None:
    project.plans(a="ok", b="ok")
    project.run("skip", "b", code=0)
    assert project.statuses() == {"a": "", "b": "SKIPPED"}
    assert project.settle() == {"a": "DONE", "b": "SKIPPED"}
    assert "a is DONE and stays DONE" in project.run("skip", "a", code=0).stderr
    assert project.statuses()["a"] == "DONE"
    assert "no task 'zz'" in project.run("skip", "zz", code=1).stderr


def test_stop_of_one_task_lets_the_others_run_and_does_not_wait_for_them(project: Project) -> None:
    project.configure(limits={"stop_grace_s": 600})
    project.plans(a="hang", b="hang")
    project.dispatch()
    project.wait_for(lambda: project.starts() == {"a": 1, "b": 1})
    assert project.run("stop", "a", code=0).lines == ["a\tstopped"]
    assert project.outcomes("a") == ["stopped"]
    assert len(project.processes()) > 0
    assert "not in play" in project.run("status", code=0).stdout
    assert project.run("stop", code=0).lines == ["a\tstopped", "b\tstopped"]
    assert project.processes() == []
    assert project.poll().code == 2


def test_what_was_stopped_goes_on_with_dispatch_and_no_attempt_is_spent(project: Project) -> None:
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.plans(a="hang,ok")
    project.dispatch()
    project.wait_for(project.ledger)
    project.run("stop", code=0)
    assert project.settle() == {"a": "DONE"}
    assert project.modes("a") == ["first", "resume"]


def test_stop_before_dispatch_says_so(project: Project) -> None:
    project.plans(a="ok")
    assert "nothing is in play" in project.run("stop", code=1).stderr


# --- clean ------------------------------------------------------------------------------------------------------


def test_clean_refuses_work_that_has_not_landed_and_keeps_it_when_forced(project: Project) -> None:
    give_up_at_once(project)
    project.plans(a="wrong", b="lie", c="ok")
    project.settle()
    assert trees(project) == ["a", "b"]
    dry = project.run("clean", "--dry-run", code=1)
    assert dry.lines == ["b\twould be removed"]
    assert trees(project) == ["a", "b"]
    done = project.run("clean", code=1)
    assert done.lines == ["b\tremoved"]
    assert "a stays: has work that has not landed" in done.stderr
    assert done.stderr.endswith("\nagentjobs: removed 1 spare tree\n")
    assert done.stderr.count("\n") == 2
    assert trees(project) == ["a"]
    (project.tree("a") / "more.txt").write_text("left by hand\n")
    forced = project.run("clean", "--force", code=0)
    assert "refs/agentjobs/a/cleaned" in forced.stderr
    assert trees(project) == []
    assert project.git("show", "refs/agentjobs/a/cleaned:more.txt") == "left by hand"
    assert project.git("show", "refs/agentjobs/a/cleaned:a.txt")
    assert len(project.git("worktree", "list").splitlines()) == 1
    assert project.run("clean", code=0).lines == []


def test_clean_leaves_tasks_at_work_alone(project: Project) -> None:
    project.plans(a="hang")
    project.dispatch()
    project.wait_for(project.ledger)
    assert project.run("clean", "--force", code=0).lines == []
    assert "not settled" in project.run("clean", "a", "--force", code=1).stderr
    assert trees(project) == ["a"]
    project.run("stop", code=0)
    assert project.run("clean", "--force", code=0).lines == []
    assert trees(project) == ["a"]


def test_clean_of_work_accepted_by_hand_is_refused_until_it_landed(project: Project) -> None:
    give_up_at_once(project)
    project.plans(a="wrong")
    project.settle()
    project.edit("a", status="DONE")
    project.poll()
    assert "has not landed" in project.run("clean", code=1).stderr
    assert trees(project) == ["a"]


def test_clean_removes_verified_trees_where_landing_is_off(project: Project) -> None:
    project.configure(landing={"enabled": False})
    project.plans(a="ok")
    project.settle()
    assert project.run("clean", code=0).lines == ["a\tremoved"]
    assert project.git("show", "refs/agentjobs/a/done:a.txt").startswith("ok")


def test_clean_of_an_unknown_id_and_of_a_directory_that_is_no_tree(project: Project) -> None:
    project.plans(a="ok")
    project.settle()
    stray = project.root / ".agentjobs" / "trees" / "stray"
    stray.mkdir()
    (stray / "notes").write_text("whose?\n")
    assert "no task 'nope'" in project.run("clean", "nope", code=1).stderr
    assert "stray stays" in project.run("clean", code=1).stderr
    assert (stray / "notes").exists()
