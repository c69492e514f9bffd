"""workspace.py, with real worktrees, real kills and many at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.delete import delete
from agentjobs.model.errors import GitError, UserError
from agentjobs.workspace import worktree
from agentjobs.workspace.snapshot import snapshot
from agentjobs.workspace.worktree_admin import admin_dir, head
from tests.kit.harness import LONG_S
from tests.kit.repositories import make_repository, sh, write

if TYPE_CHECKING:
    from agentjobs.workspace.git import Git

pytestmark = pytest.mark.sample(1)

PACKAGE_ROOT = Path(__file__).parents[2]

CREATE = """
import sys
from pathlib import Path
from agentjobs.workspace import worktree
from agentjobs.workspace.git import Git
for name in sys.argv[3:]:
    worktree.create(Git(sys.argv[1]), Path(sys.argv[1], '.agentjobs/trees', name), sys.argv[2])
"""


RESET_FOR_EVER = """
import sys
from pathlib import Path
from agentjobs.workspace import worktree
from agentjobs.workspace.git import Git
while True:
    for commit in sys.argv[3:]:
        worktree.reset(Git(sys.argv[1]), Path(sys.argv[2]), commit)
"""


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def base(git: Git) -> str:
    tip = git.resolve("main")
    assert tip
    return tip


@pytest.fixture
def trees(git: Git) -> Path:
    return git.root / ".agentjobs" / "trees"


@pytest.fixture
def tree(git: Git, base: str, trees: Path) -> Path:
    path = trees / "t1"
    assert worktree.create(git, path, base)
    return path


def assert_whole(git: Git, tree: Path, base: str) -> None:
    assert sh(tree, "git", "rev-parse", "HEAD") == base
    assert sh(tree, "git", "status", "--porcelain") == ""
    assert sh(tree, "git", "rev-parse", "--abbrev-ref", "HEAD") == "HEAD", "detached"
    assert snapshot(git, tree, base, "m", 1).commit == base
    admin = admin_dir(git, tree)
    assert admin
    assert not list(admin.glob("*.lock"))
    assert not (admin / "locked").exists()


def start_create(git: Git, base: str, *names: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", CREATE, str(git.root), base, *names]
    return subprocess.Popen(argv, cwd=PACKAGE_ROOT, start_new_session=True, stderr=subprocess.PIPE)


# --- create -----------------------------------------------------------------------------------------------


def test_create_is_idempotent_and_keeps_work(git: Git, base: str, tree: Path) -> None:
    assert_whole(git, tree, base)
    write(tree / "work.txt", "w")
    sh(tree, "git", "commit", "-q", "--allow-empty", "-m", "mine")
    assert not worktree.create(git, tree, base)
    assert (tree / "work.txt").read_text() == "w"
    assert head(git, tree) != base


def test_32_threads_at_once(git: Git, base: str, trees: Path) -> None:
    names = [f"task-{number}" for number in range(32)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda name: worktree.create(git, trees / name, base), names))
    for name in names:
        assert_whole(git, trees / name, base)
    assert len(list(git.worktrees())) == 33


def test_many_processes_at_once_and_two_for_each_tree(git: Git, base: str, trees: Path) -> None:
    names = [f"t{number}" for number in range(32)]
    running = [start_create(git, base, *names[k::8], *names[(k + 1) % 8 :: 8]) for k in range(8)]
    for process in running:
        _, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, err.decode()
    for name in names:
        assert_whole(git, trees / name, base)
    assert len(list(git.worktrees())) == 33


@pytest.mark.parametrize("with_git", [True, False], ids=["git too", "git lives on"])
def test_killed_in_the_middle_then_made_again(tmp_path: Path, with_git: bool) -> None:
    git = make_repository(tmp_path / "repo", {f"d{n % 7}/f{n}.txt": f"{n}\n" * 50 for n in range(300)})
    base = git.resolve("main")
    assert base
    trees = git.root / ".agentjobs" / "trees"
    chance = random.Random(7)
    unfinished = 0
    for number in range(14):
        name = f"k{number % 3}"  # the same few trees again and again, some of them whole
        process = start_create(git, base, name)
        lock = trees / f".{name}.lock"
        # From when it begins: starting Python takes longer than making a worktree.
        wait_until(lambda lock=lock, process=process: held(lock) or process.poll() is not None)
        end_at = time.monotonic() + chance.uniform(0, 0.03)
        wait_until(lambda end_at=end_at: time.monotonic() > end_at)
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if with_git else os.kill)(process.pid, signal.SIGKILL)
        process.wait(timeout=LONG_S)
        assert process.stderr
        process.stderr.close()
        unfinished += process.returncode != 0
        worktree.create(git, trees / name, base)
        assert_whole(git, trees / name, base)
        if number % 2:
            worktree.remove(git, trees / name)
    assert unfinished, "no kill came in time"
    assert not list(trees.glob("*.aside-*")), "what was half-made is not taken for somebody's work"


def held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def wait_until(condition: object, timeout_s: float = LONG_S) -> None:
    assert callable(condition)
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.0005)


@pytest.mark.parametrize(
    "state", ["no gitdir", "empty gitdir", "registered, no directory", "directory, no .git", "prune"]
)
def test_half_made_is_repaired(git: Git, base: str, trees: Path, state: str) -> None:
    tree = trees / "t1"
    admin = git.common_dir / "worktrees" / "t1"
    trees.mkdir(parents=True)
    write(trees / ".t1.lock", "making\n")
    if state in ("no gitdir", "empty gitdir"):
        write(admin / "locked", "initializing")
        if state == "empty gitdir":
            write(admin / "gitdir", "")
    elif state == "registered, no directory":
        sh(git.root, "git", "worktree", "add", "-q", "--detach", str(tree))
        write(admin / "locked", "initializing")
        delete(tree)
    elif state == "directory, no .git":
        sh(git.root, "git", "worktree", "add", "-q", "--detach", "--no-checkout", str(tree))
        (tree / ".git").unlink()
        write(admin / "index.lock", "")
    else:
        (trees / ".t1.lock").unlink()
        worktree.create(git, tree, base)
        delete(tree)
        sh(git.root, "git", "worktree", "prune")
    assert worktree.create(git, tree, base)
    assert_whole(git, tree, base)
    assert [path.name for path in (git.common_dir / "worktrees").iterdir()] == ["t1"]


def test_a_directory_that_is_not_ours_is_put_aside(git: Git, base: str, trees: Path) -> None:
    write(trees / "t1" / "novel.txt", "chapter one")
    assert worktree.create(git, trees / "t1", base)
    assert_whole(git, trees / "t1", base)
    assert (trees / "t1.aside-1" / "novel.txt").read_text() == "chapter one"


def test_a_worktree_of_the_user_with_the_same_name_is_left_alone(
    git: Git, base: str, trees: Path, tmp_path: Path
) -> None:
    sh(git.root, "git", "worktree", "add", "-q", "-b", "own", str(tmp_path / "t1"))
    worktree.create(git, trees / "t1", base)
    write(tmp_path / "t1" / "mine", "m")
    worktree.remove(git, trees / "t1")
    assert (tmp_path / "t1" / "mine").exists()
    assert sh(tmp_path / "t1", "git", "rev-parse", "--abbrev-ref", "HEAD") == "own"


def test_a_git_that_outlives_us_is_waited_for(git: Git, base: str, tree: Path) -> None:
    """The lock is inherited: the process that gets it knows that the lock files in the tree are stale."""
    filter_started, gate = git.root / "started", git.root / "gate"
    write(git.root / ".gitattributes", "a.txt filter=slow\n")
    sh(
        git.root,
        "git",
        "config",
        "filter.slow.smudge",
        f"touch {filter_started}; until test -e {gate}; do sleep 0.01; done; cat",
    )
    sh(git.root, "git", "add", "-A")
    sh(git.root, "git", "commit", "-q", "-m", "slow")
    slow = git.resolve("main")
    assert slow
    process = start_create(git, slow, "t2")
    wait_until(filter_started.exists)
    process.kill()
    process.wait(timeout=LONG_S)  # its output stays open in the git that lives on
    assert process.stderr
    process.stderr.close()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(worktree.create, git, tree.parent / "t2", slow)
        assert not made.done()
        assert held(tree.parent / ".t2.lock")
        write(gate, "open")
        assert made.result(timeout=LONG_S)
    assert_whole(git, tree.parent / "t2", slow)


# --- reset ------------------------------------------------------------------------------------------------


def test_reset_leaves_only_the_commit_and_ignored_files(git: Git, base: str, tree: Path) -> None:
    sh(tree, "git", "checkout", "-q", "-b", "own")
    write(tree / "a.txt", "x")
    sh(tree, "git", "commit", "-q", "-am", "mine")
    own = git.resolve("own")
    write(tree / "new/f", "x")
    write(tree / "keep.log", "x")
    (tree / "inner").mkdir()
    sh(tree / "inner", "git", "init", "-q", ".")
    worktree.reset(git, tree, base)
    assert_whole(git, tree, base)
    assert (tree / "keep.log").exists()
    assert not (tree / "inner").exists()
    assert git.resolve("own") == own, "the branch the agent was on stays where it was"


def test_reset_in_the_middle_of_a_merge_or_a_rebase(git: Git, base: str, tree: Path) -> None:
    sh(tree, "git", "checkout", "-q", "-b", "one")
    write(tree / "a.txt", "1")
    sh(tree, "git", "commit", "-q", "-am", "1")
    sh(tree, "git", "checkout", "-q", "-b", "two", base)
    write(tree / "a.txt", "2")
    sh(tree, "git", "commit", "-q", "-am", "2")
    with pytest.raises(subprocess.CalledProcessError):
        sh(tree, "git", "rebase", "one")
    worktree.reset(git, tree, base)
    assert_whole(git, tree, base)
    assert "rebas" not in sh(tree, "git", "status")


def test_read_only_directories_are_removed(git: Git, base: str, tree: Path) -> None:
    write(tree / "locked/in/f", "x")
    (tree / "locked/in").chmod(0o500)
    (tree / "locked").chmod(0o500)
    worktree.reset(git, tree, base)
    assert_whole(git, tree, base)
    write(tree / "locked/in/f", "x")
    (tree / "locked/in").chmod(0)
    (tree / "locked").chmod(0o500)
    worktree.remove(git, tree, force=True)
    assert not tree.exists()


def test_nothing_is_placed_behind_a_link_in_the_tree(git: Git, tree: Path, tmp_path: Path) -> None:
    write(git.root / "conf" / "local", "placed\n")
    write(tmp_path / "outside" / "local", "mine\n")
    (tree / "conf").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="a directory above it is a link"):
        worktree.setup_files(git, git.root, tree, copy=["conf/local"], link=[])
    assert (tmp_path / "outside" / "local").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["HEAD", "index", "logs", "logs/HEAD", "ORIG_HEAD"])
def test_nothing_is_written_through_a_link_in_the_administrative_directory(
    git: Git, base: str, tree: Path, tmp_path: Path, name: str
) -> None:
    """An agent in a sandbox may write there; what it links to may be out of its reach, and not of ours."""
    outside = tmp_path / "outside"
    (outside / "logs").mkdir(parents=True)
    write(outside / "file", "mine\n")
    sh(tree, "git", "commit", "-q", "--allow-empty", "-m", "the agent's own")
    admin = admin_dir(git, tree)
    assert admin
    if (admin / name).exists():
        delete(admin / name)
    (admin / name).symlink_to(outside / ("logs" if name == "logs" else "file"))
    write(tree / "a.txt", "changed")
    worktree.reset(git, tree, base)
    assert_whole(git, tree, base)
    assert (outside / "file").read_text() == "mine\n"
    assert not list((outside / "logs").iterdir())


def test_the_users_checkout_is_never_reset(git: Git, base: str) -> None:
    write(git.root / "a.txt", "mine")
    with pytest.raises(GitError, match="your own checkout"):
        worktree.reset(git, git.root, base)
    assert (git.root / "a.txt").read_text() == "mine"


@pytest.mark.parametrize("call", ["create", "keep", "reset"])
def test_a_reset_that_was_cut_off_is_completed(git: Git, base: str, tree: Path, call: str) -> None:
    """Killed after some files were written, that must not come out as the agent's work."""
    write(tree / "a.txt", "work")
    write(tree / "new.txt", "new")
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    write(tree.parent / ".t1.lock", f"reset {kept.commit}\nleftovers of a longer line")
    write(tree / "a.txt", "half")
    (tree / "new.txt").unlink()
    if call == "create":
        assert not worktree.create(git, tree, base)
    elif call == "reset":
        worktree.reset(git, tree, kept.commit)
    assert worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1) == kept
    assert_whole(git, tree, kept.commit)


