"""workspace.kind = "clone": a separate repository for each task, and the whole life of a task in it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentjobs.run.steps import sandbox
from agentjobs.workspace import clone, pool, worktree
from agentjobs.workspace.git import Git
from agentjobs.workspace.snapshot import snapshot
from agentjobs.workspace.worktree_admin import clone_dir
from tests.kit.harness import LONG_S, Project
from tests.kit.repositories import make_repository, sh, write

pytestmark = pytest.mark.sample(1)

PACKAGE_ROOT = Path(__file__).parents[2]
IDENTITY = ("-c", "user.name=Agent", "-c", "user.email=agent@example.org")
TROUBLE = sandbox.trouble()


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
    worktree.create(git, path, base)
    clone.attach(git, path)
    return path


def own(tree: Path, *args: str) -> str:
    """Run git as an agent does, in its tree."""
    return sh(tree, "git", *IDENTITY, *args)


def files(directory: Path) -> set[tuple[int, int]]:
    """Return the files below a directory, as device and inode."""
    found = [path.stat() for path in directory.rglob("*") if path.is_file()]
    return {(status.st_dev, status.st_ino) for status in found}


def assert_own(git: Git, tree: Path, commit: str) -> None:
    """The tree's repository is separate and complete, and is on ``commit`` with a clean tree."""
    place = clone_dir(tree)
    assert Path(own(tree, "rev-parse", "--absolute-git-dir")) == place
    assert own(tree, "rev-parse", "--path-format=absolute", "--git-common-dir") == str(place)
    assert own(tree, "rev-parse", "HEAD") == commit
    assert own(tree, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD", "detached"
    assert own(tree, "status", "--porcelain") == ""
    assert not (place / "objects/info/alternates").exists()
    assert files(place / "objects")
    assert not files(place / "objects") & files(git.common_dir / "objects"), "no file of the store is the user's"
    sh(tree, "git", "fsck", "--full", "--strict")
    assert own(tree, "remote") == ""


# --- the repository ---------------------------------------------------------------------------------------


def test_the_store_is_its_own_and_has_the_history_of_its_commit_alone(git: Git, base: str, tree: Path) -> None:
    assert_own(git, tree, base)
    assert own(tree, "rev-list", "--count", "HEAD") == git.line("rev-list", "--count", base)
    worktree.keep(git, tree, base, "refs/agentjobs/other/1", "m", 1)
    write(git.root / "secret", "of another task")
    blob = git.line("hash-object", "-w", "secret")
    clone.attach(git, tree)
    with pytest.raises(subprocess.CalledProcessError):
        own(tree, "cat-file", "-e", blob)


def test_what_an_agent_does_to_its_repository_reaches_nobody(git: Git, base: str, tree: Path) -> None:
    own(tree, "checkout", "-qb", "main")
    own(tree, "commit", "-qm", "mine", "--allow-empty")
    own(tree, "tag", "v1")
    own(tree, "config", "core.editor", "false")
    write(clone_dir(tree) / "hooks" / "pre-commit", "exit 1\n")
    own(tree, "reflog", "expire", "--expire=now", "--all")
    own(tree, "gc", "-q", "--prune=now")
    shutil.rmtree(clone_dir(tree) / "objects")
    assert git.resolve("main") == base
    assert git.resolve("v1") is None
    sh(git.root, "git", "fsck", "--full", "--strict")
    clone.attach(git, tree)
    assert_own(git, tree, base)


def test_work_is_kept_in_the_users_repository(git: Git, base: str, tree: Path) -> None:
    """Committed in the clone, on a branch, changed again, ignored but added by force, and not added at all."""
    write(tree / "a.txt", "first")
    own(tree, "checkout", "-qb", "mine")
    own(tree, "commit", "-qam", "first")
    write(tree / "a.txt", "second")
    write(tree / "new.txt", "new")
    write(tree / "forced.log", "forced")
    write(tree / "ignored.log", "ignored")
    own(tree, "add", "-f", "forced.log")
    own(tree, "commit", "-qm", "forced")
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    shutil.rmtree(clone_dir(tree))
    assert git.changed(base, kept.commit) == ("a.txt", "forced.log", "new.txt")
    assert git.line("show", f"{kept.commit}:a.txt") == "second"
    assert sh(git.root, "git", "rev-parse", f"{kept.commit}^") == base
    sh(git.root, "git", "fsck", "--full", "--strict")
    worktree.reset(git, tree, kept.commit)
    clone.attach(git, tree)
    assert_own(git, tree, kept.commit)


def test_a_commit_that_was_merged_outside_is_there(git: Git, base: str, tree: Path) -> None:
    """The agent's own branches stay; its settings, hooks and locks do not."""
    own(tree, "checkout", "-qb", "mine")
    own(tree, "commit", "-qm", "mine", "--allow-empty")
    mine = own(tree, "rev-parse", "HEAD")
    own(tree, "config", "diff.external", "true")
    write(clone_dir(tree) / "hooks" / "pre-commit", "exit 1\n")
    write(clone_dir(tree) / "index.lock", "")
    write(clone_dir(tree) / "refs" / "heads" / "mine.lock", "")
    write(clone_dir(tree) / "MERGE_HEAD", mine + "\n")
    write(git.root / "landed.txt", "l")
    sh(git.root, "git", "add", "landed.txt")
    sh(git.root, "git", "commit", "-qm", "landed")
    tip = git.resolve("main")
    assert tip
    worktree.reset(git, tree, tip)
    clone.attach(git, tree)
    assert_own(git, tree, tip)
    assert own(tree, "rev-parse", "mine") == mine
    assert own(tree, "config", "--get-regexp", "core.bare") == "core.bare false"
    assert "external" not in (clone_dir(tree) / "config").read_text()
    assert not (clone_dir(tree) / "hooks").exists()
    assert len(list((clone_dir(tree) / "objects/pack").glob("*.pack"))) == 2, "what it had was not copied again"


def test_a_sparse_tree_is_sparse_to_the_agents_git(tmp_path: Path) -> None:
    git = make_repository(tmp_path / "repo", {"a/in.txt": "a\n", "b/out.txt": "b\n", "b/gone.txt": "b\n"})
    base = git.resolve("main")
    assert base
    tree, spare = git.root / ".agentjobs" / "trees" / "t1", git.root / ".agentjobs" / "spare"
    pool.hand_out(git, tree, spare, base, sparse=("a/",))
    clone.attach(git, tree)
    assert not (tree / "b").exists()
    assert_own(git, tree, base)
    write(tree / "a" / "in.txt", "changed\n")
    write(tree / "b" / "out.txt", "written where nothing was\n")
    own(tree, "commit", "-qam", "mine")
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    assert git.changed(base, kept.commit) == ("a/in.txt", "b/out.txt"), "what is not checked out is not deleted"


def test_attached_again_nothing_of_the_agents_moves(git: Git, base: str, tree: Path) -> None:
    own(tree, "checkout", "-qb", "mine")
    write(tree / "a.txt", "x")
    own(tree, "add", "a.txt")
    clone.attach(git, tree)
    assert own(tree, "rev-parse", "--abbrev-ref", "HEAD") == "mine"
    assert own(tree, "status", "--porcelain") == "M  a.txt"


def test_a_merge_with_conflicts_is_seen_as_changes(git: Git, base: str, tree: Path) -> None:
    changed = git.commit_tree(git.line("rev-parse", f"{base}^{{tree}}"), (base,), "m", 1)
    write(tree / "a.txt", "<<<<<<<\n")
    taken = snapshot(git, tree, base, "m", 1)
    worktree.show_merge(git, tree, changed, taken.tree)
    clone.attach(git, tree)
    assert own(tree, "rev-parse", "HEAD") == changed
    assert own(tree, "status", "--porcelain") == "M a.txt", "sh strips the first blank"


@pytest.mark.parametrize(
    "path", ["config", "index", "HEAD", "index~", "config~", "objects", "objects/pack", "refs", ""]
)
def test_nothing_is_written_through_a_link(git: Git, base: str, tree: Path, tmp_path: Path, path: str) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(clone_dir(tree), outside)
    before = {p: p.read_bytes() for p in outside.rglob("*") if p.is_file()}
    place = clone_dir(tree) / path
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(outside / path)
    own_commit = git.commit_tree(git.tree_of(base), (base,), "another", 1)
    worktree.reset(git, tree, own_commit)
    clone.attach(git, tree)
    assert_own(git, tree, own_commit)
    assert {p: p.read_bytes() for p in outside.rglob("*") if p.is_file()} == before


def test_settings_of_the_agent_run_nothing_of_ours(git: Git, base: str, tree: Path, tmp_path: Path) -> None:
    """A filter, a monitor and a fetch program that the agent set up in its repository."""
    program = tmp_path / "program"
    write(program, f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    for key in ("filter.x.clean", "filter.x.smudge", "core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook",
                "core.alternateRefsCommand", "diff.external"):  # fmt: skip
        own(tree, "config", key, str(program))
    write(tree / ".gitattributes", "* filter=x diff=x\n")
    write(tree / "a.txt", "changed")
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    worktree.reset(git, tree, kept.commit)
    clone.attach(git, tree)
    clone.detach(git, tree)
    assert not (tmp_path / "ran").exists()


def test_settings_that_commits_depend_on_are_taken_over(git: Git, tree: Path, base: str) -> None:
    for key, value in {"user.name": "Jo\nhn", "user.email": "j@x", "filter.up.clean": "tr a b", "alias.x": "y"}.items():
        sh(git.root, "git", "config", key, value)
    clone.drop(tree)
    clone.attach(git, tree)
    found = sh(tree, "git", "config", "--local", "-z", "--list")
    for entry in ("user.name\nJo\nhn", "user.email\nj@x", "filter.up.clean\ntr a b"):
        assert entry in found.split("\0")
    assert "alias.x" not in found


@pytest.mark.parametrize("how", ["sha256", "shallow"])
def test_other_kinds_of_repositories(tmp_path: Path, how: str) -> None:
    root = tmp_path / "repo"
    if how == "sha256":
        sh(tmp_path, "git", "init", "-q", "-b", "main", "--object-format=sha256", "repo")
        write(root / "a.txt", "a")
        sh(root, "git", "add", "-A")
        sh(root, "git", *IDENTITY, "commit", "-qm", "1")
    else:
        first = make_repository(tmp_path / "first")
        for number in range(3):
            sh(first.root, "git", *IDENTITY, "commit", "-q", "--allow-empty", "-m", str(number))
        sh(tmp_path, "git", "clone", "-q", "--depth", "2", f"file://{first.root}", "repo")
    git = Git(root)
    base = git.resolve("main")
    assert base
    tree = root / ".agentjobs" / "trees" / "t1"
    worktree.create(git, tree, base)
    clone.attach(git, tree)
    assert_own(git, tree, base)


# --- coming and going -------------------------------------------------------------------------------------


def test_it_goes_with_its_tree(git: Git, base: str, tree: Path) -> None:
    worktree.remove(git, tree)
    assert not clone_dir(tree).exists()
    worktree.create(git, tree, base)
    clone.attach(git, tree)
    spare = tree.parent.parent / "spare"
    pool.give_back(git, tree, spare, most=1)
    assert not clone_dir(tree).exists()
    assert len(pool.spares(spare)) == 1
    pool.hand_out(git, tree, spare, base)
    assert not pool.spares(spare)
    clone.attach(git, tree)
    assert_own(git, tree, base)


def test_what_a_kill_left_of_it_is_pruned(git: Git, tree: Path) -> None:
    shutil.copytree(clone_dir(tree), tree.parent / ".t2.git-new")
    shutil.copytree(clone_dir(tree), tree.parent / ".t3.git")
    worktree.prune(git, tree.parent)
    assert clone_dir(tree).exists()
    assert sorted(path.name for path in tree.parent.glob(".*.git*")) == [".t1.git"]


def test_turned_off_the_tree_is_a_worktree_again(git: Git, base: str, tree: Path) -> None:
    write(tree / "a.txt", "work")
    clone.detach(git, tree)
    assert not clone_dir(tree).exists()
    assert own(tree, "rev-parse", "--path-format=absolute", "--git-common-dir") == str(git.common_dir)
    assert own(tree, "status", "--porcelain") == "M a.txt"


ATTACH_FOR_EVER = """
import sys
from pathlib import Path
from agentjobs.workspace import clone, worktree
from agentjobs.workspace.git import Git
git, tree = Git(sys.argv[1]), Path(sys.argv[2])
while True:
    for commit in sys.argv[3:]:
        worktree.reset(git, tree, commit)
        clone.attach(git, tree)
    clone.drop(tree)
"""


def test_killed_anywhere_it_is_made_whole(tmp_path: Path) -> None:
    git = make_repository(tmp_path / "repo", {f"d{n % 7}/f{n}.txt": f"{n}\n" * 50 for n in range(300)})
    base = git.resolve("main")
    assert base
    tree = git.root / ".agentjobs" / "trees" / "t1"
    worktree.create(git, tree, base)
    write(tree / "d1" / "f1.txt", "work\n")
    kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    chance = random.Random(5)
    for number in range(16):
        argv = [sys.executable, "-c", ATTACH_FOR_EVER, str(git.root), str(tree), kept.commit, base]
        process = subprocess.Popen(argv, cwd=PACKAGE_ROOT, start_new_session=True)
        give_up_at = time.monotonic() + LONG_S
        while not clone_dir(tree).exists() and time.monotonic() < give_up_at:
            time.sleep(0.001)
        end_at = time.monotonic() + chance.uniform(0, 0.08)
        while time.monotonic() < end_at:
            time.sleep(0.001)
        (os.killpg if number % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait(timeout=LONG_S)
        worktree.create(git, tree, base)
        clone.attach(git, tree)
        assert_own(git, tree, own(tree, "rev-parse", "HEAD"))
        worktree.reset(git, tree, base)
        clone.attach(git, tree)
        assert_own(git, tree, base)


# --- the whole life of a task -----------------------------------------------------------------------------


LIVES = {
    "works": "ok",
    "crashes": "crash,recover",
    "repairs": "wrong,ok",
    "commits": "commit",
    "commits_wrong": "commit-wrong,ok",
    "deletes_git": "no-git",
    "wipes": "wipe,ok",
    "locks": "git-lock",
    "nests": "nested",
    "serves": "server",
    "moves_target": "target,ok",
    "killed": "segv,ok",
}


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "confined", [False, pytest.param(True, marks=pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE))]
)
def test_every_kind_of_attempt_ends_as_in_a_worktree(tmp_path: Path, confined: bool) -> None:
    project = Project(tmp_path, settings={"workspace": {"kind": "clone"}, "profiles": {"default": {"scope": "any"}}})
    project.configure(landing={"gate": ["git log --oneline | grep -q . && git diff --exit-code"], "wait_s": 0})
    if confined:
        project.configure(workspace={"sandbox": "bwrap", "writable": [str(project.ledger_path)]})
    project.plans(**LIVES)
    assert project.settle() == dict.fromkeys(LIVES, "DONE"), project.story()
    assert sorted(project.landings()) == sorted(LIVES)
    for name, plan in LIVES.items():
        assert len(project.outcomes(name)) == len(plan.split(",")), f"{name}: {project.outcomes(name)}"
    assert project.git("branch", "--list", "mine-*") == "", "their branches are their own"
    project.git("fsck", "--full", "--strict")
    trees = project.root / ".agentjobs" / "trees"
    assert list(trees.glob(".*.git*")) == []
    assert project.processes() == []


def test_the_next_agent_finds_both_sides_of_a_conflict_in_its_own_repository(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"workspace": {"kind": "clone"}})
    project.rows(
        {"id": "slow", "out": "shared.txt", "plan": "@go ok,replace:slow"},
        {"id": "quick", "out": "shared.txt", "plan": "replace:quick"},
    )
    project.configure(slots=2, profiles={"default": {"scope": "any"}})
    project.dispatch()
    project.poll_until(lambda: project.statuses()["quick"] == "DONE")
    project.open()
    assert project.loop().last == 2
    assert project.statuses() == {"slow": "DONE", "quick": "DONE"}, project.story()
    assert project.landings()[0] == "quick"
    project.git("fsck", "--full", "--strict")


