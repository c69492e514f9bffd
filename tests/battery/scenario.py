"""One scenario of the battery, run with the real program, and what is wrong after it, seen from outside.

A culprit (or two) leaves in its tree what its deed says; two bystanders do plain good work beside it, the second of
them only after the first. Nothing here asks the program's own modules: only exit codes, the table, plain git, /proc.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kit.harness import Completed, Project, kill_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from tests.battery.leftovers import Scenario

AGENT = Path(__file__).with_name("agent.py")
CHECK = "grep -qx ok src/$AGENTJOBS_TASK.txt"
CULPRITS = ("a", "a2")
BYSTANDERS = ("b", "c")
COMMAND_S = 40.0
"""A command that has not ended by then hangs: nothing here takes a second by itself."""
LOOP_S = 120.0
STARTS_MAX = 12
GONE_S = 3.0

GOOD_AGENT = """\
#!/bin/sh
cat >/dev/null
printf '%s\\t%s\\tstart\\n' "$AGENTJOBS_TASK" "$AGENTJOBS_ATTEMPT" >>"{ledger}"
n=0
while [ $n -lt 100 ] && ! grep -qs "did$" "{ledger}"; do n=$((n + 1)); sleep 0.1; done
echo ok >"src/$AGENTJOBS_TASK.txt"
"""
"""A bystander: it ends when the culprit has done its deed, so that the one is looked at beside the other."""

LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gate": {"landing": {"gate": ["true"], "wait_s": 0, "batch": 4}},
    "sparse": {"workspace": {"sparse": ["src"]}},
    "setup": {"workspace": {"setup": "mkdir -p deps && echo 1 >deps/x", "keep": ["deps"]}},
    "restart": {"retry": {"restarts": 1}},
}

SHARED = {
    "config": ("config", "filter", "merge-driver", "diff-driver", "hooks", "sparse", "split", "untracked", "submodule",
               "worktree"),
    "refs": ("branch", "orphan", "tag", "main", "target", "merge", "rebase", "stash", "replace", "bisect"),
    "info": ("exclude", "info-attributes", "grafts"),
    "hooks": ("hooks",),
    "modules": ("submodule",),
    "objects": ("grafts", "shallow", "alternates", "gc", "prune", "expire", "replace"),
}  # fmt: skip
"""What of the user's repository leftovers of git may change themselves, by the beginnings of their names."""