def test_killed_in_a_reset_the_kept_work_survives(tmp_path: Path) -> None:
    git = make_repository(tmp_path / "repo", {f"d{n % 7}/f{n}.txt": f"{n}\n" * 50 for n in range(300)})
    base = git.resolve("main")
    assert base
    tree = git.root / ".agentjobs" / "trees" / "t1"
    chance = random.Random(3)
    worktree.create(git, tree, base)
    for number in range(300):
        write(tree / f"d{number % 7}" / f"f{number}.txt", "work\n")
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    for _ in range(8):
        argv = [sys.executable, "-c", RESET_FOR_EVER, str(git.root), str(tree), kept.commit, base]
        process = subprocess.Popen(argv, cwd=PACKAGE_ROOT, start_new_session=True)
        lock = tree.parent / ".t1.lock"
        wait_until(lambda lock=lock: held(lock))
        end_at = time.monotonic() + chance.uniform(0, 0.05)
        wait_until(lambda end_at=end_at: time.monotonic() > end_at)
        process.kill()
        process.wait(timeout=LONG_S)
        assert not worktree.create(git, tree, base)
        assert head(git, tree) in {base, kept.commit}
        assert_whole(git, tree, head(git, tree) or "")


def test_a_ready_tree_whose_state_did_not_reach_the_disk(git: Git, base: str, tree: Path) -> None:
    write(tree / "work.txt", "w")
    write(tree.parent / ".t1.lock", "")
    assert not worktree.create(git, tree, base)
    assert (tree / "work.txt").read_text() == "w"


