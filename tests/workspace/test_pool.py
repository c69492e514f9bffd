"""pool.py and prepared.py: trees handed on from task to task, and a setup that is run when it must be."""

from __future__ import annotations

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

from agentjobs.model.errors import UserError
from agentjobs.policy.policy import Workspace
from agentjobs.workspace import pool, worktree
from agentjobs.workspace.setup import is_input, setup_done, setup_due
from agentjobs.workspace.worktree_admin import admin_dir
from tests.kit.harness import LONG_S
from tests.kit.repositories import make_repository, sh, write
from tests.workspace.test_worktree import assert_whole, held, wait_until

if TYPE_CHECKING:
    from agentjobs.workspace.git import Git
    from tests.kit.harness import Project

PACKAGE_ROOT = Path(__file__).parents[2]
KEEP = ("node_modules",)
FILES = {f"d{n % 5}/f{n}.txt": f"{n}\n" * 30 for n in range(60)}
SETTINGS = Workspace(setup="npm ci", keep=KEEP)

GO_ROUND = """
import sys
from pathlib import Path
from agentjobs.workspace import pool
from agentjobs.workspace.git import Git
root, tips = Path(sys.argv[1]), sys.argv[2:]
print("ready", flush=True)
number = 0
while True:
    for tip in tips:
        tree = root / ".agentjobs/trees" / f"t{number % 2}"
        pool.hand_out(Git(root), tree, root / ".agentjobs/spare", tip, keep=["node_modules"])
        (tree / "node_modules").mkdir(exist_ok=True)
        (tree / "node_modules" / "m.js").write_text("m")
        (tree / "left.log").write_text("left")
        pool.give_back(Git(root), tree, root / ".agentjobs/spare", most=2, keep=["node_modules"])
        number += 1
"""


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo", FILES)


@pytest.fixture
def trees(git: Git) -> Path:
    return git.root / ".agentjobs" / "trees"


@pytest.fixture
def spare(git: Git) -> Path:
    return git.root / ".agentjobs" / "spare"


def tip(git: Git) -> str:
    found = git.resolve("main")
    assert found
    return found


def move_on(git: Git, files: dict[str, str]) -> str:
    """Commit on main, as work that lands does."""
    for name, content in files.items():
        write(git.root / name, content)
    sh(git.root, "git", "add", "-A")
    sh(git.root, "git", "commit", "-q", "-m", "more")
    return tip(git)


def files_of(tree: Path) -> dict[str, str]:
    return {
        path.relative_to(tree).as_posix(): path.read_text()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.name != ".git"
    }


def wanted(git: Git) -> dict[str, str]:
    return {name: (git.root / name).read_text() for name in sh(git.root, "git", "ls-files").splitlines()}


# --- handing on -------------------------------------------------------------------------------------------


def test_a_tree_is_handed_on_and_only_what_differs_is_written(git: Git, trees: Path, spare: Path) -> None:
    assert pool.hand_out(git, trees / "a", spare, tip(git), keep=KEEP)
    assert not pool.hand_out(git, trees / "a", spare, tip(git), keep=KEEP)
    untouched = (trees / "a/d1/f1.txt").stat()
    pool.give_back(git, trees / "a", spare, most=2, keep=KEEP)
    assert not (trees / "a").exists()
    assert len(list(git.worktrees())) == 1
    new = move_on(git, {"d0/f0.txt": "new\n", "e/f.txt": "e\n"})
    assert pool.hand_out(git, trees / "b", spare, new, keep=KEEP)
    assert_whole(git, trees / "b", new)
    assert files_of(trees / "b") == wanted(git)
    again = (trees / "b/d1/f1.txt").stat()
    assert (again.st_ino, again.st_mtime_ns) == (untouched.st_ino, untouched.st_mtime_ns)
    assert pool.spares(spare) == []


