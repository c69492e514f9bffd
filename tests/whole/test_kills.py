"""SIGKILL of polls at random, of runners, of agents, of both; and the machine goes down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.processes import read_process
from agentjobs.launch.launcher import alive
from tests.kit.harness import LONG_S, REPOSITORY, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sample(1)

KILLS = os.environ.get("KILLS", "40")
"""`make crash-points` makes it 200."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@pytest.mark.slow
@linux
@pytest.mark.timeout(400)
def test_random_kills_change_nothing(tmp_path: Path) -> None:
    # In a separate process: it forks, and inherits whatever a killed poll leaves.
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.killing", str(tmp_path / "kills"), "--kills", KILLS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"'killed': {KILLS}" in done.stdout, done.stdout


# --- runner and agent -------------------------------------------------------------------------------------


def step_dir(project: Project, task_id: str, attempt: int = 1) -> Path:
    return project.root / ".agentjobs" / "attempts" / task_id / f"{attempt:03d}"


def runner(project: Project, task_id: str, attempt: int = 1, step: str = "agent") -> int:
    """Return the pid of the runner of a step that has started its command."""
    record = step_dir(project, task_id, attempt) / f"{step}.json"

    def whole() -> bool:
        return record.exists() and record.read_bytes().endswith(b"}\n")

    project.wait_for(whole, what=f"{record} is written")
    return int(json.loads(record.read_text())["pid"])


def working(project: Project, task_id: str, attempt: int = 1) -> int:
    """Return the pid of the agent once it works."""

    def started() -> list[int]:
        return [s.pid for s in project.ledger() if s.task == task_id and s.attempt == attempt]

    project.wait_for(started, what=f"{task_id} works")
    return started()[0]


def gone(pid: int) -> bool:
    process = read_process(pid)
    return process is None or process.dead


@linux
@pytest.mark.parametrize("whom", ["runner", "agent", "both"])
def test_who_is_killed_is_resumed(project: Project, whom: str) -> None:
    project.plans(a="hang,ok", b="ok")
    project.dispatch()
    agent = working(project, "a")
    pids = {"runner": [runner(project, "a")], "agent": [agent], "both": [runner(project, "a"), agent]}[whom]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    project.wait_for(lambda: all(map(gone, pids)))
    looped = project.loop()
    assert looped.last == 2, project.story()
    assert project.statuses() == {"a": "DONE", "b": "DONE"}
    assert project.outcomes("a") == ["crashed" if whom == "agent" else "lost", "ok"], project.story()
    assert project.modes("a") == ["first", "resume"]
    assert gone(agent), "an agent without its runner is ended before the next attempt starts"
    assert project.starts() == {"a": 2, "b": 1}
    first, second = (start for start in project.ledger() if start.task == "a")
    assert first.session == second.session


@linux
@pytest.mark.parametrize("whom", ["runner", "check", "both"])
def test_a_killed_check_is_no_verdict_on_the_work(project: Project, whom: str) -> None:
    # The check of the first run waits to be killed; the same check, run again, passes.
    marks = project.directory / "check"
    check = (
        f"if mkdir {marks}; then echo $$ >{marks}/pid~ && mv {marks}/pid~ {marks}/pid; exec sleep 600; fi; "
        "grep -q ok a.txt"
    )
    project.configure({"profiles": {"default": {"verify": [check]}}})
    project.plans(a="ok")
    project.dispatch()
    project.poll_until(marks.joinpath("pid").exists)
    checking = int((marks / "pid").read_text())
    pids = {"runner": [runner(project, "a", step="verify")], "check": [checking]}.get(
        whom, [runner(project, "a", step="verify"), checking]
    )
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    project.wait_for(lambda: all(map(gone, pids)))
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}, project.story()
    assert gone(checking)
    # A check that was killed alone has failed. If its runner was killed too, the result is unknown: it runs again.
    assert project.starts()["a"] == (2 if whom == "check" else 1), project.story()
    assert len(project.landings()) == 1


