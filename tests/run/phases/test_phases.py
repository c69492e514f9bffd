"""Phases with real processes: planned once, in order, whatever is killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.project.project import Project as Program
from agentjobs.run.engine import Engine
from tests.kit.harness import Project, modules_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sample(2)

PLAN = """\
echo "$AGENTJOBS_PHASE after ${AGENTJOBS_PHASE_BEFORE:-nothing} missing $AGENTJOBS_MISSING" >>../plans
cat >"../stdin.$AGENTJOBS_PHASE"
"""


def pipeline(directory: Path, **phases: dict[str, Any]) -> Project:
    """Make a project without trees, with these phases; each says what it plans in ``rows``."""
    project = Project(directory)
    profiles = {}
    for name, given in phases.items():
        keys = dict(given)
        rows = keys.pop("rows", None)
        plan = keys.pop("plan", None)
        if rows is not None:
            plan = PLAN + "".join(f"echo '{json.dumps(row)}'\n" for row in rows)
        profiles[name] = {"agent": "fake", "output": f"{name}/{{id}}.txt", "plan": plan, "verify": [CHECK], **keys}
        profiles[name] = {key: value for key, value in profiles[name].items() if value is not None}
    project.configure({"workspace": {"kind": "none"}, "phases": list(phases), "profiles": profiles})
    project.configure({"profiles": {"default": None}})
    project.rows(columns=["id", "status", "profile", "plan", "out", "output"])
    return project


CHECK = "grep -q '^ok' \"$AGENTJOBS_ROW_OUTPUT\""


def row(task_id: str, phase: str, **more: str) -> dict[str, str]:
    return {"id": task_id, "out": f"{phase}/{task_id}.txt", **more}


def plans(project: Project) -> list[str]:
    """Return the complete runs of plan commands."""
    path = project.directory / "plans"
    return path.read_text().splitlines() if path.exists() else []


def three(directory: Path) -> Project:
    return pipeline(
        directory,
        read={"rows": [row("r1", "read"), row("r2", "read")]},
        join={"rows": [row("j1", "join")]},
        write={"rows": [row("w1", "write"), row("w2", "write")]},
    )


def test_three_phases_run_to_the_end(tmp_path: Path) -> None:
    project = three(tmp_path)
    assert project.settle() == dict.fromkeys(["r1", "r2", "j1", "w1", "w2"], "DONE")
    assert plans(project) == [
        "read after nothing missing ",
        "join after read missing ",
        "write after join missing ",
    ]
    stdin = [json.loads(line) for line in (tmp_path / "stdin.join").read_text().splitlines()]
    assert [(one["id"], one["status"], one["output"]) for one in stdin] == [
        ("r1", "DONE", "read/r1.txt"),
        ("r2", "DONE", "read/r2.txt"),
    ]
    assert (tmp_path / "stdin.read").read_text() == ""
    order = [start.task for start in project.ledger()]
    assert sorted(order[:2]) == ["r1", "r2"]
    assert order[2] == "j1"
    assert project.poll().code == 2
    assert len(plans(project)) == 3


@pytest.mark.slow
def test_a_tree_is_merged_level_by_level(tmp_path: Path) -> None:
    tree = f"echo $AGENTJOBS_PHASE >>../plans; {sys.executable} -m agentjobs plan tree --fan-in 2 --budget 60k"
    project = pipeline(
        tmp_path,
        read={"rows": [row(f"r{n}", "read") for n in range(5)]},
        merge={"plan": tree, "again": True, "verify": []},
    )
    project.configure({"agents": {"fake": {"command": ["sh", "{root}/../agent.sh"]}}})
    agent = 'mkdir -p "$(dirname "$AGENTJOBS_ROW_OUTPUT")"; echo "ok $AGENTJOBS_TASK" >"$AGENTJOBS_ROW_OUTPUT"\n'
    (tmp_path / "agent.sh").write_text(agent + """echo '{"type": "result", "is_error": false}'\n""")
    statuses = project.settle()
    assert set(statuses.values()) == {"DONE"}, project.story()
    levels = [cells["level"] for cells in project.table().values() if cells["profile"] == "merge"]
    assert levels == ["1", "1", "2", "3"], "5 outputs: 3 groups, one of them carried, then 2, then 1"
    assert plans(project).count("merge") == 4, "once for each level, and once that adds nothing"
    assert all(cells["output"].startswith("merge/") for cells in project.table().values() if cells["level"])


# --- one planning after the other, whatever is killed


@pytest.mark.slow
def test_polls_that_are_killed_plan_once(tmp_path: Path) -> None:
    project = three(tmp_path)
    dice = random.Random(7)
    killed = 0
    project.dispatch()
    while killed < 40:
        poll = project.start("poll", "--wait", "2")
        try:
            poll.wait(dice.uniform(0.02, 0.45))
        except subprocess.TimeoutExpired:
            poll.kill()
            killed += 1
        if poll.wait() == 2:
            break
    assert killed > 5
    assert project.loop().last == 2, project.story()
    assert project.statuses() == dict.fromkeys(["r1", "r2", "j1", "w1", "w2"], "DONE")
    assert [line.partition(" ")[0] for line in plans(project)] == ["read", "join", "write"]
    assert set(project.starts().values()) == {1}

    project.run("retry", "--phase", "join", "--and-later", code=0)
    for _ in range(12):
        poll = project.start("poll", "--wait", "2")
        try:
            poll.wait(dice.uniform(0.2, 0.6))
        except subprocess.TimeoutExpired:
            poll.kill()
            poll.wait()
    assert project.loop().last == 2, project.story()
    assert [line.partition(" ")[0] for line in plans(project)[3:]] == ["join", "write"]
    assert project.starts() == {"r1": 1, "r2": 1, "j1": 2, "w1": 2, "w2": 2}


def test_a_planning_whose_machine_went_down_runs_again(tmp_path: Path) -> None:
    wait = "if mkdir ../first; then echo $$ >../pid; sleep 600; fi; " + PLAN + f"echo '{json.dumps(row('r1', 'read'))}'"
    project = pipeline(tmp_path, read={"plan": wait})
    project.dispatch()
    project.wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    project.power_cut()
    assert project.loop().last == 2, project.story()
    assert project.statuses() == {"r1": "DONE"}
    assert len(plans(project)) == 1
    assert project.outcomes("+plan.read") == ["lost", "ok"]


def test_a_plan_that_is_killed_each_time_is_not_run_for_ever(tmp_path: Path) -> None:
    project = pipeline(tmp_path, read={"plan": "echo >>../plans; kill -9 $PPID"})
    # The shell that puts stdout into a file is replaced by that of the command: its parent is the runner.
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3, project.story()
    assert len(plans(project)) == 3
    assert "killed several times" in looped.stderr


# --- what agents wrote becomes tasks


def test_an_agent_writes_the_tasks_of_the_next_phase(tmp_path: Path) -> None:
    lines = json.dumps(row("s-1", "write", title="one")) + "\\n" + json.dumps({"id": "s-2", "after": ["s-1"]})
    agent = f"""mkdir -p out write