@pytest.mark.parametrize("narrower", [False, True], ids=["as given back", "keep was taken out"])
def test_nothing_of_the_last_task_is_left(git: Git, trees: Path, spare: Path, narrower: bool) -> None:
    base, tree = tip(git), trees / "a"
    write(git.root / ".env", "KEY=1")
    sh(git.root, "git", "branch", "theirs")
    move_on(git, {".gitignore": "*.log\nnode_modules/\n.agentjobs/\n.env\nout/\n"})
    base = tip(git)
    pool.hand_out(git, tree, spare, base, keep=KEEP)
    worktree.setup_files(git, git.root, tree, copy=[".env"], link=[])
    write(tree / "node_modules/m/index.js", "m")
    write(tree / "out/deep/kept.txt", "ignored")
    write(tree / "d1/x.log", "ignored")
    (tree / "empty").mkdir()
    (tree / "out/inner").mkdir()
    sh(tree / "out/inner", "git", "init", "-q", ".")
    sh(tree, "git", "checkout", "-q", "theirs")
    sh(tree, "git", "update-index", "--assume-unchanged", "d1/f1.txt")
    sh(tree, "git", "update-index", "--skip-worktree", "d2/f2.txt")
    sh(tree, "git", "bisect", "start")
    worktree.keep(git, tree, base, "refs/agentjobs/a/1", "m", 1)
    pool.give_back(git, tree, spare, most=1, keep=KEEP)
    (found,) = pool.spares(spare)
    assert not (found / ".env").exists(), "no secret lies about"
    pool.hand_out(git, trees / "b", spare, base, keep=() if narrower else KEEP)
    assert_whole(git, trees / "b", base)
    expected = wanted(git) | ({} if narrower else {"node_modules/m/index.js": "m"})
    assert files_of(trees / "b") == expected
    assert not (trees / "b/empty").exists()
    assert set(sh(trees / "b", "git", "ls-files", "-v").splitlines()) == {f"H {name}" for name in wanted(git)}
    assert "bisect" not in sh(trees / "b", "git", "status").lower()
    admin = admin_dir(git, trees / "b")
    assert admin is not None
    assert not (admin / "logs/HEAD").exists() or "theirs" not in (admin / "logs/HEAD").read_text()
    assert sh(git.root, "git", "branch", "--format=%(worktreepath)", "--list", "theirs") == ""


def test_what_is_kept_but_no_longer_ignored_goes(git: Git, trees: Path, spare: Path) -> None:
    pool.hand_out(git, trees / "a", spare, tip(git), keep=KEEP)
    write(trees / "a/node_modules/m.js", "m")
    pool.give_back(git, trees / "a", spare, most=1, keep=KEEP)
    new = move_on(git, {".gitignore": ".agentjobs/\n"})
    pool.hand_out(git, trees / "b", spare, new, keep=KEEP)
    assert_whole(git, trees / "b", new)
    assert files_of(trees / "b") == wanted(git)


def test_kept_links_and_python_environments_go(git: Git, trees: Path, spare: Path, tmp_path: Path) -> None:
    keep = ("node_modules", "venv.log")
    write(tmp_path / "elsewhere/precious", "p")
    move_on(git, {".gitignore": "node_modules\n.agentjobs/\nvenv.log\n"})
    pool.hand_out(git, trees / "a", spare, tip(git), keep=keep)
    (trees / "a/node_modules").symlink_to(tmp_path / "elsewhere")
    write(trees / "a/venv.log/pyvenv.cfg", "home = x")
    pool.give_back(git, trees / "a", spare, most=1, keep=keep)
    pool.hand_out(git, trees / "b", spare, tip(git), keep=keep)
    assert files_of(trees / "b") == wanted(git)
    assert (tmp_path / "elsewhere/precious").exists()


# --- no work is lost --------------------------------------------------------------------------------------


def test_work_that_no_ref_keeps_stays_where_it_is(git: Git, trees: Path, spare: Path) -> None:
    tree, base = trees / "a", tip(git)
    pool.hand_out(git, tree, spare, base)
    write(tree / "work.txt", "w")
    with pytest.raises(UserError, match="holds work"):
        pool.give_back(git, tree, spare, most=2)
    sh(tree, "git", "add", "-A")
    sh(tree, "git", "commit", "-q", "-m", "on no branch")
    with pytest.raises(UserError, match="holds work"):
        pool.give_back(git, tree, spare, most=2)
    assert (tree / "work.txt").read_text() == "w"
    kept = worktree.keep(git, tree, base, "refs/agentjobs/a/1", "m", 1)
    pool.give_back(git, tree, spare, most=2)
    assert git.changed(base, kept.commit) == ("work.txt",)
    pool.hand_out(git, tree, spare, base)
    assert files_of(tree) == wanted(git)


def test_directories_that_are_not_ours_are_left_alone(git: Git, trees: Path, spare: Path, tmp_path: Path) -> None:
    write(trees / "a/novel.txt", "chapter one")
    with pytest.raises(UserError, match="holds work"):
        pool.give_back(git, trees / "a", spare, most=2)
    pool.hand_out(git, trees / "b", spare, tip(git))
    (trees / "b").rename(tmp_path / "moved")
    (trees / "b").symlink_to(tmp_path / "moved")
    pool.give_back(git, trees / "b", spare, most=2)
    assert pool.spares(spare) == []
    assert (tmp_path / "moved/d1/f1.txt").exists()
    write(spare / "7" / "thing.txt", "x")
    pool.hand_out(git, trees / "c", spare, tip(git))
    assert (spare / "7/thing.txt").exists()
    assert (trees / "a/novel.txt").exists()