# --- copy and link ----------------------------------------------------------------------------------------


def test_placed_files_are_in_no_snapshot_and_survive_a_reset(git: Git, base: str, tree: Path) -> None:
    write(git.root / ".env", "KEY=1")
    write(git.root / "node_modules/m/index.js", "m")
    write(git.root / "data set/[x]", "d")
    places = {"copy": [".env", "./data set/"], "link": ["node_modules"]}
    for _ in range(2):
        worktree.setup_files(git, git.root, tree, **places)
    assert (tree / "node_modules").is_symlink()
    assert (tree / "node_modules/m/index.js").read_text() == "m"
    sh(tree, "git", "add", "-A")  # an agent does that
    sh(tree, "git", "commit", "-q", "-m", "everything")
    assert snapshot(git, tree, base, "m", 1).commit == base
    worktree.reset(git, tree, base)
    worktree.setup_files(git, git.root, tree, **places)
    assert (tree / ".env").read_text() == "KEY=1"
    assert (tree / "data set/[x]").read_text() == "d"
    assert (tree / "node_modules").is_symlink()
    assert (git.root / "node_modules/m/index.js").exists()
    worktree.remove(git, tree)
    assert (git.root / "node_modules/m/index.js").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone", "gone does not exist"),
        ("a.txt", "a.txt is tracked by git"),
        ("../x", "must be a path below"),
        ("/etc", "must be a path below"),
        (".git/config", "must be a path below"),
        (".", "must be a path below"),
    ],
)
def test_what_cannot_be_placed(git: Git, tree: Path, path: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        worktree.setup_files(git, git.root, tree, copy=[path], link=[])
    with pytest.raises(UserError, match=message):
        worktree.setup_files(git, git.root, tree, copy=[], link=[path])


# --- keep, remove, prune ----------------------------------------------------------------------------------


def test_remove_refuses_work_that_is_in_no_commit_we_keep(git: Git, base: str, tree: Path) -> None:
    write(tree / "work.txt", "w")
    with pytest.raises(UserError, match=r"holds work that is not in a kept commit.*--force"):
        worktree.remove(git, tree)
    sh(tree, "git", "add", "-A")
    sh(tree, "git", "commit", "-q", "-m", "on no branch")
    with pytest.raises(UserError, match="holds work"):
        worktree.remove(git, tree)
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "kept", 1)
    assert git.resolve("refs/agentjobs/t1/1") == kept.commit
    worktree.remove(git, tree)
    assert not tree.exists()
    assert len(list(git.worktrees())) == 1
    worktree.remove(git, tree)
    assert git.changed(base, kept.commit) == ("work.txt",)


