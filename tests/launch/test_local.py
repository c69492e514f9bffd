"""Steps as real processes: how they start, end, are lost, signalled and swept away."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.processes import boot_id, free_memory
from agentjobs.launch import launcher
from agentjobs.launch.step import StepFiles, read_record
from agentjobs.model.steps import Exited, Lost, Prepared, Running, StepState
from tests.kit.harness import LONG_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIB = 1 << 30
LINUX = sys.platform == "linux"
RUNNER = Path(launcher.__file__).parent / "runner.sh"


class Bench:
    """One attempt in a separate directory, and what a test needs around it."""

    def __init__(self, tmp_path: Path) -> None:
        self.dir = tmp_path / "att empt"
        self.dir.mkdir()
        self.tree = tmp_path / "tree"
        self.tree.mkdir()
        self.mark = f"test-{uuid.uuid4().hex}"
        self.env = {**os.environ, "AGENTJOBS_MARK": self.mark}

    def files(self, name: str = "agent") -> StepFiles:
        return StepFiles(self.dir, name)

    def start(
        self,
        *argv: str,
        name: str = "agent",
        stdin: str | None = None,
        file_size: int = GIB,
        cwd: str | None = None,
    ) -> int | None:
        return launcher.start(
            self.files(name),
            argv=argv,
            cwd=cwd or str(self.tree),
            env=self.env,
            stdin=stdin,
            file_size=file_size,
        )

    def run(self, *argv: str, name: str = "agent", stdin: str | None = None, file_size: int = GIB) -> Exited:
        assert self.start(*argv, name=name, stdin=stdin, file_size=file_size) is not None
        return self.ended(name)

    def ended(self, name: str = "agent") -> Exited:
        state = self.settled(name)
        assert isinstance(state, Exited)
        return state

    def settled(self, name: str = "agent") -> StepState:
        wait_for(lambda: not isinstance(launcher.state_of(self.files(name)), Running))
        return launcher.state_of(self.files(name))

    def said(self, name: str = "agent") -> bytes:
        return self.files(name).log.read_bytes()

    def pid_from(self, file: str) -> int:
        path = self.tree / file
        wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        return int(path.read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    launcher.kill_leftovers([made.mark])


def wait_for(condition: Callable[[], bool], timeout_s: float = LONG_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def lives(pid: int) -> bool:
    """A zombie does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] not in {"", "Z", "X"}


# --- starting and ending ----------------------------------------------------------------------------------


def test_a_step_is_prepared_then_running_then_exited(bench: Bench) -> None:
    assert launcher.state_of(bench.files()) == Prepared()
    go = bench.tree / "go"
    os.mkfifo(go)
    pid = bench.start("sh", "-c", "echo hello; cat go; exit 7")
    assert pid is not None
    wait_for(lambda: bench.files().log.exists() and bench.said() == b"hello\n")
    state = launcher.state_of(bench.files())
    assert isinstance(state, Running)
    assert state.pid == pid
    assert state.output_bytes == 6
    assert abs(state.output_at - bench.files().log.stat().st_mtime) < 0.001
    go.write_bytes(b"")
    end = bench.ended()
    assert (end.code, end.output_bytes) == (7, 6)
    assert end.at == bench.files().exit.stat().st_mtime
    assert json.loads(bench.files().exit.read_bytes()) == {"code": 7}
    assert not list(bench.dir.glob("*.tmp"))


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -INT $$"], 130),
        (["no-such-program"], 127),
        (["/"], 126),
        (["exit", "0"], 127),  # a word of the shell is not a program
        ([":"], 127),
    ],
)
def test_exit_codes(bench: Bench, argv: list[str], code: int) -> None:
    assert bench.run(*argv).code == code
    if code not in {126, 127}:
        assert bench.said() == b""  # the shell adds nothing
    else:
        assert bench.said()


def test_a_directory_that_is_not_there(bench: Bench) -> None:
    bench.start("true", cwd=str(bench.tree / "gone"))
    assert bench.ended().code == 126
    assert b"gone" in bench.said()