# --- how many, broken ones, many at once ------------------------------------------------------------------


def test_no_more_than_asked_for_and_all_go_when_dropped(git: Git, trees: Path, spare: Path) -> None:
    for name in "abc":
        pool.hand_out(git, trees / name, spare, tip(git))
    for name in "abca":
        pool.give_back(git, trees / name, spare, most=2)
    assert len(pool.spares(spare)) == 2
    assert not list(trees.glob("[!.]*"))
    assert len(list(git.worktrees())) == 1
    assert pool.drop_all(spare) == 2
    assert not [path for path in spare.iterdir() if path.is_dir()]


@pytest.mark.parametrize("damage", ["index", "index is a directory", "no facts", "edited", "commit is gone"])
def test_a_spare_that_is_not_as_it_was_left(git: Git, trees: Path, spare: Path, damage: str) -> None:
    pool.hand_out(git, trees / "a", spare, tip(git))
    pool.give_back(git, trees / "a", spare, most=2)
    (found,) = pool.spares(spare)
    new = move_on(git, {"d0/f0.txt": "new\n"})
    if damage == "index":
        (found / ".git/index").write_bytes(b"DIRC" + bytes(64))
    elif damage == "index is a directory":
        (found / ".git/index").unlink()
        (found / ".git/index").mkdir()
    elif damage == "no facts":
        (found / ".git/agentjobs-spare").unlink()
    elif damage == "edited":
        write(found / "d0/f0.txt", "somebody was here\n")
    else:
        write(found / ".git/agentjobs-spare", '{"commit":"%s","keep":[]}' % ("1" * 40))
    pool.hand_out(git, trees / "b", spare, new)
    assert_whole(git, trees / "b", new)
    assert files_of(trees / "b") == wanted(git)