case $AGENTJOBS_TASK in
    c) printf '{lines}\\n' >out/c.jsonl ;;
    *) echo "ok $AGENTJOBS_ROW_TITLE" >"$AGENTJOBS_ROW_OUTPUT" ;;
esac
echo '{{"type": "result", "is_error": false}}'
"""
    project = pipeline(
        tmp_path,
        cluster={"output": "out/{id}.jsonl", "rows": [{"id": "c"}], "verify": []},
        write={"plan": PLAN + "cat out/c.jsonl"},
    )
    (tmp_path / "agent.sh").write_text(agent)
    project.configure({"agents": {"fake": {"command": ["sh", "{root}/../agent.sh"]}}})
    assert project.settle() == dict.fromkeys(["c", "s-1", "s-2"], "DONE"), project.story()
    table = project.table()
    assert (table["s-1"]["output"], table["s-1"]["files"]) == ("write/s-1.txt", "write/s-1.txt")
    assert (table["s-2"]["profile"], table["s-2"]["after"]) == ("write", "s-1")
    assert (project.root / "write/s-1.txt").read_text() == "ok one\n"


BAD = {
    "no json": ('{"id": "a"}\nnonsense', "rows.jsonl:2:1: not JSON"),
    "a bad id": ('{"id": "../a"}', "rows.jsonl:1: bad id"),
    "a column of ours": ('{"id": "a", "attempt": "3"}', "rows.jsonl:1: column 'attempt' belongs to agentjobs"),
    "an unknown profile": ('{"id": "a", "profile": "wriet"}', 'rows.jsonl:1: unknown profile "wriet"; did you mean'),
    "an unknown need": ('\n{"id": "a", "after": "b"}', "rows.jsonl:2: after names 'b', which is not the id of a row"),
    "a path outside": ('{"id": "a", "files": "\\"x"}', "rows.jsonl:1: "),
    "a circle": ('{"id": "a", "after": "b"}\n{"id": "b", "after": "a"}', "these wait for each other"),
    "nothing": ("", "it planned no task"),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("kind", BAD)
def test_rows_that_are_none_halt_and_a_better_plan_goes_on(tmp_path: Path, kind: str) -> None:
    text, words = BAD[kind]
    project = pipeline(tmp_path, write={"plan": PLAN + "cat ../printed"})
    (tmp_path / "printed").write_text(text)
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3, project.story()
    assert "phase write could not be planned: " in looped.stderr
    assert words in looped.stderr.replace('"', "'").replace("'wriet'", '"wriet"')
    assert ".agentjobs/attempts/+plan.write/001/plan.log" in looped.stderr
    assert project.table() == {}, "all or nothing"
    assert project.poll().code == 3
    assert len(plans(project)) == 1, "no retry without a person"
    (tmp_path / "printed").write_text(json.dumps(row("a", "write")))
    project.dispatch()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}
    assert len(plans(project)) == 2


def test_a_plan_that_fails_or_takes_too_long_says_why(tmp_path: Path) -> None:
    said = "echo first >&2; echo 'no such corpus' >&2"
    project = pipeline(tmp_path, read={"plan": f"""echo '{{"id": "a"}}'; {said}; exit 7"""})
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert "phase read could not be planned: its command failed (exit 7): no such corpus (log: " in looped.stderr
    assert project.table() == {}, "what a command that failed has printed does not count"
    assert project.log("+plan.read", 1, "plan.log") == b"first\nno such corpus\n"
    assert "could not be planned" in project.run("status", code=0).stdout

    project.configure({"limits": {"verify_minutes": 0.003}, "profiles": {"read": {"plan": "sleep 600"}}})
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert "its command took longer than limits.verify_minutes" in looped.stderr
    assert project.outcomes("+plan.read") == ["crashed", "timeout"]
    assert project.processes() == []


# --- partial results


def partial(directory: Path, min_done: float, **more: str) -> Project:
    rows = [row(f"r{n}", "read", plan="wrong" if n == 2 else "ok") for n in range(4)]
    write = {"rows": [row("w", "write", **more)], "min_done": min_done}
    project = pipeline(directory, read={"rows": rows}, write=write)
    project.configure({"retry": {"repairs": 0, "restarts": 0}})
    return project


def test_too_few_are_done_so_a_person_is_asked(tmp_path: Path) -> None:
    project = partial(tmp_path, 0.9)
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    words = "phase write waits: 1 of 4 tasks of read are not DONE (r2; min_done = 0.9): retry or skip them, or lower"
    assert words in looped.stderr
    assert project.state("halt") is None
    assert len(plans(project)) == 1
    project.run("skip", "r2", code=0)
    assert project.loop().last == 2, "SKIPPED ones do not count"
    assert project.statuses()["w"] == "DONE"
    assert plans(project)[1] == "write after read missing "


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    project = partial(tmp_path, 0.75, missing="older")
    assert project.settle() == {"r0": "DONE", "r1": "DONE", "r2": "FAILED", "r3": "DONE", "w": "DONE"}
    assert plans(project)[1] == "write after read missing r2"
    prompt = project.prompt("w", 1)
    assert "## What is missing" in prompt
    assert "\nr2 older\n" in prompt
    assert "missing" not in project.prompt("r0", 1)
    (project.root / "prompt.md.j2").write_text("{{ phase }}: {{ missing | join(', ') }}\n")
    project.run("retry", "w", code=0)
    assert project.loop().last == 2
    assert project.prompt("w", 2) == "write: r2, older\n"
    assert project.run("prompt", "w", code=0).stdout == "write: r2, older\n"


# --- one phase again


def test_one_phase_again_from_what_is_on_disk(tmp_path: Path) -> None:
    project = three(tmp_path)
    project.settle()
    (project.root / "join/j1.txt").write_text("ok of old\n")
    before = project.starts()
    done = project.run("retry", "--phase", "join", code=0)
    assert done.lines == ["j1\tTODO"]
    assert project.statuses()["w1"] == "DONE"
    assert project.loop().last == 2
    assert project.statuses() == dict.fromkeys(["r1", "r2", "j1", "w1", "w2"], "DONE")
    assert project.starts() - before == Counter(j1=1)
    assert [line.partition(" ")[0] for line in plans(project)] == ["read", "join", "write", "join"]
    assert project.log("j1", 2, "output-before") == b"ok of old\n"
    assert (project.root / "join/j1.txt").read_text() == "ok j1\n"

    before = project.starts()
    project.run("retry", "--phase", "join", "--and-later", code=0)
    assert project.statuses()["w1"] == "TODO"
    assert project.loop().last == 2
    assert project.starts() - before == Counter(j1=1, w1=1, w2=1)
    assert [line.partition(" ")[0] for line in plans(project)][4:] == ["join", "write"]
    order = [start.task for start in project.ledger()][-3:]
    assert order[0] == "j1", "those after it wait"


def test_an_old_output_is_no_new_work(tmp_path: Path) -> None:
    project = three(tmp_path)
    project.settle()
    project.edit("j1", plan="lie")
    project.configure({"retry": {"repairs": 0, "restarts": 0}})
    assert (project.root / "join/j1.txt").read_text() == "ok j1\n"
    project.run("retry", "j1", code=0)
    looped = project.loop()
    assert looped.last == 3, "what comes after needs it"
    assert project.statuses()["j1"] == "FAILED"
    assert "test -s" in project.run("status", "--failures", code=0).stdout


def test_what_is_not_planned_again_is_left_out_and_comes_back(tmp_path: Path) -> None:
    project = pipeline(tmp_path, read={"plan": PLAN + "cat ../printed"})
    printed = tmp_path / "printed"

    def again(*ids: str) -> dict[str, str]:
        printed.write_text("".join(json.dumps(row(name, "read", plan="ok")) + "\n" for name in ids))
        project.run("retry", "--phase", "read", code=0)
        assert project.loop().last == 2, project.story()
        return project.statuses()

    printed.write_text(json.dumps(row("a", "read")) + "\n" + json.dumps(row("b", "read", plan="wrong")))
    project.configure({"retry": {"repairs": 0, "restarts": 0}})
    project.settle()
    with (project.root / "tasks.tsv").open("a") as table:
        table.write("mine\tTODO\tread\tok\tread/mine.txt\tread/mine.txt\n")
    assert again("a", "c") == {"a": "DONE", "b": "SKIPPED", "mine": "DONE", "c": "DONE"}
    assert "planned again without it" in project.table()["b"]["note"]
    assert project.starts() == {"a": 2, "b": 1, "mine": 1, "c": 1}
    assert again("b", "c") == {"a": "SKIPPED", "b": "DONE", "mine": "DONE", "c": "DONE"}
    assert project.starts() == {"a": 2, "b": 2, "mine": 2, "c": 2}
    project.run("skip", "c")
    assert len(plans(project)) == 3


# --- what is in play


def test_a_phase_is_put_in_play_with_what_it_plans(tmp_path: Path) -> None:
    project = three(tmp_path)
    project.dispatch("--phase", "read")
    assert project.loop().last == 2
    assert project.statuses() == {"r1": "DONE", "r2": "DONE"}
    assert len(plans(project)) == 1
    project.dispatch("--phase", "write")
    looped = project.loop()
    assert looped.last == 3
    assert "phase write waits for phase join, which is not over and not in play" in looped.stderr
    status = project.run("status", code=0).stdout
    assert "in play: phase read write" in status
    project.dispatch("--phase", "join")
    assert project.loop().last == 2
    assert project.statuses() == dict.fromkeys(["r1", "r2", "j1", "w1", "w2"], "DONE")
    assert "read   over  planned  2 DONE" in project.run("status", code=0).stdout
    shown = json.loads(project.run("status", "--json", "--phase", "write", code=0).stdout)
    assert shown["total"] == 2
    assert [(one["name"], one["counts"]) for one in shown["phases"]] == [("write", {"DONE": 2})]


@pytest.mark.parametrize("command", ["dispatch", "status", "retry"])
def test_an_unknown_phase_names_the_nearest(tmp_path: Path, command: str) -> None:
    project = three(tmp_path)
    done = project.run(command, "--phase", "wriet", code=1)
    assert 'unknown phase "wriet"; did you mean "write"?' in done.stderr
    assert not plans(project)


@pytest.mark.parametrize("command", ["dispatch", "status", "retry"])
def test_where_there_are_no_phases_none_is_known(project: Project, command: str) -> None:
    project.rows({"id": "a", "phase": "expand"})
    done = project.run(command, "--phase", "expand", code=1)
    assert done.stderr == 'agentjobs: there is no phase "expand": agentjobs.toml has no key phases\n'


def test_a_table_is_made_where_there_is_none(tmp_path: Path) -> None:
    project = three(tmp_path)
    (project.root / "tasks.tsv").unlink()
    assert project.run("check", code=0).lines[-1].startswith("0 tasks: 0 errors")
    assert not (project.root / "tasks.tsv").exists()
    project.settle()
    assert len(project.table()) == 5


def test_rows_of_a_later_phase_wait_when_an_earlier_one_is_at_work_again(tmp_path: Path) -> None:
    project = pipeline(
        tmp_path,
        read={"rows": [row("r1", "read"), row("r2", "read")]},
        join={"rows": [row("j1", "join", plan="@go ok")]},
        write={"rows": [row("w1", "write"), row("w2", "write")]},
    )
    project.configure({"slots": 1})
    project.dispatch()
    project.poll_until(lambda: project.starts()["j1"])
    project.run("retry", "r1", code=0)
    project.open()
    assert project.loop().last == 2
    order = [start.task for start in project.ledger()]
    assert order.index("w1") > len(order) - 1 - order[::-1].index("r1")
    assert [line.partition(" ")[0] for line in plans(project)] == ["read", "join", "write"]


def test_on_a_slow_machine_every_turn_says_to_call_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = three(tmp_path)
    project.dispatch()
    monkeypatch.setattr("agentjobs.run.engine.TURN_S", -1.0)  # each turn has one single pass
    monkeypatch.chdir(project.root)
    made = Engine(Program(project.root))
    codes: list[int] = []
    while not codes or codes[-1] == 0:
        with made.store.lock(10):
            turn = made.turn()
        codes.append(int(turn.code))
        made.wait(turn.until)
    assert codes[-1] == 2, project.story()
    assert set(project.statuses().values()) == {"DONE"}


def test_a_pilot_of_what_is_not_planned_says_what_to_do(tmp_path: Path) -> None:
    project = three(tmp_path)
    said = project.run("dispatch", "--only", "2", code=1).stderr
    assert "there is no task yet; plan the first phase with `agentjobs dispatch --phase read`" in said
    dry = project.run("dispatch", "--dry-run", code=0)
    assert "phase read would be planned" in dry.stderr
    project.dispatch("--phase", "read")
    assert project.loop().last == 2
    project.rows(
        *({"id": i, "profile": "read", "status": "DONE", "out": "x"} for i in ("r1", "r2")),
        {"id": "w", "profile": "write"},
        {"id": "x", "profile": "join"},
    )
    dry = project.run("dispatch", "--dry-run", code=0)
    assert [line.split("\t")[:2] for line in dry.lines] == [["x", "later"], ["w", "later"]]
    assert "phase join would be planned" in dry.stderr


def test_stop_ends_a_planning_and_dispatch_takes_it_up(tmp_path: Path) -> None:
    wait = f"if mkdir ../first; then sleep 600; fi; {PLAN}echo '{json.dumps(row('r1', 'read'))}'"
    project = pipeline(tmp_path, read={"plan": wait})
    project.dispatch()
    project.wait_for((tmp_path / "first").exists)
    assert "+plan.read" in project.run("status", code=0).stdout
    project.run("stop", code=0)
    project.wait_for(lambda: not project.processes())
    project.dispatch()
    assert project.loop().last == 2
    assert project.outcomes("+plan.read") == ["stopped", "ok"]
    assert project.statuses() == {"r1": "DONE"}


def test_a_resident_run_goes_through_all_phases(tmp_path: Path) -> None:
    project = three(tmp_path)
    project.run("run", code=2)
    assert set(project.statuses().values()) == {"DONE"}
    assert len(plans(project)) == 3


def test_where_all_phases_are_over_a_poll_looks_no_further(tmp_path: Path) -> None:
    project = three(tmp_path)
    project.settle()
    code, modules = modules_of(project.root, "poll")
    assert code == 2
    assert not {"agentjobs.core.schedule", "agentjobs.run.attempts", "agentjobs.run.phases.runs"} & modules
    project.edit("w2", profile="join", status="FAILED")
    told = project.poll(code=3)
    assert "phase write waits: 1 of 2 tasks of join are not DONE (w2;" in told.stdout + told.stderr


def test_outputs_that_landed_are_read_from_the_target(tmp_path: Path) -> None:
    show = PLAN + "git show $AGENTJOBS_BASE_COMMIT:read/r1.txt >&2 && " + f"echo '{json.dumps(row('w1', 'write'))}'"
    project = pipeline(tmp_path, read={"rows": [row("r1", "read")]}, write={"plan": show})
    project.configure({"workspace": {"kind": "worktree"}})
    assert project.settle() == {"r1": "DONE", "w1": "DONE"}, project.story()
    assert project.log("+plan.write", 1, "plan.log") == b"ok r1\n"
    assert sorted(project.landings()) == ["r1", "w1"]


# --- the policy, and check


WRONG = {
    'phases = ["read", "wriet"]': (1, 'phases: unknown profile "wriet"; did you mean "write"?'),
    'phases = ["read", "read"]': (1, 'phases: "read" appears twice'),
    'phases = ["read"]': (8, '"plan" in [profiles.write] never runs: write is not in phases'),
    'phases = ["write", "read"]': (9, '"min_done" in [profiles.write] means nothing: write is the first phase'),
}


@pytest.mark.parametrize("line", WRONG)
def test_phases_that_make_no_sense(tmp_path: Path, line: str) -> None:
    project = Project(tmp_path)
    text = """
