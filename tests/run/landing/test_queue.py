"""Landing in batches: the gate once for many, culprits found, nothing lost, nothing overwritten."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.commands.skip import skip
from agentjobs.project.project import Project as Jobs
from tests.kit.harness import Project

if TYPE_CHECKING:
    from pathlib import Path

RED = "echo run >>$AGENTJOBS_ROOT/../runs; ! grep -q bad *.txt || { echo it is red; exit 1; }"
"""A gate that fails on what `text:bad` wrote, and does not say where."""

TOLD = "! grep -n bad *.txt /dev/null | sed 's/:bad/: error: bad/' | grep . || exit 1"
"""A gate that says where, as compilers do."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "p", settings={"slots": 4, "landing": {"gate": [RED], "wait_s": 600}})


def runs(project: Project) -> list[dict[str, Any]]:
    """Return the purpose of each run of the gate (probe), its tasks, and its result."""
    found = []
    for directory in sorted((project.root / ".agentjobs" / "attempts" / "+gate").glob("[0-9]*")):
        facts = {path.name: json.loads(path.read_text()) for path in directory.glob("*.json") if path.stat().st_size}
        case = facts.get("batch.json", {}).get("case", {})
        found.append(
            {
                "probe": case.get("probe", "batch"),
                "ids": sorted(case.get("ids", ())),
                "result": facts.get("result.json", {}).get("outcome"),
                "detail": facts.get("result.json", {}).get("detail", ""),
            }
        )
    return found


def test_one_run_of_the_gate_lands_many(project: Project) -> None:
    project.configure(profiles={"default": {"verify": ["true", "test -e README"]}})
    project.plans(**{f"t{n}": "ok" for n in range(9)})
    assert set(project.settle().values()) == {"DONE"}
    assert [run["ids"] for run in runs(project)] == [[f"t{n}" for n in range(9)]]
    assert sorted(project.landings()) == [f"t{n}" for n in range(9)]
    message = project.git("log", "-1", "--format=%B", "agentjobs/landed")
    assert "Agentjobs-Check: test -e README" in message
    assert f"Agentjobs-Check: {RED}" in message
    assert "Agentjobs-Attempt: 1" in message
    assert project.processes() == []
    left = [path.name for path in (project.root / ".agentjobs" / "trees").iterdir() if path.is_dir()]
    assert left == [], "trees of landed work are given back, though it landed as other commits"


def test_who_the_errors_lead_to_is_sent_back_and_the_rest_lands_with_one_more_run(project: Project) -> None:
    project.configure(landing={"gate": [TOLD]})
    project.plans(a="ok", b="text:bad,ok", c="ok", d="ok")
    assert set(project.settle().values()) == {"DONE"}
    first, second, third = runs(project)
    assert (first["ids"], second["ids"], third["ids"]) == (["a", "b", "c", "d"], ["a", "c", "d"], ["b"])
    assert project.outcomes("b") == ["gate_failed", "ok"]
    assert project.modes("b") == ["first", "repair"]
    assert "b.txt:2: error: bad" in project.prompt("b", 2)
    base = project.attempts("b")[1]["attempt"]["base"]
    shown = project.git("ls-tree", "--name-only", base, "a.txt", "c.txt", "d.txt").split()
    assert shown == ["a.txt", "c.txt", "d.txt"], "it is repaired on top of what landed without it"
    assert [start.attempt for start in project.ledger() if start.task != "b"] == [1, 1, 1]


def test_a_repair_on_the_tip_keeps_what_the_attempt_before_made(project: Project) -> None:
    project.configure(landing={"gate": [TOLD]}, profiles={"default": {"verify": ["true"]}})
    project.plans(a="ok", b="text:bad,hang")
    project.dispatch()
    project.poll_until(lambda: len([start for start in project.ledger() if start.task == "b"]) == 2)
    tree = project.root / ".agentjobs" / "trees" / "b"
    assert "bad" in (tree / "b.txt").read_text()
    assert (tree / "a.txt").exists(), "what landed while it waited"
    project.run("stop", code=0)


