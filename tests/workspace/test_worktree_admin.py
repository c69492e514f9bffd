"""worktree_admin.py: a worktree registered without git is the one that git would register."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agentjobs.workspace import worktree
from agentjobs.workspace.git import Git
from agentjobs.workspace.worktree_admin import add_worktree, admin_dir
from tests.kit.repositories import make_repository, sh

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo")


def files(directory: Path) -> dict[str, bytes]:
    """Return the files of an administrative directory, without the log of its HEAD, with its own name left out."""
    name = os.fsencode(directory.name)
    found = (path for path in sorted(directory.rglob("*")) if path.is_file() and "logs" not in path.parts)
    return {path.name: path.read_bytes().replace(name, b"NAME") for path in found}


def test_it_is_what_git_makes(git: Git, tmp_path: Path) -> None:
    tip = git.resolve("main") or ""
    assert add_worktree(git, tmp_path / "ours", tip)
    sh(git.root, "git", "worktree", "add", "-q", "--no-checkout", "--detach", str(tmp_path / "git-s"), tip)
    registered = git.common_dir / "worktrees"
    assert files(registered / "ours") == files(registered / "git-s")
    ours, other = ((tmp_path / name / ".git").read_text() for name in ("ours", "git-s"))
    assert ours.replace("/ours", "/git-s") == other
    assert os.listdir(tmp_path / "ours") == [".git"]
    _, one, another = sh(git.root, "git", "worktree", "list", "--porcelain").split("\n\n")
    assert one.replace("/git-s", "/ours") == another.replace("/git-s", "/ours")
    for name in ("ours", "git-s"):
        sh(tmp_path / name, "git", "reset", "-q", "--hard")
        assert sh(tmp_path / name, "git", "status", "--porcelain") == ""
        assert admin_dir(git, tmp_path / name) == registered / name
        sh(git.root, "git", "worktree", "remove", str(tmp_path / name))
    assert not registered.exists()


@pytest.mark.parametrize("name", ["t.lock", ".t", "a..b", "t~1", "ü", "a b", "t."])
def test_a_name_that_git_would_change_is_left_to_git(git: Git, tmp_path: Path, name: str) -> None:
    assert not add_worktree(git, tmp_path / name, git.resolve("main") or "")
    assert not (tmp_path / name).exists()
    assert not (git.common_dir / "worktrees").exists()


@pytest.mark.parametrize(
    "settings",
    [("extensions.worktreeConfig", "true"), ("core.sharedRepository", "group"), ("extensions.partialClone", "origin")],
)
def test_unusual_settings_and_names_that_are_taken_are_left_to_git(
    git: Git, tmp_path: Path, settings: tuple[str, str]
) -> None:
    tip = git.resolve("main") or ""
    assert add_worktree(git, tmp_path / "t1", tip)
    assert not add_worktree(git, tmp_path / "other" / "t1", tip)
    assert not add_worktree(git, tmp_path / "t2", "main")
    sh(git.root, "git", "config", "core.repositoryFormatVersion", "1")
    sh(git.root, "git", "config", *settings)
    assert not add_worktree(git, tmp_path / "t3", tip)
    tree = tmp_path / "trees" / "t4"
    assert worktree.create(git, tree, tip)
    assert sh(tree, "git", "rev-parse", "HEAD") == tip
