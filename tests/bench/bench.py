"""Speed and memory, each as a ratio against a named rival in the same run: ``make bench``.

The machine does not matter much this way; what else runs on it does. Rivals that are not installed are skipped
with a notice (``apt-get install parallel``).
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench import batches, documents, handout, landed

AGENTJOBS = [sys.executable, "-m", "agentjobs"]

POLICY = """
slots = {slots}
verify_slots = 8
[limits]
start_interval_s = 0
breaker = 0
min_free_memory = "1MiB"
[workspace]
kind = "none"
[profiles.default]
agent = "bench"
require_change = false
[agents.bench]
command = {command}
"""


def project(directory: Path, rows: str, *, slots: int, command: list[str]) -> Path:
    """Write a project without worktrees."""
    directory.mkdir(parents=True)
    (directory / "agentjobs.toml").write_text(POLICY.format(slots=slots, command=command))
    (directory / "prompt.md.j2").write_text("Task {{ id }}\n")
    (directory / "tasks.tsv").write_text(rows)
    return directory


def timed(argv: list[str], cwd: Path, *, stdin: str | None = None, ok: tuple[int, ...] = (0,)) -> float:
    """Run a command and return its wall time in seconds."""
    begun = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode not in ok:
        raise SystemExit(f"{argv} exited {done.returncode}: {done.stderr[-2000:]}")
    return took


def row(what: str, ours: str, rival: str, ratio: float, goal: float) -> None:
    """Print one line of the result."""
    verdict = "ok" if ratio <= goal else "MISSED"
    print(f"{what:<44} {ours:>12} {rival:>26} {ratio:>7.2f}x  goal {goal:.2f}x  {verdict}", flush=True)


def ids(count: int) -> str:
    """Return a table with nothing but ids."""
    return "id\n" + "".join(f"t{n}\n" for n in range(count))


def bench_true(scratch: Path, rounds: int) -> None:
    """1,000 tasks that do nothing, 8 at once."""
    rival = shutil.which("parallel")
    ours, theirs = [], []
    for number in range(rounds):
        here = project(scratch / f"true-{number}", ids(1000), slots=8, command=["true"])
        timed([*AGENTJOBS, "dispatch", "--only", "1"], here)
        widen(here)
        ours.append(timed([*AGENTJOBS, "run", "--quiet"], here, ok=(2,)))
        if rival:
            numbers = "".join(f"{n}\n" for n in range(1000))
            argv = [rival, "--joblog", str(here / "joblog"), "-j8", "true", "{}"]
            theirs.append(timed(argv, here, stdin=numbers))
    if not rival:
        print(f"1,000 x true, 8 slots: {statistics.median(ours):.2f} s; GNU parallel is not installed, no ratio")
        return
    mine, other = statistics.median(ours), statistics.median(theirs)
    row("1,000 x true, 8 slots: run", f"{mine:.2f} s", f"parallel --joblog {other:.2f} s", mine / other, 1.0)


def widen(here: Path) -> None:
    """Put everything in play without starting anything: the timed command does all the work."""
    path = here / ".agentjobs" / "scope.json"
    path.write_text(f'{{"at": {time.time():f}, "everything": true}}\n')


def bench_sleep(scratch: Path) -> None:
    """200 tasks of half a second, 20 at once: ideally 5 s."""
    here = project(scratch / "sleep", ids(200), slots=20, command=["sleep", "0.5"])
    timed([*AGENTJOBS, "dispatch", "--only", "1"], here)
    widen(here)
    mine = timed([*AGENTJOBS, "run", "--quiet"], here, ok=(2,))
    row("200 x sleep 0.5, 20 slots: run", f"{mine:.2f} s", "the ideal 5.00 s", mine / 5.0, 1.10)


DONE_ROW = "t{n:06d}\tDONE\t\tsrc/m{n}.js\t1\t2026-01-01T00:00:00Z\t2026-01-01T00:10:00Z\tconvert module number {n}\n"


def bench_idle(scratch: Path) -> None:
    """A poll with nothing to do, on tables of three sizes."""
    rival_argv = [sys.executable, "-c", "import click, psutil, filelock"]
    for count, goal in ((1_000, 2.0), (10_000, 2.0), (100_000, 4.0)):
        header = "id\tstatus\tafter\tfiles\tattempt\tstarted\tended\ttitle\n"
        rows = header + "".join(DONE_ROW.format(n=n) for n in range(count))
        here = project(scratch / f"idle-{count}", rows, slots=8, command=["true"])
        timed([*AGENTJOBS, "dispatch"], here)
        timed([*AGENTJOBS, "poll"], here, ok=(2,))
        ours, theirs = [], []
        for _ in range(9):
            theirs.append(timed(rival_argv, here))
            ours.append(timed([*AGENTJOBS, "poll"], here, ok=(2,)))
        mine, other = statistics.median(ours), statistics.median(theirs)
        what = f"idle poll, {count:,} rows"
        row(what, f"{mine * 1000:.0f} ms", f"bare imports {other * 1000:.0f} ms", mine / other, goal)


def bench_memory(scratch: Path) -> None:
    """What a running step costs besides the agent: the proportional share of its supervisor."""
    if not Path("/proc/self/smaps_rollup").exists():
        print("memory of a running step: /proc/<pid>/smaps_rollup is not there, skipped")
        return
    count = 20
    here = project(scratch / "memory", ids(count), slots=count, command=["sleep", "60"])
    timed([*AGENTJOBS, "dispatch"], here)
    runners: list[int] = []
    deadline = time.monotonic() + 20
    while len(runners) < count and time.monotonic() < deadline:
        records = here.glob(".agentjobs/attempts/*/001/agent.json")
        runners = [int(r.read_text().partition('"pid":')[2].partition(",")[0]) for r in records]
    shares = []
    for pid in runners:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        shares += [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    for pid in runners:
        os.killpg(pid, signal.SIGKILL)
    mean = statistics.mean(shares) / 1024
    row(f"memory of a running step ({count} at once)", f"{mean:.3f} MiB", "the budget 0.25 MiB", mean / 0.25, 1.0)


LANDED = (
    (100, 1, 1.2, 1.0), (100, 16, 1.2, 1.0), (1_000, 1, 0.8, 0.8), (1_000, 16, 0.8, 0.8), (10_000, 16, 0.3, 0.3),
)  # fmt: skip
"""Files of the repository, tasks per run of the gate, and the goals for CPU time and for time."""


def bench_landed(scratch: Path, rounds: int) -> None:
    """A landed task against the shell script that a person would write."""
    for files, batch, cpu_goal, wall_goal in LANDED:
        tasks = 50 if files <= 1_000 else 20
        ours, theirs = landed.measure(scratch / "landed", tasks=tasks, files=files, batch=batch, rounds=rounds)
        what = f"landed task, {files:,} files, batch = {batch}"
        rival = f"shell script {theirs.cpu_ms:.0f} ms"
        row(f"{what}: CPU", f"{ours.cpu_ms:.0f} ms", rival, ours.cpu_ms / theirs.cpu_ms, cpu_goal)
        rival = f"shell script {theirs.wall_ms:.0f} ms"
        row(f"{what}: time", f"{ours.wall_ms:.0f} ms", rival, ours.wall_ms / theirs.wall_ms, wall_goal)


def bench_batches(scratch: Path) -> None:
    """48 tasks that land through one gate for each batch, against a check for each task."""
    ours, theirs = batches.measure(scratch / "batches")
    checks, took = ours.checks / theirs.checks, ours.seconds / theirs.seconds
    row("48 tasks, gate of a batch: checks run", f"{ours.checks}", f"a check a task {theirs.checks}", checks, 0.25)
    row("48 tasks, gate of a batch: time", f"{ours.seconds:.1f} s", f"a check a task {theirs.seconds:.1f} s", took, 0.5)


def bench_handout() -> None:
    """A used worktree handed on, against a checkout of 20,000 files, on the disk that this file is on."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix="handout-") as name:
        found = handout.measure(Path(name))
    what, rival = "worktree of 20,000 files: hand-out", f"git worktree add {found.fresh:.2f} s"
    row(what, f"{found.handed * 1000:.0f} ms", rival, found.handed / found.fresh, 1 / 20)


def bench_documents() -> None:
    """Batches against the least number there can be; tokens counted again against the first time."""
    for one in documents.packings():
        goal = max(1.1, 1 + 1 / one.least)
        row(f"pack {one.what}", f"{one.batches}", f"sum of sizes {one.least}", one.batches / one.least, goal)
    found = documents.counting()
    what = f"tokens of {found.files:,} files, {found.megabytes:.0f} MB: again"
    row(what, f"{found.again_s:.2f} s", f"the first time {found.first_s:.2f} s", found.again_s / found.first_s, 0.1)


def main() -> None:
    """Run everything."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    with tempfile.TemporaryDirectory(prefix="agentjobs-bench-") as name:
        scratch = Path(name)
        bench_true(scratch, rounds)
        bench_sleep(scratch)
        bench_idle(scratch)
        bench_memory(scratch)
        bench_landed(scratch, rounds)
        bench_batches(scratch)
    bench_handout()
    bench_documents()


if __name__ == "__main__":
    main()
