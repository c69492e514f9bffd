"""What people and machines do in the middle of a run: nothing is lost, undone, done twice or stuck."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from agentjobs.core.decide import decide
from agentjobs.model.decisions import End
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Attempt, Intent, Mode
from agentjobs.model.steps import Kill, KillReason, Running, Step, StepKind
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.agents import Agent
from agentjobs.policy.policy import Policy, Profile
from agentjobs.table.table import parse
from tests.kit.harness import Project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sample(1)

AGENT = """\
#!/bin/sh
cat >/dev/null
echo "$AGENTJOBS_TASK" >>{directory}/starts
if [ "$AGENTJOBS_TASK.$AGENTJOBS_ATTEMPT" = slow.1 ]; then while [ ! -e {directory}/go ]; do sleep 0.05; done; fi
{deed}
echo '{{"type":"result","is_error":false}}'
"""
"""An agent that does ``deed``; the first attempt of ``slow`` waits for the file ``go`` before."""

GATED = "until [ -e $AGENTJOBS_ROOT/../go ]; do sleep 0.01; done"
"""A command that waits until the test calls ``go``."""

OK = 'echo ok >"$AGENTJOBS_TASK.txt"'
FIRST_WRONG = f'if [ "$AGENTJOBS_ATTEMPT" = 1 ]; then echo wrong >"$AGENTJOBS_TASK.txt"; else {OK}; fi'


def use(project: Project, deed: str = OK) -> None:
    """Make the project's agent do ``deed``."""
    path = project.directory / "agent.sh"
    path.write_text(AGENT.format(directory=project.directory, deed=deed))
    path.chmod(0o755)
    project.configure(agents={"fake": {"command": [str(path)], "resume": None}})


def starts(project: Project, task_id: str) -> int:
    return (project.directory / "starts").read_text().split().count(task_id)


def is_at(project: Project, task_id: str, status: str) -> bool:
    return project.statuses()[task_id] == status


# --- trees ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conflict", [False, True])
def test_a_removed_tree_undoes_nothing_that_landed_meanwhile(project: Project, conflict: bool) -> None:
    """A repair in a new tree is based on what landed before, with the earlier work on top of it."""
    out = {"out": "shared.txt"} if conflict else {}
    use(project, 'out=${AGENTJOBS_ROW_OUT:-$AGENTJOBS_TASK.txt}; grep -qs "^<<<" $out && echo seen >seen; '
        '[ $AGENTJOBS_TASK.$AGENTJOBS_ATTEMPT = slow.1 ] && [ -z "$AGENTJOBS_ROW_OUT" ] && bad=wrong; '
        'echo ${bad:-ok} $AGENTJOBS_TASK >$out')  # fmt: skip
    project.rows({"id": "slow", **out}, {"id": "b", **out})
    project.dispatch()
    project.poll_until(lambda: is_at(project, "b", "DONE"))
    project.configure(limits={"run_attempts": 2})  # nothing more begins for now
    project.open()
    project.poll_until(lambda: project.outcomes("slow")[0] in {"verify_failed", "conflict"})
    shutil.rmtree(project.tree("slow"))
    project.git("worktree", "prune")
    project.configure(limits={"run_attempts": None})
    assert project.settle() == {"slow": "DONE", "b": "DONE"}
    if conflict:
        assert project.landed("shared.txt") == "ok slow"
        assert project.landed("seen") == "seen", "the conflict is not in the tree made anew"
    else:
        assert project.landed("b.txt") == "ok b"
        assert project.landed("slow.txt") == "ok slow"


def test_a_tree_removed_while_it_is_checked_is_made_again(project: Project) -> None:
    project.configure(profiles={"default": {"verify": [f"{GATED}; test -e a.txt"]}})
    project.plans(a="ok")
    project.dispatch()
    project.poll_until(lambda: "verify" in project.attempts("a")[0], what="it is checked")
    project.git("worktree", "remove", "-f", "-f", str(project.tree("a")))
    project.open()
    assert project.loop().last == 2
    assert project.outcomes("a") == ["verify_failed", "ok"]


def test_a_project_that_moves_goes_on_with_the_work_so_far(project: Project) -> None:
    use(project, "if [ $AGENTJOBS_ATTEMPT = 1 ]; then echo half >half.txt; else cat half.txt && echo ok >a.txt; fi")
    project.configure(limits={"run_attempts": 1})
    project.plans(a="")
    project.dispatch()
    project.poll_until(lambda: project.outcomes("a") == ["verify_failed"])
    project.root.rename(project.directory / "elsewhere")
    project.root = project.directory / "elsewhere"
    project.configure(limits={"run_attempts": None})
    assert project.settle() == {"a": "DONE"}
    assert project.landed("half.txt") == "half"