def test_sixteen_at_once(git: Git, trees: Path, spare: Path) -> None:
    names = [f"t{number}" for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        for new in (tip(git), move_on(git, {"d0/f0.txt": "1\n"})):
            assert all(threads.map(lambda name, at=new: pool.hand_out(git, trees / name, spare, at), names))
            for name in names:
                assert sh(trees / name, "git", "status", "--porcelain") == ""
                assert (trees / name / "d0/f0.txt").read_bytes() == git.run("show", f"{new}:d0/f0.txt").stdout
            list(threads.map(lambda name: pool.give_back(git, trees / name, spare, most=16), names))
            assert len(pool.spares(spare)) == 16


# --- killed anywhere --------------------------------------------------------------------------------------


@pytest.mark.sample(1)
@pytest.mark.parametrize("with_git", [True, False], ids=["git too", "git lives on"])
def test_killed_at_random(git: Git, trees: Path, spare: Path, with_git: bool) -> None:
    tips = [tip(git), move_on(git, {f"d{n % 5}/f{n}.txt": "new\n" for n in range(0, 60, 2)})]
    chance = random.Random(5)
    for _ in range(5):
        argv = [sys.executable, "-c", GO_ROUND, str(git.root), *tips]
        process = subprocess.Popen(argv, cwd=PACKAGE_ROOT, start_new_session=True, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        wait_until(lambda: held(trees / ".t0.lock") or held(trees / ".t1.lock"))
        end_at = time.monotonic() + chance.uniform(0, 0.3)
        wait_until(lambda end_at=end_at: time.monotonic() > end_at)
        (os.killpg if with_git else os.kill)(process.pid, signal.SIGKILL)
        process.wait(timeout=LONG_S)
        process.stdout.close()
        for number in (0, 1):
            tree = trees / f"t{number}"
            if not pool.hand_out(git, tree, spare, tips[1], keep=KEEP):
                worktree.reset(git, tree, tips[1])
                (tree / "left.log").unlink(missing_ok=True)
            assert_whole(git, tree, tips[1])
            found = files_of(tree)
            found.pop("node_modules/m.js", None)
            assert found == wanted(git)
            pool.give_back(git, tree, spare, most=2, keep=KEEP)
        assert len(list(git.worktrees())) == 1
    left = [path for path in spare.iterdir() if path.is_dir()]
    assert left
    assert sorted(left) == sorted(pool.spares(spare)), "all of it is usable, and nothing waits to be deleted"
    assert not list(trees.glob("[!.]*")), "nothing of ours is taken for somebody's work"


# --- setup ------------------------------------------------------------------------------------------------


def test_a_setup_holds_until_its_inputs_change(git: Git, trees: Path, spare: Path) -> None:
    first = move_on(git, {"package.json": "{}", "web/package.json": "{}"})
    pool.hand_out(git, trees / "a", spare, first, keep=KEEP)
    assert setup_due(git, trees / "a", first, SETTINGS)
    setup_done(git, trees / "a", first, SETTINGS)
    assert setup_due(git, trees / "a", first, SETTINGS), "it left nothing that is kept"
    write(trees / "a/web/node_modules/m.js", "m")
    setup_done(git, trees / "a", first, SETTINGS)
    assert not setup_due(git, trees / "a", first, SETTINGS)
    same = move_on(git, {"d0/f0.txt": "new\n"})
    pool.give_back(git, trees / "a", spare, most=1, keep=KEEP)
    pool.hand_out(git, trees / "b", spare, same, keep=KEEP)
    assert not setup_due(git, trees / "b", same, SETTINGS)
    other = move_on(git, {"web/package.json": '{"name": "web"}'})
    worktree.reset(git, trees / "b", other)
    worktree.reset(git, trees / "b", same)
    assert setup_due(git, trees / "b", same, SETTINGS), "it stood on other inputs in between"


@pytest.mark.parametrize("change", ["command", "copy", "path", "emptied", "keep"])
def test_what_else_makes_a_setup_due(git: Git, trees: Path, spare: Path, change: str) -> None:
    base, tree = tip(git), trees / "a"
    pool.hand_out(git, tree, spare, base, keep=KEEP)
    write(tree / "node_modules/m.js", "m")
    setup_done(git, tree, base, SETTINGS)
    settings = SETTINGS
    if change == "command":
        settings = Workspace(setup="npm install", keep=KEEP)
    elif change == "copy":
        settings = Workspace(setup="npm ci", keep=KEEP, copy=(".npmrc",))
    elif change == "keep":
        settings = Workspace(setup="npm ci")
    else:
        (tree / "node_modules/m.js").unlink()
        if change == "path":
            (tree / "node_modules").rmdir()
    assert setup_due(git, tree, base, settings)
    assert setup_due(git, tree, base, SETTINGS), "forgotten"


def test_names_of_inputs() -> None:
    inputs = Workspace().inputs
    named = ("package.json", "a/b/package.json", "requirements-dev.txt", "x/go.sum")
    assert all(is_input(path, inputs) for path in named)
    assert not any(is_input(path, inputs) for path in ("package.json.js", "src/packages.json", "requirements/a.py"))
    assert is_input("conf/tool.toml", ["conf/*.toml"])
    assert not is_input("a/conf/tool.toml", ["conf/*.toml"])


# --- the whole program ------------------------------------------------------------------------------------

SETUP = 'mkdir -p node_modules && echo "$AGENTJOBS_TASK" | tee -a node_modules/by >>"$AGENTJOBS_ROOT/../setups"'
IGNORES = {".gitignore": ".agentjobs/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\nnode_modules/\n*.log\n"}


def setups(project: Project) -> list[str]:
    path = project.directory / "setups"
    return path.read_text().split() if path.exists() else []


def use(project: Project, **workspace_settings: object) -> None:
    (project.root / ".gitignore").write_text(IGNORES[".gitignore"])
    (project.root / "package.json").write_text("{}\n")
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "a package")
    project.configure(
        slots=1, verify_slots=1, workspace={"setup": SETUP, **workspace_settings},
        profiles={"default": {"verify": ["test -s node_modules/by"]}},
    )  # fmt: skip


def test_setup_runs_once_while_its_inputs_stand(project: Project) -> None:
    use(project, keep=["node_modules"])
    project.rows(
        {"id": "a", "plan": "ok"},
        {"id": "b", "plan": "ok", "after": "a", "out": "package.json"},  # so it must run again for c
        {"id": "c", "plan": "ok", "after": "b"},
        {"id": "d", "plan": "ok", "after": "c"},
    )
    assert project.settle() == dict.fromkeys("abcd", "DONE")
    assert setups(project) == ["a", "c"]
    assert [start.tree for start in project.ledger()] == [str(project.tree(name)) for name in "abcd"]
    assert len(pool.spares(project.root / ".agentjobs/spare")) == 1
    project.run("clean", code=0)
    assert pool.spares(project.root / ".agentjobs/spare") == []


def test_setup_runs_for_each_task_without_keep(project: Project) -> None:
    use(project)
    project.rows({"id": "a", "plan": "ok"}, {"id": "b", "plan": "ok", "after": "a"})
    assert project.settle() == dict.fromkeys("ab", "DONE")
    assert setups(project) == ["a", "b"]
    assert not project.tree("a").exists()


def test_a_restart_does_not_repeat_the_setup(project: Project) -> None:
    use(project, keep=["node_modules"])
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 1})
    project.plans(a="crash,ok")
    assert project.settle() == {"a": "DONE"}
    assert project.modes("a") == ["first", "restart"]
    assert setups(project) == ["a"]
