"""A landed task against the shell script that a person would write for it: CPU time, time, processes of git.

The agent adds a line to its file, the check is ``true``. Each pair of runs is made one after the other, in new
repositories.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

BY_HAND = Path(__file__).with_name("by_hand.sh")
SLOTS = 8

POLICY = """\
slots = {slots}
verify_slots = 4
[limits]
start_interval_s = 0
breaker = 0
min_free_memory = "1MiB"
[profiles.default]
agent = "line"
verify = ["true"]
[agents.line]
command = ["sh", "-c", "echo y >>$AGENTJOBS_FILES"]
[landing]
batch = {batch}
{gate}
"""


class Cost(NamedTuple):
    """What one landed task cost: milliseconds of CPU, of this process's children; milliseconds of time."""

    cpu_ms: float
    wall_ms: float


def repository(root: Path, tasks: int, files: int, batch: int) -> None:
    """Make a repository of small files, with the table and the policy for as many tasks."""
    shutil.rmtree(root, ignore_errors=True)
    for number in range(files):
        path = root / f"src/d{number // 100}/f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    gate = 'gate = ["true"]' if batch > 1 else ""
    (root / "agentjobs.toml").write_text(POLICY.format(slots=SLOTS, batch=batch, gate=gate))
    (root / "prompt.md.j2").write_text("Add a line: {{ id }}\n")
    mine = (number * files // tasks for number in range(tasks))
    rows = (f"t{n}\tsrc/d{file // 100}/f{file}.txt\n" for n, file in enumerate(mine))
    (root / "tasks.tsv").write_text("id\tfiles\n" + "".join(rows))
    for argv in (["init", "-qb", "main"], ["add", "-A"], ["commit", "-qm", "base"]):
        subprocess.run(["git", *argv], cwd=root, check=True)


def cost(argv: list[str], root: Path, tasks: int, ok: int) -> Cost:
    """Run a command that lands all tasks."""
    before, begun_at = os.times(), time.monotonic()
    done = subprocess.run(argv, cwd=root, capture_output=True, check=False)
    took_s, after = time.monotonic() - begun_at, os.times()
    if done.returncode != ok:
        raise SystemExit(f"{argv} ended with {done.returncode}: {done.stderr.decode()}")
    used_s = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(used_s * 1000 / tasks, took_s * 1000 / tasks)


def measure(scratch: Path, *, tasks: int, files: int, batch: int, rounds: int) -> tuple[Cost, Cost]:
    """Return the median cost of a task by agentjobs, and by the script."""
    ours, theirs = [], []
    name = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@x", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@x"}
    os.environ.update(name)
    for _ in range(rounds):
        root = scratch / "repo"
        repository(root, tasks, files, batch)
        theirs.append(cost(["bash", str(BY_HAND), str(tasks), str(SLOTS), str(files)], root, tasks, 0))
        shutil.rmtree(scratch / "trees")
        repository(root, tasks, files, batch)
        ours.append(cost([sys.executable, "-m", "agentjobs", "run", "--quiet"], root, tasks, 2))
        landed = ["git", "rev-list", "--count", "main..agentjobs/landed"]
        assert int(subprocess.run(landed, cwd=root, capture_output=True, check=True).stdout) == tasks
        shutil.rmtree(root)
    return median(ours), median(theirs)


def median(costs: list[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(statistics.median(c.cpu_ms for c in costs), statistics.median(c.wall_ms for c in costs))
