"""Every case under ``cases/``: an input from the world outside, and the end that is right. README.md describes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .casefile import Case, load
from .expecting import complaints
from .scene import Scene, lacking

EVERY = os.environ.get("WORLD") == "all"
"""Play all combinations of the values under ``[each]``: ``make world``. Else each value once."""
FILES = sorted(Path(__file__).with_name("cases").glob("*.toml"))
CASES = {name: case for path in FILES for name, case in load(path, every=EVERY).items()}


@pytest.mark.sample(10)
@pytest.mark.world
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_world(case: Case, tmp_path: Path) -> None:
    if lack := lacking(case):
        pytest.skip(lack)
    scene = Scene(case, tmp_path)
    try:
        scene.prepare()
        scene.play()
        found = complaints(scene)
        assert not found, "\n".join([f"{case.title} ({case.source})", *found, scene.story()])
    finally:
        scene.close()
