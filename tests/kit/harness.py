"""A scratch project with a real repository, a scripted agent, and the real program as a subprocess.

``Project(tmp_path / "p")`` makes a repository with one commit and an ``agentjobs.toml`` that starts
``tests/kit/agents/fake_agent.py``. What the agent does comes from the row's ``plan`` cell ("crash,ok": the first
attempt crashes, all later ones succeed; see the agent's own text for the words; "@go ok" waits before for
``open("go")``). It writes ``<id>.txt`` (or the ``out`` cell), and the default check wants a line that begins with "ok"
there.

Tests do not depend on how fast the machine is: an agent that a test wants to see at work waits for a gate, and what a
test waits for stays (a fact, a line of the ledger), or cannot pass before the test opens a gate.
"""

from __future__ import annotations

import contextlib
import json
import os
import py_compile
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kit.forking import Forker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]
FORKER = Forker(REPOSITORY)
LONG_S = 200.0
"""Seconds to wait for an event that must come. Nothing that works takes that long, also on a slow, busy machine."""
LONGEST_PIPED = 60_000
"""Bytes of standard input that a pipe takes at once."""
SILENT = 6 / 60
"""For ``idle_minutes`` and the like where a test waits for them: an agent at work says its first word sooner."""
READ_BY_PYTHON = ("PYTHON", "LC_", "LANG", "TZ", "HOME")
"""How the names begin of what Python looks at only when it starts."""
AGENTS = Path(__file__).resolve().parent / "agents"
FAKE_AGENT = py_compile.compile(str(AGENTS / "fake_agent.py"), doraise=True)
"""The scripted agent as bytecode. Python compiles a script at each start, which took a quarter of an agent's time."""

CHECK = """grep -qs '^ok' "${AGENTJOBS_ROW_OUT:-$AGENTJOBS_TASK.txt}\""""
"""The default check of the default profile."""

LOOP = """\
while :; do agentjobs poll --wait 60; case $? in 0) ;; 2) break ;; *) exit 1 ;; esac; done
"""
"""The loop of the README, word for word."""

RULES: list[dict[str, Any]] = [
    {"class": "ok", "event": {"type": "result", "is_error": False}},
    {"class": "limit", "text": "usage limit reached", "reset": r"resets (?:at|in) (.+)"},
    {"class": "overloaded", "text": "overloaded_error"},
    {"class": "auth", "text": "401 Unauthorized"},
    {"class": "context_full", "text": "prompt is too long"},
    {"class": "infra", "text": "model_not_found"},
    {"class": "no_session", "text": "No conversation found"},
]


@dataclass(frozen=True)
class Completed:
    """How one run of the program ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


@dataclass(frozen=True)
class Looped:
    """How the bash loop ended: its own exit status, and that of every poll in it."""

    code: int
    polls: list[int]
    stderr: str

    @property
    def last(self) -> int:
        return self.polls[-1]


@dataclass(frozen=True)
class Start:
    """A line of the agents' ledger: one start of the fake agent."""

    task: str
    attempt: int
    mode: str
    word: str
    pid: int
    session: str
    at: float
    tree: str


RUN_AND_LIST = """
import sys
from agentjobs.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print("code", end.code, "modules", *sys.modules, file=sys.stderr)
"""


