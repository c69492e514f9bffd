"""Special files, depths and modes, the limits of git calls, whose trouble a failure is, and filters in the sandbox."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.disk import run_command
from agentjobs.disk.delete import delete, make_writable
from agentjobs.disk.plain_files import names_in, read_plain
from agentjobs.disk.write import replace_file
from agentjobs.model.errors import GitError, MachineError, TimedOut, TreeError, is_machines
from agentjobs.run.steps import sandbox
from agentjobs.workspace import git as git_module
from agentjobs.workspace import worktree
from agentjobs.workspace.git import Git
from agentjobs.workspace.git_filters import wrapped
from agentjobs.workspace.hazards import PATH_MAX, disarm
from tests.kit.harness import Project
from tests.kit.repositories import make_repository, sh, write

pytestmark = pytest.mark.sample(2)

TROUBLE = sandbox.trouble()
bubblewrap = pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE)


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def tree(git: Git) -> Path:
    path = git.root / ".agentjobs" / "trees" / "t1"
    assert worktree.create(git, path, git.resolve("main") or "")
    return path


def deep(top: Path, levels: int) -> None:
    """Make directories one inside the other, deeper than a path can be long."""
    top.mkdir(exist_ok=True)
    at = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 10, dir_fd=at)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)


# --- files and directories --------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [3, 600, 1500])
def test_a_directory_of_any_depth_is_made_writable_and_deleted(tmp_path: Path, levels: int) -> None:
    deep(tmp_path / "top", levels)
    (tmp_path / "kept").mkdir()
    write(tmp_path / "kept" / "file", "mine")
    (tmp_path / "top" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "top" / ("d" * 10)).chmod(0)
    make_writable(tmp_path / "top")
    delete(tmp_path / "top")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "mine"


def special(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")


KINDS = ("fifo", "directory", "loop", "link", "nothing")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_read_as_none_and_replaced(tmp_path: Path, kind: str) -> None:
    special(tmp_path / "fact", kind)
    special(tmp_path / "fact~", kind)
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "fact")
    replace_file(tmp_path / "fact", b"ours")
    assert read_plain(tmp_path / "fact") == b"ours"
    assert not (tmp_path / "fact").is_symlink()


def test_rights_that_somebody_took_away_are_taken_back(tmp_path: Path) -> None:
    below = tmp_path / ".agentjobs" / "attempts" / "a"
    below.mkdir(parents=True)
    write(below / "fact", b"ours")
    (below / "fact").chmod(0)
    below.chmod(0)
    assert names_in(below) == ["fact"]
    assert read_plain(below / "fact") == b"ours"


def test_what_git_would_wait_for_is_gone_before_it_runs(git: Git, tree: Path) -> None:
    (tree / "new" / ".git").mkdir(parents=True)
    for name in (".gitattributes", "lib/.gitignore", ".gitmodules", "new/.git/HEAD", "other"):
        os.mkfifo(tree / name)
    admin = git.common_dir / "worktrees" / "t1"
    (admin / "logs").mkdir(exist_ok=True)
    for name in ("index", "HEAD", "logs/HEAD"):
        (admin / name).unlink(missing_ok=True)
        os.mkfifo(admin / name)
    write(tree / "a.txt", "changed\n")
    taken = worktree.keep(git, tree, git.resolve("main") or "", "refs/agentjobs/t1/1", "m", 0.0)
    assert git.changed("main", taken.commit) == ("a.txt",)
    worktree.reset(git, tree, taken.commit)
    assert (tree / "a.txt").read_text() == "changed\n"


def test_a_tree_too_deep_for_git_is_that_trees_trouble(tree: Path) -> None:
    deep(tree / "deep", PATH_MAX // 10)
    with pytest.raises(TreeError, match="too deep"):
        disarm(tree)
    delete(tree)


@pytest.mark.parametrize("what", ["link", "repository"])
def test_a_repository_in_the_place_of_a_tree_is_put_aside(git: Git, tree: Path, tmp_path: Path, what: str) -> None:
    delete(tree)
    victim = tmp_path / "victim" if what == "link" else tree
    sh(tmp_path, "git", "init", "-q", str(victim))
    write(victim / "precious", "mine")
    if what == "link":
        tree.symlink_to(victim)
    assert worktree.create(git, tree, git.resolve("main") or "")
    kept = victim if what == "link" else tree.with_name("t1.aside-1")
    assert (kept / "precious").read_text() == "mine"
    assert (kept / ".git" / "HEAD").is_file()
    worktree.remove(git, tree, force=True)
    assert (kept / ".git" / "HEAD").is_file()


# --- git ----------------------------------------------------------------------------------------------------


def test_a_command_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    # It has much memory to free, so it still runs for a while after it was killed.
    code = "import mmap; m = mmap.mmap(-1, 384 << 20); m[::4096] = bytes(len(m) >> 12); open('big', 'w'); input()"
    script = 'sleep 600 | "$@" & echo $! >pid; wait'
    with pytest.raises(TimedOut):
        run_command.run(["sh", "-c", script, "sh", sys.executable, "-c", code], cwd=tmp_path, timeout_s=3)
    assert (tmp_path / "big").exists()
    pid = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_git_that_waits_is_the_trees_trouble(git: Git, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git.run("config", "filter.slow.clean", "sleep 600")
    write(tree / ".gitattributes", "* filter=slow\n")
    monkeypatch.setattr(git_module, "SLOW_S", 1.0)
    with pytest.raises(TreeError, match="was killed"):
        worktree.keep(git, tree, git.resolve("main") or "", "refs/agentjobs/t1/1", "m", 0.0)


def test_a_store_that_cannot_be_written_is_the_machines_trouble(
    git: Git, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Git, "_check_shared", lambda _: (_ for _ in ()).throw(MachineError("git hash-object failed")))
    (git.common_dir / "worktrees" / "t1" / "agentjobs-index").write_bytes(b"broken")
    with pytest.raises(MachineError):
        worktree.keep(git, tree, git.resolve("main") or "", "refs/agentjobs/t1/1", "m", 0.0)


@pytest.mark.parametrize(
    "place", ["refs/agentjobs/t1", "refs/heads/other", "logs/refs/heads/kept", "logs", "packed-refs"]
)
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_where_refs_and_their_logs_are_stops_no_git(
    git: Git, place: str, linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_command, "_LOOK_S", 0.2)
    path = git.common_dir / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(tmp_path / "aside")
    if linked:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    else:
        os.mkfifo(path)
    tip = git.resolve("main") or ""
    assert git.update_ref("refs/agentjobs/t1/1", tip, None)
    assert git.update_ref("refs/heads/kept", tip, None)
    assert "refs/heads/kept" in git.line("for-each-ref")


@pytest.mark.parametrize("name", ["packed-refs", "shallow"])
def test_what_is_broken_in_the_repository_is_no_trees_trouble(git: Git, tree: Path, name: str) -> None:
    base = git.resolve("main") or ""
    (git.common_dir / name).write_bytes(b"garbage")
    with pytest.raises(MachineError):
        worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 0.0)
    (git.common_dir / name).unlink()
    (git.common_dir / name).mkdir()
    worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 0.0)


def test_whose_trouble_an_error_is() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapping = GitError("cannot write")
    wrapping.__cause__ = full
    assert is_machines(full)
    assert is_machines(wrapping)
    assert not is_machines(TreeError("a tree"))
    assert not is_machines(PermissionError(errno.EACCES, "Permission denied"))


def test_work_that_the_machine_cannot_keep_waits_for_a_person(project: Project) -> None:
    """No attempt is spent and no agent started again; the run halts with git's words, and goes on when it can."""
    wrapper = project.directory / "bin" / "git"
    write(wrapper, f'#!/bin/sh\nfor word; do if [ "$word" = write-tree ] && [ -e {project.directory}/full ]; then '
          'echo "error: unable to write file x: No space left on device" >&2; exit 128; fi; done\n'
          f'PATH={os.environ["PATH"]} exec git "$@"\n')  # fmt: skip
    wrapper.chmod(0o755)
    (project.directory / "full").touch()
    env = {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
    project.plans(a="ok", b="ok")
    project.run("dispatch", code=0, env=env)
    code = 0
    while code == 0:
        said = project.run("poll", "--wait", "20", env=env)
        code = said.code
    assert code == 3, said
    assert "No space left on device" in said.stderr
    assert [start.attempt for start in project.ledger()] == [1, 1]
    (project.directory / "full").unlink()
    assert project.settle() == {"a": "DONE", "b": "DONE"}
    assert [start.attempt for start in project.ledger()] == [1, 1]


# --- filters ------------------------------------------------------------------------------------------------

ESCAPE = "echo escaped >{outside}/escaped; cat"


@pytest.mark.sample(2)
@bubblewrap
@pytest.mark.parametrize("kind", ["worktree", "clone"])
@pytest.mark.parametrize("driver", ["clean", "smudge", "process"])
def test_a_filter_runs_inside_the_sandbox(tmp_path: Path, kind: str, driver: str) -> None:
    project = Project(tmp_path, settings={"workspace": {"sandbox": "bwrap", "kind": kind}})
    outside = tmp_path / "outside"
    outside.mkdir()
    project.git("config", f"filter.theirs.{driver}", "sh ./tool.sh %f")
    agent = tmp_path / "agent.sh"
    write(agent, '#!/bin/sh\ncat >/dev/null\n'
          f"echo '{ESCAPE.format(outside=outside)}' >tool.sh\n"
          "echo '*.txt filter=theirs' >.gitattributes; echo ok >a.txt\n"
          'echo \'{"type":"result","is_error":false}\'\n')  # fmt: skip
    agent.chmod(0o755)
    project.configure(agents={"fake": {"command": [str(agent)], "resume": None}})
    project.plans(a="")
    project.settle()
    assert list(outside.iterdir()) == []


@bubblewrap
def test_a_filter_that_harms_nobody_works_in_the_sandbox(tmp_path: Path) -> None:
    files = {".gitattributes": "*.up filter=up\n"}
    project = Project(tmp_path, settings={"workspace": {"sandbox": "bwrap"}}, files=files)
    project.git("config", "filter.up.clean", "printf '%%s ' %f; tr a-z A-Z")
    agent = tmp_path / "agent.sh"
    name = "it's $(touch x) 100%.up"
    write(agent, '#!/bin/sh\ncat >/dev/null\necho ok >a.txt; echo word >"$NAME"\n'
          'echo \'{"type":"result","is_error":false}\'\n')  # fmt: skip
    agent.chmod(0o755)
    project.configure(agents={"fake": {"command": [str(agent)], "resume": None, "env": {"NAME": name}}})
    project.plans(a="")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.git("show", f"agentjobs/landed:{name}") == f"{name} WORD"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_a_path_is_never_part_of_a_script(path: str) -> None:
    value = wrapped("filter.x.clean", "printf %%s %f", ("env", "A=100%"))
    shell = value.replace("%f", "'" + path.replace("'", "'\\''") + "'").replace("%%", "%")  # as git does
    if "%" not in path:
        assert subprocess.run(["sh", "-c", shell], capture_output=True, check=True).stdout == path.encode()


@bubblewrap
def test_no_git_runs_inside_a_submodule_that_an_agent_made(tmp_path: Path) -> None:
    git = make_repository(tmp_path / "repo")
    inner = tmp_path / "inner"
    sh(tmp_path, "git", "init", "-q", str(inner))
    write(inner / "f", "hi\n")
    sh(inner, "git", "add", "f")
    sh(inner, "git", "commit", "-q", "-m", "inner")
    commit = sh(inner, "git", "rev-parse", "HEAD")
    sh(git.root, "git", "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    sh(git.root, "git", "commit", "-q", "-m", "with a submodule")
    tree = git.root / ".agentjobs" / "trees" / "t1"
    worktree.create(git, tree, git.resolve("main") or "")
    sh(tree, "git", "clone", "-q", str(inner), "sub")
    sh(tree / "sub", "git", "config", "filter.x.clean", f"touch {tmp_path}/escaped; cat")
    write(tree / "sub" / ".gitattributes", "* filter=x\n")
    write(tree / "sub" / "f", "ho\n")
    worktree.keep(git, tree, git.resolve("main") or "", "refs/agentjobs/t1/1", "m", 0.0)
    assert not (tmp_path / "escaped").exists()
