"""Whole runs through the real program: the bash loop, dependencies, overlap, setup, landing, kinds of workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import SILENT

if TYPE_CHECKING:
    from tests.kit.harness import Project

NEVER_LONG = {"idle_minutes": SILENT, "attempt_minutes": 1}


def test_twenty_tasks_end_by_exit_two(project: Project) -> None:
    """Agents that succeed, crash, hang, sleep, fail checks twice and then pass, and never pass."""
    project.configure(slots=6, limits=NEVER_LONG, retry={"restarts": 0})
    plans = {f"ok{n}": "ok" for n in range(5)}
    plans |= {f"crash{n}": "crash,recover" for n in range(3)}
    plans |= {f"hang{n}": "hang,ok" for n in range(2)}
    plans |= {f"sleep{n}": "sleep:0.4" for n in range(3)}
    plans |= {f"twice{n}": "wrong,wrong,ok" for n in range(4)}
    plans |= {f"never{n}": "wrong" for n in range(2)}
    plans |= {"stubborn": "stubborn,ok"}
    assert len(plans) == 20
    project.plans(**plans)
    project.dispatch()
    looped = project.bash_loop()
    assert looped.code == 2, looped
    assert set(looped.polls[:-1]) <= {0}
    statuses = project.statuses()
    failed = {task_id for task_id, status in statuses.items() if status != "DONE"}
    assert failed == {"never0", "never1"}, project.story()
    assert {statuses[task_id] for task_id in failed} == {"FAILED"}
    starts = project.starts()
    expected = dict.fromkeys(plans, 1) | {i: 2 for i in plans if i.startswith(("crash", "hang", "stubborn"))}
    expected |= {i: 3 for i in plans if i.startswith("twice")}
    expected |= {i: 1 + 3 for i in plans if i.startswith("never")}  # the first, and retry.repairs
    assert starts == expected
    assert sorted(project.landings()) == sorted(set(plans) - failed)
    assert project.run("status", "--check").code == 1
    assert not project.processes()


def test_what_lands_is_one_commit_a_task_and_main_is_untouched(project: Project) -> None:
    project.plans(a="ok", b="commit", c="wrong,commit-wrong,ok", d="crash,recover")
    before = project.git("rev-parse", "main"), project.git("status", "--porcelain")
    assert set(project.settle().values()) == {"DONE"}
    assert (project.git("rev-parse", "main"), project.git("status", "--porcelain")) == before
    assert sorted(project.landings()) == ["a", "b", "c", "d"]
    assert project.git("rev-list", "--count", "main..agentjobs/landed") == "4"
    assert project.git("rev-list", "--merges", "main..agentjobs/landed") == ""
    for task_id in "abcd":
        assert project.landed(f"{task_id}.txt") == f"ok {task_id}"
        commit = project.table()[task_id]["commit"]
        assert project.git("log", "-1", "--format=%(trailers:key=Agentjobs-Task,valueonly)", commit) == task_id
    assert project.landed("d.txt.part") is None
    assert project.git("worktree", "list").count("\n") == 0, "trees of landed work are gone"


def test_dependents_start_from_what_landed_and_get_the_handoff(project: Project) -> None:
    (project.root / "prompt.md.j2").write_text(
        "{{ id }}{% for h in handoffs %} [{{ h.id }}: {{ h.text }}]{% endfor %}\n"
    )
    project.rows(
        {"id": "last", "after": "mid other", "plan": "ok"},
        {"id": "mid", "after": "first", "plan": "prompted:hello from first"},
        {"id": "first", "plan": "handoff:hello"},
        {"id": "other", "plan": "sleep:0.3"},
    )
    project.configure(profiles={"default": {"verify": [
        '[ "$AGENTJOBS_TASK" != last ] || cat mid.txt first.txt other.txt', 'grep -q ^ok "$AGENTJOBS_TASK.txt"',
    ]}})  # fmt: skip
    assert set(project.settle().values()) == {"DONE"}
    order = [start.task for start in project.ledger()]
    assert order.index("first") < order.index("mid") < order.index("last")
    assert project.prompt("mid", 1) == "mid [first: hello from first]\n"
    assert project.starts() == {"last": 1, "mid": 1, "first": 1, "other": 1}


def test_a_failed_task_blocks_only_what_needs_it(project: Project) -> None:
    project.configure(retry={"repairs": 0, "restarts": 0})
    project.rows(
        {"id": "bad", "plan": "same,ok"},
        {"id": "needs", "plan": "ok", "after": "bad"},
        {"id": "needs-too", "plan": "ok", "after": "needs"},
        {"id": "free", "plan": "ok"},
        {"id": "free-too", "plan": "ok", "after": "free"},
    )
    statuses = project.settle()
    assert statuses["bad"] == "FAILED"
    assert statuses["free"] == statuses["free-too"] == "DONE"
    assert statuses["needs"] in {"", "TODO"}
    table = project.table()
    assert table["needs"]["note"] == "blocked: bad is FAILED"
    assert table["needs-too"]["note"].startswith("blocked: needs is")
    assert "needs" not in project.starts()
    project.edit("bad", status="TODO")
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert all("blocked" not in cells["note"] for cells in project.table().values())


def test_tasks_that_may_touch_one_path_never_run_together(project: Project) -> None:
    project.configure(slots=6)
    project.rows(
        {"id": "a", "files": "src/x.txt a.txt", "plan": "alone:x"},
        {"id": "b", "files": "src/ b.txt", "plan": "alone:x"},
        {"id": "c", "files": "src/*.txt c.txt", "plan": "alone:x"},
        {"id": "d", "files": "lib d.txt", "plan": "alone:lib"},
        {"id": "e", "files": "lib/y.txt e.txt", "plan": "alone:lib"},
    )
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert not list(project.directory.glob("*.met"))
    assert max(s.at for s in project.ledger()) - min(s.at for s in project.ledger()) < 60


@pytest.mark.slow
def test_overlap_holds_in_a_new_round_and_when_starting_over(project: Project) -> None:
    """Rows that come back by layer 3, and rows a person sets back to TODO, wait for one another as well."""
    project.configure(slots=4, retry={"repairs": 0, "restarts": 1})
    rows = [{"id": i, "files": f"shared/ {i}.txt", "plan": "alone-same:s"} for i in ("a", "b", "c")]
    project.rows(*rows, columns=["status"])
    assert set(project.settle().values()) == {"FAILED"}
    assert project.starts() == {"a": 2, "b": 2, "c": 2}
    met = project.directory / "alone-s.met"
    assert not met.exists(), f"started over together: {met.read_text()}"
    for row in rows:
        project.edit(row["id"], status="TODO")
    assert project.loop().last == 2
    assert project.starts() == {"a": 4, "b": 4, "c": 4}
    assert not met.exists(), f"new rounds together: {met.read_text()}"


def test_priority_decides_who_begins(project: Project) -> None:
    project.configure(slots=1)
    project.rows(
        {"id": "a", "plan": "ok"},
        {"id": "b", "plan": "ok", "priority": 5},
        {"id": "c", "plan": "ok", "priority": 10},
        {"id": "d", "plan": "ok", "priority": -1},
    )
    project.settle()
    assert [start.task for start in project.ledger()] == ["c", "b", "a", "d"]


def test_setup_runs_once_in_each_new_tree(project: Project) -> None:
    log = project.directory / "setups"
    project.configure(workspace={"setup": f'echo "$AGENTJOBS_TASK $AGENTJOBS_MODE" >>{log}; mkdir -p .made'})
    project.configure(profiles={"default": {"verify": ["test -d .made", 'grep -q ^ok "$AGENTJOBS_TASK.txt"']}})
    project.configure(retry={"repairs": 1, "restarts": 1})
    (project.root / ".gitignore").write_text(".made/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\n")
    project.git("commit", "-aqm", "ignore")
    project.plans(a="ok", b="crash,recover", c="same,same,ok")
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert sorted(log.read_text().split("\n")[:-1]) == ["a first", "b first", "c first", "c restart"]


def test_a_setup_that_fails_halts_and_no_agent_starts(project: Project) -> None:
    project.configure(workspace={"setup": "echo no such package; exit 3"})
    project.plans(e="ok", b="ok", d="ok")  # for these the machine is asked again after two or three seconds
    project.dispatch()
    looped = project.loop()
    assert (looped.code, looped.last) == (1, 3)
    assert "setup" in looped.stderr
    assert not project.ledger()
    assert set(project.statuses().values()) == {"TODO"}
    assert "no such package" in str(project.log("e", 1, "setup.log"))
    project.configure(workspace={"setup": "true"})
    assert set(project.settle().values()) == {"DONE"}, project.story()


def test_conflicts_with_what_landed_are_given_to_the_next_agent(project: Project) -> None:
    project.rows(
        {"id": "a", "out": "shared.txt", "plan": "replace:one"},
        {"id": "b", "out": "shared.txt", "plan": "sleep:0.5,replace:two"},
        {"id": "c", "out": "shared.txt", "plan": "sleep:0.5,replace:three"},
    )
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert sorted(project.landings()) == ["a", "b", "c"]
    conflicts = [i for i in "abc" if "conflict" in project.outcomes(i)]
    assert len(conflicts) >= 1
    for task_id in conflicts:
        at = project.outcomes(task_id).index("conflict") + 2
        assert "shared.txt" in project.prompt(task_id, at)
        assert project.modes(task_id)[at - 1] == "repair"
    content = project.landed("shared.txt")
    assert content is not None
    assert "<<<<" not in content


def test_conflict_markers_never_land(project: Project) -> None:
    """An agent that leaves both sides in the file has not resolved anything, whatever the checks say."""
    project.configure(profiles={"default": {"verify": ["true"]}}, retry={"repairs": 2, "restarts": 0})
    project.rows(
        {"id": "a", "out": "shared.txt", "plan": "replace:one"},
        {"id": "b", "out": "shared.txt", "plan": "@go ok,add-file,add-file:2,add-file:3"},
    )
    project.dispatch()
    project.poll_until(lambda: project.statuses()["a"] == "DONE")
    project.open()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "FAILED"}, project.story()
    assert project.landed("shared.txt") == "ok one"
    assert project.outcomes("b")[0] == "conflict"


def test_the_target_moved_by_somebody_else_is_merged_again(project: Project) -> None:
    """The checks run again on what is merged; what somebody else put on the target stays."""
    project.configure(profiles={"default": {"verify": [
        "[ ! -e other ] || ! grep -q breaks other",
        f'until [ -e {project.directory}/go ]; do sleep 0.01; done; grep -q ^ok "$AGENTJOBS_TASK.txt"',
    ]}})  # fmt: skip
    project.plans(a="ok,ok")
    project.dispatch()
    project.poll_until(lambda: "verify" in project.attempts("a")[0], what="it is checked")
    (project.root / "other").write_text("fine\n")
    project.git("add", "-f", "other")
    tree = project.git("write-tree")
    project.git("reset", "-q")
    (project.root / "other").unlink()
    commit = project.git("commit-tree", tree, "-p", "main", "-m", "somebody else's")
    project.git("update-ref", "refs/heads/agentjobs/landed", commit)
    project.open()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}, project.story()
    assert project.landed("other") == "fine"
    assert project.landed("a.txt") == "ok a"
    assert project.git("rev-list", "--count", "main..agentjobs/landed") == "2"


def test_the_gate_runs_on_the_merged_commit(project: Project) -> None:
    """Two tasks, each right by itself and wrong together: the second learns it from the gate."""
    project.configure(
        landing={
            "gate": ["ls *.txt; test $(cat *.txt | grep -c ^ok) -le 1 || { echo too many; exit 1; }"],
            "batch": 1,
        },
        retry={"repairs": 1, "restarts": 0},
    )
    project.plans(a="ok", b="ok")
    statuses = project.settle()
    assert sorted(statuses.values()) == ["DONE", "FAILED"], project.story()
    loser = next(i for i, status in statuses.items() if status == "FAILED")
    assert "gate_failed" in project.outcomes(loser)
    assert len(project.landings()) == 1
    assert "too many" in project.prompt(loser, 2)


def test_without_trees_agents_work_in_the_project(project: Project) -> None:
    project.configure(workspace={"kind": "none"})
    project.plans(a="ok", b="crash,recover", c="wrong,ok", d="lie")
    statuses = project.settle()
    assert statuses == {"a": "DONE", "b": "DONE", "c": "DONE", "d": "FAILED"}, project.story()
    assert (project.root / "a.txt").read_text() == "ok a\n"
    assert {start.tree for start in project.ledger()} == {str(project.root)}
    assert project.git("worktree", "list").count("\n") == 0
    assert "agentjobs" not in project.git("branch", "--list")


def test_with_landing_disabled_the_work_is_kept_and_nothing_moves(project: Project) -> None:
    project.configure(landing={"enabled": False})
    project.plans(a="ok", b="wrong,ok", c="same")
    statuses = project.settle()
    assert statuses == {"a": "DONE", "b": "DONE", "c": "FAILED"}, project.story()
    assert "agentjobs/landed" not in project.git("branch", "--list")
    for task_id in "ab":
        commit = project.table()[task_id]["commit"]
        assert project.git("show", f"{commit}:{task_id}.txt") == f"ok {task_id}"
        assert project.git("for-each-ref", f"refs/agentjobs/{task_id}/done")


def test_a_pilot_and_then_the_sweep(project: Project) -> None:
    project.plans(a="ok", b="ok", c="ok", d="ok", e="ok")
    project.dispatch("--only", "2")
    assert project.loop().last == 2
    assert project.starts() == {"a": 1, "b": 1}
    project.dispatch("d")
    assert project.loop().last == 2
    assert project.starts() == {"a": 1, "b": 1, "d": 1}
    project.dispatch()
    assert project.loop().last == 2
    assert project.starts() == dict.fromkeys("abcde", 1)


def test_a_lost_conversation_is_begun_anew(project: Project) -> None:
    project.plans(a="crash,lost-session,ok", b="crash,crash,recover")
    assert set(project.settle().values()) == {"DONE"}, project.story()
    sessions = [start.session for start in project.ledger() if start.task == "a"]
    assert sessions[0] == sessions[1] != sessions[2]
    assert len({start.session for start in project.ledger() if start.task == "b"}) == 1
    assert project.outcomes("a") == ["crashed", "no_session", "ok"]


def test_an_agent_whose_context_is_full_twice_says_split_me(project: Project) -> None:
    project.plans(a="full", b="full,ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}, project.story()
    assert "split" in project.table()["a"]["note"]
    assert project.starts() == {"a": 2, "b": 2}
    assert project.modes("b") == ["first", "repair"]


def test_a_file_that_the_row_names_lands_although_git_ignores_it(project: Project) -> None:
    (project.root / ".git" / "info" / "exclude").write_text("*.gen\n")
    project.rows({"id": "a", "plan": "ok", "out": "a.gen", "files": "a.gen"})
    assert project.settle() == {"a": "DONE"}
    assert project.landed("a.gen") == "ok a"
