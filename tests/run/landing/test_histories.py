"""A few random histories of the merge queue; two hundred of them: make histories."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

COUNT = int(os.environ.get("HISTORIES", "1"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans, as only Linux can")


@pytest.mark.sample(1)
@pytest.mark.timeout(300 + 60 * COUNT)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_the_target_is_green_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.histories", str(tmp_path), "--count", str(COUNT), "--seed", str(seed)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 wrong" in done.stdout