[profiles.read]
agent = "a"
[profiles.write]
agent = "a"
output = "out/{id}"
again = true
plan = "true"
min_done = 0.5
[agents.a]
command = ["true"]
"""
    (project.root / "agentjobs.toml").write_text(line + text)
    project.rows()
    number, words = WRONG[line]
    assert f"agentjobs.toml:{number}: {words}" in project.run("check", code=1).stderr
    (project.root / "agentjobs.toml").write_text('phases = ["read", "write"]' + text.replace('"out/{id}"', '"out"'))
    assert "has no {id}: all tasks would write the same file" in project.run("check", code=1).stderr
    (project.root / "agentjobs.toml").write_text('phases = ["read", "write"]' + text.replace('plan = "true"\n', ""))
    assert "needs `plan`, the command to run again" in project.run("check", code=1).stderr


def test_check_finds_rows_that_wait_for_a_later_phase(tmp_path: Path) -> None:
    project = three(tmp_path)
    project.rows(
        {"id": "r", "profile": "read", "after": "w"}, {"id": "w", "profile": "write"}, {"id": "x", "after": "w"}
    )
    project.configure({"profiles": {"default": {"agent": "fake"}}})
    said = project.run("check", code=1).stderr
    assert "r of phase read waits for w of phase write, which begins after it: neither ever does" in said
    assert "x of phase" not in said
