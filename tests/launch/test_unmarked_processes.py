"""Processes in a task's tree that no marker leads to: an agent's are ended, a person's are not."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.processes import boot_id, read_process
from agentjobs.launch import launcher
from agentjobs.launch.step import StepFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kit.harness import Project

CLEAN = {"PATH": os.environ["PATH"]}
SLEEP = "import time; print(flush=True); time.sleep(600)"
MULTIPLEXER = """\
#!{python}
import os, pty, sys
os.setsid()
pid, fd = pty.fork()
if pid == 0:
    os.chdir(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
print(pid, flush=True)
while True:
    try:
        os.read(fd, 4096)
    except OSError:
        break
"""


class Scene:
    """A tree and what runs around it; all of it is ended afterwards."""

    def __init__(self, directory: Path) -> None:
        self.tree = directory / "trees" / "a"
        self.tree.mkdir(parents=True)
        self.attempt_dir = directory / "attempt"
        self.attempt_dir.mkdir()
        self.server = directory / "tmux: server"
        self.server.write_text(MULTIPLEXER.format(python=sys.executable))
        self.server.chmod(0o755)
        self.started: list[subprocess.Popen[bytes]] = []
        self.others: list[int] = []

    def run(self, cwd: Path, code: str = SLEEP, **env: str) -> int:
        """Start a process without a terminal, in a new session, and return when it is there."""
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=cwd, env=CLEAN | env, stdout=subprocess.PIPE, start_new_session=True
        )
        self.started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    def in_terminal(self, *argv: str) -> int:
        """Start a program at a new terminal, as a terminal emulator does."""
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.tree)
            os.execvp(argv[0], argv)
        os.set_blocking(master, False)
        self.others.append(pid)
        wait_until(lambda: local_name(pid) == argv[0])
        return pid

    def in_multiplexer(self, *argv: str) -> int:
        """Start a program in a new window of a terminal multiplexer that was there before."""
        server = subprocess.Popen([str(self.server), str(self.tree), *argv], env=CLEAN, stdout=subprocess.PIPE)
        self.started.append(server)
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        wait_until(lambda: local_name(pid) == argv[0])
        return pid

    def begin(self) -> None:
        """Let the attempt begin now."""
        own = read_process(self.run(self.tree.parent))
        assert own is not None
        record = f'{{"pid":{own.pid},"start":"{own.start}","boot":"{boot_id()}","mark":"x.a.1"}}'
        (self.attempt_dir / "agent.json").write_text(record)

    def sweep(self) -> None:
        files = StepFiles(self.attempt_dir, "agent")
        launcher.kill_leftovers(["x.a.1"], (), [launcher.Place(str(self.tree), "a", (files,))])

    def close(self) -> None:
        for pid in self.others:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        for process in self.started:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def local_name(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read().strip()


def lives(pid: int) -> bool:
    process = read_process(pid)
    return process is not None and not process.dead


def wait_until(is_so: Callable[[], bool], timeout_s: float = 30) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


WRITES = "f = open('{tree}/log', 'w'); " + SLEEP
READS = "f = open('{tree}/log'); " + SLEEP


def test_what_an_agent_left_in_its_tree_is_ended(scene: Scene) -> None:
    (scene.tree / "log").touch()
    (scene.tree / "src").mkdir()
    gone = scene.tree / "gone"
    gone.mkdir()
    scene.begin()
    left = {
        "in the tree": scene.run(scene.tree),
        "below it": scene.run(scene.tree / "src"),
        "in a directory that is gone": scene.run(gone),
        "writes there": scene.run(scene.tree.parent, WRITES.format(tree=scene.tree)),
        "in a multiplexer": scene.in_multiplexer("sleep", "600"),
        "of a forgotten attempt": scene.run(scene.tree, AGENTJOBS_MARK="y.a.7"),
    }
    gone.rmdir()
    scene.sweep()
    assert {name: lives(pid) for name, pid in left.items()} == dict.fromkeys(left, False)


def test_a_person_in_a_tree_and_a_neighbour_are_left_alone(scene: Scene) -> None:
    (scene.tree / "log").touch()
    near = scene.tree.with_name("ab")
    near.mkdir()
    spared = {"there before": scene.run(scene.tree)}
    scene.begin()
    spared |= {
        "a terminal": scene.in_terminal("sleep", "600"),
        "a shell in a multiplexer": scene.in_multiplexer("bash", "--norc", "-i"),
        "a tree with a longer name": scene.run(near),
        "above the trees": scene.run(scene.tree.parent),
        "reads a file": scene.run(scene.tree.parent, READS.format(tree=scene.tree)),
        "another task's agent": scene.run(scene.tree, AGENTJOBS_MARK="y.b.1"),
    }
    scene.sweep()
    assert {name: lives(pid) for name, pid in spared.items()} == dict.fromkeys(spared, True)
    assert launcher.occupied(str(scene.tree))


def test_a_process_that_has_just_ended_does_not_occupy_a_tree(scene: Scene) -> None:
    scene.begin()
    ours = subprocess.Popen(["sleep", "600"], cwd=scene.tree)
    try:
        late = time.monotonic() + 10
        while not launcher.occupied(str(scene.tree)):  # an earlier scan may serve for a quarter of a second
            assert time.monotonic() < late
    finally:
        ours.kill()
        ours.wait()
    assert not launcher.occupied(str(scene.tree))


def test_a_link_in_the_place_of_a_tree_leads_to_nobody(scene: Scene) -> None:
    scene.begin()
    elsewhere = scene.tree.parent.parent / "users"
    elsewhere.mkdir()
    scene.tree.rmdir()
    scene.tree.symlink_to(elsewhere)
    pid = scene.run(elsewhere)
    scene.sweep()
    assert lives(pid)


LEAVE = """
file="{pids}/$AGENTJOBS_TASK.{name}"
env -i PATH="$PATH" setsid sh -c 'echo $$ >"$0"; cd {below}; exec sleep 600' "$file" >/dev/null 2>&1 &
while ! test -s "$file"; do sleep 0.01; done
"""
ALONE = 'for pid in $(cat "{pids}/$AGENTJOBS_TASK.agent"); do ! readlink "/proc/$pid/cwd"; done'


def test_nothing_sits_in_a_tree_that_is_handed_on(project: Project) -> None:
    """Each agent and each check leaves a process that carries no marker; the checks find none of the agent's."""
    pids = project.directory / "pids"
    pids.mkdir()
    script = project.directory / "agent.sh"
    leave = LEAVE.format(below="src", pids=pids, name="agent")
    script.write_text(f"cat >/dev/null; mkdir src; echo ok >$AGENTJOBS_TASK.txt\n{leave}")
    project.configure(
        agents={"fake": {"command": ["sh", str(script)], "rules": []}},
        profiles={"default": {"verify": [ALONE.format(pids=pids), LEAVE.format(below=".", pids=pids, name="check")]}},
        slots=2,
    )
    project.rows(*({"id": name} for name in ("a", "b", "c")))
    try:
        assert set(project.settle().values()) == {"DONE"}, project.story()
        left = [int(path.read_text()) for path in pids.iterdir()]
        assert len(left) == 6
        assert not [pid for pid in left if lives(pid)]
    finally:
        for path in pids.iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGKILL)
