"""The power goes, and takes any of the facts that were not flushed: every row comes to its end, no work lands twice.

What is flushed (the table, scope, halts, pauses) stays; of all else each file may be as it was, empty, or gone.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.harness import kill_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.harness import Project

SEEDS = range(60 if os.environ.get("ALL_CRASH_POINTS", "") not in ("", "0") else 12)
SETTLED = {"DONE", "FAILED", "SKIPPED"}

SETTINGS: dict[str, dict[str, Any]] = {
    "one by one": {},
    "a queue": {"landing": {"gate": ["until test -e $AGENTJOBS_ROOT/../go; do sleep 0.02; done"], "wait_s": 0}},
    "no landing": {"landing": {"enabled": False}},
}


def unflushed(project: Project) -> Iterator[Path]:
    """Yield every file of ``.agentjobs`` that nobody flushes, and the directories of attempts."""
    own = project.root / ".agentjobs"
    for place in ("active", "attempts", "tally", "unspent"):
        yield from sorted((own / place).rglob("*"))
    yield from sorted((own / "trees").glob(".*.lock"))


def cut(project: Project, dice: random.Random) -> list[str]:
    """Lose some of what was not flushed; return what became of what."""
    share = dice.choice((0.05, 0.2, 0.5, 0.9))
    kinds = dice.choice((("empty",), ("gone",), ("empty", "gone")))
    lost = []
    for path in unflushed(project):
        if not os.path.lexists(path) or dice.random() > (share / 4 if path.is_dir() else share):
            continue
        how = dice.choice(kinds)
        if path.is_dir():
            shutil.rmtree(path)
            how = "gone"
        elif how == "gone":
            path.unlink()
        else:
            path.write_bytes(b"")
        lost.append(f"{how} {path.relative_to(project.root)}")
    return lost


def cut_off(project: Project) -> None:
    """Bring tasks to every stage there is, and let everything end at once."""
    check = "test $AGENTJOBS_TASK != slow || until test -e $AGENTJOBS_ROOT/../go; do sleep 0.02; done; "
    project.configure(
        verify_slots=4, slots=6, retry={"repairs": 0, "resumes": 6, "restarts": 0},
        profiles={"default": {"verify": [check + "grep -q '^ok' $AGENTJOBS_TASK.txt"]}},
    )  # fmt: skip
    plans = {"done": "ok", "slow": "ok", "bad": "wrong", "busy": "once", "again": "crash,once", "next": "ok"}
    project.rows(*({"id": i, "plan": plan, "after": "done" if i == "next" else ""} for i, plan in plans.items()))
    project.dispatch()
    project.poll_until(lambda: project.statuses()["bad"] == "FAILED")
    project.poll_until(lambda: {s.task for s in project.ledger() if s.attempt == 2} >= {"again"})
    project.poll_until(lambda: project.statuses()["slow"] == "VERIFYING")
    kill_all(project.processes())
    project.wait_for(lambda: not project.processes())


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.timeout(3600 if len(SEEDS) > 10 else 300)
def test_whatever_a_power_cut_takes_every_row_comes_to_its_end(project: Project, settings: str) -> None:
    project.configure(SETTINGS[settings])
    cut_off(project)
    (project.directory / "go").touch()
    saved = project.directory / "saved"
    subprocess.run(["cp", "-a", str(project.root), str(saved)], check=True)
    for seed in SEEDS:
        shutil.rmtree(project.root)
        subprocess.run(["cp", "-a", str(saved), str(project.root)], check=True)
        lost = cut(project, random.Random(seed))
        told = f"seed {seed}: {lost}"
        assert project.loop().last == 2, told
        statuses = project.statuses()
        assert set(statuses.values()) <= SETTLED, f"{told}\n{project.story()}"
        assert {i for i, status in statuses.items() if status != "DONE"} <= {"bad"}, f"{told}\n{project.story()}"
        landed = Counter(project.landings())
        wanted = {} if settings == "no landing" else {i: 1 for i, status in statuses.items() if status == "DONE"}
        assert landed == wanted, f"{told}\n{project.story()}"
        assert not project.processes()


@pytest.mark.sample(4)
@pytest.mark.parametrize("status", ["IN_PROGRESS", "VERIFYING"])
@pytest.mark.parametrize("command", [("poll",), ("dispatch",), ("retry", "a"), ("run", "--quiet"), ("stop",)])
def test_each_command_takes_up_a_row_whose_marker_is_gone(
    project: Project, command: tuple[str, ...], status: str
) -> None:
    go = project.directory / "go"
    until = f"until test -e {go}; do sleep 0.02; done"
    project.configure(profiles={"default": {"verify": [f"{until}; grep -q ^ok a.txt"]}})
    project.plans(a="once" if status == "IN_PROGRESS" else "ok")
    project.dispatch()
    project.poll_until(lambda: project.ledger() and project.statuses() == {"a": status})
    kill_all(project.processes())
    project.wait_for(lambda: not project.processes())
    (project.root / ".agentjobs/active/a").unlink()
    go.touch()
    project.run(*command)
    if command == ("stop",):
        assert project.outcomes("a") == ["stopped"]
        project.dispatch()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}
    assert project.landings() == ["a"]