def test_the_environment_is_what_was_given(bench: Bench) -> None:
    bench.env = {"PATH": os.environ["PATH"], "AGENTJOBS_MARK": bench.mark, "A": "two\nlines $(x) 'q'"}
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    assert bench.run(sys.executable, "-c", code).code == 0
    seen = json.loads(bench.said())
    assert bench.env.items() <= seen.items()
    assert not [name for name in seen if name.startswith("agentjobs")]


def test_a_marker_is_needed(bench: Bench) -> None:
    for mark in ({}, {"AGENTJOBS_MARK": 'a"b'}):
        with pytest.raises(ValueError, match="AGENTJOBS_MARK"):
            launcher.start(
                bench.files(),
                argv=["true"],
                cwd="/",
                env={"PATH": "/bin", **mark},
                stdin=None,
                file_size=GIB,
            )
    assert launcher.state_of(bench.files()) == Prepared()


def test_arguments_arrive_verbatim(bench: Bench) -> None:
    argv = [
        "-n",
        "--",
        "two words",
        "",
        'it\'s "q"',
        "a\nb\n",
        "$(touch x)`y`",
        "*",
        "\\n\\",
        "\udcff\udc80é",
        "%d",
    ]
    code = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
    bench.run(sys.executable, "-c", code, *argv)
    assert bench.said() == b"\0".join(os.fsencode(arg) for arg in argv)
    assert list(bench.tree.iterdir()) == []


def test_odd_directories(bench: Bench) -> None:
    tree = bench.tree / "-a b\n$(x)'\udcff"
    tree.mkdir()
    bench.dir = bench.dir / "it's\n\udcff"
    bench.dir.mkdir()
    bench.start(sys.executable, "-c", "import os; os.write(1, os.getcwdb())", cwd=str(tree))
    assert bench.ended().code == 0
    assert bench.said() == os.fsencode(tree)


def test_a_megabyte_on_stdin_arrives_whole(bench: Bench, tmp_path: Path) -> None:
    prompt = tmp_path / "pro mpt.md"
    prompt.write_bytes(os.urandom(1 << 20))
    bench.run("cat", stdin=str(prompt))
    assert bench.said() == prompt.read_bytes()


def test_without_a_prompt_stdin_is_empty(bench: Bench) -> None:
    assert bench.run("cat").output_bytes == 0


