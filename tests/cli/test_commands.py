"""The commands a person uses, through the real program: init, plan rows, check, prompt, status, logs, show, run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.harness import LONG_S, Project

COMMANDS = [
    "init", "plan", "plan rows", "check", "prompt", "dispatch", "poll", "run", "status", "logs", "show", "retry",
    "skip", "stop", "clean",
]  # fmt: skip


def agentjobs(*args: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentjobs", *args], cwd=cwd, input=stdin, capture_output=True, text=True, check=False
    )


# --- help ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_with_an_example(name: str, tmp_path: Path) -> None:
    done = agentjobs(*name.split(), "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout
    assert "agentjobs " + name.split(maxsplit=1)[0] in done.stdout.partition("Example:")[2]


@pytest.mark.parametrize(
    "args", [["plan"], ["plan", "row"], ["retry"], ["skip"], ["prompt"], ["logs"], ["show"], ["status", "--chek"]]
)
def test_wrong_usage_is_64(args: list[str], project: Project) -> None:
    assert project.run(*args).code == 64


def test_commands_outside_of_a_project_say_so(tmp_path: Path) -> None:
    for args in (["status"], ["check"], ["plan", "rows"], ["run"], ["clean"]):
        done = agentjobs(*args, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), args
        assert "agentjobs init" in done.stderr


# --- init -----------------------------------------------------------------------------------------------------


def test_init_writes_a_project_that_checks_and_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "tasks.tsv").write_text("id\nmine\n")
    done = agentjobs("init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote agentjobs.toml" in done.stdout
    assert "tasks.tsv already exists" in done.stderr
    assert (tmp_path / "tasks.tsv").read_text() == "id\nmine\n"
    assert "command" in (tmp_path / "agentjobs.toml").read_text()
    again = agentjobs("init", cwd=tmp_path)
    assert again.returncode == 0
    assert again.stdout == ""


def test_init_does_not_mix_two_kinds(tmp_path: Path) -> None:
    agentjobs("init", cwd=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    mixed = agentjobs("init", "js-to-ts", cwd=tmp_path)
    assert mixed.returncode == 1
    assert "agentjobs.toml: belongs to another kind of job" in mixed.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_init_lists_its_kinds_and_knows_no_other(tmp_path: Path) -> None:
    listed = agentjobs("init", "--list", cwd=tmp_path)
    assert "blank" in [line.split("  ")[0] for line in listed.stdout.splitlines()]
    unknown = agentjobs("init", "blnk", cwd=tmp_path)
    assert unknown.returncode == 1
    assert 'did you mean "blank"?' in unknown.stderr
    assert list(tmp_path.iterdir()) == []


# --- plan rows --------------------------------------------------------------------------------------------------


def test_plan_rows_makes_the_table_and_twice_is_once(project: Project) -> None:
    rows = '{"id": "a", "files": ["a b.py"]}\n{"id": "b", "after": ["a"], "task": "two\\nlines"}\n'
    first = project.run("plan", "rows", code=0, stdin=rows)
    assert "2 added, 0 refreshed, 0 kept" in first.stderr
    before = (project.root / "tasks.tsv").read_bytes()
    assert b"'a b.py'" in before
    assert b"two\\nlines" in before
    second = project.run("plan", "rows", code=0, stdin=rows)
    assert "0 added, 0 refreshed, 2 kept" in second.stderr
    assert (project.root / "tasks.tsv").read_bytes() == before


def test_plan_rows_keeps_what_was_done_and_what_people_wrote(project: Project) -> None:
    project.plans(a="ok", b="ok")
    project.settle()
    path = project.root / "tasks.tsv"
    path.write_text("# mine\n" + path.read_text())
    path.chmod(0o640)
    said = project.run("plan", "rows", code=0, stdin="id,plan\na,crash\nb,crash\nc,ok\n").stderr
    assert "so these were kept: a (DONE, other plan), b (DONE, other plan); use --id for new ids" in said
    text = path.read_text()
    assert text.startswith("# mine\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [cells["plan"] for cells in project.table().values()] == ["ok", "ok", "ok"]
    assert project.statuses() == {"a": "DONE", "b": "DONE", "c": "TODO"}
    assert project.settle() == {"a": "DONE", "b": "DONE", "c": "DONE"}
    assert project.starts() == {"a": 1, "b": 1, "c": 1}


def test_plan_rows_dry_run_and_errors_write_nothing(project: Project) -> None:
    dry = project.run("plan", "rows", "--dry-run", code=0, stdin="one\ntwo\n")
    assert dry.lines == ["change\tid\titem", "add\tone\tone", "add\ttwo\ttwo"]
    bad = project.run("plan", "rows", code=1, stdin="id\na\nb/c\n")
    assert bad.stderr.startswith("agentjobs: <stdin>:3: ")
    assert not (project.root / "tasks.tsv").exists()
    project.run("plan", "rows", "--id", "conv-{file}", "--column", "file", code=0, stdin="src/a.js\n")
    assert list(project.table()) == ["conv-src-a.js"]


# --- check --------------------------------------------------------------------------------------------------------


def test_check_finds_nothing_in_a_sound_project(project: Project) -> None:
    project.plans(a="ok")
    assert project.run("check", code=0).lines[-1] == "1 task: 0 errors, 0 warnings"


def test_check_names_all_that_is_wrong_with_its_place(project: Project) -> None:
    project.configure(
        base="nowhere",
        agents={"fake": {"command": ["no-such-program"], "resume": None}},
        profiles={"other": {"agent": "fake", "prompt": "gone.j2"}},
        workspace={"copy": [".env"]},
    )
    project.rows(
        {"id": "a", "plan": "ok", "files": "../up"},
        {"id": "b", "profile": "othre"},
        {"id": "c", "profile": "other", "priority": "high"},
        {"id": "d", "profile": "other", "files": "x"},
        {"id": "e", "after": "zz", "files": "x"},
    )
    done = project.run("check", code=1)
    assert all(line.startswith("agentjobs: ") for line in done.stderr.splitlines()), done.stderr
    for said in (
        "base 'nowhere' is not a commit", "no program 'no-such-program'", "gone.j2", "files: '../up'",
        'unknown profile "othre"; did you mean "other"?', "priority", "after names", ".env does not exist",
        "warning: x is claimed by 2 tasks (d, e)", "warning: profile other has no verify",
    ):  # fmt: skip
        assert said in done.stderr, said
    assert not (project.root / ".agentjobs").exists()


def test_check_counts_only_open_tasks_that_claim_a_path(project: Project) -> None:
    project.rows(
        {"id": "a", "plan": "ok", "files": "x", "status": "DONE"},
        {"id": "b", "plan": "ok", "files": "x"},
        {"id": "c", "plan": "ok", "files": "y"},
        {"id": "d", "plan": "ok", "files": "y"},
    )
    said = project.run("check", code=0).stderr
    assert "y is claimed by 2 tasks (c, d)" in said
    assert "x is claimed" not in said


def test_check_reads_the_policy_and_the_table_even_when_the_other_is_broken(project: Project) -> None:
    project.plans(a="ok")
    (project.root / "agentjobs.toml").write_text("slts = 3\n")
    (project.root / "tasks.tsv").write_text("id\na\na\n")
    done = project.run("check", code=1)
    assert "agentjobs.toml:1: unknown key" in done.stderr
    assert "tasks.tsv:3" in done.stderr


def test_check_renders_every_prompt(project: Project) -> None:
    project.rows({"id": "a", "task": "x"}, {"id": "b", "task": "word " * 300})
    (project.root / "prompt.md.j2").write_text("{{ tsk }}")
    assert "prompt.md.j2:1: 'tsk' is undefined; did you mean \"task\"?" in project.run("check", code=1).stderr
    (project.root / "prompt.md.j2").write_text("{{ task }}")
    project.configure(profiles={"default": {"window": 100}})
    done = project.run("check", code=1)
    assert "tasks.tsv:3: the prompt of b has 30" in done.stderr
    assert "60 fit" in done.stderr


def test_check_refuses_a_target_that_is_checked_out(project: Project) -> None:
    project.plans(a="ok")
    project.configure(target="main")
    assert "checked out" in project.run("check", code=1).stderr


# --- the baseline ---------------------------------------------------------------------------------------------------


def test_baseline_says_which_checks_are_red_and_remembers(project: Project) -> None:
    counted = project.directory / "counted"
    checks = ["test -f README", f"echo run >>{counted}; echo 'no such thing' >&2; exit 3"]
    project.configure(profiles={"default": {"verify": checks, "baseline": "green"}})
    project.plans(a="ok")
    done = project.run("check", "--baseline", code=1)
    assert done.lines[0] == "green\tdefault\ttest -f README"
    assert done.lines[1].startswith("red\tdefault\techo run")
    assert "  | no such thing" in done.lines
    refused = project.run("dispatch", code=1)
    assert "checks of profile default fail on the base" in refused.stderr
    assert project.ledger() == []
    assert counted.read_text() == "run\n"
    assert "tree" not in [path.name for path in (project.root / ".agentjobs" / "baseline").iterdir()]
    project.run("dispatch", "--force", code=0)
    project.wait_for(project.ledger)
    project.run("stop", code=0)


def test_check_runs_the_gate_once_before_any_work(project: Project) -> None:
    counted = project.directory / "counted"
    red = f"echo run >>{counted}; echo 'no such thing' >&2; exit 3"
    flaky = f"test -e {counted}.flaky || {{ touch {counted}.flaky; exit 1; }}"
    project.configure(landing={"gate": ["test -f README", red, flaky]})
    project.plans(a="ok")
    assert project.run("check", "--no-gate", code=0).stderr == ""
    done = project.run("check", code=1)
    assert "failed (exit 3) on" in done.stderr
    assert "before any work: nothing can land; fix it first: no such thing" in done.stderr
    assert "warning: landing.gate: `test -e" in done.stderr
    assert "passed when it ran again" in done.stderr
    assert project.run("check", code=1).stderr == done.stderr
    assert counted.read_text() == "run\nrun\n"


def test_a_green_baseline_lets_dispatch_go_on(project: Project) -> None:
    check = 'test -f README && { test "$AGENTJOBS_TASK" = baseline || grep -q ok "$AGENTJOBS_TASK.txt"; }'
    project.configure(profiles={"default": {"verify": [check], "baseline": "green"}})
    project.plans(a="ok")
    assert project.settle() == {"a": "DONE"}


def test_a_baseline_check_that_hangs_is_ended_with_all_it_started(project: Project) -> None:
    project.configure(
        limits={"verify_minutes": 0.01}, profiles={"default": {"verify": ["setsid sleep 97 & sleep 98"]}}
    )
    project.plans(a="ok")
    done = project.run("check", "--baseline", code=0)
    assert "ran out of time" in done.stdout
    assert project.processes() == []


# --- prompt, status, logs, show ---------------------------------------------------------------------------------------


def test_prompt_is_what_is_sent(project: Project) -> None:
    project.plans(a="wrong,ok")
    before = project.run("prompt", "a", code=0).stdout
    project.settle()
    assert project.prompt("a", 1) == before == project.run("prompt", "a", "--attempt", "1", code=0).stdout
    assert project.prompt("a", 2) == project.run("prompt", "a", "--attempt", "2", code=0).stdout != before
    assert "it has attempts 1 to 2" in project.run("prompt", "a", "--attempt", "3", code=1).stderr
    assert 'did you mean "a"?' in project.run("prompt", "aa", code=1).stderr


def test_status_before_during_and_after(project: Project) -> None:
    project.rows({"id": "a", "plan": "hang"}, {"id": "b", "plan": "ok", "after": "a"})
    assert "nothing is in play yet" in project.run("status", code=0).stdout
    assert not (project.root / ".agentjobs").exists()
    project.dispatch()
    project.wait_for(project.ledger)
    found = json.loads(project.run("status", "--json", code=0).stdout)
    assert found["counts"]["IN_PROGRESS"] == 1
    assert [(live["id"], live["attempt"], live["step"]) for live in found["running"]] == [("a", 1, "agent")]
    assert "attempt 1 (first)" in project.run("status").stdout
    assert project.run("status", "--check").code == 1
    project.run("skip", "a", code=0)
    assert "b  behind a" in project.run("status", code=0).stdout
    project.run("skip", "b", code=0)
    assert project.run("status", "--check").code == 0


def test_failures_are_grouped_by_how_they_failed(project: Project) -> None:
    project.configure(retry={"restarts": 0, "resumes": 0, "repairs": 0})
    project.plans(a="wrong", b="wrong", c="crash", d="ok")
    project.settle()
    text = project.run("status", "--failures", code=0).stdout
    assert text.startswith("2 × verify_failed: grep")
    assert "  a b\n" in text
    assert "1 × crashed" in text
    groups = json.loads(project.run("status", "--failures", "--json", code=0).stdout)["failures"]
    assert sorted(len(group["ids"]) for group in groups) == [1, 2]


def test_status_tells_of_a_pause_and_a_halt(project: Project) -> None:
    project.configure(limits={"breaker": 2}, retry={"restarts": 0, "resumes": 0, "repairs": 0})
    project.plans(a="wrong", b="wrong", c="wrong", d="wrong")
    project.dispatch()
    assert project.loop().last == 3
    text = project.run("status", code=0).stdout
    assert "halted at" in text
    assert "agentjobs retry --failed" in text
    retried = project.run("retry", "--failed", code=0)
    assert retried.lines
    assert "halted" not in project.run("status", code=0).stdout


def test_show_tells_the_whole_story(project: Project) -> None:
    project.plans(a="crash,wrong,ok")
    project.settle()
    text = project.run("show", "a", code=0).stdout
    for said in (
        "attempt 1  first", "attempt 2  resume", "attempt 1 was interrupted: crashed", "attempt 3  repair",
        "attempt 2 was wrong: verify_failed", "landed", ".agentjobs/attempts/a/003/", "round 1 settled", ": DONE",
    ):  # fmt: skip
        assert said in text, said
    found = json.loads(project.run("show", "a", "--json", code=0).stdout)
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["crashed", "verify_failed", "ok"]
    assert found["attempts"][1]["check"]
    for attempt in found["attempts"]:
        assert (project.root / attempt["directory"]).is_dir()
        for step in attempt["steps"]:
            assert (project.root / step["log"]).is_file()
    assert "no task 'b'" in project.run("show", "b", code=1).stderr


def test_logs_of_the_newest_attempt_of_another_and_of_one_step(project: Project) -> None:
    project.plans(a="wrong,ok", b="ok")
    assert "has had no attempt yet" in project.run("logs", "a", code=1).stderr
    project.settle()
    text = project.run("logs", "a", code=0).stdout
    assert "==> a attempt 2 agent <==" in text
    assert "==> a attempt 2 verify <==" in text
    raw = project.run("logs", "a", "--attempt", "1", "--step", "agent", code=0).stdout
    assert raw.encode() == project.log("a", 1)
    assert "it has agent, verify" in project.run("logs", "a", "--step", "gate", code=1).stderr
    assert "has no attempt 9" in project.run("logs", "a", "--attempt", "9", code=1).stderr


def test_logs_follow_over_steps_and_attempts_to_the_end(project: Project) -> None:
    project.plans(a="wrong,ok")
    project.dispatch()
    following = subprocess.Popen(
        [sys.executable, "-m", "agentjobs", "logs", "-f", "a"],
        cwd=project.root, env=project.env, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert following.stdout is not None
    first = following.stdout.readline()  # it begins with the newest attempt, which must be the first
    project.loop()
    said = (first + following.communicate(timeout=LONG_S)[0]).decode()
    assert following.returncode == 0
    heads = [line for line in said.splitlines() if line.startswith("==> a attempt")]
    assert heads == [f"==> a attempt {n} {step} <==" for n in (1, 2) for step in ("agent", "verify")]


# --- run ------------------------------------------------------------------------------------------------------------


def test_run_goes_to_the_end_and_tells_what_happens(project: Project) -> None:
    project.plans(a="crash,ok", b="ok")
    done = project.run("run", code=2)
    assert done.stdout == "2 tasks: 2 DONE\n"
    assert "a  attempt 2" in done.stderr  # attempt 1 may have ended while run dispatched
    assert "a  DONE" in done.stderr
    assert project.run("run", "--quiet", code=2).stderr == ""


def test_run_halts_with_3_and_says_how_to_go_on(project: Project) -> None:
    project.configure(limits={"run_attempts": 1}, slots=1)
    project.plans(a="ok", b="ok")
    project.dispatch()
    done = project.run("run", code=3)
    assert "limits.run_attempts is spent" in done.stderr
    assert "Raise the limit" in done.stderr


def test_interrupted_run_leaves_agents_running(project: Project) -> None:
    project.plans(a="hang")
    project.dispatch()
    project.wait_for(project.ledger)
    running = project.start("run")
    project.wait_for(lambda: project.waits(running.pid), what="run waits")
    running.send_signal(signal.SIGINT)
    assert running.wait(LONG_S) == 130
    assert project.processes()
    assert project.run("stop", code=0).lines == ["a\tstopped"]
    assert project.processes() == []