def test_a_repair_after_one_that_crashed_is_told_what_was_wrong(project: Project) -> None:
    project.configure(landing={"gate": [TOLD]}, retry={"resumes": 0})
    project.plans(a="ok", b="text:bad,crash,ok")
    assert set(project.settle().values()) == {"DONE"}
    assert project.outcomes("b") == ["gate_failed", "crashed", "ok"]
    assert "b.txt:2: error: bad" in project.prompt("b", 3)


def test_without_a_word_whose_fault_it_is_the_culprit_is_searched_for(project: Project) -> None:
    project.plans(a="ok", b="ok", c="ok", d="text:bad,ok")
    assert set(project.settle().values()) == {"DONE"}
    probes = [run["probe"] for run in runs(project)]
    assert probes == ["batch", "again", "half", "half", "batch"]
    assert [project.outcomes(id_) for id_ in "abcd"] == [["ok"], ["ok"], ["ok"], ["gate_failed", "ok"]]
    assert "it is red" in project.prompt("d", 2)
    # Its tree was put on what had landed meanwhile.
    base = project.attempts("d")[1]["attempt"]["base"]
    assert project.git("ls-tree", "--name-only", base, "a.txt", "b.txt", "c.txt").split() == ["a.txt", "b.txt", "c.txt"]
    assert (project.directory / "runs").read_text().count("run") == len(probes)


def test_a_flaky_gate_is_nobodys_fault(project: Project) -> None:
    once = "mkdir $AGENTJOBS_ROOT/../once 2>/dev/null && { echo flaky; exit 1; }; true"
    project.configure(landing={"gate": [once]})
    project.plans(a="ok", b="ok")
    assert set(project.settle().values()) == {"DONE"}
    assert [run["probe"] for run in runs(project)] == ["batch", "again"]
    assert project.starts() == {"a": 1, "b": 1}


def test_a_target_that_fails_by_itself_is_nobodys_fault(project: Project) -> None:
    project.configure(landing={"gate": ["echo always red; exit 1"]})
    project.plans(a="ok", b="ok", c="ok")
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert "fails on agentjobs/landed itself" in project.state("halt")["detail"]
    assert "always red" in project.state("halt")["detail"]
    assert project.starts() == {"a": 1, "b": 1, "c": 1}
    assert set(project.statuses().values()) == {"LANDING"}
    project.configure(landing={"gate": ["true"]})
    assert set(project.settle().values()) == {"DONE"}
    assert project.starts() == {"a": 1, "b": 1, "c": 1}, "the work that waited was not done again"


def test_of_two_that_conflict_one_lands_and_the_other_is_shown_both_sides(project: Project) -> None:
    project.rows(
        {"id": "a", "plan": "replace:one", "out": "shared.txt"},
        {"id": "b", "plan": "replace:two", "out": "shared.txt"},
        {"id": "c", "plan": "ok", "out": "c.txt"},
        columns=("id", "plan", "out"),
    )
    assert set(project.settle().values()) == {"DONE"}
    assert sorted(project.landings()) == ["a", "b", "c"]
    later = next(id_ for id_ in ("a", "b") if len(project.outcomes(id_)) > 1)
    assert project.outcomes(later) == ["conflict", "ok"]
    assert "<<<<<<<" in project.prompt(later, 2)


SLOW = "while [ -e $AGENTJOBS_ROOT/../closed ]; do sleep 0.02; done"


def held(project: Project) -> Path:
    """Let the next run of the gate wait for this file to go; return the file, once the run has begun."""
    closed = project.directory / "closed"
    closed.touch()
    project.configure(landing={"gate": [SLOW]})
    project.plans(a="ok", b="ok")
    project.dispatch()
    gate = project.root / ".agentjobs" / "attempts" / "+gate" / "001"
    project.poll_until(lambda: (gate / "gate.json").exists(), what="the gate runs")
    return closed


