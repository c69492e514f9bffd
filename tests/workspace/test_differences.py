"""differences.py: one walk of a tree finds what two of git's own commands find, whatever was done there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from agentjobs.workspace import differences
from tests.kit.repositories import make_repository, sh, write

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.workspace.git import Git

FILES = {"a.txt": "a\n", "d/b.txt": "b\n", "d/e/c.txt": "c\n", "run.sh": "#!/bin/sh\n", ".gitignore": "*.log\nout/\n"}
PLACES = [*FILES, "d", "d/e", "new.txt", "d/new", "x.log", "out/y", "deep/er/z", "la\u0308t", "-x", 'q"uote']
DEEDS = ["write", "delete", "directory", "link", "mode", "repository", "commit", "stage", "touch"]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo", FILES)


def clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def do_something(root: Path, chance: random.Random) -> None:
    """Do one thing that an agent may do, at one of a few places, where it can be done."""
    path = root / chance.choice(PLACES)
    what = chance.choice([*DEEDS, "write"])
    if what == "commit":
        commit = ["git", "commit", "-q", "--allow-empty", "-am", "mine"]
        subprocess.run(commit, cwd=root, capture_output=True, check=False)
    elif what == "stage":
        # Git refuses an empty repository.
        subprocess.run(["git", "add", "-A"], cwd=root, capture_output=True, check=False)
    elif what in {"mode", "touch"} and path.is_file() and not path.is_symlink():
        path.chmod(0o755) if what == "mode" else os.utime(path)
    elif what not in {"mode", "touch"} and all(not p.exists() or p.is_dir() for p in path.relative_to(root).parents):
        clear(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "write":
            write(path, chance.choice(["a\n", "other\n", ""]))
        elif what == "link":
            path.symlink_to(chance.choice(["a.txt", "nowhere", "d"]))
        elif what in {"directory", "repository"}:
            write(path / "inner.txt", "inner\n")
            if what == "repository":
                sh(path, "git", "init", "-q")
                if chance.random() < 0.7:
                    sh(path, "git", "add", "-A")
                    sh(path, "git", "commit", "-qm", "inner")


@pytest.mark.parametrize("seed", range(25))
def test_one_walk_finds_what_two_commands_find(git: Git, seed: int) -> None:
    chance = random.Random(seed)
    seen = 0
    for _ in range(12):
        try:
            do_something(git.root, chance)
        except (NotADirectoryError, FileExistsError):
            continue
        once = differences.differences(git, git.root, {})
        git.run("update-index", "-q", "--refresh", ok=(0, 1))  # `diff-files` names a file that was only touched, too
        twice = differences._walked_twice(git, git.root, {}, ())
        assert [sorted(paths) for paths in once[:4]] == [sorted(paths) for paths in twice[:4]]
        index_is_head = not sh(git.root, "git", "diff-index", "--cached", "HEAD")
        assert once.staged is not index_is_head
        seen += any(once[:4])
    assert seen


def test_where_head_is_broken_the_tree_is_still_read(git: Git) -> None:
    write(git.root / "a.txt", "other\n")
    write(git.root / "new.txt", "new\n")
    (git.root / ".git" / "HEAD").write_text("0" * 39 + "1\n")
    found = differences.differences(git, git.root, {})
    assert (found.changed, found.plain, found.staged) == (["a.txt"], ["new.txt"], True)


@pytest.mark.parametrize("ours", [(), ("given",)])
def test_a_repository_in_the_place_of_a_file_is_gone_and_nested(git: Git, ours: tuple[str, ...]) -> None:
    (git.root / "a.txt").unlink()
    write(git.root / "a.txt" / "inner.txt", "inner\n")
    sh(git.root / "a.txt", "git", "init", "-q")
    sh(git.root / "a.txt", "git", "add", "-A")
    sh(git.root / "a.txt", "git", "commit", "-qm", "inner")
    assert differences.differences(git, git.root, {}, ours)[:4] == ([], ["a.txt"], [], ["a.txt"])


def test_what_we_put_there_does_not_count(git: Git) -> None:
    write(git.root / "given/a", "a")
    write(git.root / "given2", "b")
    assert differences.differences(git, git.root, {}, ("given",)).plain == ["given2"]
