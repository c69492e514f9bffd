"""One gate for a batch against a check for each task, on the same 48 tasks: ``python -m tests.bench.batches``.

The check takes half a second and writes down that it ran, as a compiler over a whole project would.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

TASKS = 48
CHECK = "echo run >>$AGENTJOBS_ROOT/../checks; sleep 0.5"

POLICY = """
slots = 8
verify_slots = 2
[limits]
start_interval_s = 0
breaker = 0
min_free_memory = "1MiB"
[profiles.default]
agent = "bench"
verify = {verify}
[agents.bench]
command = ["sh", "-c", "echo $AGENTJOBS_TASK >$AGENTJOBS_TASK.txt"]
[landing]
gate = {gate}
"""


class Cost(NamedTuple):
    """Of one run."""

    checks: int
    seconds: float


def run(place: Path, *, batched: bool) -> Cost:
    """Let 48 independent tasks land, and count the checks."""
    root = place / "project"
    root.mkdir(parents=True)
    verify, gate = (["true"], [CHECK]) if batched else ([CHECK], [])
    (root / "agentjobs.toml").write_text(POLICY.format(verify=verify, gate=gate))
    (root / "prompt.md.j2").write_text("Task {{ id }}\n")
    (root / "tasks.tsv").write_text("id\n" + "".join(f"t{n:02d}\n" for n in range(TASKS)))
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "bench", f"GIT_{who}_EMAIL": "bench@localhost"}
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], cwd=root, env=env, check=True)
    begun = time.perf_counter()
    argv = [sys.executable, "-m", "agentjobs", "run", "--quiet"]
    done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode != 2:
        raise SystemExit(f"run exited {done.returncode}: {done.stderr[-2000:]}")
    landed = subprocess.run(
        ("git", "rev-list", "--count", "main..agentjobs/landed"), cwd=root, env=env, capture_output=True, check=True
    )
    if int(landed.stdout) != TASKS:
        raise SystemExit(f"{int(landed.stdout)} of {TASKS} tasks landed")
    return Cost((place / "checks").read_text().count("run"), took)


def measure(scratch: Path) -> tuple[Cost, Cost]:
    """Return what a batch gate costs, and a check for each task."""
    return run(scratch / "batched", batched=True), run(scratch / "serial", batched=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="agentjobs-batches-") as name:
        ours, theirs = measure(Path(name))
        print(f"batch gate: {ours.checks} checks, {ours.seconds:.1f} s")
        print(f"a check a task: {theirs.checks} checks, {theirs.seconds:.1f} s")
