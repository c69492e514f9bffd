"""A case played: a real repository, the real program, an agent that is a shell script.

The agent evaluates the cell ``do`` of its row (``do2`` in attempts after the first, where the row has one); an empty
cell means: write "ok" into each file that the row names, or into ``<id>.txt``. It can call ``wait_for FILE``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentjobs.run.steps import sandbox
from tests.kit.harness import FORKER, REPOSITORY, Completed, kill_all, merged, toml

from .casefile import Step, with_given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .casefile import Case

COMMAND_S = 60
"""A command of ours that takes longer hangs."""
UNTIL_S = 30
SHELL_S = 60
TARGET = "agentjobs/landed"

AGENT = """\
cat >/dev/null
echo "$AGENTJOBS_TASK $AGENTJOBS_ATTEMPT $AGENTJOBS_MODE $$" >>"$WORLD/ledger/starts"
wait_for() { n=0; until [ -e "$1" ] || [ $n -ge 1000 ]; do n=$((n + 1)); sleep 0.05; done; }
write_ok() {
  echo "${AGENTJOBS_FILES:-$AGENTJOBS_TASK.txt}" | while IFS= read -r file; do
    mkdir -p "$(dirname "./$file")" && echo ok >"./$file"
  done
}
if [ "$AGENTJOBS_ATTEMPT" != 1 ] && [ -n "$AGENTJOBS_ROW_DO2" ]; then AGENTJOBS_ROW_DO=$AGENTJOBS_ROW_DO2; fi
eval "${AGENTJOBS_ROW_DO:-write_ok}"
"""

SHELL = """\
set -e
landed() { git show "agentjobs/landed:$1"; }
absent() { ! git rev-parse -q --verify "agentjobs/landed:$1" >/dev/null; }
status_of() { awk -F'\\t' -v id="$1" '
  !names && !/^#/ { for (i = 1; i <= NF; i++) at[$i] = i; names = 1; next }
  $at["id"] == id { print $at["status"] }' tasks.tsv; }
"""
"""What every ``shell``, ``until``, ``before`` and ``holds`` of a case can call."""

SETTINGS: dict[str, Any] = {
    "slots": 4,
    "verify_slots": 4,
    "inherit": ["WORLD"],
    "limits": {
        "attempt_minutes": 1,
        "idle_minutes": 1,
        "verify_minutes": 0.5,
        "stop_grace_s": 0.3,
        "finish_grace_s": 0.3,
        "start_interval_s": 0,
        "min_free_memory": "1MiB",
        "breaker": 0,
    },
    "retry": {"resumes": 1, "repairs": 1, "restarts": 0, "diagnose_above": 1.0},
    "profiles": {"default": {"agent": "mine", "verify": ["true"]}},
    "agents": {"mine": {"command": ["sh", "@WORLD@/agent.sh"], "writable": ["@WORLD@/ledger"]}},
    "landing": {"wait_s": 0},
}

HOME_CONFIG = """\
[user]
name = A Person
email = person@example.org
[init]
defaultBranch = main
[protocol "file"]
allow = always
"""

POWERLESS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-all", "--")
"""How root runs the program as a user with limited permissions."""


def lacking(case: Case) -> str:
    """Return what the case needs and this machine does not have; empty: it can run."""
    for need in case.needs:
        if need in {"tmux", "node"} and shutil.which(need) is None:
            return f"needs {need}"
        if need == "linux" and sys.platform != "linux":
            return "needs Linux"
        if need == "bwrap" and (trouble := sandbox.trouble()):
            return trouble
        if need == "user" and os.geteuid() == 0 and shutil.which("setpriv") is None:
            return "needs an ordinary user, or setpriv"
    return ""


class Scene:
    """One case in its scratch directory."""

    def __init__(self, case: Case, directory: Path) -> None:
        self.world = directory / "w"
        self.root = self.world / case.project
        names = {"WORLD": str(self.world), "ROOT": str(self.root), "PYTHON": sys.executable}
        self.case = with_given(case, names)
        self.settings = merged(_given(SETTINGS, names), self.case.settings)
        self.ran: list[tuple[str, Completed]] = []
        """Each command of ours, in order, and how it ended."""
        self.polls = 0
        self.base = ""
        """The commit of ``main`` when the first step began; empty: there was no repository."""
        self.git_is_directory = True
        for path in (self.root, self.world / "home", self.world / "bin", self.world / "ledger"):
            path.mkdir(parents=True)

    # --- the beginning

    def prepare(self) -> None:
        """Make the project as the case describes it."""
        (self.world / "agent.sh").write_text(AGENT)
        for path in (self.world / "home" / ".gitconfig", self.world / "plain.gitconfig"):
            path.write_text(HOME_CONFIG)
        program = self.world / "bin" / "agentjobs"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agentjobs "$@"\n')
        program.chmod(0o755)
        plain = {"agentjobs.toml": toml(self.settings), "prompt.md.j2": "{{ id }}\n{{ errors }}\n"}
        table = self.case.table if self.case.table is not None else _table(self.case.rows)
        for name, text in {"README": "read me\n", "tasks.tsv": table, **plain, **self.case.files}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        self._shell("git init -q; git add -A; git commit -qm base", "git init")
        if self.case.before:
            self._shell(self.case.before, "before")
        self.base = self.git("rev-parse", "-q", "--verify", "main^{commit}")
        self.git_is_directory = (self.root / ".git").is_dir()

    @property
    def env(self) -> dict[str, str]:
        foreign = ("GIT_", "AGENTJOBS_", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        home = self.world / "home"
        return kept | {
            "WORLD": str(self.world), "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": str(REPOSITORY),
            "PATH": f"{self.world / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHON": sys.executable,
        }  # fmt: skip

    # --- the steps

    def play(self) -> None:
        """Do every step; AssertionError for one that ends otherwise than it must."""
        for step in self.case.steps:
            where = self.root / (step.dir or "")
            if step.agentjobs is not None:
                done = self.run(*shlex.split(step.agentjobs), where=where)
                assert step.exit in {None, done.code}, f"agentjobs {step.agentjobs}: exit {done.code}: {done.stderr}"
            elif step.shell is not None:
                self._shell(step.shell, "shell", where)
            elif step.until is not None:
                self._until(step.until, where)
            else:
                self._loop(step, where)

    def run(self, *argv: str, where: Path | None = None) -> Completed:
        """Run the program; one that does not end in time hangs, and fails the case."""
        name, cwd = "agentjobs " + shlex.join(argv), where or self.root
        began = time.monotonic()
        try:
            if "user" in self.case.needs and os.geteuid() == 0:
                done = subprocess.run(
                    [*POWERLESS, sys.executable, "-m", "agentjobs", *argv],
                    cwd=cwd, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                    timeout=COMMAND_S,
                )  # fmt: skip
                found = (done.returncode, done.stdout, done.stderr)
            else:
                found = FORKER.run(argv, cwd=cwd, env=self.env, stdin=b"", timeout_s=COMMAND_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} hangs\n{self.story()}") from None
        completed = Completed(found[0], *(text.decode("utf-8", "surrogateescape") for text in found[1:]))
        self.ran.append((f"{name} ({time.monotonic() - began:.1f} s)", completed))
        return completed

    def _loop(self, step: Step, where: Path) -> None:
        deadline = time.monotonic() + self.case.within
        for number in range(step.loop or sys.maxsize):
            assert time.monotonic() < deadline, f"polls exit 0 for {self.case.within} s: {number}\n{self.story()}"
            self.polls += 1
            done = self.run("poll", "--wait", "5" if not step.loop else "0.5", where=where)
            if done.code:
                break
        assert step.exit in {None, done.code}, f"the loop ends with exit {done.code}: {done.stderr}\n{self.story()}"

    def _shell(self, script: str, what: str, where: Path | None = None) -> None:
        done = self.bash(script, where)
        assert done.code == 0, f"{what} exits {done.code}: {script}\n{done.stdout}{done.stderr}\n{self.story()}"

    def _until(self, script: str, where: Path) -> None:
        deadline = time.monotonic() + UNTIL_S
        while self.bash(script, where).code:
            assert time.monotonic() < deadline, f"not within {UNTIL_S} s: {script}\n{self.story()}"
            time.sleep(0.03)

    def bash(self, script: str, where: Path | None = None, env: Mapping[str, str] | None = None) -> Completed:
        """Run a script of the case, with its output in a file: what it starts may hold that open."""
        with (self.world / "shell.log").open("wb") as log:
            started = subprocess.Popen(
                ["bash", "-c", SHELL + script], cwd=where or self.root, env=self.env | dict(env or {}),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                code = started.wait(SHELL_S)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()
                code = 124
        return Completed(code, (self.world / "shell.log").read_text(errors="replace"), "")

    @property
    def plain(self) -> dict[str, str]:
        """What keeps the person's settings from our own look at the end."""
        return {"GIT_CONFIG_GLOBAL": str(self.world / "plain.gitconfig")}

    def git(self, *args: str) -> str:
        """Return what git says in the project; empty where it fails."""
        env = self.env | self.plain
        done = subprocess.run(["git", *args], cwd=self.root, env=env, capture_output=True, check=False, timeout=SHELL_S)
        return done.stdout.decode("utf-8", "surrogateescape").strip() if done.returncode == 0 else ""

    # --- the end

    def rows(self) -> dict[str, dict[str, str]]:
        """Return tasks.tsv by id, read without the program's own parser."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.root / "tasks.tsv").read_bytes().decode("utf-8", "surrogateescape")
            lines = [line.split("\t") for line in text.split("\n") if line.strip() and not line.startswith("#")]
            table = [dict(zip(lines[0], line + [""] * len(lines[0]), strict=False)) for line in lines[1:]]
            return {row.get("id", ""): row for row in table}
        return {}

    def statuses(self) -> dict[str, str]:
        return {name: row.get("status", "") or "TODO" for name, row in self.rows().items()}

    def starts(self) -> Counter[str]:
        """Return how often an agent was started for each task."""
        path = self.world / "ledger" / "starts"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return Counter(line.split(" ")[0] for line in lines)

    def said(self) -> str:
        """Return all that commands of ours printed."""
        return "".join(f"{done.stdout}{done.stderr}" for _, done in self.ran)

    def processes(self) -> dict[int, str]:
        """Return what lives and belongs to this case, by pid: by its environment, words or working directory."""
        needle = os.fsencode(self.world)
        found = {}
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            if not name.isdigit() or int(name) == os.getpid():
                continue
            here = Path("/proc", name)
            with contextlib.suppress(OSError):
                if here.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z":
                    continue
                words = here.joinpath("cmdline").read_bytes()
                if needle in here.joinpath("environ").read_bytes() + words + os.fsencode(os.readlink(here / "cwd")):
                    found[int(name)] = words.replace(b"\0", b" ").decode("utf-8", "replace")[:200]
        return found

    def strangers(self) -> dict[int, str]:
        """Return the processes that nobody but the agents, the checks and we ourselves can have left."""
        named = [re.compile(pattern) for pattern in self.case.daemons]
        return {pid: line for pid, line in self.processes().items() if not any(name.search(line) for name in named)}

    def close(self) -> None:
        """End what lives, and make the directory one that can be removed."""
        for _ in range(20):
            if not (left := self.processes()):
                break
            kill_all(left)
            time.sleep(0.02)
        subprocess.run(["chmod", "-R", "u+rwX", str(self.world)], capture_output=True, check=False)

    def story(self) -> str:
        """Return what happened, for a case that fails."""
        table = (self.root / "tasks.tsv").read_text(errors="replace") if (self.root / "tasks.tsv").exists() else ""
        ran = [f"$ {name} -> {done.code}\n{done.stdout[-600:]}{done.stderr[-600:]}\n" for name, done in self.ran[-12:]]
        return f"{table}\n{''.join(ran)}\nagents started: {dict(self.starts())}; alive: {self.processes()}"


def _given(value: Any, names: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, replacement in names.items():
        text = text.replace(f"@{name}@", replacement)
    return json.loads(text)


def _table(rows: Sequence[dict[str, str]]) -> str:
    names = list(dict.fromkeys(["id", *(key for row in rows for key in row)]))
    lines = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