def test_work_that_git_refuses_to_commit_survives_starting_over(project: Project) -> None:
    """A clean filter that fails (LFS that is not installed): no commit can be made of such a tree."""
    project.git("config", "filter.broken.clean", "false")
    project.git("config", "filter.broken.required", "true")
    use(project, 'echo "*.big filter=broken" >.gitattributes; echo precious >x.big; echo ok >a.txt')
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 1})
    project.plans(a="")
    assert project.settle() == {"a": "FAILED"}
    kept = sorted(project.tree("a").parent.glob("a*/x.big"))
    assert [path.read_text() for path in kept] == ["precious\n"] * 2


def test_a_sparse_checkout_is_the_users_alone(tmp_path: Path) -> None:
    project = Project(tmp_path, files={"src/x": "1\n", "other/y": "2\n"})
    project.git("sparse-checkout", "set", "src")
    assert not (project.root / "other").exists()
    check = "git checkout -q -b mine-$AGENTJOBS_TASK; git status; cat other/y; grep ok $AGENTJOBS_ROW_OUT"
    project.configure(profiles={"default": {"verify": [check]}})
    project.rows({"id": "a", "plan": "ok", "out": "other/new"}, {"id": "b", "plan": "ok", "out": "other/y"})
    assert project.settle() == {"a": "DONE", "b": "DONE"}
    assert project.git("diff", "--name-only", "main", "agentjobs/landed").split() == ["other/new", "other/y"]


def test_submodules_stay_as_they_are(project: Project) -> None:
    inner = project.directory / "inner"
    project.git("init", "-q", str(inner))
    project.git("-C", str(inner), "commit", "-q", "--allow-empty", "-m", "inner")
    allow = ("-c", "protocol.file.allow=always")
    project.git(*allow, "submodule", "add", "-q", str(inner), "vendor/inner")
    project.git("commit", "-q", "-m", "submodule")
    project.configure(workspace={"setup": f"git {' '.join(allow)} submodule update --init -q"})
    project.plans(a="ok", b="wrong,ok", c="crash,recover")
    assert set(project.settle().values()) == {"DONE"}
    changed = project.git("diff", "--name-only", "main", "agentjobs/landed").split()
    assert changed == ["a.txt", "b.txt", "c.txt"]


def test_a_project_below_the_top_of_its_repository_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path, files={"sub/x": "1\n"})
    for name in ("agentjobs.toml", "prompt.md.j2"):
        (project.root / name).rename(project.root / "sub" / name)
    (project.root / "sub" / "tasks.tsv").write_text("id\na\n")
    for command in ("dispatch", "check"):
        done = project.run(command, cwd=project.root / "sub", code=1)
        assert "not at the top of its repository" in done.stderr


def test_a_linked_worktree_is_a_project_like_any_other(project: Project) -> None:
    linked = project.directory / "linked"
    project.git("worktree", "add", "-q", "-b", "mine", str(linked))
    for name in ("agentjobs.toml", "prompt.md.j2"):
        (project.root / name).rename(linked / name)
    project.root = linked
    project.plans(a="ok", b="wrong,ok")
    assert set(project.settle().values()) == {"DONE"}


# --- the target -------------------------------------------------------------------------------------------


def test_finished_work_waits_while_the_target_is_checked_out(project: Project) -> None:
    """No agent is started again for what it has done already."""
    use(project)
    project.rows({"id": "slow", "files": "slow.txt"}, {"id": "b", "files": "b.txt"})
    project.dispatch()
    project.poll_until(lambda: is_at(project, "b", "DONE"))
    other = project.directory / "other"
    project.git("worktree", "add", "-q", str(other), "agentjobs/landed")
    project.open()
    looped = project.loop()
    assert looped.last == 3
    assert "checked out" in looped.stderr
    assert len(looped.polls) < 30, "it waits, it does not spin"
    assert is_at(project, "slow", "LANDING")
    refused = project.run("dispatch", code=1)
    assert "checked out" in refused.stderr
    project.git("worktree", "remove", str(other))
    project.dispatch()
    assert project.loop().last == 2
    assert project.statuses() == {"slow": "DONE", "b": "DONE"}
    assert starts(project, "slow") == 1
    assert project.state("hold") is None


def test_one_refusal_of_git_is_not_the_end(project: Project) -> None:
    """What git refuses once is tried again by itself, and costs no attempt."""
    use(project)
    project.rows({"id": "slow"}, {"id": "b"})
    project.dispatch()
    project.poll_until(lambda: is_at(project, "b", "DONE"))
    other = project.directory / "other"
    project.git("worktree", "add", "-q", str(other), "agentjobs/landed")
    project.open()
    project.poll_until(lambda: project.state("hold") is not None)
    project.git("worktree", "remove", str(other))
    assert project.loop().last == 2
    assert project.outcomes("slow") == ["ok"]


