"""``check`` names what a tree will not hold as the checkout does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.repositories import sh, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project


@pytest.mark.parametrize("setup", ["", "npm ci", "git submodule update --init"])
def test_a_submodule_that_nobody_fills_is_named(project: Project, tmp_path: Path, setup: str) -> None:
    lib = tmp_path / "lib"
    write(lib / "lib.txt", "lib\n")
    sh(lib, "git", "init", "-qb", "main")
    sh(lib, "git", "add", "-A")
    sh(lib, "git", "commit", "-qm", "lib")
    sh(project.root, "git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(lib), "vendor/lib")
    sh(project.root, "git", "commit", "-qm", "submodule")
    project.configure(workspace={"setup": setup} if setup else {})
    project.plans(a="ok")
    told = project.run("check").stderr
    assert ("vendor/lib is a submodule, and empty in every tree" in told) == ("submodule" not in setup)


@pytest.mark.parametrize("name", ["__editable__.mine.pth", "mine.egg-link", "__editable___mine_finder.py", "else.pth"])
def test_a_linked_environment_that_leads_to_the_checkout_is_named(project: Project, name: str) -> None:
    content = "/usr/lib/elsewhere" if name == "else.pth" else f"{project.root}/src"
    write(project.root / f"venv/lib/python3.12/site-packages/{name}", content)
    project.configure(workspace={"link": ["venv"]})
    project.plans(a="ok")
    told = project.run("check").stderr
    assert ("leads to the sources of your checkout" in told) == (name != "else.pth")