class Run:
    """A scenario in a separate project under ``directory``."""

    def __init__(self, directory: Path, scenario: Scenario, command_s: float = COMMAND_S) -> None:
        self.scenario = scenario
        self.command_s = command_s
        self.problems: list[str] = []
        self.outside = directory
        directory.mkdir(parents=True, exist_ok=True)
        writable = directory / "writable"
        writable.mkdir()
        self.ledger_path = writable / "ledger"
        self.ledger_path.touch()
        good = directory / "good.sh"
        good.write_text(GOOD_AGENT.format(ledger=self.ledger_path))
        good.chmod(0o755)
        culprit = [sys.executable, "-IS", str(AGENT), "{dir}", str(self.ledger_path)]
        self.culprits = CULPRITS[: len(scenario.deeds)]
        self.tasks = (*self.culprits, *BYSTANDERS)
        files = {f"src/{task}.txt": "not yet\n" for task in self.tasks} | {".gitignore": IGNORED}
        self.project = Project(directory, files=files, settings=LAYOUTS[scenario.layout])
        settings = self.project._settings
        settings["agents"] = {
            "culprit": {"command": culprit},
            "good": {"command": [str(good)]},
        }
        profile = {"verify": [CHECK]}
        self.project.configure(
            slots=4,
            limits={"attempt_minutes": 0.5, "idle_minutes": 0.5, "verify_minutes": 0.5, "start_interval_s": 0},
            retry={"resumes": 1, "repairs": 1, "restarts": 0, **LAYOUTS[scenario.layout].get("retry", {})},
            workspace={
                "kind": scenario.kind,
                "sandbox": scenario.sandbox,
                **({"writable": [str(writable)]} if scenario.sandbox == "bwrap" else {}),
            },
            profiles={"default": {"agent": "good", **profile}, "odd": {"agent": "culprit", **profile}},
        )
        self.write_table()
        self.make_victim()

    def write_table(self) -> None:
        rows = [
            {"id": task, "profile": "odd", "deed": json.dumps(deed.row()).replace("\\", "\\\\")}
            for task, deed in zip(self.culprits, self.scenario.deeds, strict=True)
        ]
        rows += [{"id": "b"}, {"id": "c", "after": "b"}]
        self.project.rows(*({**row, "files": f"src/{row['id']}.txt"} for row in rows))

    def make_victim(self) -> None:
        """Make another repository of the user: with a commit, with edits that are in no commit, with odd modes."""
        self.victim = self.outside / "victim"
        (self.victim / "src").mkdir(parents=True)
        git = ("-C", str(self.victim))
        self.project.git("init", "-q", "-b", "main", str(self.victim))
        for name in ("precious.txt", "src/a.txt", "src/b.txt"):
            (self.victim / name).write_text(f"{name}\n")
        self.project.git(*git, "add", "-A")
        self.project.git(*git, "commit", "-q", "-m", "precious")
        (self.victim / "src/b.txt").write_text("edited, in no commit\n")
        (self.victim / "untracked").write_text("in no commit\n")
        (self.victim / "precious.txt").chmod(0o640)

    # --- the run

    def run(self) -> list[str]:
        """Return what is wrong, worst first; empty when all is well."""
        victim, project = state(self.victim), self.repository()
        try:
            if self.drive():
                self.after()
            self.outcome()
            self.compare("another repository", victim, state(self.victim))
            self.compare("the project's repository", project, self.repository())
            self.processes()
        finally:
            self.end()
        return sorted(set(self.problems), key=self.problems.index)

    def drive(self) -> bool:
        """Dispatch and poll until nothing is left to do; return whether that came."""
        self.code = self.command("dispatch", allowed=(0,)).code
        deadline = time.monotonic() + LOOP_S
        self.code = 0 if self.code == 0 else self.code
        while self.code == 0 and not self.hung():
            if time.monotonic() > deadline:
                self.wrong("loop: does not end")
                break
            self.code = self.command("poll", "--wait", "5", allowed=(0, 2, 3)).code
        return self.code in {2, 3}

    def hung(self) -> bool:
        return any(problem.startswith("hang") for problem in self.problems)

    def command(self, *argv: str, allowed: tuple[int, ...]) -> Completed:
        """Run the program; note a hang, a crash, and an exit code that is not allowed."""
        name = argv[0]
        try:
            done = self.project.run(*argv, timeout_s=self.command_s)
        except subprocess.TimeoutExpired:
            self.wrong(f"hang: {name}")
            self.wrong_detail(self.children())
            return Completed(-1, "", "")
        if "Traceback" in done.stderr or done.code == 70 or done.code < 0:
            self.wrong(f"crash: {name}: {done.stderr.strip()[-200:]}")
        elif done.code not in allowed:
            self.wrong(f"exit {done.code}: {name}: {plain(done.stderr.strip().splitlines()[-1:], self.outside)}")
        return done

    def after(self) -> None:
        """A poll more changes nothing, and every command of a person works."""
        table, starts = self.table_bytes(), self.starts()
        again = self.command("poll", allowed=(2, 3))
        if again.code != self.code and again.code in {2, 3}:
            self.wrong(f"a second poll exits {again.code} after {self.code}")
        if (table, starts) != (self.table_bytes(), self.starts()):
            self.wrong("a second poll changes something")
        self.command("status", allowed=(0,))
        for task in self.culprits:
            self.command("show", task, allowed=(0,))
        self.outcome()
        self.statuses_before = self.project.statuses()
        self.command("skip", *self.culprits, allowed=(0,))
        self.command("stop", allowed=(0,))
        self.command("clean", "--force", allowed=(0, 1))
        self.command("poll", allowed=(2, 3))

    # --- what is looked at

    def outcome(self) -> None:
        """Bystanders are DONE and landed; a culprit is DONE only with what its check wants, and nothing besides."""
        statuses = self.project.statuses()
        done = [task for task in self.tasks if statuses.get(task) == "DONE"]
        for task in BYSTANDERS:
            if task not in done:
                note = self.project.table().get(task, {}).get("note", "")
                self.wrong(f"bystander {statuses.get(task) or 'TODO'}: {plain([note], self.outside)}")
        copy = self.outside / f"copy-{time.monotonic_ns()}"
        if done and self.git("clone", "-q", "-b", "agentjobs/landed", str(self.project.root), str(copy)) is None:
            self.wrong("the target cannot be cloned")
            return
        for task in done:
            file = copy / "src" / f"{task}.txt"
            if file.is_symlink() or not file.is_file() or "ok" not in file.read_text(errors="replace").splitlines():
                self.wrong(f"false DONE: {'bystander' if task in BYSTANDERS else 'culprit'}")
        changed = self.git("diff", "--name-only", "-z", self.base, "agentjobs/landed") or ""
        for name in changed.split("\0") if done else ():
            if name and name not in {f"src/{task}.txt" for task in done}:
                self.wrong(f"landed outside its files: {name!r}")
        checked = not done or self.shared("objects")
        if not checked and self.git("fsck", "--connectivity-only", "--no-reflogs", "agentjobs/landed", "main") is None:
            self.wrong("git fsck")
        starts = self.starts()
        for task in self.tasks:
            most = STARTS_MAX if task in self.culprits else 1
            if starts.get(task, 0) > most:
                self.wrong(f"{'culprit' if task in self.culprits else 'bystander'} started {starts[task]} times")

    def repository(self) -> dict[str, str]:
        """Return all of the user's project that no leftover of this scenario may change, and no run either."""
        if not hasattr(self, "base"):
            self.base = self.project.git("rev-parse", "main")
        root = self.project.root
        found = {f"checkout/{name}": value for name, value in state(root, {".git", ".agentjobs", "tasks.tsv"}).items()}
        git = root / ".git"
        found["config"] = digest(git / "config")
        found["HEAD"] = digest(git / "HEAD")
        for part in ("info", "hooks", "modules"):
            found |= {f"{part}/{name}": value for name, value in state(git / part).items()}
        for line in (self.git("for-each-ref", "--format=%(refname) %(objectname)") or "").splitlines():
            name, _, commit = line.partition(" ")
            if not name.startswith(("refs/agentjobs/", "refs/heads/agentjobs/landed")):
                found[f"refs {name}"] = commit
        if self.git("worktree", "list", "--porcelain") is None:
            found["worktrees"] = "cannot be listed"
        return {name: value for name, value in found.items() if not self.shared(re.split(r"[ /]", name)[0])}

    def shared(self, part: str) -> bool:
        """Whether a leftover of this scenario changes that part of the user's repository itself."""
        if self.scenario.kind != "worktree" or self.scenario.sandbox != "none":
            return part == "objects" and self.scenario.kind == "worktree"
        names = SHARED.get(part, ())
        by_git = any(step[0] == "git" and step[1].startswith(names) for step in self.scenario.leftovers() if names)
        return by_git or any(step[-1].startswith(f"common/{part}") for step in self.scenario.leftovers())

    def compare(self, what: str, before: dict[str, str], now: dict[str, str]) -> None:
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if changed:
            self.wrong(f"{what} changed: {', '.join(changed[:3])}")

    def starts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in self.ledger_path.read_text(errors="replace").splitlines():
            words = line.split("\t")
            if words[2:3] == ["start"]:
                found[words[0]] = found.get(words[0], 0) + 1
        return found

    def table_bytes(self) -> bytes:
        return (self.project.root / "tasks.tsv").read_bytes()

    def processes(self) -> None:
        """Nothing that was started is left; of what has no marker only what could be found by its directory."""
        unseen = {"session-bare"} if self.scenario.sandbox == "none" else set()
        if any(deed.process in unseen for deed in self.scenario.deeds) or self.hung():
            return
        deadline = time.monotonic() + GONE_S
        while left := list(self.living()):
            if time.monotonic() > deadline:
                self.wrong(f"processes left: {plain([command_line(pid) for pid in left[:2]], self.outside)}")
                return
            time.sleep(0.02)

    def living(self) -> Iterator[int]:
        """Return the processes that name our directory, or are in it."""
        needle = os.fsencode(self.outside)
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                place = Path("/proc") / name
                if place.joinpath("stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
                    continue
                here = needle in (place / "cmdline").read_bytes() or needle in (place / "environ").read_bytes()
                if here or os.fsencode(os.readlink(place / "cwd")).startswith(needle):
                    yield int(name)

    def children(self) -> str:
        return "; ".join(command_line(pid) for pid in self.living() if "git" in command_line(pid))[:300]

    # --- the odds and ends

    def git(self, *argv: str) -> str | None:
        """Run git as the user would, on the project; None where it fails, or does not end."""
        env = {name: value for name, value in self.project.env.items() if name != "PYTHONPATH"}
        try:
            done = subprocess.run(
                ["git", *argv], cwd=self.project.root, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=20, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None

    def wrong(self, text: str) -> None:
        self.problems.append(text)

    def wrong_detail(self, text: str) -> None:
        if text:
            self.problems[-1] += f" ({plain([text], self.outside)})"

    def end(self) -> None:
        """End what still lives, and make everything removable."""
        kill_all(self.living())
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["chattr", "-R", "-f", "-i", str(self.outside)], capture_output=True, check=False)
        subprocess.run(["chmod", "-R", "u+rwX", str(self.outside)], capture_output=True, check=False)

    def remove(self) -> None:
        """Remove all of it: ``rm`` goes deeper than Python."""
        subprocess.run(["rm", "-rf", str(self.outside)], capture_output=True, check=False)


IGNORED = ".agentjobs/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\ndeps/\n"


def state(directory: Path, without: AbstractSet[str] = frozenset()) -> dict[str, str]:
    """Return type, mode and content of all that is in a directory, by its path; links are not followed."""
    found: dict[str, str] = {}
    for place, names, files in os.walk(directory):
        if Path(place) == directory:
            names[:] = [name for name in names if name not in without]
        for name in {*names, *files} - without:
            path = Path(place) / name
            found[os.fsdecode(os.path.relpath(path, directory))] = digest(path)
    return found


def digest(path: Path) -> str:
    try:
        info = path.lstat()
        content = b""
        if stat.S_ISREG(info.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(info.st_mode):
            content = os.fsencode(os.readlink(path))
    except OSError as error:
        return type(error).__name__
    return f"{info.st_mode:o} {hashlib.sha256(content).hexdigest()[:16]}"


def plain(lines: list[str], outside: Path) -> str:
    """Return a message without what differs from run to run, so that alike ones are one class."""
    text = " ".join(lines).replace(str(outside), "…")
    return re.sub(r"[0-9a-f]{12,40}|\d+", "N", re.sub(r"(/d+){3,}", "/d…", text))[:220]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:150]
    except OSError:
        return "gone"