def test_failed_work_is_kept_and_cleaned(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"workspace": {"kind": "clone"}, "retry": {"repairs": 1, "restarts": 1}})
    project.plans(a="commit-wrong")
    assert project.settle() == {"a": "FAILED"}, project.story()
    assert project.modes("a")[-1] == "restart" or "restart" in project.modes("a")
    kept = project.git("for-each-ref", "--format=%(refname)", "refs/agentjobs/a")
    assert kept
    assert clone_dir(project.tree("a")).is_dir()
    project.run("clean", "--force", code=0)
    assert not clone_dir(project.tree("a")).exists()
    for ref in kept.splitlines():
        project.git("rev-list", "--objects", ref)
    project.git("fsck", "--full", "--strict")


def test_the_kind_may_change_in_the_middle(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"workspace": {"kind": "clone"}, "limits": {"run_attempts": 1}})
    project.plans(a="commit-wrong,commit-wrong,ok")
    project.dispatch()
    project.poll_until(lambda: project.outcomes("a") == ["verify_failed"])
    project.configure(workspace={"kind": "worktree"}, limits={"run_attempts": 2})
    project.poll_until(lambda: project.outcomes("a") == ["verify_failed", "verify_failed"])
    assert not clone_dir(project.tree("a")).exists()
    project.configure(workspace={"kind": "clone"}, limits={"run_attempts": None})
    assert project.settle() == {"a": "DONE"}, project.story()
