"""Crash points: kill agentjobs after its N-th effect, let plain polls finish, and compare with a run nobody killed.

    python -m tests.kit.crashing DIR [--variant V] [--kinds] [--shard K/N] [--stride S] [--only COMMAND:EFFECT]

An effect is whatever another process could see: a file opened to write, written, renamed or removed, a
directory made, a process started or signalled, a git command begun or ended. A clean run is recorded poll by
poll, with a copy of the project before each. Then, for every poll and each of its effects: the copy is put back,
the poll runs and kills itself with SIGKILL right after that effect, and plain polls go on from there.

The state after each of those is reduced to what must not depend on where the crash was (no instants, random ids
or commit ids). A state that is known to lead to the right end needs no second proof, and the clean run is the
first proof; whatever is new is followed to its end, and that end must be the clean one: the same table, the same
starts of agents, the same history of the target, no process left.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import ctypes
import fcntl
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentjobs.disk.processes import boot_id
from agentjobs.project.copied_project import HOME, settle_in
from agentjobs.workspace.writes import Writes
from tests.kit.forking import preload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUNNER = str(Path(__file__).resolve().parents[2] / "agentjobs" / "launch" / "runner.sh")

POLLS_MAX = 60
RECORD = -1
"""In place of the number of an effect: report every one, and live."""

QUIET_S = 200.0
TOLD_S = 3.0
"""An agent that got a stop signal ends within this time."""
READING = frozenset(
    {"rev-parse", "merge-base", "diff-tree", "diff-index", "cat-file", "for-each-ref", "check-ref-format", "ls-files"}
)
"""Git commands after which nothing is different."""

COLUMNS_THAT_MAY_DIFFER = ("started", "ended", "commit")

POLICY = """
{top}
base = "main"
target = "landed"
slots = {slots}
verify_slots = {verify_slots}

[limits]
start_interval_s = 0
min_free_memory = "1MiB"
stop_grace_s = 0.3

[retry]
resumes = {resumes}
repairs = {repairs}
restarts = {restarts}
diagnose_above = 1.0

[profiles.default]
agent = "scripted"
prompt = "prompt.md.j2"
verify = ["sh $AGENTJOBS_ROOT/check.sh"]
review = {review}

[agents.scripted]
command = ["sh", "{{root}}/agent.sh"]
resume = ["sh", "{{root}}/agent.sh"]
{more}
"""

VARIANTS = {
    "plain": "",
    "gated": """
[workspace]
setup = "echo set up >setup.log"
copy = ["local.txt"]
[landing]
gate = ["test -e local.txt && test -e setup.log"]
batch = 1
""",
    "batched": """
[landing]
gate = ["mkdir $AGENTJOBS_ROOT/../once 2>/dev/null && { echo flaky; exit 1; }; test -e shared.txt"]
wait_s = 0
""",
    "watched": """
window = 1000
[agents.scripted.context]
event = { "type" = "turn" }
used = ["used"]
""",
    "without-trees": """
[workspace]
kind = "none"
""",
    "clones": """
[workspace]
kind = "clone"
""",
    "reviews": """
[profiles.judge]
agent = "judge"
prompt = "prompt.md.j2"
[agents.judge]
command = ["sh", "{root}/judge.sh"]
""",
    "without-landing": """
[landing]
enabled = false
""",
    "phases": """
[profiles.one]
agent = "scripted"
verify = ["sh $AGENTJOBS_ROOT/check.sh"]
plan = "sh plan.sh"
[profiles.two]
agent = "scripted"
verify = ["sh $AGENTJOBS_ROOT/check.sh"]
plan = "sh plan.sh"
again = true
""",
}
"""What is added to the policy."""

TOP = {"phases": 'phases = ["one", "two"]'}
"""What is added at the top of the policy."""

PLAN = r"""
# Makes the rows of a phase, and says so once all of them are printed.
while [ -e "$AGENTJOBS_ROOT/../gate" ]; do sleep 0.01; done
case $AGENTJOBS_PHASE in
    one) echo '{"id": "crashes", "plan": "crash ok"}'; echo '{"id": "waits", "after": "crashes", "plan": "ok"}' ;;
    two) grep -q other "$AGENTJOBS_ROOT/tasks.tsv" || echo '{"id": "other", "plan": "ok", "title": "of two"}' ;;