def test_a_target_that_moved_is_merged_again_and_never_overwritten(project: Project) -> None:
    closed = held(project)
    tree = project.git("commit-tree", "-m", "theirs", "-p", "main", "main^{tree}")
    project.git("update-ref", "refs/heads/agentjobs/landed", tree)
    closed.unlink()
    assert project.loop().last == 2
    assert [run["detail"] for run in runs(project)] == ["the target has moved", ""]
    assert sorted(project.landings()) == ["a", "b"]
    assert project.git("merge-base", "--is-ancestor", tree, "agentjobs/landed") == ""


def test_a_task_that_is_skipped_while_the_gate_runs_does_not_land(project: Project) -> None:
    closed = held(project)
    project.run("skip", "a", code=0)
    assert project.statuses()["a"] == "SKIPPED"
    closed.unlink()
    assert project.loop().last == 2
    assert project.landings() == ["b"]
    assert project.statuses() == {"a": "SKIPPED", "b": "DONE"}


def test_stop_ends_the_gate_and_dispatch_goes_on(project: Project) -> None:
    closed = held(project)
    project.run("stop", code=0)
    assert project.processes() == []
    assert project.landings() == []
    closed.unlink()
    assert set(project.settle().values()) == {"DONE"}
    assert sorted(project.landings()) == ["a", "b"]


def test_what_waits_for_a_person_lands_when_approved(project: Project) -> None:
    project.configure(landing={"approve": True})
    project.plans(a="ok", b="ok")
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert "2 verified tasks wait for `agentjobs approve`" in looped.stderr
    assert project.landings() == []
    assert "a\tapproved" in project.run("approve", "a", code=0).stdout
    assert project.loop().last == 3
    assert project.landings() == ["a"]
    project.run("approve", code=64)
    assert "does not wait for approval" in project.run("approve", "a", code=1).stderr
    project.run("approve", "--all", code=0)
    assert project.loop().last == 2
    assert project.landings() == ["a", "b"]


def test_the_gate_has_a_tree_of_its_own_with_all_that_trees_have(project: Project) -> None:
    (project.root / ".git" / "info" / "exclude").write_text("local.txt\nset-up\n")
    (project.root / "local.txt").write_text("mine\n")
    both, prepared = 'test "$(echo "$AGENTJOBS_TASKS" | sort)" = "a\nb"', 'test "$(cat local.txt set-up)" = "mine\nx"'
    # Neither is verified before the other is checked: otherwise the gate starts with one of them on a slow machine.
    seen = '"$AGENTJOBS_ROOT/../checked-{}"'.format
    together = f": >{seen('$AGENTJOBS_TASK')}; until [ -e {seen('a')} ] && [ -e {seen('b')} ]; do sleep 0.01; done"
    project.configure(
        workspace={"copy": ["local.txt"], "setup": "echo x >>set-up"},
        landing={"gate": [prepared, both]},
        profiles={"default": {"verify": [together]}},
    )
    project.plans(a="ok", b="ok")
    assert set(project.settle().values()) == {"DONE"}, project.run("logs", "+gate").stdout
    assert len(runs(project)) == 1


def test_while_the_target_is_checked_out_verified_work_waits_and_the_run_halts(project: Project) -> None:
    closed = held(project)
    project.git("branch", "agentjobs/landed", "main")
    mine = str(project.directory / "mine")
    project.git("worktree", "add", "-q", mine, "agentjobs/landed")
    closed.unlink()
    project.poll_until(lambda: project.state("hold"), what="git refuses")
    hold = project.root / ".agentjobs" / "hold.json"
    hold.write_text(json.dumps({**project.state("hold"), "until": time.time() + 3600}))
    project.poll()
    assert project.state("halt") is None, "it is asked again when its time has come, not at once"
    hold.write_text(json.dumps({**project.state("hold"), "until": 0.0}))
    assert project.loop().last == 3
    assert "checked out" in project.state("halt")["detail"]
    refusals = len(project.events())
    project.poll(code=3)
    assert len(project.events()) == refusals
    project.git("worktree", "remove", "--force", mine)
    assert set(project.settle().values()) == {"DONE"}
    assert len(runs(project)) == 1, "what was checked is not checked again"
    assert not project.state("hold")