def test_a_prompt_that_is_not_there_starts_nothing(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bench.start("cat", stdin=str(tmp_path / "gone"))
    assert launcher.state_of(bench.files()) == Prepared()
    assert bench.run("true").code == 0


def test_no_file_grows_past_the_limit(bench: Bench) -> None:
    end = bench.run("sh", "-c", "exec head -c 300000 /dev/zero", file_size=100 * 1024)
    assert end.code == 128 + signal.SIGXFSZ
    assert end.output_bytes == 100 * 1024


def test_a_command_inherits_no_descriptor_and_no_ignored_signal(bench: Bench) -> None:
    extra = os.open(bench.tree, os.O_RDONLY)
    os.set_inheritable(extra, True)
    code = (
        "import os, signal\n"
        "def is_open(fd):\n"
        "    try: os.fstat(fd)\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print([fd for fd in range(3, 200) if is_open(fd)])\n"
    )
    try:
        bench.run(sys.executable, "-c", code)
    finally:
        os.close(extra)
    assert bench.said() == b"[]\n"
    if LINUX:
        bench.run("grep", "SigIgn", "/proc/self/status", name="verify")
        assert int(bench.said("verify").split()[1], 16) & 0x7FFFFFFF == 0  # 32 and 33 are the C library's


def test_logs_are_appended_to_and_named_after_the_step(tmp_path: Path) -> None:
    names = ["agent", "agent-2", "verify", "verify-3", "setup"]
    assert [StepFiles(tmp_path, name).log.name for name in names] == [
        "output.log",
        "output-2.log",
        "verify.log",
        "verify-3.log",
        "setup.log",
    ]


def test_other_shells_too(bench: Bench) -> None:
    """What /bin/sh is differs: dash here, bash there."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    bash_as_sh = bench.dir.parent / "sh"
    bash_as_sh.symlink_to(bash)
    for code, script in (
        (3, "exit 3"),
        (137, "kill -9 $$"),
        (143, "kill $$"),
        (143, "kill 0"),
        (127, "exit"),
    ):
        prefix = bench.dir / f"verify-{code}-{len(script)}"
        argv = ["exit"] if script == "exit" else ["sh", "-c", script]
        with prefix.with_suffix(".out").open("wb") as out:
            command = 'exec "$0" "$@" 9>lock'
            subprocess.run(
                ["sh", "-c", command, str(bash_as_sh), RUNNER, prefix, bench.tree, "4096", "boot", "022", *argv],
                env=bench.env,
                cwd=bench.dir,
                stdout=out,
                start_new_session=True,
                check=True,
            )
        assert json.loads(Path(f"{prefix}.exit.json").read_bytes()) == {"code": code}
        record = json.loads(Path(f"{prefix}.json").read_bytes())
        assert (record["boot"], record["mark"]) == ("boot", bench.mark)
        assert bool(record["start"]) is LINUX
        assert (prefix.with_suffix(".out").read_bytes() != b"") is (code == 127)


# --- once and only once -----------------------------------------------------------------------------------


def test_a_step_starts_once(bench: Bench) -> None:
    assert bench.start("sleep", "1000") is not None
    assert bench.start("true") is None
    launcher.hard_kill(bench.files(), bench.mark)
    assert isinstance(bench.settled(), Lost)
    assert bench.start("true") is None
    bench.run("true", name="verify")
    assert bench.start("true", name="verify") is None


def test_of_many_starters_one_wins(bench: Bench) -> None:
    code = (
        "import os, sys; from pathlib import Path; from agentjobs.launch import launcher, step\n"
        "sys.stdin.read()\n"
        "files = step.StepFiles(Path(sys.argv[1]), 'agent')\n"
        "argv = ['sh', '-c', 'echo ran']\n"
        "pid = launcher.start(files, argv=argv, cwd='/', env=os.environ, stdin=None, file_size=1 << 30)\n"
        "print(pid is not None)\n"
    )
    root = Path(launcher.__file__).parent.parent.parent
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code, bench.dir],
            env=bench.env,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(6)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.close()
        starter.stdin = None
    said = [starter.communicate()[0].strip() for starter in starters]
    assert sorted(said) == [b"False"] * 5 + [b"True"]
    bench.ended()
    assert bench.said() == b"ran\n"


def test_a_probe_does_not_hinder_a_start(bench: Bench) -> None:
    bench.files().lock.touch()
    with bench.files().lock.open() as probing:
        fcntl.flock(probing, fcntl.LOCK_SH)
        assert launcher.state_of(bench.files()) == Prepared()
        assert bench.start("true") is None  # held for good: refused, not started
        assert launcher.state_of(bench.files()) == Prepared()
    assert bench.run("true").code == 0


def test_the_lock_alone_says_running(bench: Bench) -> None:
    with bench.files().lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = launcher.state_of(bench.files())
        assert isinstance(state, Running)
        assert state.pid == 0
        bench.files().record.write_text('{"pid":1,"start":"","boot":"","mark":""}')
        bench.files().exit.write_text('{"code":0}')
        assert isinstance(launcher.state_of(bench.files()), Running)
    assert isinstance(launcher.state_of(bench.files()), Exited)


def test_the_command_does_not_hold_the_lock(bench: Bench) -> None:
    bench.run("sh", "-c", "sleep 1000 & echo $! > pid")
    assert lives(bench.pid_from("pid"))  # and yet the step is over


@pytest.mark.parametrize("content", ["", "{", '{"code":', '{"code":"x"}', "[]", "\0\0\0\0", "\udcff"])
def test_half_written_facts_count_as_absent(bench: Bench, content: str) -> None:
    bench.files().lock.touch()
    bench.files().record.write_bytes(os.fsencode(content))
    bench.files().exit.write_bytes(os.fsencode(content))
    assert launcher.state_of(bench.files()) == Prepared()
    bench.files().record.write_text('{"pid":99999,"start":"1","boot":"","mark":"m"}')
    assert isinstance(launcher.state_of(bench.files()), Lost)
    bench.files().record.unlink()
    assert bench.run("true").code == 0


def test_a_full_disk_starts_nothing(bench: Bench) -> None:
    full = bench.dir / "full"
    full.mkdir()
    mounted = os.geteuid() == 0 and LINUX and shutil.which("mount") is not None
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(full)]
    if not mounted or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        bench.dir = full
        bench.files().lock.touch()
        bench.files().log.touch()
        with pytest.raises(OSError, match="No space"):
            (full / "filler").write_bytes(bytes(100_000))
        ran = bench.tree / "ran"
        assert bench.start("touch", str(ran)) is not None
        assert bench.settled() == Prepared()
        assert not ran.exists()
        (full / "filler").unlink()
        # Room again, and gone again while the command runs: no exit is better than an empty one.
        fill = f"head -c 100000 /dev/zero >'{full}/filler' 2>&-; exit 0"
        assert bench.start("sh", "-c", fill) is not None
        assert isinstance(bench.settled(), Lost)
    finally:
        launcher.kill_leftovers([bench.mark])
        subprocess.run(["umount", str(full)], check=True)


# --- killing ----------------------------------------------------------------------------------------------


def test_a_killed_runner_is_lost_and_its_agent_swept(bench: Bench) -> None:
    pid = bench.start("sh", "-c", "echo $$ > pid; exec sleep 1000")
    assert pid is not None
    agent = bench.pid_from("pid")
    os.kill(pid, signal.SIGKILL)
    assert isinstance(bench.settled(), Lost)
    assert lives(agent)
    assert launcher.kill_leftovers([bench.mark], [bench.files()]) == 1
    assert not lives(agent)
    assert isinstance(launcher.state_of(bench.files()), Lost)


def test_a_killed_agent_is_an_exit_of_137(bench: Bench) -> None:
    bench.start("sh", "-c", "echo $$ > pid; exec sleep 1000")
    os.kill(bench.pid_from("pid"), signal.SIGKILL)
    assert bench.ended().code == 137
    assert launcher.kill_leftovers([bench.mark], [bench.files()]) == 0


def test_both_killed(bench: Bench) -> None:
    pid = bench.start("sh", "-c", "echo $$ > pid; exec sleep 1000")
    assert pid is not None
    agent = bench.pid_from("pid")
    launcher.hard_kill(bench.files(), bench.mark)
    assert isinstance(launcher.state_of(bench.files()), Lost)
    assert not lives(agent)
    assert not lives(pid)


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1"])
def test_a_polite_signal_to_the_group_keeps_the_status(bench: Bench, name: str) -> None:
    signum = signal.Signals[f"SIG{name}"]
    bench.start("sh", "-c", f"trap 'exit 42' {name}; echo $$ > pid; while :; do sleep 0.01; done")
    bench.pid_from("pid")
    assert launcher.signal_group(bench.files(), signum)
    assert bench.ended().code == 42


def test_a_polite_signal_ends_what_does_not_handle_it(bench: Bench) -> None:
    bench.start("sh", "-c", "echo $$ > pid; exec sleep 1000")
    bench.pid_from("pid")
    assert launcher.signal_group(bench.files(), signal.SIGTERM)
    assert bench.ended().code == 143
    assert not launcher.signal_group(bench.files(), signal.SIGTERM)


def test_a_group_without_its_runner_is_known_by_the_marker(bench: Bench) -> None:
    pid = bench.start("sh", "-c", "echo $$ > pid; exec sleep 1000")
    assert pid is not None
    agent = bench.pid_from("pid")
    os.kill(pid, signal.SIGKILL)
    bench.settled()
    assert launcher.signal_group(bench.files(), signal.SIGTERM)
    wait_for(lambda: not lives(agent))
    wait_for(lambda: not launcher.signal_group(bench.files(), signal.SIGTERM))


DAEMON = """
import os, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open("pid", "w").write(f"{os.getpid()}\\n")
os.execvp("sleep", ["sleep", "1000"])
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "setsid sh -c 'echo $$ > pid; exec sleep 1000' & sleep 1000"],
        ["sh", "-c", "setsid sh -c 'echo $$ > pid; exec sleep 1000' &"],
        ["sh", "-c", "nohup sh -c 'echo $$ > pid; exec sleep 1000' >/dev/null 2>&1 &"],
        ["sh", "-c", "sh -c 'trap \"\" TERM HUP INT; echo $$ > pid; while :; do sleep 0.01; done' &"],
        [sys.executable, "-c", DAEMON],
    ],
    ids=["setsid", "setsid outlives", "nohup", "ignores signals", "double fork"],
)
def test_a_sweep_finds_what_was_left(bench: Bench, argv: list[str]) -> None:
    if "setsid" in argv[-1] and shutil.which("setsid") is None:
        pytest.skip("no setsid")
    bench.start(*argv)
    left = bench.pid_from("pid")
    assert lives(left)
    assert launcher.kill_leftovers([bench.mark], [bench.files()]) >= 1
    assert not lives(left)
    assert launcher.kill_leftovers([bench.mark], [bench.files()]) == 0
    assert not isinstance(launcher.state_of(bench.files()), Running)


