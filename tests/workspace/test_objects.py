"""objects.py against git itself: what others do meanwhile is seen, and every answer is git's own."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.disk import run_command
from agentjobs.workspace import objects
from tests.kit.repositories import make_repository, sh, write

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.workspace.git import Git


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo")


def commit(git: Git, *parents: str, at: int = 0) -> str:
    return git.commit_tree(git.tree_of("main"), parents, f"{at}", at)


def test_a_ref_is_where_others_have_put_it_by_now(git: Git) -> None:
    first = git.resolve("main") or ""
    assert git.resolve("refs/heads/other") is None
    second = sh(git.root, "git", "commit-tree", "-p", "main", "-m", "second", "main^{tree}")
    for tip in (first, second, first):
        sh(git.root, "git", "update-ref", "refs/heads/other", tip)
        assert git.resolve("refs/heads/other") == tip
        sh(git.root, "git", "pack-refs", "--all")
        assert git.resolve("refs/heads/other") == tip
    sh(git.root, "git", "update-ref", "-d", "refs/heads/other")
    assert git.resolve("refs/heads/other") is None
    sh(git.root, "git", "repack", "-adq")
    assert git.resolve("main") == first


def test_names_are_read_as_by_rev_parse(git: Git) -> None:
    first = git.resolve("main") or ""
    sh(git.root, "git", "tag", "-a", "v1", "-m", "tag")
    short = [first[:9], f"{first[:-1]}{int(first[-1] == '0')}"]
    names = ["main", "HEAD", "v1", "HEAD^0", "refs/heads/main", "HEAD~5", "main:a.txt", ":/first"]
    for name in [*names, *short, "", "nothing", "two words", "-x", "a\nb", "\udcff"]:
        asked = ("rev-parse", "--verify", "-q", "--end-of-options", name + "^{commit}")
        done = git.run(*asked, ok=(0, 1, 128))
        assert git.resolve(name) == (done.stdout.decode().strip() if done.code == 0 else None), name
    assert git.resolve("v1") == git.resolve(short[0]) == first


def test_what_a_commit_contains_is_what_git_says(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    monkeypatch.setattr(objects, "_NEAR", 6)
    made = [git.resolve("main") or "", commit(git, at=1)]
    while len(made) < 18:
        parents = chance.sample(made[-5:], k=min(len(made), chance.choice((1, 1, 2, 3))))
        made.append(commit(git, *parents, at=len(made)))
    known = 0
    for tip, one in itertools.product(made, made):
        is_in = git.run("merge-base", "--is-ancestor", one, tip, ok=(0, 1)).code == 0
        assert git.contains(tip, one) is is_in
        known += git.objects.contains(tip, one) is not None
    assert known > len(made) ** 2 / 2


def test_a_shallow_clone_ends_where_git_says(git: Git, tmp_path: Path) -> None:
    tips = [git.resolve("main") or ""]
    for at in range(3):
        tips.append(commit(git, tips[-1], at=at))
    sh(git.root, "git", "update-ref", "refs/heads/main", tips[-1])
    sh(tmp_path, "git", "clone", "-q", "--depth=2", f"file://{git.root}", "clone")
    shallow = type(git)(tmp_path / "clone")
    assert shallow.contains(tips[-1], tips[-2])
    assert shallow.objects.contains(tips[-2], tips[-1]) is not True
    assert not shallow.contains(tips[-2], tips[-1])


@pytest.mark.parametrize("one_by_one", [0, 100])
def test_submodules_are_found_at_any_depth(git: Git, one_by_one: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_TREES", one_by_one)
    tip = git.resolve("main") or ""
    assert git.submodules(tip) == ()
    for path in ("sub", "lib/deep/er/sub", "lib/s\udcffp"):
        entry = os.fsencode(f"160000,{tip},{path}")
        git.run("update-index", "--add", "--cacheinfo", entry)
    sh(git.root, "git", "commit", "-qm", "submodules")
    assert sorted(git.submodules("main")) == ["lib/deep/er/sub", "lib/s\udcffp", "sub"]
    write(git.root / "lib" / "more.txt", "more\n")
    sh(git.root, "git", "add", "lib/more.txt")
    sh(git.root, "git", "commit", "-qm", "more")
    assert len(git.submodules("main")) == 3


def test_a_git_that_died_is_replaced_and_one_that_waits_is_freed(
    git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    start = subprocess.Popen

    def noted(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        process = start(*args, **more)
        begun.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", noted)
    tip = git.resolve("main")
    os.kill(begun[0], signal.SIGKILL)
    assert git.resolve("main") == tip
    assert len(begun) == 2
    monkeypatch.setattr(run_command, "_LOOK_S", 0.05)
    os.mkfifo(git.common_dir / "refs" / "heads" / "pipe")
    assert git.resolve("refs/heads/pipe") is None
    assert git.resolve("main") == tip
    git.let_go()
    for pid in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_large_object_comes_whole_and_the_next_answer_after_it(git: Git) -> None:
    large = random.Random(2).randbytes(3 << 20)
    id_ = git.line("hash-object", "-w", "--stdin", stdin=large)
    small = git.line("hash-object", "-w", "--stdin", stdin=b"no line end")
    assert git.blobs([id_, "0" * 40, small, id_]) == {id_: large, small: b"no line end"}
    assert git.resolve("main")
