"""writes.py against git itself: the same commits, the same refs, and git's own words where it refuses."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.model.errors import GitError
from agentjobs.workspace.git import Git
from tests.kit.repositories import make_repository, sh

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES = ["one line", "müll\n\nbody\n", "", "trailing\n\n\n", "-x", "t\u0000t", "latin \udce9", "tab\t\rend", "# a\n"]


@pytest.fixture(params=["sha1", "sha256"])
def git(tmp_path: Path, request: pytest.FixtureRequest) -> Git:
    if request.param == "sha1":
        return make_repository(tmp_path / "repo")
    (tmp_path / "repo").mkdir()
    sh(tmp_path / "repo", "git", "init", "-q", "-b", "main", "--object-format=sha256")
    sh(tmp_path / "repo", "git", "commit", "-q", "--allow-empty", "-m", "first")
    return Git(tmp_path / "repo")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of all processes that are started from now on."""
    lines: list[list[str]] = []
    start = subprocess.Popen

    def noted(argv: list[str], **more: Any) -> subprocess.Popen[bytes]:
        lines.append([os.fsdecode(word) for word in argv])
        return start(argv, **more)

    monkeypatch.setattr(subprocess, "Popen", noted)
    return lines


def by_git(git: Git, tree: str, parents: list[str], message: str, at: int) -> str | None:
    """Return the commit that ``git commit-tree`` makes; None if it refuses."""
    date = f"@{at} +0000"
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    flags = [word for parent in parents for word in ("-p", parent)]
    text = message if message.endswith("\n") else message + "\n"
    stdin = text.encode("utf-8", "surrogateescape")
    done = git.run("commit-tree", tree, *flags, stdin=stdin, env=env, ok=range(256))
    return done.stdout.decode().strip() if done.code == 0 else None


@pytest.mark.parametrize("seed", range(4))
def test_a_commit_is_the_one_that_git_makes(git: Git, seed: int) -> None:
    chance = random.Random(seed)
    tree, made = git.tree_of("main"), [git.resolve("main") or ""]
    sh(git.root, "git", "config", "i18n.commitEncoding", "latin1")
    for message in MESSAGES:
        parents, at = chance.choices(made, k=chance.choice((0, 1, 1, 2))), chance.choice((0, 1, 1_700_000_000))
        wanted = by_git(git, tree, parents, message, at)
        if wanted is None:
            with pytest.raises(GitError):
                git.commit_tree(tree, parents, message, at)
        else:
            assert git.commit_tree(tree, parents, message, at + 0.9) == wanted
            assert git.run("cat-file", "-t", wanted).stdout == b"commit\n"
            made.append(wanted)


def test_many_commits_and_refs_take_two_processes(git: Git, begun: list[list[str]]) -> None:
    tip, tree = git.resolve("main"), git.tree_of("main")
    last: str | None = None
    for number in range(10):
        commit = git.commit_tree(tree, [tip or ""], f"{number}", number)
        assert git.update_ref("refs/agentjobs/x/1", commit, last)
        last = commit
    writing = sorted(line[1] for line in begun if line[1] not in {"cat-file", "rev-parse"})
    assert writing == ["hash-object", "update-ref"]
    assert git.resolve("refs/agentjobs/x/1") == last


def test_a_writer_that_was_killed_or_let_go_is_replaced(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        processes.append(start(*args, **more))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    tip, tree = git.resolve("main") or "", git.tree_of("main")
    for number in range(6):
        commit = git.commit_tree(tree, [tip], f"{number}", number)
        assert git.update_ref(f"refs/agentjobs/x/{number}", commit, None)
        assert not git.update_ref(f"refs/agentjobs/x/{number}", tip, tip), "it stands elsewhere"
        if number % 2:
            git.let_go()
        else:
            for process in processes:
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
    git.let_go()
    assert all(process.poll() is not None for process in processes)
    assert len(sh(git.root, "git", "for-each-ref", "refs/agentjobs").splitlines()) == 6


def test_what_git_refuses_is_told_in_its_words(git: Git) -> None:
    tip = git.resolve("main") or ""
    with pytest.raises(GitError, match="update-ref failed"):
        git.update_ref("refs/agentjobs/bad..name", tip, None)
    with pytest.raises(GitError, match="update-ref failed"):
        git.update_ref("refs/heads/main/below", tip, None)


def test_nobody_can_put_another_commit_in_the_place_of_ours(git: Git, begun: list[list[str]]) -> None:
    tip, tree = git.resolve("main") or "", git.tree_of("main")
    git.commit_tree(tree, [tip], "first", 1)
    assert git._writes._objects is not None
    dialogue = git._writes._objects[0]._dialogue
    assert dialogue is not None
    dialogue._read = b"0" * 40 + b"\n"  # an answer to another question is left over
    assert git.commit_tree(tree, [tip], "second", 1) == by_git(git, tree, [tip], "second", 1)
    begun.clear()
    assert git.commit_tree(tree, [tip], "third", 1)
    assert [line[1] for line in begun] == ["hash-object"], "a new writer, in step with its questions"