esac
echo "plan $AGENTJOBS_PHASE" >>"$AGENTJOBS_ROOT/../ledger"
"""

AGENT = r"""
# What this attempt does is the word of that number in the row's column `plan`; the last word serves for all others.
set -f
set -- $AGENTJOBS_ROW_PLAN
n=$AGENTJOBS_ATTEMPT
while [ "$n" -gt 1 ] && [ $# -gt 1 ]; do shift; n=$((n - 1)); done
echo "agent $AGENTJOBS_TASK $AGENTJOBS_ATTEMPT $AGENTJOBS_MODE" >>"$AGENTJOBS_ROOT/../ledger"
mkdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK" || echo "clash $AGENTJOBS_TASK" >>"$AGENTJOBS_ROOT/../ledger"
while [ -e "$AGENTJOBS_ROOT/../gate" ]; do sleep 0.01; done
code=0
case $1 in
    crash) echo half >"$AGENTJOBS_TASK.txt"; code=1 ;;
    wrong) echo "wrong $AGENTJOBS_ATTEMPT" >"$AGENTJOBS_TASK.txt" ;;
    idle) ;;
    theirs) # meanwhile somebody else lands a change of the same line
        at() { git -C "$AGENTJOBS_ROOT" "$@"; }
        tip=$(at rev-parse -q --verify refs/heads/landed || at rev-parse refs/heads/main)
        export GIT_INDEX_FILE="$AGENTJOBS_ROOT/../index"
        at read-tree "$tip"
        at update-index --cacheinfo "100644,$(echo theirs | at hash-object -w --stdin),shared.txt"
        theirs=$(at -c user.name=t -c user.email=t@localhost commit-tree -m theirs -p "$tip" "$(at write-tree)")
        at update-ref refs/heads/landed "$theirs"
        unset GIT_INDEX_FILE
        echo ours >shared.txt; echo good >"$AGENTJOBS_TASK.txt" ;;
    shared) echo "good $AGENTJOBS_TASK" >shared.txt; echo good >"$AGENTJOBS_TASK.txt" ;;
    linger) echo good >"$AGENTJOBS_TASK.txt"; setsid sleep 300 & ;;
    full)
        if [ "$AGENTJOBS_MODE" = handoff ]; then
            echo "half is done" >"$AGENTJOBS_PARTIAL"
        else # says how full its context is, and waits to be stopped
            echo half >"$AGENTJOBS_TASK.txt"
            rmdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK"
            echo '{"type": "turn", "used": 900}'
            touch "$AGENTJOBS_ROOT/../waiting/$AGENTJOBS_TASK.$AGENTJOBS_ATTEMPT"
            exec sleep 300
        fi ;;
    nap) sleep 0.2; echo good >"$AGENTJOBS_TASK.txt" ;;
    *) echo good >"$AGENTJOBS_TASK.txt" ;;
esac
rmdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK"
echo "ended $AGENTJOBS_TASK $AGENTJOBS_ATTEMPT" >>"$AGENTJOBS_ROOT/../ledger"
exit $code
"""

CHECK = r"""
mkdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK" || echo "clash $AGENTJOBS_TASK" >>"$AGENTJOBS_ROOT/../ledger"
while [ -e "$AGENTJOBS_ROOT/../gate" ]; do sleep 0.01; done
echo "check $AGENTJOBS_TASK" >>"$AGENTJOBS_ROOT/../ledger"
grep -q good "$AGENTJOBS_TASK.txt"
code=$?
echo "checked $AGENTJOBS_TASK" >>"$AGENTJOBS_ROOT/../ledger"
rmdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK"
exit $code
"""

JUDGE = r"""
# What each run on a task comes to is the word of that number in the row's column `judge`; it spoils the tree besides.
set -f
said() { grep -c "^agent judge $AGENTJOBS_TASK " "$AGENTJOBS_ROOT/../ledger"; }
n=$(($(said) + 1))
set -- $AGENTJOBS_ROW_JUDGE
while [ "$n" -gt 1 ] && [ $# -gt 1 ]; do shift; n=$((n - 1)); done
echo "agent judge $AGENTJOBS_TASK $AGENTJOBS_ATTEMPT $1" >>"$AGENTJOBS_ROOT/../ledger"
mkdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK" || echo "clash $AGENTJOBS_TASK" >>"$AGENTJOBS_ROOT/../ledger"
while [ -e "$AGENTJOBS_ROOT/../gate" ]; do sleep 0.01; done
code=0
said="\"line\": 1, \"severity\": \"high\", \"trigger\": \"t\", \"impact\": \"i\""
finding="{\"file\": \"$AGENTJOBS_TASK.txt\", $said}"
case $1 in
    reject) echo "{\"findings\": [$finding]}" >"$AGENTJOBS_VERDICT" ;;
    malformed) echo '{"findings": 1}' >"$AGENTJOBS_VERDICT" ;;
    crash) code=1 ;;
    *) echo '{"findings": []}' >"$AGENTJOBS_VERDICT" ;;