# --- the machine goes down --------------------------------------------------------------------------------


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us, and the pid that a runner had before the machine went down."""
    process = subprocess.Popen(["sleep", "3000"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@linux
def test_after_a_reboot_everything_goes_on_and_reused_pids_are_left_alone(
    project: Project, innocent: subprocess.Popen[bytes]
) -> None:
    project.configure({"slots": 4, "limits": {"idle_minutes": 5}})
    marks = project.directory / "check"
    check = f"if [ $AGENTJOBS_TASK = checked ] && mkdir {marks}; then sleep 600; fi; grep -q ok $AGENTJOBS_TASK.txt"
    project.configure({"profiles": {"default": {"verify": [check]}}})
    project.plans(finished="ok", working="hang,ok", checked="ok", wrong="wrong,hang,ok")
    project.dispatch()
    project.poll_until(lambda: project.statuses()["finished"] == "DONE")
    project.poll_until(marks.exists)
    project.poll_until(lambda: any(s.task == "wrong" and s.attempt == 2 for s in project.ledger()))
    working(project, "working")
    before = project.starts()

    # The power goes: every process is gone at once, no exit is written, all locks are free, one fact is cut off.
    assert len(project.processes()) >= 6
    project.power_cut()
    start = read_process(innocent.pid)
    assert start is not None
    for record in project.root.glob(".agentjobs/attempts/*/*/*.json"):
        facts = json.loads(record.read_text())
        if "boot" in facts:
            facts.update(boot="00000000-0000-0000-0000-000000000000", pid=innocent.pid, start=start.start)
            record.write_text(json.dumps(facts))
    (step_dir(project, "working", 2)).mkdir()
    (step_dir(project, "working", 2) / "attempt.json").write_bytes(b"")
    (project.root / ".agentjobs/active/working").write_bytes(b"")

    assert project.loop().last == 2
    assert project.statuses() == dict.fromkeys(["finished", "working", "checked", "wrong"], "DONE"), project.story()
    assert innocent.poll() is None, "the process that has the pid of a runner of before was killed"
    # Once more each, and nothing else: what was finished stays so, and a lost check is not the agent's fault.
    more = {"working": before["working"] + 1, "wrong": before["wrong"] + 1}
    assert dict(project.starts()) == {**before, **more}, project.story()
    assert sorted(project.landings()) == ["checked", "finished", "working", "wrong"]


@linux
@pytest.mark.parametrize("same_boot", [True, False])
def test_a_reused_pid_is_no_runner(
    project: Project, innocent: subprocess.Popen[bytes], same_boot: bool
) -> None:
    # The number came back within the same boot (another start time), or after one (perhaps the very same ticks).
    project.plans(a="hang,ok")
    project.dispatch()
    working(project, "a")
    project.power_cut()
    record = step_dir(project, "a") / "agent.json"
    facts = json.loads(record.read_text())
    facts["pid"] = innocent.pid
    if not same_boot:
        process = read_process(innocent.pid)
        assert process is not None
        facts.update(boot="00000000-0000-0000-0000-000000000000", start=process.start)
    record.write_text(json.dumps(facts))
    project.poll("--wait", "5", code=0)
    project.run("stop", code=0)
    assert innocent.poll() is None
    project.settle()
    assert project.statuses() == {"a": "DONE"}
    assert innocent.poll() is None


@linux
def test_what_still_lives_of_an_earlier_attempt_is_ended_before_the_next(project: Project) -> None:
    """A process that turns up between two attempts, in the same tree and on the same conversation."""
    project.configure(limits={"start_interval_s": 3600})  # the second attempt waits
    project.plans(a="crash,ok")
    project.dispatch()
    project.poll_until(lambda: "result" in project.attempts("a")[0], what="the crash")
    marker = project.attempts("a")[0]["attempt"]["marker"]
    left = subprocess.Popen(["sleep", "600"], env={**os.environ, "AGENTJOBS_MARK": marker})
    try:
        assert alive([marker]) == [left.pid]
        project.configure(limits={"start_interval_s": 0})
        assert project.loop().last == 2
        assert project.statuses() == {"a": "DONE"}
        assert left.wait(LONG_S) == -signal.SIGKILL
        assert alive([marker]) == []
    finally:
        left.kill()
        left.wait()