@pytest.mark.skipif(not LINUX, reason="needs start times of processes")
def test_without_a_marker_group_and_descent_remain(bench: Bench) -> None:
    inner = "echo $$ > a; (setsid sh -c 'echo $$ > b; exec sleep 1000'); wait"
    bench.start("env", "-u", "AGENTJOBS_MARK", "sh", "-c", f'sh -c "{inner.replace("$", chr(92) + "$")}"; :')
    found = [bench.pid_from("a"), bench.pid_from("b")]
    assert all(map(lives, found))
    launcher.kill_leftovers([], [bench.files()])
    assert not any(map(lives, found))
    assert isinstance(launcher.state_of(bench.files()), Lost)


def test_only_the_whole_value_of_the_marker_counts(bench: Bench) -> None:
    sleeps = [
        subprocess.Popen(["sleep", "1000"], env={**bench.env, **extra})
        for extra in (
            {"AGENTJOBS_MARK": f"{bench.mark}0"},
            {"AGENTJOBS_MARK": f"x{bench.mark}"},
            {"AGENTJOBS_MARK": "", "OTHER": f"AGENTJOBS_MARK={bench.mark}"},
            {"AGENTJOBS_MARK": "another", "XAGENTJOBS_MARK": bench.mark},
        )
    ]
    try:
        assert launcher.kill_leftovers([bench.mark, ""]) == 0
        assert [sleeper.poll() for sleeper in sleeps] == [None] * len(sleeps)
    finally:
        for sleeper in sleeps:
            sleeper.kill()
            sleeper.wait()


