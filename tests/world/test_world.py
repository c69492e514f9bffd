"""Every case under ``cases/``: an input from the world outside, and the end that is right. README.md describes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .casefile import Case, load
from .expecting import complaints
from .scene import Scene, lacking

CASES = {
    name: case for path in sorted(Path(__file__).with_name("cases").glob("*.toml")) for name, case in load(path).items()
}


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