@pytest.mark.parametrize("how", ["put back", "deleted"])
def test_what_was_dropped_from_the_target_does_not_come_back(project: Project, how: str) -> None:
    use(project)
    project.rows({"id": "a"}, {"id": "slow", "after": "a"}, columns=("after",))
    project.dispatch()
    project.poll_until(lambda: is_at(project, "slow", "IN_PROGRESS"))
    if how == "deleted":
        project.git("branch", "-q", "-D", "agentjobs/landed")
    else:
        project.git("update-ref", "refs/heads/agentjobs/landed", "main")
    project.open()
    assert project.loop().last == 2
    assert is_at(project, "slow", "DONE")
    assert project.git("diff", "--name-only", "main", "agentjobs/landed").split() == ["slow.txt"]


def test_a_target_that_cannot_be_made_is_refused_before_it_costs_money(project: Project) -> None:
    project.git("branch", "agentjobs")
    project.plans(a="ok")
    assert "next to the branch 'agentjobs'" in project.run("dispatch", code=1).stderr
    assert "next to the branch 'agentjobs'" in project.run("check", code=1).stderr
    assert not project.ledger()


def test_stopped_between_its_landing_and_the_note_of_it_it_has_landed(project: Project) -> None:
    project.configure(profiles={"default": {"verify": [GATED]}})
    project.plans(a="ok")
    project.dispatch()
    project.poll_until(lambda: "verify" in project.attempts("a")[0], what="it is checked")
    project.open()
    attempt = project.root / ".agentjobs" / "attempts" / "a" / "001"
    project.wait_for(lambda: (attempt / "verify.exit.json").exists() and not project.processes())
    commit = project.attempts("a")[0]["verify.plan"]["commit"]
    project.git("update-ref", "refs/heads/agentjobs/landed", commit)  # and killed before it wrote that down
    project.run("stop", "a")
    assert project.outcomes("a") == ["ok"]
    assert project.statuses() == {"a": "DONE"}


# --- the policy -------------------------------------------------------------------------------------------


def test_an_agent_renamed_while_its_attempt_is_prepared(project: Project) -> None:
    project.configure(workspace={"setup": GATED})
    project.plans(e="ok")  # asked again after two seconds
    project.dispatch()
    agent = project._settings["agents"]["fake"]
    project.configure(agents={"new": agent, "fake": None}, profiles={"default": {"agent": "new"}})
    project.open()
    assert project.loop().last == 2
    assert project.outcomes("e") == ["infra", "ok"]


def test_a_profile_renamed_while_its_attempts_run(project: Project) -> None:
    project.configure(profiles={"old": project._settings["profiles"]["default"]})
    plans = {"a": "@go ok", "c": "@go crash,recover"}
    project.rows(*({"id": task_id, "plan": plan, "profile": "old"} for task_id, plan in plans.items()))
    project.dispatch()
    project.configure(profiles={"old": None})
    for task_id in ("a", "c"):
        project.edit(task_id, profile="default")
    project.open()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "c": "DONE"}
    assert project.outcomes("c") == ["crashed", "ok"]


def test_trees_asked_for_in_the_middle(project: Project) -> None:
    project.configure(workspace={"kind": "none"})
    project.plans(a="@go wrong,ok")
    project.dispatch()
    project.configure(workspace={"kind": "worktree"})
    project.open()
    assert project.loop().last == 2
    assert project.outcomes("a") == ["verify_failed", "ok"]
    assert project.landed("a.txt") == "ok a"


# --- the table --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/etc/passwd", "../above", "a/../../b"])
def test_files_outside_of_the_tree_are_refused_with_their_place(project: Project, path: str) -> None:
    project.rows({"id": "a", "plan": "ok", "files": path})
    assert "tasks.tsv:2:6: files:" in project.run("dispatch", code=1).stderr
    assert not project.ledger()
    with pytest.raises(UserError):
        parse(f"id\tfiles\na\t{path}\n".encode()).row("a")


@pytest.mark.parametrize("number", ["inf", "nan", "1e999", "-inf"])
def test_a_budget_survives_what_a_person_wrote_into_the_sums(project: Project, number: str) -> None:
    project.configure(limits={"run_attempts": 9, "run_tokens": 10_000, "run_cost_usd": 9.0})
    project.plans(a="ok")
    project.settle()
    for column in ("attempt", "tokens", "cost"):
        project.edit("a", **{column: number})
    with (project.root / "tasks.tsv").open("a") as file:
        file.write("b\tok\n")
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}


# --- the clock --------------------------------------------------------------------------------------------


def test_a_clock_that_was_put_back_does_not_hold_the_kill() -> None:
    policy = Policy(profiles={"default": Profile(agent="x")}, agents={"x": Agent(command=("x",))})
    intent = Intent("a", 1, 1, Mode.FIRST, "default", "x", 5000.0, "")
    step = Step("agent", StepKind.AGENT, Running(1, 5000.0), 5000.0, Kill(KillReason.TIMEOUT, 5000.0))
    task = Task(Row("a", 2, Status.TODO), attempts=(Attempt(intent, (step,)),))
    assert decide(task, policy, 100.0) == End("agent", KillReason.TIMEOUT, hard=True)