def test_one_sweep_serves_many_markers(bench: Bench) -> None:
    marks = [f"{bench.mark}-{number}" for number in range(3)]
    sleeps = [
        subprocess.Popen(["sleep", "1000"], env={**os.environ, "AGENTJOBS_MARK": mark}) for mark in marks
    ]
    wait_for(lambda: launcher.kill_leftovers([marks[0]]) == 1 or sleeps[0].poll() is not None)
    assert launcher.kill_leftovers([*marks[1:], f"{bench.mark}-9"]) == 2
    assert [sleeper.wait() for sleeper in sleeps] == [-signal.SIGKILL] * 3


@pytest.mark.skipif(not LINUX, reason="elsewhere the marker is asked of psutil")
def test_what_was_killed_is_dead_when_the_sweep_returns(bench: Bench) -> None:
    # Its environment is out of sight as soon as it begins to die; freeing that much memory takes a while.
    code = "import mmap; m = mmap.mmap(-1, 384 << 20); m[::4096] = bytes(len(m) >> 12); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=bench.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert launcher.kill_leftovers([bench.mark]) == 1
        assert not lives(process.pid)


def test_we_ourselves_are_spared(bench: Bench) -> None:
    code = (
        "import sys; from agentjobs.launch import launcher\n"
        f"print(launcher.kill_leftovers([{bench.mark!r}]), launcher.kill_leftovers([{bench.mark!r}]))\n"
    )
    root = Path(launcher.__file__).parent.parent.parent
    script = 'sleep 1000 & "$@"; echo alive'
    argv = ["sh", "-c", script, "sh", sys.executable, "-c", code]
    found = subprocess.run(argv, env=bench.env, cwd=root, capture_output=True, check=True)
    assert found.stdout == b"1 0\nalive\n"  # the sleep beside us ends, the shell above us does not