def test_a_target_that_was_deleted_is_not_made_again_as_it_was(project: Project) -> None:
    project.configure(landing={"gate": ["true"]})
    project.plans(z="ok")
    project.settle()
    (project.directory / "closed").touch()
    project.configure(landing={"gate": [SLOW]})
    project.rows({"id": "z", "plan": "ok", "status": "DONE"}, {"id": "a", "plan": "ok"})
    project.dispatch()
    gate = project.root / ".agentjobs" / "attempts" / "+gate" / "002"
    project.poll_until(lambda: (gate / "gate.json").exists(), what="the gate runs")
    project.git("update-ref", "-d", "refs/heads/agentjobs/landed")
    (project.directory / "closed").unlink()
    assert project.loop().last == 2
    assert project.landings() == ["a"]


def test_a_power_cut_during_a_run_of_the_gate_loses_nothing(project: Project) -> None:
    closed = held(project)
    for name in ("active/a", "active/b", "attempts/+gate/001/verdict.json", "attempts/+gate/001/result.json"):
        (project.root / ".agentjobs" / name).write_bytes(b"\0\0\0\0")
    closed.unlink()
    assert project.loop().last == 2
    assert sorted(project.landings()) == ["a", "b"]
    assert project.starts() == {"a": 1, "b": 1}


def test_a_batch_whose_commits_are_gone_is_merged_again(project: Project) -> None:
    closed = held(project)
    project.power_cut()
    batch = json.loads((project.root / ".agentjobs" / "attempts" / "+gate" / "001" / "batch.json").read_text())
    head = batch["members"][-1]["commit"]
    (project.root / ".git" / "objects" / head[:2] / head[2:]).unlink()
    closed.unlink()
    assert project.loop().last == 2
    assert [run["detail"] for run in runs(project)] == ["the commit it was to run on is gone", ""]
    assert sorted(project.landings()) == ["a", "b"]


def test_what_an_earlier_attempt_is_suspected_of_is_not_held_against_the_next(project: Project) -> None:
    (project.directory / "closed").touch()
    count = "echo run >>../../../runs; test $(wc -l <../../../runs) -gt 2 || { echo red; exit 1; }; "
    project.configure(landing={"gate": [count + SLOW]})
    project.plans(a="ok", b="ok")
    project.dispatch()
    gate = project.root / ".agentjobs" / "attempts" / "+gate" / "003"
    project.poll_until(lambda: (gate / "gate.json").exists(), what="the gate runs for one half")
    project.run("retry", "b", code=0)
    project.poll_until(lambda: len(project.attempts("b")) > 1 and project.statuses()["b"] == "LANDING", what="b again")
    (project.directory / "closed").unlink()
    assert project.loop().last == 2
    assert project.outcomes("b") == ["stopped", "ok"]


def test_a_skip_waits_until_a_stubborn_gate_is_gone_however_slow_the_machine(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.directory / "closed").touch()
    project.configure(landing={"gate": [f"trap '' TERM; touch ../../../begun; {SLOW}"]})
    project.plans(a="ok", b="ok")
    project.dispatch()
    project.poll_until(lambda: (project.directory / "begun").exists(), what="the gate runs")
    monkeypatch.setattr("agentjobs.run.engine.TURN_S", -1.0)
    monkeypatch.chdir(project.root)
    skip(Jobs.here(), ("a",), note="", lock_timeout_s=10)
    assert project.processes() == []
    (project.directory / "closed").unlink()
    assert project.loop().last == 2
    assert project.landings() == ["b"]
