"""SIGKILL of poll and dispatch right after an effect of theirs: plain polls go on as if nothing had happened.

Here every kind of effect (the same call on the same sort of file) is tried once. Every single one, some 1,500 for
each variant, takes a quarter of an hour each: make crash-points
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentjobs.project.store import Store
from tests.kit.crashing import VARIANTS
from tests.kit.harness import REPOSITORY

ALL = os.environ.get("ALL_CRASH_POINTS", "") not in ("", "0")

STRIDES = {"plain": 20, "batched": 10, "watched": 12, "clones": 30, "phases": 12, "reviews": 12}
"""Every how many kinds of effect are tried: most kinds of one variant are kinds of the others too."""

SHARDS = ["1/2", "2/2"] if ALL else ["1/1"]
"""Each starts with a separate clean run, as long as three crash points: too long to do it twice for a few."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans, as only Linux can")


@pytest.mark.sample(2)
@pytest.mark.timeout(7200 if ALL else 600)
@pytest.mark.parametrize("shard", SHARDS)
@pytest.mark.parametrize("variant", VARIANTS if ALL else STRIDES)
def test_a_kill_after_any_effect_changes_nothing(tmp_path: Path, variant: str, shard: str) -> None:
    # In a separate process: it forks, and inherits whatever a killed poll leaves.
    which = ["--variant", variant, "--shard", shard, *([] if ALL else ["--kinds"])]
    if not ALL:
        which += ["--stride", str(STRIDES[variant])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.crashing", str(tmp_path / "crash"), *which],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 wrong" in done.stdout, done.stdout


def test_a_claim_without_an_intent_is_taken_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    assert [store.claim("a"), store.claim("a")] == [1, 1], "nothing was started: the number is not used up"
    (store.attempt_dir("a", 1) / "attempt.json~").write_bytes(b"{")
    assert store.claim("a") == 1
    # An intent that cannot be read (a power cut) may have started something.
    (store.attempt_dir("a", 1) / "attempt.json").write_bytes(b"")
    assert [store.claim("a"), store.claim("b")] == [2, 1]