def test_a_reused_pid_is_never_signalled(bench: Bench) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        record = {"pid": other.pid, "start": "1", "boot": boot_id(), "mark": bench.mark}
        for change in (
            {},
            {"start": ""},
            {"boot": "another"},
            {"mark": ""},
            {"pid": os.getpid()},
            {"pid": 1},
        ):
            bench.files().record.write_text(json.dumps({**record, **change}))
            bench.files().lock.touch()
            assert not launcher.signal_group(bench.files(), signal.SIGKILL)
            assert launcher.hard_kill(bench.files(), bench.mark) == 0
            assert isinstance(launcher.state_of(bench.files()), Lost)
        assert other.poll() is None
        other.kill()


@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid")
def test_what_is_just_being_started_is_found_too(bench: Bench) -> None:
    """Inside execve a process shows no environment; one scan missed one in a hundred."""
    for number in range(40):
        name = f"verify-{number}"
        pid = bench.start(
            "sh",
            "-c",
            f"nohup setsid {sys.executable} -S -c 'import time; time.sleep(1000)' & exit",
            name=name,
        )
        assert pid is not None
        launcher.wait_any([(pid, bench.files(name))], 60)
        launcher.kill_leftovers([bench.mark], [bench.files(name)])
        assert launcher.kill_leftovers([bench.mark]) == 0


def test_a_fork_in_a_loop_is_ended(bench: Bench) -> None:
    bench.start("sh", "-c", "echo $$ > pid; while :; do sleep 0.002 & sleep 0.001; done")
    bench.pid_from("pid")
    assert launcher.hard_kill(bench.files(), bench.mark) >= 0
    assert launcher.kill_leftovers([bench.mark], [bench.files()]) == 0


# --- waiting and measuring --------------------------------------------------------------------------------


def test_waiting_ends_with_the_first_that_ends(bench: Bench) -> None:
    steps = []
    for number, command in enumerate((["sleep", "1000"], ["sleep", "0.2"], ["sleep", "1000"])):
        name = f"verify-{number}"
        pid = bench.start(*command, name=name)
        assert pid is not None
        steps.append((pid, bench.files(name)))
    began = time.monotonic()
    launcher.wait_any(steps, 60)
    assert time.monotonic() - began < 30
    states = [launcher.state_of(files) for _, files in steps]
    assert [type(state) for state in states] == [Running, Exited, Running]
    began = time.monotonic()
    launcher.wait_any(steps, 60)  # one has ended already
    assert time.monotonic() - began < 30


def test_waiting_has_an_end(bench: Bench) -> None:
    pid = bench.start("sleep", "1000")
    assert pid is not None
    for steps in ([], [(pid, bench.files())], [(0, bench.files())]):
        began = time.monotonic()
        launcher.wait_any(steps, 0.05)
        assert 0.04 < time.monotonic() - began < 30


def test_waiting_for_a_runner_whose_pid_is_not_known(bench: Bench) -> None:
    bench.start("sleep", "0.1")
    launcher.wait_any([(0, bench.files())], 60)
    assert isinstance(launcher.state_of(bench.files()), Exited)


def test_waiting_is_not_deceived_by_a_reused_pid(bench: Bench) -> None:
    bench.run("true")
    began = time.monotonic()
    launcher.wait_any([(os.getpid(), bench.files())], 60)
    assert time.monotonic() - began < 30


def test_waiting_collects_our_own_runners(bench: Bench) -> None:
    pid = bench.start("true")
    assert pid is not None
    launcher.wait_any([(pid, bench.files())], 60)
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or not lives(pid))
    launcher.wait_any([], 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_free_memory() -> None:
    assert 1 << 20 < free_memory() < 1 << 50


@pytest.mark.skipif(not LINUX, reason="needs smaps_rollup")
def test_a_runner_costs_a_quarter_of_a_mebibyte(bench: Bench) -> None:
    """The mean over eight: what they share is paid for once, and one alone pays for the shell as well."""
    pids = []
    for number in range(8):
        pid = bench.start("sleep", "1000", name=f"verify-{number}")
        assert pid is not None
        pids.append(pid)
    wait_for(lambda: all(read_record(bench.files(f"verify-{number}")) for number in range(8)))
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    sizes = [
        int(found[1]) for text in rollups if (found := re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE))
    ]
    assert len(sizes) == 8
    if "dash" in os.path.realpath("/bin/sh"):
        assert sum(sizes) / 8 <= 256
