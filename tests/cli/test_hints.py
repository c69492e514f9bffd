"""What commands say where a newcomer would wonder why nothing happens, or why the wrong thing does."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from agentjobs.text.for_people import indented
from tests.kit.harness import LONG_S

if TYPE_CHECKING:
    from tests.kit.harness import Project


def test_a_pilot_is_refused_once_everything_is_in_play(project: Project) -> None:
    project.plans(a="ok", b="ok")
    project.settle()
    project.plans(a="ok", b="ok", c="ok", d="ok")
    assert "everything is in play already, so --only 1" in project.run("dispatch", "--only", "1", code=1).stderr
    project.run("stop", code=0)
    project.dispatch("--only", "1")
    project.loop()
    assert len(project.ledger()) == 3


def test_commits_that_new_trees_will_not_see_are_named(project: Project) -> None:
    project.plans(a="ok")
    project.settle()
    behind = "does not have, and new trees start from there: "
    assert behind not in project.run("check").stderr
    project.git("commit", "-q", "--allow-empty", "-m", "more")
    said = f"main has 1 commit that agentjobs/landed {behind}merge agentjobs/landed into it, then `git branch -f"
    assert said in project.run("check").stderr
    assert said in project.dispatch().stderr
    assert "new trees" not in project.run("run", code=2).stderr, "no tree is made: nothing is open"
    project.plans(a="ok", b="ok")
    assert said in project.run("run", code=2).stderr
    project.git("merge", "-q", "-m", "merge", "agentjobs/landed")
    cure = "`git branch -f agentjobs/landed main`"
    assert f"main has 2 commits that agentjobs/landed {behind}{cure}" in project.run("check").stderr
    project.git(*cure.strip("`").split()[1:])
    assert behind not in project.run("check").stderr


def test_dispatch_says_that_only_failed_tasks_are_left(project: Project) -> None:
    project.configure({"retry": {"resumes": 0, "repairs": 0, "restarts": 0}})
    project.plans(a="wrong", b="ok")
    project.settle()
    said = "1 task FAILED, and dispatch does not start them again: `agentjobs retry --failed`"
    assert said in project.dispatch().stderr


def test_retry_says_that_the_work_has_landed(project: Project) -> None:
    project.configure({"retry": {"resumes": 0, "repairs": 0, "restarts": 0}})
    project.plans(a="ok", b="wrong")
    project.settle()
    tip = project.git("rev-parse", "agentjobs/landed").strip()
    assert f"a has landed as {tip[:12]}, and a new attempt starts on top" in project.run("retry", "a", code=0).stderr
    assert "has landed" not in project.run("retry", "b", code=0).stderr


def test_work_that_waits_for_a_person_says_so(project: Project) -> None:
    project.configure({"landing": {"approve": True}})
    project.plans(a="ok")
    project.dispatch()
    assert project.loop().last == 3
    assert "verified, waits for a person: agentjobs approve" in project.run("status", code=0).stdout


def test_clean_counts_spare_trees(project: Project) -> None:
    project.plans(a="ok")
    project.settle()
    assert project.run("clean", code=0).stderr == "agentjobs: removed 1 spare tree\n"
    assert "no settled task has a tree" in project.run("clean", code=0).stderr


def test_errors_keep_their_indentation() -> None:
    assert indented("    |     ^^^^  ") == "    |     ^^^^"
    assert indented("\tx") == "    x"
    assert indented("abcdef", 4) == "abc…"


def test_a_run_shows_what_dispatch_has_started(project: Project) -> None:
    project.configure(workspace={"setup": f"while [ ! -e {project.directory}/go ]; do sleep 0.05; done"})
    project.plans(a="ok")
    project.dispatch()
    running = subprocess.Popen(
        [sys.executable, "-m", "agentjobs", "run"],
        cwd=project.root, env=project.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    assert running.stderr.readline().endswith("  a  attempt 1: setup runs\n")
    project.open()
    assert "a  DONE" in running.communicate(timeout=LONG_S)[1]
    assert running.returncode == 2


def test_poll_and_dispatch_print_what_happened(project: Project) -> None:
    project.configure(slots=1, verify_slots=1)
    project.plans(a="ok", b="wrong,ok")
    said = project.dispatch().stdout
    while (done := project.poll("--wait", "5")).code == 0:
        said += done.stdout
    said += done.stdout
    told = [line.split(maxsplit=1)[1] for line in said.splitlines() if line[:2].isdigit()]
    for line in ("a  attempt 1 starts (first)", "a  DONE", "b  attempt 2: ok", "b  DONE"):
        assert told.count(line) == 1, said
    assert any(line.startswith("b  attempt 1: verify_failed: ") for line in told)
    assert project.poll("--quiet", code=2).stdout == ""


def test_quiet_polls_print_nothing(project: Project) -> None:
    project.plans(a="ok")
    project.dispatch()
    while (done := project.poll("--wait", "5", "--quiet")).code == 0:
        assert done.stdout == ""
    assert project.statuses() == {"a": "DONE"}