esac
echo spoilt >"$AGENTJOBS_TASK.txt"
echo spoilt >new.txt
rmdir "$AGENTJOBS_ROOT/../busy/$AGENTJOBS_TASK"
exit $code
"""

ROWS = (
    "id\tafter\tplan\ttitle",
    "crashes\t\tcrash ok\tcrashes once",
    "repairs\t\twrong ok\tfails its check once",
    "clashes\t\ttheirs shared\tchanges what somebody else changes on the target",
    "waits\tcrashes\tlinger\twaits for another, leaves a process",
    "never\t\twrong\tnever passes",
    "stuck\tnever\tok\tis blocked for ever",
)

WATCHED_ROWS = (ROWS[0], "fills\t\tfull ok\tfills its context once", "other\t\tok\tdoes nothing of note")

REVIEWED_ROWS = (
    "id\tafter\tplan\tjudge\ttitle",
    "passes\t\tok\tpass\tpasses at once",
    "rejected\t\tnap ok\treject pass\tis rejected once",
    "asked\tpasses\tok\tmalformed pass\tis judged by a reviewer that is asked twice",
    "falls\t\tcrash ok\tcrash pass\tauthor and reviewer crash once",
)

ROWS_OF = {"watched": WATCHED_ROWS, "phases": ("id\tplan\ttitle",), "reviews": REVIEWED_ROWS}

IDS = [row.partition("\t")[0] for rows in (ROWS, *ROWS_OF.values()) for row in rows[1:]]


def make_project(
    place: Path,
    rows: Sequence[str] = ROWS,
    *,
    slots: int = 4,
    verify_slots: int = 4,
    resumes: int = 2,
    repairs: int = 1,
    restarts: int = 1,
    variant: str = "plain",
) -> Path:
    """Make a project with scripted agents at ``place``/project; they write what they do into ``place``/ledger."""
    root = place / "project"
    root.mkdir(parents=True)
    (place / "busy").mkdir()
    (place / "waiting").mkdir()
    (place / "ledger").touch()
    text = POLICY.format(
        slots=slots,
        verify_slots=verify_slots,
        resumes=resumes,
        repairs=repairs,
        restarts=restarts,
        review='["judge"]' if variant == "reviews" else "[]",
        more=VARIANTS[variant],
        top=TOP.get(variant, ""),
    )
    (root / "agentjobs.toml").write_text(text)
    (root / "prompt.md.j2").write_text("{{ id }} {{ mode }}\n{{ errors }}\n")
    (root / "agent.sh").write_text(AGENT)
    (root / "check.sh").write_text(CHECK)
    (root / "plan.sh").write_text(PLAN)
    (root / "judge.sh").write_text(JUDGE)
    (root / "shared.txt").write_text("nobody\n")
    (root / ".gitignore").write_text("*.log\nlocal.txt\n")
    (root / "local.txt").write_text("not in git\n")
    (root / "tasks.tsv").write_text("\n".join(rows) + "\n")
    for argv in (
        ("init", "-q", "-b", "main"),
        ("add", "."),
        ("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "start"),
    ):
        subprocess.run(("git", *argv), cwd=root, check=True)
    return root


# --- the crash point --------------------------------------------------------------------------------------


class Effects:
    """Counts effects in this process, and kills it right after one of them."""

    def __init__(self, fatal: int, tell: int) -> None:
        self.count = 0
        self._fatal = fatal
        self._tell = tell
        self._write = os.write
        self._kill = os.kill

    def happened(self, what: str) -> None:
        self.count += 1
        if self._fatal == RECORD:
            self._write(self._tell, f"{self.count} {what}\n".encode())
        if self.count == self._fatal:
            self._write(self._tell, f"{self.count} {what}\n".encode())
            self._kill(os.getpid(), signal.SIGKILL)

    def after(self, owner: Any, name: str, what: Callable[..., str | None]) -> None:
        """Let ``owner.name`` count as an effect once it has returned, unless ``what`` says it is none."""
        real = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            found = real(*args, **kwargs)
            told = what(*args, **kwargs)
            if told is not None:
                self.happened(told)
            return found

        setattr(owner, name, wrapped)

    def install(self) -> None:
        def named(name: str) -> Callable[..., str]:
            return lambda *args, **_: f"{name} {args[0]!r:.160}"

        for name in (
            "replace", "rename", "mkdir", "unlink", "remove", "rmdir", "symlink", "link", "chmod",
            "posix_spawn", "kill", "killpg", "fsync", "write", "pwrite", "ftruncate", "truncate",
        ):  # fmt: skip
            self.after(os, name, named(name))
        def creates(path: Any, flags: int = 0, *_: Any, **__: Any) -> str | None:
            return f"open {path!r}" if flags & os.O_CREAT else None

        def writes(path: Any, mode: str = "r", *_: Any, **__: Any) -> str | None:
            return f"open {path!r}" if set(mode) & set("wax+") and not isinstance(path, int) else None

        self.after(os, "open", creates)
        for owner in (builtins, io):
            self.after(owner, "open", writes)

        def command(when: str, argv: Any) -> str | None:
            words = [str(part) for part in argv]
            return f"{when}: {' '.join(words)[:160]}" if words[1] not in READING else None

        self.after(subprocess.Popen, "__init__", lambda _, argv, *__, **___: command("begun", argv))
        self.after(subprocess, "run", lambda argv, *_, **__: command("ended", argv))
        # By gits that live as long as they are asked: no process begins or ends.
        self.after(Writes, "commit", lambda *_, **__: "a commit is written")
        self.after(Writes, "move", lambda _, ref, *__: f"moved: {ref}")


class Driver:
    """Runs agentjobs in forks of this process (no start-up time), and inherits all that they leave behind."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "project"
        self.gate = place / "gate"
        self.log = place / "polls.log"
        preload()
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become ours, to be waited for

    def start(self, *argv: str, fatal: int = 0) -> tuple[int, int]:
        """Start a command; return its pid and where it reports its effects."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 71
            try:
                os.setsid()
                os.close(read)
                os.chdir(self.root)
                out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(out, 1)
                os.dup2(out, 2)
                from agentjobs.cli.main import main
                from agentjobs.run import engine

                engine.TURN_S = 60.0  # the same work in every turn, however slow the machine
                effects = Effects(fatal, write)
                effects.install()
                try:
                    main(list(argv))
                except SystemExit as end:
                    code = int(end.code or 0)
                effects._write(write, f"{effects.count} end\n".encode())
            finally:
                os._exit(code)
        os.close(write)
        return pid, read

    def run(self, *argv: str, fatal: int = 0) -> tuple[int, str]:
        """Run a command; return its exit code (negative: a signal) and its last effect, or (RECORD) all of them."""
        pid, read = self.start(*argv, fatal=fatal)
        with os.fdopen(read) as told:
            last = told.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, last

    def poll(self, *, fatal: int = 0, wait_s: float = 0.0) -> tuple[int, str]:
        return self.run("poll", "--wait", str(wait_s), fatal=fatal)

    def hold(self) -> None:
        """Let agents and checks wait before they do anything."""
        self.gate.touch()

    def release(self) -> None:
        """Let agents and checks go on, and wait until no process is left."""
        self.gate.unlink(missing_ok=True)
        give_up_at = time.monotonic() + QUIET_S
        pause_s = 0.001
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                if time.monotonic() > give_up_at:
                    raise AssertionError(f"left behind: {children()}")
                time.sleep(pause_s)
                pause_s = min(0.02, pause_s * 1.5)

    def waiting(self) -> list[Path]:
        """Return the attempts with a live agent that waits for a stop signal and has not just got one."""
        from agentjobs.launch.launcher import is_held
        from agentjobs.launch.step import StepFiles

        found = []
        for marker in sorted((self.place / "waiting").iterdir()):
            task, _, number = marker.name.rpartition(".")
            attempt_dir = self.root / ".agentjobs/attempts" / task / f"{int(number):03}"
            kill = attempt_dir / "agent.kill.json"
            told = kill.exists() and time.time() - kill.stat().st_mtime < TOLD_S
            if is_held(StepFiles(attempt_dir, "agent")) and not told:
                found.append(attempt_dir)
        return found

    def revive(self, attempt_dir: Path) -> None:
        """Let an agent wait again of which a copy of the project has only the facts."""
        mark = json.loads((attempt_dir / "attempt.json").read_text())["marker"]
        found = os.open(attempt_dir / "agent.lock", os.O_RDWR | os.O_CLOEXEC)
        lock = fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, 20)
        os.close(found)
        fcntl.flock(lock, fcntl.LOCK_EX)
        (attempt_dir / "agent.json").unlink()
        os.posix_spawn(
            "/bin/sh",
            ["sh", RUNNER, str(attempt_dir / "agent"), str(self.root), "999999", boot_id(), "022", "sleep", "300"],
            {**os.environ, "AGENTJOBS_MARK": mark},
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
            + [(os.POSIX_SPAWN_DUP2, lock, 9)],
            setsid=True,
        )
        os.close(lock)
        while not (attempt_dir / "agent.json").exists():
            time.sleep(0.001)

    def release_steps(self) -> None:
        """Let agents and checks go on, and wait until no runner is left; strays of theirs may be."""
        from agentjobs.launch.launcher import is_held
        from agentjobs.launch.step import StepFiles

        self.gate.unlink(missing_ok=True)
        give_up_at = time.monotonic() + QUIET_S
        while True:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            locks = self.root.glob(".agentjobs/attempts/*/*/*.lock")
            held = {(lock.parent, lock.stem) for lock in locks if is_held(StepFiles(lock.parent, lock.stem))}
            if held == {(attempt_dir, "agent") for attempt_dir in self.waiting()}:
                return
            if time.monotonic() > give_up_at:
                raise AssertionError(f"still running: {children()}")
            time.sleep(0.002)

    def clear(self) -> None:
        """End what a run that was not followed to its end has left."""
        while pids := children():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in pids:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    # --- what there is to compare

    def ledger(self) -> list[str]:
        return (self.place / "ledger").read_text().splitlines()

    def starts(self) -> list[str]:
        return sorted(line for line in self.ledger() if line.startswith("agent "))

    def plans(self) -> list[str]:
        """Return the complete runs of plan commands."""
        return [line for line in self.ledger() if line.startswith("plan ")]

    def table(self) -> list[dict[str, str]]:
        header, *lines = [line.split("\t") for line in (self.root / "tasks.tsv").read_text().splitlines()]
        rows = [dict(zip(header, line, strict=False)) for line in lines]
        return [
            {name: "some" if name in COLUMNS_THAT_MAY_DIFFER else cell for name, cell in row.items() if cell}
            for row in rows
        ]

    def git(self, *argv: str) -> str:
        return subprocess.run(("git", *argv), cwd=self.root, check=False, capture_output=True, text=True).stdout

    def end(self) -> dict[str, object]:
        """What must be the same however often the way there was cut off."""
        return {
            "table": self.table(),
            "starts": self.starts(),
            "plans": self.plans(),
            "clashes": [line for line in self.ledger() if line.startswith("clash")],
            "landed": sorted(self.git("log", "--format=%s", "landed").splitlines()),
            "content": self.git("rev-parse", "landed^{tree}"),
            "trees": sorted(p.name for p in (self.root / ".agentjobs/trees").iterdir() if p.is_dir()),
            "registered": self.git("worktree", "list", "--porcelain").count("worktree "),
            "remembered": (self.root / ".agentjobs/table.tsv").read_bytes() == (self.root / "tasks.tsv").read_bytes(),
            "active": sorted(os.listdir(self.root / ".agentjobs/active")),
            "scratch": sorted(name for name in os.listdir(self.root) if name.endswith("~")),
            "status": self.git("status", "--porcelain", "-uall"),
        }

    def state(self) -> str:
        """Reduce the whole project to what may not depend on instants, random ids and commit ids."""
        lines = [json.dumps(self.table(), sort_keys=True), *self.starts(), *self.plans()]
        own = self.root / ".agentjobs"
        for path in sorted(own.rglob("*")):
            name = path.relative_to(own).as_posix()
            if path.is_dir() or name in {"events.jsonl", "lock"}:
                continue
            if name.startswith("spare/") or (name.startswith("trees/") and path.name == ".git"):
                continue
            text = path.read_text(errors="replace")
            if name == "table.tsv":
                text = "same" if text == (self.root / "tasks.tsv").read_text() else text
            if path.suffix in {".log", ".lock"} and not path.name.startswith("."):
                text = ""
            lines.append(f"{name} {_constant(text, str(self.root))}")
        lines.append(self.git("for-each-ref", "--format=%(refname) %(tree)"))
        lines.append(str(sorted(os.listdir(self.place / "busy"))))
        return "\n".join(lines)


_HEX = re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12}\b")
_INSTANT = re.compile(r"\b\d{9,}(?:\.\d+)?(?:e\d+)?\b|\d{4}-\d\d-\d\dT[\d:]+Z|\b\d+\.\d{3,}\b")
_NUMBERS = re.compile(r'"(pid|start|boot|marker|mark|device|inode)":("[^"]*"|\d+)')


def _constant(text: str, root: str) -> str:
    text = _NUMBERS.sub(r'"\1"', text)
    return _INSTANT.sub("T", _HEX.sub("H", text.replace(root, "ROOT")))


def children() -> dict[int, str]:
    """Return the command lines of our children, by number."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                words = stat.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(stat.parent.name)] = words
    return found


