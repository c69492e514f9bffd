"""``check`` names what a tree will not hold as the checkout does."""

from __future__ import annotations

import os
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


@pytest.mark.parametrize(
    ("verify", "error"),
    [
        ("python3 -m pytest -q", True), ("pytest", True), ("make test", False), ("ruff check .", None),
        ("PYTHONPATH=src pytest", None), (".venv/bin/pytest", None),
    ],
)  # fmt: skip
def test_an_active_environment_that_leads_to_the_checkout_is_an_error(
    project: Project, verify: str, error: bool | None
) -> None:
    venv = project.directory / "venv"
    write(venv / "lib/python3.12/site-packages/__editable__.mine.pth", f"{project.root}/src\n")
    write(venv / "bin/pytest", "#!/bin/sh\n")
    (venv / "bin/pytest").chmod(0o755)
    write(project.root / "src/mine.py", "")
    project.configure({"profiles": {"default": {"verify": [verify]}}})
    project.plans(a="ok")
    env = {"PATH": f"{venv}/bin:{os.environ['PATH']}"}
    lines = [line for line in project.run("check", env=env).stderr.splitlines() if "leads to the sources" in line]
    assert len(lines) == (error is not None)
    if error is not None:
        assert ("warning" not in lines[0]) == error
        assert "PYTHONPATH=src" in lines[0]
    if error:
        assert "leads to the sources of your checkout" in project.run("dispatch", env=env, code=1).stderr
        assert "leads to the sources of your checkout" in project.run("run", env=env, code=1).stderr
        write(project.root / "pytest.ini", "[pytest]\npythonpath = src\n")
        assert "warning" in project.run("check", env=env).stderr


def test_a_program_on_path_that_is_a_file_of_the_checkout_is_an_error(project: Project) -> None:
    write(project.root / "bin/tool.js", "#!/bin/sh\n")
    (project.root / "bin/tool.js").chmod(0o755)
    sh(project.root, "git", "add", "-A")
    sh(project.root, "git", "commit", "-qm", "tool")
    linked = project.directory / "npm/bin"
    linked.mkdir(parents=True)
    (linked / "tool").symlink_to(project.root / "bin/tool.js")
    project.configure({"profiles": {"default": {"verify": ["tool --all"]}}})
    project.plans(a="ok")
    told = project.run("check", env={"PATH": f"{linked}:{os.environ['PATH']}"}, code=1).stderr
    assert "'tool' is bin/tool.js of your checkout, not of the tree: write ./bin/tool.js" in told


@pytest.mark.parametrize("setup", [False, True])
def test_what_is_here_but_not_in_git_is_named(project: Project, setup: bool) -> None:
    write(project.root / ".venv/bin/ruff", "#!/bin/sh\n")
    (project.root / ".venv/bin/ruff").chmod(0o755)
    write(project.root / "node_modules/x", "")
    project.configure({"profiles": {"default": {"verify": [".venv/bin/ruff check .", "npx tsc"]}}})
    project.plans(a="ok")
    if setup:
        project.configure(workspace={"link": [".venv", "node_modules"]})
    told = project.run("check").stderr
    assert ("'.venv/bin/ruff' is here but not in git" in told) != setup
    assert ("'npx' uses your checkout's node_modules in a tree" in told) != setup
