"""Handing on a used worktree against a fresh checkout, in a repository of 20,000 files.

    python -m tests.bench.handout [DIRECTORY]

The directory (default: beside this file, which is on a disk) decides the file system; on tmpfs a checkout
writes nothing, so the ratio there is another one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from agentjobs.workspace import pool, worktree
from agentjobs.workspace.git import Git

FILES, DIRECTORIES = 20_000, 800
KEEP = ("node_modules",)
CHANGED, LEFT = 20, 200
"""What a task changes, and the ignored and untracked files it leaves."""


class HandOut(NamedTuple):
    """Medians of some rounds, in seconds."""

    fresh: float
    """``git worktree add``."""
    handed: float
    """``pool.hand_out`` of a spare."""
    given: float
    """``pool.give_back``, which comes before it."""

    @property
    def ratio(self) -> float:
        """How many hand-outs take as long as one checkout."""
        return self.fresh / self.handed


def measure(scratch: Path, rounds: int = 5) -> HandOut:
    """Make the repository below ``scratch`` and time both, in turns."""
    git = _repository(scratch / "repo")
    trees, spare = git.root / ".agentjobs/trees", git.root / ".agentjobs/spare"
    tips = [_commit(git, number) for number in range(rounds)]
    pool.hand_out(git, trees / "t0", spare, tips[0])
    fresh, handed, given = [], [], []
    for number, tip in enumerate(tips, 1):
        fresh.append(_timed(lambda n=number, t=tip: _git(git, "worktree", "add", "-q", "--detach", f"../fresh-{n}", t)))
        tree = trees / f"t{number - 1}"
        _work(git, tree, tip, number)
        os.sync()  # what the rival has left to write is its own
        given.append(_timed(lambda t=tree: pool.give_back(git, t, spare, most=2, keep=KEEP)))
        handed.append(_timed(lambda n=number, t=tip: pool.hand_out(git, trees / f"t{n}", spare, t, keep=KEEP)))
        status = _git(git, "-C", str(trees / f"t{number}"), "status", "--porcelain", "--ignored")
        assert status == "!! node_modules/", status
    return HandOut(*(statistics.median(times) for times in (fresh, handed, given)))


def _repository(root: Path) -> Git:
    for number in range(FILES):
        path = root / f"packages/p{number % 40}/d{number % DIRECTORIES}/f{number}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"// file {number}\n" + "export const value = 1;\n" * (20 + number % 60))
    (root / ".gitignore").write_text("node_modules/\n.agentjobs/\n*.log\n")
    git = Git(root)
    _git(git, "init", "-q", "-b", "main")
    _git(git, "add", "-A")
    _git(git, "commit", "-q", "-m", "first")
    return git


def _commit(git: Git, number: int) -> str:
    """Change a few files, as tasks that landed in the meantime have."""
    for path in sorted(git.root.glob(f"packages/p{number}/d*/*.js"))[:CHANGED]:
        path.write_text(f"changed {number}\n")
    _git(git, "commit", "-q", "-a", "-m", f"change {number}")
    return _git(git, "rev-parse", "HEAD")


def _work(git: Git, tree: Path, tip: str, number: int) -> None:
    """Leave a tree as a task does: its work committed by us, ignored files beside it."""
    for path in sorted(tree.glob(f"packages/p{number + 20}/d*/*.js"))[:CHANGED]:
        path.write_text(f"work {number}\n")
    for left in range(LEFT):
        path = tree / ("node_modules" if left % 2 else f"packages/p{left % 40}") / f"left-{left}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text("left\n")
    kept = worktree.keep(git, tree, tip, f"refs/agentjobs/t/{number}", "work", 1.0)
    worktree.reset(git, tree, kept.commit)


def _git(git: Git, *args: str) -> str:
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{who}_NAME": "bench", f"GIT_{who}_EMAIL": "bench@localhost"}
    done = subprocess.run(
        ["git", *args], cwd=git.root, env={**os.environ, **identity}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _timed(call: object) -> float:
    assert callable(call)
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Print one line."""
    place = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parent)
    with tempfile.TemporaryDirectory(dir=place, prefix="handout-") as scratch:
        found = measure(Path(scratch))
    print(
        f"{FILES:,} files: checkout {found.fresh * 1e3:.0f} ms, hand-out {found.handed * 1e3:.0f} ms: "
        f"{found.ratio:.0f}x; giving back {found.given * 1e3:.0f} ms"
    )


if __name__ == "__main__":
    main()