def kind(effect: str) -> str:
    """Return what an effect has in common with others: the call, and the sort of file, not which."""
    call, _, what = effect.partition(" ")[2].partition(" ")
    if call.endswith(":"):
        return f"{call} {' '.join(what.split()[:2])}"
    name = re.sub(r"PosixPath\(|[')]|.*/(?=.)", "", what)
    name = re.sub(r"snapshot-\w+", "snapshot", name)
    if call in {"unlink", "rmdir"} and "." not in name:
        name = ""
    for known in ("active", "tally", "attempts", "trees"):
        if f"/{known}/" in what and "." not in name.strip("."):
            name = f"{known}/"
    return re.sub(r"[0-9a-f]{6,}|\d+", "N", re.sub("|".join(IDS), "ID", f"{call} {name}"))


# --- the campaign -----------------------------------------------------------------------------------------


class Campaign:
    """A clean run, and then one run for each crash point."""

    def __init__(self, place: Path, **settings: Any) -> None:
        make_project(place, ROWS_OF.get(settings.get("variant", ""), ROWS), **settings)
        self.driver = Driver(place)
        self.copies = place.with_name(place.name + ".copies")
        self.copies.mkdir()
        self.known: set[str] = set()
        self.effects: list[list[str]] = []
        """The kinds of the effects of each command of the clean run."""
        self.wanted: dict[str, object] = {}
        self.alive: list[list[Path]] = []
        """The agents that wait to be stopped, before each command of the clean run."""
        self.followed = 0
        self.unreached = 0

    # Everything is at the same path again, and of the same age.
    def save(self, number: int) -> None:
        subprocess.run(("cp", "-a", str(self.driver.place), str(self.copies / str(number))), check=True)
        self.alive.append(self.driver.waiting())

    def restore(self, number: int) -> None:
        self.driver.clear()
        shutil.rmtree(self.driver.place)
        subprocess.run(("cp", "-a", str(self.copies / str(number)), str(self.driver.place)), check=True)
        own = self.driver.root / ".agentjobs"
        if (own / HOME).exists():
            settle_in(own)  # or each command would begin by writing down that it is another directory
        for attempt_dir in self.alive[number]:
            self.driver.revive(attempt_dir)

    def record(self) -> None:
        """Run to the end without a crash, keeping a copy before each command."""
        driver = self.driver
        for number in range(POLLS_MAX):
            self.save(number)
            driver.hold()
            code, told = driver.run(*self.command(number), fatal=RECORD)
            driver.release_steps()
            self.effects.append([kind(line) for line in told.splitlines()[:-1]])
            self.known.add(driver.state())
            if code == 2:
                driver.release()
                self.wanted = driver.end()
                return
            assert code == 0, f"poll {number} exited {code}: {driver.log.read_text()}"
        raise AssertionError("the clean run does not end")

    @staticmethod
    def command(number: int) -> tuple[str, ...]:
        return ("poll", "--wait", "5") if number else ("dispatch",)

    def points(self, *, kinds: bool = False) -> list[tuple[int, int]]:
        """Return every crash point, as command and effect; with ``kinds``, one for each kind of effect."""
        found = [(n, effect) for n, done in enumerate(self.effects) for effect in range(1, len(done) + 1)]
        if not kinds:
            return found
        places: dict[str, list[tuple[int, int]]] = {}
        for number, effect in found:
            what = self.effects[number][effect - 1]
            if not what.startswith(("chmod", "fsync")) and not (what.startswith("open") and what.endswith("~")):
                places.setdefault(what, []).append((number, effect))
        # Not always the first of its kind: the project has more in it later.
        return sorted(there[at % len(there)] for at, there in enumerate(places.values()))

    def crash(self, number: int, effect: int) -> str:
        """Crash at one point and go on; return what was wrong with the end, or nothing."""
        driver = self.driver
        self.restore(number)
        driver.hold()
        code, last = driver.run(*self.command(number), fatal=effect)
        where = f"command {number}, effect {last.strip()}"
        self.unreached += code != -signal.SIGKILL
        try:
            if effect % 2:  # every other time the agents get on before anybody looks; git may still be at work
                driver.release_steps()
            wrong = self.follow()
        except AssertionError as error:
            wrong = str(error)
        return f"{where}: {wrong}" if wrong else ""

    def follow(self) -> str:
        """Poll until a state that is known to end well, or the end."""
        driver = self.driver
        passed = []
        for count in range(POLLS_MAX):
            state = driver.state() if count else ""
            if state in self.known:
                break
            passed.append(state)
            self.followed += 1
            driver.hold()
            scope = driver.root / ".agentjobs/scope.json"
            code, _ = driver.run(*(("poll", "--wait", "5") if scope.exists() else ("dispatch",)))
            driver.release_steps()
            if code == 2:
                driver.release()
                found = driver.end()
                if found != self.wanted:
                    return "\n".join(
                        f"{key}\n  found  {value}\n  wanted {self.wanted[key]}"
                        for key, value in found.items()
                        if value != self.wanted[key]
                    )
                break
            if code:
                return f"poll exited {code}: {driver.log.read_text()[-2000:]}"
        else:
            return "does not end"
        self.known.update(passed)
        self.known.discard("")
        return ""