def test_remove_clean_committed_on_a_branch_or_forced(git: Git, base: str, trees: Path) -> None:
    for name in ("clean", "branch", "forced"):
        worktree.create(git, trees / name, base)
        if name != "clean":
            write(trees / name / "work.txt", name)
        if name == "branch":
            sh(trees / name, "git", "checkout", "-q", "-b", "own")
            sh(trees / name, "git", "add", "-A")
            sh(trees / name, "git", "commit", "-q", "-m", "m")
        write(trees / name / "x.log", "ignored")
        worktree.remove(git, trees / name, force=name == "forced")
        assert not (trees / name).exists()
    worktree.create(git, trees / "forced", base)
    assert_whole(git, trees / "forced", base)


def test_a_directory_without_registration_is_not_removed_unasked(git: Git, trees: Path) -> None:
    write(trees / "x" / "f", "f")
    with pytest.raises(UserError, match="holds work"):
        worktree.remove(git, trees / "x")
    worktree.remove(git, trees / "x", force=True)
    assert not (trees / "x").exists()


def test_prune_forgets_ours_that_are_gone_and_no_others(
    git: Git, base: str, trees: Path, tmp_path: Path
) -> None:
    for name in ("t1", "t2"):
        worktree.create(git, trees / name, base)
    sh(git.root, "git", "worktree", "add", "-q", "-b", "own", str(tmp_path / "own"))
    delete(tmp_path / "own")
    delete(trees / "t1")
    assert worktree.prune(git, trees) == 1
    assert {tree.directory.name for tree in git.worktrees()} == {"repo", "t2", "own"}
    assert worktree.prune(git, trees) == 0
