"""Whatever an agent leaves in a tree is that task's trouble alone: a few drawn scenarios; many: make battery."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from agentjobs.run.steps import sandbox
from tests.battery.leftovers import GIT, Deed, Scenario, draw, from_json
from tests.battery.scenario import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEDS = (3, 5)
SMALLEST = (
    ("put", "fifo", "tree/src/.gitignore"),
    ("put", "link:project", "top"),
    ("put", "dir:deep", "tree/new"),
    ("git", "config:core.bare true"),
)
"""Single leftovers that once stopped everybody, or worse."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def wrong(directory: Path, scenario: Scenario) -> list[str]:
    run = Run(directory / "run", scenario)
    try:
        return run.run()
    finally:
        run.remove()


@pytest.mark.sample(1)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_drawn_scenario_harms_nobody_else(tmp_path: Path, seed: int) -> None:
    """Replay: ``python -m tests.battery --seeds SEED``."""
    scenario = draw(seed, sandbox="none" if sandbox.trouble() else "")
    assert not wrong(tmp_path, scenario), f"seed {seed}: {scenario}"


@pytest.mark.sample(1)
@pytest.mark.parametrize("leftover", SMALLEST, ids=" ".join)
def test_a_leftover_harms_nobody_else(tmp_path: Path, leftover: tuple[str, ...]) -> None:
    scenario = Scenario((Deed((leftover,)),))
    assert not wrong(tmp_path, scenario), str(scenario)


def test_the_battery_sees_a_false_done_and_a_hurt_bystander(tmp_path: Path) -> None:
    """A run whose facts are turned into lies afterwards is found out: the battery does not only say "well"."""
    run = Run(tmp_path / "run", Scenario((Deed(when="instead"),)))
    before = run.repository()
    assert run.drive()
    run.project.edit("a", status="DONE")
    run.project.edit("b", status="FAILED")
    run.project.git("branch", "stranger")
    (run.project.root / "README").write_text("other\n")
    run.outcome()
    run.compare("the project's repository", before, run.repository())
    run.end()
    assert [problem.partition(":")[0] for problem in run.problems] == [
        "bystander FAILED",
        "false DONE",
        "landed outside its files",
        "the project's repository changed",
    ]
    assert "checkout/README, refs refs/heads/stranger" in run.problems[-1]


def test_a_seed_gives_the_same_scenario_wherever_it_is_run() -> None:
    for seed in range(200):
        drawn = draw(seed)
        assert draw(seed) == drawn
        assert draw(seed, "clone", "bwrap").deeds == drawn.deeds
        assert from_json(json.loads(json.dumps(drawn.json()))) == drawn
        for less in smaller_for_ever(drawn):
            assert json.dumps([deed.row() for deed in less.deeds])


def smaller_for_ever(scenario: Scenario) -> Iterator[Scenario]:
    """Go down the first way to make it smaller: it ends."""
    for _ in range(50):
        found = next(scenario.smaller(), None)
        if found is None:
            return
        yield found
        scenario = found
    raise AssertionError("it never gets as small as it can")


def test_every_line_of_git_is_a_script_the_shell_can_read(tmp_path: Path) -> None:
    import subprocess

    for name, script in GIT.items():
        done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
