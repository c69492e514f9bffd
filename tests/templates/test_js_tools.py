"""The JavaScript tools of the js-to-ts job, tested by Node's own runner: tests/js."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".cache/js-tools"
"""Where `make js-tools` installs the compiler; not in templates/, from where a wheel would take it along."""


def test_the_converter() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (TOOLS / "node_modules/typescript").exists():
        pytest.skip("the compiler is not installed: make js-tools")
    shutil.copytree(ROOT / "templates/js-to-ts/tools", TOOLS, dirs_exist_ok=True)
    # files by name: node 20 takes a directory, later versions take it for a module
    files = sorted((ROOT / "tests/js").glob("*.test.mjs"))
    argv, env = [node, "--test", *map(str, files)], {**os.environ, "JS_TOOLS": str(TOOLS)}
    run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# skipped 0" in run.stdout
