"""git.py, proc.py and snapshot.py, on real repositories."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from agentjobs.disk import run_command
from agentjobs.model.errors import GitError, UserError
from agentjobs.workspace import worktree
from agentjobs.workspace.git import OLDEST_GIT, Git
from agentjobs.workspace.snapshot import Snapshot, snapshot
from agentjobs.workspace.writes import STALE_LOCK_S
from tests.kit.repositories import contents, make_repository, sh, write

ODD_NAMES = [
    b"with space",
    b'quote"d',
    b"new\nline",
    b"-leading",
    b"tab\tin",
    b"latin-\xe9",
    b"back\\slash",
    b":(glob)*",
    "ünï".encode(),
]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def base(git: Git) -> str:
    tip = git.resolve("main")
    assert tip
    return tip


@pytest.fixture
def tree(git: Git, base: str) -> Path:
    path = git.root / ".agentjobs" / "trees" / "t1"
    assert worktree.create(git, path, base)
    return path


@pytest.mark.parametrize("bound", [False, True])
def test_a_call_that_takes_long_and_concerns_no_tree_ends_as_any_other(
    git: Git, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bound:
        assert git.refusal() == ""
    monkeypatch.setattr(run_command, "_LOOK_S", 0.05)
    for cwd in (None, git.root):
        assert git.run("-c", "alias.slow=!sleep 0.5; echo done", "slow", cwd=cwd).stdout == b"done\n"


# --- proc -------------------------------------------------------------------------------------------------


def test_a_command_gets_its_input_and_gives_its_output(tmp_path: Path) -> None:
    done = run_command.run(["cat"], cwd=tmp_path, stdin=b"x" * 1_000_000)
    assert (done.code, len(done.stdout), done.stderr) == (0, 1_000_000, b"")


def test_a_failed_command_is_named_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sh failed with exit code 3: it broke"):
        run_command.run(["sh", "-c", "echo it broke >&2; exit 3"], cwd=tmp_path)
    assert run_command.run(["sh", "-c", "exit 3"], cwd=tmp_path, check=False).code == 3


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no-such-program: it is not installed"):
        run_command.run(["no-such-program"], cwd=tmp_path)
    with pytest.raises(UserError, match=r"the directory .*gone does not exist"):
        run_command.run(["true"], cwd=tmp_path / "gone")
    with pytest.raises(UserError, match=r"did not end within 0\.1 s"):
        run_command.run(["sleep", "9"], cwd=tmp_path, timeout_s=0.1)


# --- the funnel -------------------------------------------------------------------------------------------


def test_the_environment_and_configuration_of_the_user_stay_out(
    git: Git, base: str, tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hooks = tmp_path / "hooks"
    for name in ("post-checkout", "pre-commit", "reference-transaction", "post-index-change"):
        write(hooks / name, f"#!/bin/sh\ntouch {tmp_path}/hooked\nexit 1\n")
        (hooks / name).chmod(0o755)
    for key, value in {
        "core.hooksPath": str(hooks),
        "core.autocrlf": "true",
        "commit.gpgSign": "true",
        "gpg.program": "/bin/false",
        "core.fsmonitor": str(hooks / "pre-commit"),
    }.items():
        sh(git.root, "git", "config", key, value)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_AUTHOR_DATE"):
        monkeypatch.setenv(name, "/nonexistent")
    worktree.reset(git, tree, base)
    write(tree / "crlf.txt", b"one\r\ntwo\r\n")
    taken = snapshot(git, tree, base, "m", 1.0)
    assert git.run("cat-file", "blob", f"{taken.commit}:crlf.txt").stdout == b"one\r\ntwo\r\n"
    assert git.update_ref("refs/heads/x", taken.commit, None)
    assert not (tmp_path / "hooked").exists()


def test_where_and_what(git: Git, tmp_path: Path) -> None:
    assert git.version() >= OLDEST_GIT
    assert git.refusal() == ""
    below = Git(git.root / "lib")
    assert below.toplevel == git.root.resolve()
    assert below.common_dir == git.root.resolve() / ".git"
    outside = tmp_path / "outside"
    outside.mkdir()
    assert "is not in a git repository; `git init`" in Git(outside).refusal()
    assert git.resolve("main") == git.resolve("HEAD")
    assert git.resolve("nothing") is None
    assert git.resolve("--all") is None
    with pytest.raises(GitError, match="git cat-file failed: fatal: "):
        git.run("cat-file", "blob", "nothing")


# --- refs -------------------------------------------------------------------------------------------------


def test_update_ref_is_a_compare_and_swap(git: Git, base: str) -> None:
    one = git.commit_tree(git.tree_of(base), (base,), "one", 1)
    two = git.commit_tree(git.tree_of(base), (base,), "two", 2)
    assert git.update_ref("refs/heads/t", one, None)
    assert git.update_ref("refs/heads/t", one, None), "made already: done"
    assert not git.update_ref("refs/heads/t", two, None)
    assert not git.update_ref("refs/heads/t", two, base)
    assert git.resolve("refs/heads/t") == one
    assert git.update_ref("refs/heads/t", two, one)
    assert not git.update_ref("refs/heads/absent", two, one)
    assert git.contains("refs/heads/t", base)
    assert not git.contains(base, two)


def test_a_lock_left_on_a_ref_by_a_killed_git_is_no_obstacle(git: Git, base: str) -> None:
    lock = git.common_dir / "refs/heads/t.lock"
    lock.write_bytes(b"")
    old = time.time() - STALE_LOCK_S - 1
    os.utime(lock, (old, old))
    assert git.update_ref("refs/heads/t", base, None)
    assert not lock.exists()


def test_keep_moves_wherever_the_ref_stood(git: Git, base: str) -> None:
    one = git.commit_tree(git.tree_of(base), (base,), "one", 1)
    for commit in (one, base, base):
        git.keep("refs/agentjobs/x/1", commit)
        assert git.resolve("refs/agentjobs/x/1") == commit


def test_the_same_commit_twice_has_one_id(git: Git, base: str) -> None:
    made = {git.commit_tree(git.tree_of(base), (base,), "müll\n\nbody", 1_700_000_000.7) for _ in range(2)}
    assert len(made) == 1
    shown = sh(git.root, "git", "log", "-1", "--format=%an <%ae>|%ct|%s", made.pop())
    assert shown == "agentjobs <agentjobs@localhost>|1700000000|müll"


# --- snapshots --------------------------------------------------------------------------------------------


def test_nothing_done_is_the_base_itself(git: Git, base: str, tree: Path) -> None:
    write(tree / "x.log", "ignored")
    assert snapshot(git, tree, base, "m", 1) == Snapshot(git.tree_of(base), base)


def test_all_that_the_agent_did_is_one_commit_on_base(git: Git, base: str, tree: Path) -> None:
    write(tree / "committed.txt", "c")
    write(tree / "forced.log", "f")
    sh(tree, "git", "checkout", "-q", "-b", "own")
    sh(tree, "git", "add", "committed.txt")
    sh(tree, "git", "add", "-f", "forced.log")
    sh(tree, "git", "commit", "-q", "-m", "mine")
    write(tree / "staged.txt", "s")
    sh(tree, "git", "add", "staged.txt")
    write(tree / "untracked/deep.txt", "u")
    write(tree / "ignored.log", "i")
    (tree / "a.txt").unlink()
    (tree / "lib" / "b.txt").unlink()
    (tree / "lib").rmdir()
    write(tree / "lib", "a file now")
    taken = snapshot(git, tree, base, "m", 1)
    assert git.line("rev-list", "--parents", "-1", taken.commit) == f"{taken.commit} {base}"
    got = contents(git, taken.commit)
    got.pop(".gitignore")
    assert got == {
        "committed.txt": "c",
        "forced.log": "f",
        "staged.txt": "s",
        "untracked/deep.txt": "u",
        "lib": "a file now",
    }
    assert set(git.changed(base, taken.commit)) == {*got, "a.txt", "lib/b.txt"}
    assert snapshot(git, tree, base, "m", 1) == taken, "and the tree is as it was"


def test_odd_names_arrive(git: Git, base: str, tree: Path) -> None:
    for name in ODD_NAMES:
        (tree / os.fsdecode(name)).write_bytes(name)
    taken = snapshot(git, tree, base, "m", 1)
    expected = {name.decode("utf-8", "surrogateescape") for name in ODD_NAMES}
    assert set(git.changed(base, taken.commit)) == expected
    # And they may be changed, reset and merged again.
    worktree.reset(git, tree, taken.commit)
    (tree / os.fsdecode(ODD_NAMES[2])).unlink()
    again = snapshot(git, tree, taken.commit, "m", 2)
    assert git.changed(taken.commit, again.commit) == ("new\nline",)


def test_symlinks_modes_and_type_changes(git: Git, base: str, tree: Path) -> None:
    (tree / "a.txt").chmod(0o755)
    (tree / "lib" / "b.txt").unlink()
    (tree / "lib" / "b.txt").symlink_to("/etc/passwd")
    (tree / "dangling").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    changes = {c.path: c.new_mode for c in git.changes(base, snapshot(git, tree, base, "m", 1).commit)}
    assert changes == {"a.txt": "100755", "lib/b.txt": "120000", "dangling": "120000"}


@pytest.mark.parametrize("committed", [False, True])
def test_the_files_of_a_repository_inside_the_tree_are_not_hidden(
    git: Git, base: str, tree: Path, committed: bool
) -> None:
    for inner in ("new", "new/deeper", "lib"):
        (tree / inner).mkdir(exist_ok=True)
        sh(tree / inner, "git", "init", "-q", ".")
        write(tree / inner / "f.txt", inner)
        if committed:
            sh(tree / inner, "git", "add", "f.txt")
            sh(tree / inner, "git", "commit", "-q", "-m", "x")
    write(tree / "new/node_modules/m.js", "ignored by the outer repository")
    write(tree / "new/inner.tmp", "ignored by the inner one")
    write(tree / "new/.gitignore", "*.tmp\n")
    taken = snapshot(git, tree, base, "m", 1)
    assert set(git.changed(base, taken.commit)) == {
        "new/f.txt",
        "new/.gitignore",
        "new/deeper/f.txt",
        "lib/f.txt",
    }


def test_a_tracked_file_replaced_by_a_repository(git: Git, base: str, tree: Path) -> None:
    (tree / "a.txt").unlink()
    (tree / "a.txt").mkdir()
    sh(tree / "a.txt", "git", "init", "-q", ".")
    write(tree / "a.txt" / "f", "f")
    sh(tree / "a.txt", "git", "add", "-A")
    sh(tree / "a.txt", "git", "commit", "-q", "-m", "x")
    taken = snapshot(git, tree, base, "m", 1)
    assert set(git.changed(base, taken.commit)) == {"a.txt", "a.txt/f"}


def test_an_agent_cannot_hide_a_change_from_git(git: Git, base: str, tree: Path) -> None:
    sh(tree, "git", "update-index", "--assume-unchanged", "a.txt")
    sh(tree, "git", "update-index", "--skip-worktree", "lib/b.txt")
    write(tree / "a.txt", "changed")
    write(tree / "lib/b.txt", "changed")
    assert git.changed(base, snapshot(git, tree, base, "m", 1).commit) == ("a.txt", "lib/b.txt")
    worktree.reset(git, tree, base)
    assert (tree / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert (tree / "lib/b.txt").read_text() == "b\n"


def test_a_change_within_the_clock_tick_is_seen(git: Git, base: str, tree: Path) -> None:
    for number in range(5):
        worktree.reset(git, tree, base)
        write(tree / "a.txt", f"on{number}\ntwo\nthree\n")  # of the same size
        assert git.changed(base, snapshot(git, tree, base, "m", 1).commit) == ("a.txt",)


@pytest.mark.parametrize("damage", ["lock", "broken index", "no .git", "foreign .git", "no index"])
def test_what_an_agent_or_a_kill_left_does_not_block(git: Git, base: str, tree: Path, damage: str) -> None:
    write(git.root / "a.txt", "the user's own edit")
    admin = git.common_dir / "worktrees" / "t1"
    if damage == "lock":
        for name in ("index.lock", "HEAD.lock", "agentjobs-index.lock"):
            write(admin / name, "")
    elif damage == "broken index":
        write(admin / "index", "junk")
    elif damage == "no index":
        (admin / "index").unlink()
        (admin / "agentjobs-index").unlink()
    else:
        (tree / ".git").unlink()
        if damage == "foreign .git":
            write(tree / ".git", f"gitdir: {git.common_dir}\n")
    write(tree / "a.txt", "work")
    taken = snapshot(git, tree, base, "m", 1)
    assert git.changed(base, taken.commit) == ("a.txt",)
    worktree.reset(git, tree, base)
    assert (tree / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert sh(tree, "git", "status", "--porcelain") == ""
    assert (git.root / "a.txt").read_text() == "the user's own edit"
    assert sh(git.root, "git", "rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_a_directory_that_is_no_worktree_is_refused(git: Git, base: str) -> None:
    stray = git.root / "lib"
    with pytest.raises(GitError, match="is not a worktree of"):
        snapshot(git, stray, base, "m", 1)


def test_a_file_that_cannot_be_read_is_named(git: Git, base: str, tree: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    write(tree / "secret", "x")
    (tree / "secret").chmod(0)
    with pytest.raises(GitError, match="secret"):
        snapshot(git, tree, base, "m", 1)


def test_importing_git_is_cheap() -> None:
    code = "import sys, agentjobs.workspace.git, agentjobs.workspace.worktree, agentjobs.workspace.target_branch\n"
    code += "print(' '.join(sys.modules))"
    loaded = run_command.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).stdout.decode().split()
    assert not {"asyncio", "psutil", "jinja2", "rich", "tiktoken"} & set(loaded)