def modules_of(cwd: Path, *argv: str) -> tuple[int, set[str]]:
    """Run the program in a new Python process; return its exit code, and the modules imported by its end."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST, *argv],
        cwd=cwd, capture_output=True, text=True, timeout=LONG_S, check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    words = done.stderr.splitlines()[-1].split()
    return int(words[1]), set(words[3:])


@dataclass
class Project:
    """A scratch project under ``directory``; ``settings`` are merged over quick defaults."""

    directory: Path
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.directory / "project"
        self.ledger_path = self.directory / "ledger.tsv"
        self.root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", ".")
        (self.root / ".gitignore").write_text(".agentjobs/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\n")
        for name, text in {"README": "a scratch project\n", **self.files}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")
        (self.root / "prompt.md.j2").write_text("Task {{ id }}, attempt {{ attempt }}.\n{{ errors }}\n")
        self._settings: dict[str, Any] = {
            "slots": 4,
            "verify_slots": 2,
            "limits": {
                "start_interval_s": 0,
                "stop_grace_s": 0.3,
                "finish_grace_s": 0.3,
                "breaker": 0,
                "min_free_memory": "1MiB",
            },
            # Money does not decide about layer 3 here, unless a test wants it to.
            "retry": {"diagnose_above": 1.0, "task_value_usd": 1e6},
            "profiles": {"default": {"agent": "fake", "verify": [CHECK]}},
            "agents": {
                "fake": {
                    "command": [sys.executable, "-IS", FAKE_AGENT],
                    "resume": [sys.executable, "-IS", FAKE_AGENT, "--resume", "{session}"],
                    "env": {"FAKE_LEDGER": str(self.ledger_path)},
                    "rules": RULES,
                    "usage": {
                        "event": {"type": "result"},
                        "tokens": ["usage.input", "usage.output"],
                        "cost": "cost",
                    },
                }
            },
        }
        self.configure(self.settings)

    # --- what a person writes

    def configure(self, changes: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Merge settings (nested; lists are replaced; None removes a key) and write agentjobs.toml."""
        self._settings = merged(merged(self._settings, changes or {}), more)
        (self.root / "agentjobs.toml").write_text(toml(self._settings))

    def rows(self, *rows: Mapping[str, object], columns: Sequence[str] = ()) -> None:
        """Write tasks.tsv; the columns are those named, then the keys in the order in which they appear."""
        names = list(dict.fromkeys(["id", *columns, *(key for row in rows for key in row)]))
        lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
        (self.root / "tasks.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))

    def plans(self, **plans: str) -> None:
        """Write tasks.tsv with one row a task, each with what its agent does: ``plans(a="crash,ok")``."""
        self.rows(*({"id": name, "plan": plan} for name, plan in plans.items()))

    def edit(self, task_id: str, **cells: str) -> None:
        """Set cells of one row as an editor would: read, change, rename over the table."""
        path = self.root / "tasks.tsv"
        lines = path.read_text().split("\n")
        names = lines[0].split("\t")
        for at, line in enumerate(lines[1:], 1):
            values = line.split("\t")
            if values[names.index("id")] == task_id:
                values += [""] * (len(names) - len(values))
                for name, value in cells.items():
                    values[names.index(name)] = value
                lines[at] = "\t".join(values)
        replacement = path.with_name("tasks.tsv.edited")
        replacement.write_text("\n".join(lines))
        replacement.replace(path)

    # --- running the program

    @property
    def env(self) -> dict[str, str]:
        """The environment the program is run in."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "AGENTJOBS_"))}
        env.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", PYTHONPATH=str(REPOSITORY))
        return env

    def run(
        self,
        *args: str,
        code: int | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = LONG_S,
    ) -> Completed:
        """Run ``agentjobs args`` in the project; with ``code``, insist on that exit code."""
        ran = (self.env | dict(env or {})), cwd or self.root, (stdin or "").encode()
        if any(name.startswith(READ_BY_PYTHON) for name in env or ()) or len(ran[2]) > LONGEST_PIPED:
            completed = self._run_anew(args, *ran, timeout_s)
        else:
            found = FORKER.run(args, env=ran[0], cwd=ran[1], stdin=ran[2], timeout_s=timeout_s)
            completed = Completed(found[0], *(text.decode("utf-8", "replace") for text in found[1:]))
        assert code is None or completed.code == code, f"exit {completed.code} of {args}: {completed}"
        return completed

    def _run_anew(
        self, args: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: bytes, timeout_s: float
    ) -> Completed:
        done = subprocess.run(
            [sys.executable, "-m", "agentjobs", *args],
            cwd=cwd,
            env=env,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Completed(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Start ``agentjobs args`` and return at once; the caller waits for it (or kills it)."""
        return subprocess.Popen(
            [sys.executable, "-m", "agentjobs", *args],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def dispatch(self, *args: str) -> Completed:
        return self.run("dispatch", *args, code=0)

    def poll(self, *args: str, code: int | None = None) -> Completed:
        return self.run("poll", *args, code=code)

    def loop(self, timeout_s: float = LONG_S) -> Looped:
        """Do what the README's bash loop does; one that has not ended in time is stopped and fails the test."""
        deadline = time.monotonic() + timeout_s
        polls: list[int] = []
        said = ""
        while not polls or polls[-1] == 0:
            try:
                done = self.run("poll", "--wait", "60", timeout_s=max(deadline - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"the loop still runs after {timeout_s} s:\n{said}\n{self.story()}") from None
            polls.append(done.code)
            said += done.stderr
        return Looped(2 if polls[-1] == 2 else 1, polls, said)

    def bash_loop(self, timeout_s: float = LONG_S) -> Looped:
        """Run the README's loop in bash, with a new process each time."""
        codes = self.directory / "codes"
        codes.unlink(missing_ok=True)
        script = (
            f'agentjobs() {{ "{sys.executable}" -m agentjobs "$@"; local rc=$?; '
            f"echo $rc >>{codes}; return $rc; }}\n{LOOP}exit 2\n"
        )
        started = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stderr = started.communicate(timeout=timeout_s)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            stderr = started.communicate()[1].decode("utf-8", "replace")
            raise AssertionError(f"the loop still runs after {timeout_s} s:\n{stderr}\n{self.story()}") from None
        polls = [int(word) for word in codes.read_text().split()]
        return Looped(started.returncode, polls, stderr)

    def settle(self, timeout_s: float = LONG_S) -> dict[str, str]:
        """Dispatch everything, run the loop to its exit 2, and return the statuses."""
        self.dispatch()
        looped = self.loop(timeout_s)
        assert looped.last == 2, f"{looped}\n{self.story()}"
        return self.statuses()

    def open(self, gate: str = "go") -> None:
        """Let the agents with ``@gate word`` in their plan continue."""
        (self.directory / gate).touch()

    def waits(self, pid: int) -> bool:
        """Return whether a command that was started waits for steps to end (Linux)."""
        found = []
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(fd))
        return any("pidfd" in link for link in found)

    def skip_pause(self) -> float:
        """Let the time pass until the first pause is over; return how many seconds that is."""
        pauses = self.state("pauses") or {}
        ends = [p["until"] for p in pauses.values() if not p.get("stuck") and p["until"] > time.time()]
        if not ends:
            return 0.0
        gone = min(ends) - time.time()
        for pause in pauses.values():
            pause["until"] -= gone
            pause["since"] = pause.get("since", pause["at"]) - gone
        (self.root / ".agentjobs" / "pauses.json").write_text(json.dumps(pauses))
        return float(gone)

    def power_cut(self) -> None:
        """Kill all that agents or checks of this project started, so that none of it sees another one end."""

        def none_left() -> bool:
            pids = self.processes()
            kill_all(pids, signal.SIGSTOP)
            kill_all(pids)
            return not pids

        self.wait_for(none_left, what="no process is left")

    # --- what came of it

    def table(self) -> dict[str, dict[str, str]]:
        """Return tasks.tsv by id, read without the program's own parser (cells unescaped not at all)."""
        text = (self.root / "tasks.tsv").read_text()
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        names = lines[0].split("\t")
        found = {}
        for line in lines[1:]:
            values = line.split("\t")
            cells = dict(zip(names, values + [""] * (len(names) - len(values)), strict=True))
            assert cells["id"] not in found, f"{cells['id']} is there twice"
            found[cells["id"]] = cells
        return found

    def statuses(self) -> dict[str, str]:
        return {task_id: cells.get("status", "") for task_id, cells in self.table().items()}

    def ledger(self) -> list[Start]:
        """Return every start of the fake agent, in order."""
        if not self.ledger_path.exists():
            return []
        starts = []
        for line in self.ledger_path.read_text().splitlines():
            task, attempt, mode, word, pid, session, at, tree = line.split("\t")
            starts.append(Start(task, int(attempt), mode, word, int(pid), session, float(at), tree))
        return starts

    def starts(self) -> Counter[str]:
        """Return how often an agent was started for each task."""
        return Counter(start.task for start in self.ledger())

    def attempts(self, task_id: str) -> list[dict[str, Any]]:
        """Return the facts of each attempt: file name without ``.json`` → what it says."""
        found = []
        for directory in sorted((self.root / ".agentjobs" / "attempts" / task_id).glob("[0-9]*")):
            facts: dict[str, Any] = {}
            for path in sorted(directory.glob("*.json")):
                text = path.read_text()
                facts[path.name.removesuffix(".json")] = json.loads(text) if text else None
            found.append(facts)
        return found

    def outcomes(self, task_id: str) -> list[str]:
        """Return the class each attempt ended with."""
        return [facts.get("result", {}).get("outcome", "open") for facts in self.attempts(task_id)]

    def modes(self, task_id: str) -> list[str]:
        return [facts["attempt"]["mode"] for facts in self.attempts(task_id)]

    def log(self, task_id: str, attempt: int, name: str = "output.log") -> bytes:
        return (self.root / ".agentjobs" / "attempts" / task_id / f"{attempt:03d}" / name).read_bytes()

    def prompt(self, task_id: str, attempt: int) -> str:
        return self.log(task_id, attempt, "prompt.md").decode()

    def tree(self, task_id: str) -> Path:
        return self.root / ".agentjobs" / "trees" / task_id

    def state(self, name: str) -> Any:
        """Return a state file (scope, pauses, halt), or None."""
        path = self.root / ".agentjobs" / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def events(self) -> list[dict[str, Any]]:
        path = self.root / ".agentjobs" / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def story(self) -> str:
        """Return what happened, for a failing test."""
        table = (self.root / "tasks.tsv").read_text()
        events = "\n".join(json.dumps(event) for event in self.events()[-60:])
        return f"{table}\n{events}\nhalt: {self.state('halt')} pauses: {self.state('pauses')}"

    def shell(self, script: str) -> None:
        """Run a shell script in the project, as a person would."""
        env = self.env | {"GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["/bin/sh", "-c", script], cwd=self.root, env=env, check=True, stdin=subprocess.DEVNULL)

    def git(self, *args: str, check: bool = True) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
        for who in ("AUTHOR", "COMMITTER"):
            env[f"GIT_{who}_NAME"], env[f"GIT_{who}_EMAIL"] = "Someone", "someone@example.org"
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"git {args}: {done.stderr.decode()}"
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def landed(self, path: str) -> str | None:
        """Return a file of the target branch, or None."""
        if not self.git("ls-tree", "agentjobs/landed", path, check=False):
            return None
        return self.git("show", f"agentjobs/landed:{path}")

    def landings(self) -> list[str]:
        """Return the ids in the Agentjobs-Task trailers of the target branch, oldest first."""
        text = self.git(
            "log", "--reverse", "--format=%(trailers:key=Agentjobs-Task,valueonly,separator=%x2C)",
            "main..agentjobs/landed", check=False,
        )  # fmt: skip
        return [line for line in text.splitlines() if line]

    def processes(self) -> list[int]:
        """Return every live process that agents or checks of this project left or are."""
        return processes_under(self.directory)

    def wait_for(self, condition: Callable[[], object], timeout_s: float = LONG_S, what: str = "") -> None:
        """Wait until ``condition()`` is true; AssertionError after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}\n{self.story()}"
            time.sleep(0.01)

    def poll_until(self, condition: Callable[[], object], timeout_s: float = LONG_S, what: str = "") -> None:
        """Poll until ``condition()`` is true; AssertionError after ``timeout_s`` or when a poll fails."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}\n{self.story()}"
            done = self.poll("--wait", "0.2")
            assert done.code in {0, 2, 3}, done


def processes_under(directory: Path) -> list[int]:
    """Return live processes whose AGENTJOBS_ROOT lies under ``directory`` (Linux; elsewhere none is found)."""
    prefix = b"AGENTJOBS_ROOT=" + os.fsencode(directory)
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if any(word == prefix or word.startswith(prefix + b"/") for word in environ.split(b"\0")):
            found.append(int(name))
    return found


def kill_all(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings merged; None removes."""
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def toml(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML: plain keys first, then a section for each table."""
    lines = [f"{key} = {_value(value)}" for key, value in settings.items() if not isinstance(value, dict)]
    for section, table in settings.items():
        if not isinstance(table, dict):
            continue
        if all(isinstance(value, dict) for value in table.values()):
            for name, inner in table.items():
                lines.append(f"\n[{section}.{_key(name)}]")
                lines += [f"{_key(key)} = {_value(value)}" for key, value in inner.items()]
        else:
            lines.append(f"\n[{section}]")
            lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    return repr(value)
