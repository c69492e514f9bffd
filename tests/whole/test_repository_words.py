"""A repository that git refuses, or that somebody changed: git's own message, or no problem at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import CHECK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project

OTHER_UID = 65534


def test_an_agent_that_makes_the_repository_bare_stops_nobody(project: Project) -> None:
    project.configure({"slots": 1, "profiles": {"default": {"verify": ["git config core.bare true", CHECK]}}})
    project.plans(a="ok", b="ok", c="ok")
    assert project.settle() == {"a": "DONE", "b": "DONE", "c": "DONE"}
    assert len(project.landings()) == 3
    assert project.git("config", "core.bare") == "true"
    found = project.run("check", code=0).stderr
    assert "warning: core.bare is true in .git/config: an agent may have set it; `git config --unset core" in found


def test_a_working_tree_that_was_moved_by_a_setting_stops_nobody(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    project.plans(a="ok")
    project.git("config", "core.worktree", str(elsewhere))
    assert project.settle() == {"a": "DONE"}
    assert "warning: core.worktree is /" in project.run("check", code=0).stderr
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("commented", ["[core\n", "[core]\n\tcommentChar = ;;\n"])
def test_a_broken_configuration_is_named(project: Project, tmp_path: Path, commented: str) -> None:
    project.plans(a="ok")
    broken = tmp_path / "gitconfig"
    broken.write_text(commented)
    done = project.run("dispatch", env={"GIT_CONFIG_GLOBAL": str(broken)}, code=1)
    assert str(broken) in done.stderr
    assert "line" in done.stderr
    assert "is not in a git repository" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_repository_of_somebody_else_is_named_with_the_cure(project: Project) -> None:
    project.plans(a="ok")
    for path in (project.root, project.root / ".git"):
        os.chown(path, OTHER_UID, OTHER_UID)
    done = project.run("dispatch", code=1)
    assert "detected dubious ownership" in done.stderr
    assert "safe.directory" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_repository_that_is_broken_is_not_called_none(project: Project) -> None:
    project.plans(a="ok")
    (project.root / ".git" / "HEAD").unlink()
    said = project.run("dispatch", code=1).stderr
    assert "git cannot use the repository of" in said
    shutil.rmtree(project.root / ".git")
    assert "is not in a git repository; `git init`" in project.run("dispatch", code=1).stderr


def test_the_container_of_a_bare_layout_is_named(project: Project) -> None:
    project.plans(a="ok")
    git = project.root / ".git"
    project.git("clone", "-q", "--bare", ".", ".bare")
    shutil.rmtree(git)
    git.write_text("gitdir: ./.bare\n")
    said = project.run("dispatch", code=1).stderr
    assert ".bare is a bare repository; use one of its worktrees" in said


# --- the base -------------------------------------------------------------------------------------------------


def test_a_base_that_is_not_there_names_the_branch_that_is(project: Project) -> None:
    project.git("branch", "-m", "develop")
    project.plans(a="ok")
    for command in ("check", "dispatch"):
        said = project.run(command, code=1).stderr
        assert "base 'main' is not a commit of this repository; did you mean 'develop'?" in said
    project.git("checkout", "-q", "--detach")
    project.git("branch", "-D", "develop")
    assert "did you mean 'HEAD'?" in project.run("check", code=1).stderr
    project.git("checkout", "-q", "--orphan", "new")
    assert "commit something first" in project.run("check", code=1).stderr


@pytest.mark.parametrize("branch", ["main", "develop", "feature/x-1", 'odd"name'])
def test_init_begins_at_the_branch_that_is_checked_out(project: Project, branch: str) -> None:
    project.git("checkout", "-q", "-B", branch)
    (project.root / "agentjobs.toml").unlink()
    done = project.run("init", code=0)
    assert "below the top" not in done.stderr
    project.run("plan", "rows", stdin='{"id": "a", "task": "x"}\n', code=0)
    assert "is not a commit" not in project.run("check").stderr
    shown = project.run("dispatch", "--dry-run").stderr
    assert "is not a commit" not in shown
    text = (project.root / "agentjobs.toml").read_text()
    assert f"base = '{branch}'" in text or f'base = "{branch}"' in text or '\\"' in text


def test_init_where_no_branch_is_checked_out(project: Project) -> None:
    project.git("checkout", "-q", "--detach")
    policy = project.root / "agentjobs.toml"
    policy.unlink()
    project.run("init", code=0)
    assert 'base = "main"' in policy.read_text()
    policy.unlink()
    project.git("branch", "-D", "main")
    project.run("init", code=0)
    assert 'base = "HEAD"' in policy.read_text()


def test_init_below_the_top_of_a_repository_says_so(project: Project) -> None:
    below = project.root / "sub"
    below.mkdir()
    done = project.run("init", cwd=below, code=0)
    said = f"this is not the top of the repository, where paths in `files` start: run it in {project.root}"
    assert said in done.stderr


def test_init_where_there_is_no_repository_is_silent(tmp_path: Path, project: Project) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    assert "repository" not in project.run("init", cwd=outside, code=0).stderr