def main() -> int:
    """Run a campaign; exit 1 if a crash changed how things ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("place", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, default="plain", help="which policy")
    parser.add_argument("--shard", default="1/1", help="the K-th of N parts of the crash points")
    parser.add_argument("--stride", type=int, default=1, help="only each S-th crash point")
    parser.add_argument("--kinds", action="store_true", help="only one crash point for each kind of effect")
    parser.add_argument("--only", default="", help="one crash point, as COMMAND:EFFECT")
    given = parser.parse_args()
    campaign = Campaign(given.place, variant=given.variant)
    recorded_at = time.monotonic()
    campaign.record()
    counts = [len(done) for done in campaign.effects]
    print(f"clean run: {time.monotonic() - recorded_at:.1f} s, effects of each command: {counts}", flush=True)
    part, _, parts = given.shard.partition("/")
    points = campaign.points(kinds=given.kinds)
    chosen = points[int(part) - 1 :: int(parts)][:: given.stride]
    if given.only:
        number, _, effect = given.only.partition(":")
        chosen = [(int(number), int(effect))]
    began_at = time.monotonic()
    wrong = []
    for number, effect in chosen:
        found = campaign.crash(number, effect)
        if found:
            wrong.append(found)
            print(f"WRONG {found}", flush=True)
    campaign.restore(0)
    print(
        f"{len(points)} crash points; {len(chosen)} tried, "
        f"{campaign.unreached} not reached, {len(wrong)} wrong, {campaign.followed} further commands, "
        f"{time.monotonic() - began_at:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
