"""What only a submodule, or a worktree inside the tree, holds: it never lands as a pointer to nowhere, and is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.repositories import sh, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

SHELL = ["sh", "-c", 'cat >/dev/null; eval "$AGENTJOBS_ROW_DO"']
SETUP = "git -c protocol.file.allow=always submodule --quiet update --init --recursive"


@pytest.fixture(params=["worktree", "clone"])
def with_submodule(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """A project with a submodule ``vendor/lib``, which the user's own checkout has too."""
    lib = tmp_path / "lib"
    write(lib / "lib.txt", "lib\n")
    sh(lib, "git", "init", "-qb", "main")
    commit(lib, "lib")
    allow = ("git", "-c", "protocol.file.allow=always")
    sh(project.root, *allow, "submodule", "--quiet", "add", str(lib), "vendor/lib")
    sh(project.root, "git", "commit", "-qm", "submodule")
    project.configure(
        {"agents": {"shell": {"command": SHELL}}, "profiles": {"default": {"agent": "shell", "verify": ["true"]}}},
        workspace={"kind": request.param, "setup": SETUP},
        retry={"resumes": 0, "repairs": 0, "restarts": 0, "diagnose_above": 1.0},
    )
    return project


def commit(directory: Path, message: str) -> str:
    sh(directory, "git", "add", "-A")
    sh(directory, "git", "commit", "-qm", message)
    return sh(directory, "git", "rev-parse", "HEAD")


def run(project: Project, do: str, *, files: str = "vendor/lib", expected: str = "FAILED") -> dict[str, Any]:
    identity = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; "
    project.rows({"id": "a", "files": files, "do": identity + do})
    assert project.settle() == {"a": expected}, project.story()
    found: dict[str, Any] = project.attempts("a")[-1]["result"]
    return found


WORK = "cd vendor/lib && echo precious >> lib.txt"


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("do", "outcome"),
    [
        (f"{WORK} && git commit -qam work", "verify_failed"),
        (f"{WORK} && git checkout -qb topic && git commit -qam work", "verify_failed"),
        (f"{WORK} && git commit -qam work && echo more >> lib.txt", "verify_failed"),
        (WORK, "no_change"),
        ("echo precious > vendor/lib/new.txt", "no_change"),
        ("rm vendor/lib/lib.txt", "no_change"),
        (f"echo x > a.txt; {WORK}", "verify_failed"),
    ],
)
def test_work_that_only_the_submodule_in_the_tree_holds_is_refused_and_kept(
    with_submodule: Project, do: str, outcome: str
) -> None:
    project = with_submodule
    result = run(project, do, files="vendor/lib a.txt")
    assert result["outcome"] == outcome
    assert "submodule vendor/lib" in result["detail"]
    assert project.landed("vendor/lib") is None
    held = "refs/agentjobs/a/1.inside-1"
    assert held in result["detail"]
    listed = project.git("ls-tree", "-r", "--name-only", held).split()
    if "rm " in do:
        assert listed == []
    else:
        assert any("precious" in project.git("show", f"{held}:{name}") for name in listed)


def test_a_commit_that_others_have_lands(with_submodule: Project, tmp_path: Path) -> None:
    project = with_submodule
    write(tmp_path / "lib/new.txt", "new\n")
    new = commit(tmp_path / "lib", "new")
    fetch = "git -c protocol.file.allow=always fetch -q origin"
    run(project, f"cd vendor/lib && {fetch} && git checkout -q {new}", expected="DONE")
    assert project.git("rev-parse", "agentjobs/landed:vendor/lib") == new


def test_a_commit_that_the_users_own_checkout_of_the_submodule_has_lands(with_submodule: Project) -> None:
    project = with_submodule
    write(project.root / "vendor/lib/new.txt", "new\n")
    new = commit(project.root / "vendor/lib", "new")
    run(project, f"cd vendor/lib && git fetch -q {project.root}/vendor/lib && git checkout -q {new}", expected="DONE")
    assert project.git("rev-parse", "agentjobs/landed:vendor/lib") == new


def test_a_submodule_that_nobody_touched_is_no_obstacle(with_submodule: Project) -> None:
    run(with_submodule, "cat vendor/lib/lib.txt; echo x > a.txt", files="a.txt", expected="DONE")
    assert with_submodule.git("diff", "--name-only", "main", "agentjobs/landed") == "a.txt"


@pytest.mark.sample(1)
def test_a_new_round_begins_with_the_submodule_as_it_was(with_submodule: Project) -> None:
    project = with_submodule
    run(project, WORK)
    project.edit("a", status="TODO", do="test $(wc -l < vendor/lib/lib.txt) = 1 && echo x > a.txt", files="a.txt")
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}, project.story()
    assert "precious" in project.git("show", "refs/agentjobs/a/1.inside-1:lib.txt")


WORKTREE = "git worktree add -q -b claude/sub .claude/worktrees/sub"


@pytest.mark.sample(3)
@pytest.mark.parametrize("files", ["a.txt", ""])
@pytest.mark.parametrize("kind", ["worktree", "clone"])
@pytest.mark.parametrize("more", ["", "git add -A;", "echo precious > .claude/worktrees/sub/p.txt;"])
def test_a_worktree_inside_the_tree_is_no_content(project: Project, kind: str, files: str, more: str) -> None:
    project.configure(
        {"agents": {"shell": {"command": SHELL}}, "profiles": {"default": {"agent": "shell", "verify": ["true"]}}},
        workspace={"kind": kind},
    )
    run(project, f"{WORKTREE}; {more} echo x > a.txt", files=files, expected="DONE")
    assert project.git("diff", "--name-only", "main", "agentjobs/landed") == "a.txt"
    assert "prunable" not in project.git("worktree", "list")
    assert project.git("worktree", "list").count("\n") == 0
    if kind == "worktree":
        assert project.git("rev-parse", "claude/sub") == project.git("rev-parse", "main"), "its branch stays"
        if "precious" in more:
            assert project.git("show", "refs/agentjobs/a/1.worktree-1:p.txt") == "precious"


def test_work_inside_a_submodule_is_not_started_over(with_submodule: Project) -> None:
    project = with_submodule
    project.configure(retry={"restarts": 1})
    run(project, WORK)
    assert project.starts().total() <= 1
    assert "precious" in (project.tree("a") / "vendor/lib/lib.txt").read_text()


@pytest.mark.parametrize(
    "do", ["worktree add -qb topic .x/wt", "worktree add -q --detach .x/wt; cd .x/wt; $git checkout -q --orphan new"]
)
def test_what_a_worktree_in_an_ignored_place_or_without_a_commit_holds_is_kept(project: Project, do: str) -> None:
    write(project.root / ".gitignore", ".x/\n.agentjobs/\n")
    commit(project.root, "ignore")
    project.configure(
        {"agents": {"shell": {"command": SHELL}}, "profiles": {"default": {"agent": "shell", "verify": ["true"]}}},
    )
    run(
        project,
        f"echo x > a.txt; top=$PWD; git=git; git {do}; echo precious > $top/.x/wt/new.txt",
        files="a.txt",
        expected="DONE",
    )
    assert sh(project.root, "git", "show", "refs/agentjobs/a/1.worktree-1:new.txt") == "precious"
    assert ".x" not in sh(project.root, "git", "worktree", "list")


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("setup", "do", "ended"),
    [
        ("", "echo x > a.txt; echo precious > vendor/lib/new.txt", "FAILED"),
        (f"{SETUP} && echo o > vendor/lib/out.o && echo more >> vendor/lib/lib.txt", "echo x > a.txt", "DONE"),
        (f"{SETUP} && echo o > vendor/lib/out.o", "echo x > a.txt; echo more > vendor/lib/out.o", "FAILED"),
        (
            SETUP,
            f"echo x > a.txt; git rm -q --cached .gitmodules; rm .gitmodules; {WORK}; git commit -qam work",
            "FAILED",
        ),
    ],
)
def test_what_a_submodule_held_before_the_agent_is_no_obstacle_and_the_rest_never_lands_unseen(
    with_submodule: Project, setup: str, do: str, ended: str
) -> None:
    with_submodule.configure(workspace={"setup": setup})
    run(with_submodule, do, files="", expected=ended)


def test_ignored_files_inside_a_submodule_help_no_check(with_submodule: Project, tmp_path: Path) -> None:
    project = with_submodule
    write(tmp_path / "lib/.gitignore", "build/\n")
    new = commit(tmp_path / "lib", "ignore")
    allow = ("git", "-c", "protocol.file.allow=always")
    sh(project.root / "vendor/lib", *allow, "fetch", "-q", "origin")
    sh(project.root / "vendor/lib", "git", "checkout", "-q", new)
    sh(project.root, "git", "commit", "-qam", "newer")
    project.configure(profiles={"default": {"verify": ["test -e vendor/lib/build/flag"]}})
    result = run(project, "mkdir -p vendor/lib/build; : > vendor/lib/build/flag; echo x > a.txt", files="a.txt")
    assert result["outcome"] == "verify_failed"


def test_a_submodule_that_moved_is_there_for_the_checks(with_submodule: Project, tmp_path: Path) -> None:
    project = with_submodule
    write(tmp_path / "lib/new.txt", "new\n")
    new = commit(tmp_path / "lib", "new")
    fetch = "git -c protocol.file.allow=always fetch -q origin"
    project.configure(profiles={"default": {"verify": [
        "grep -qx new vendor/lib/new.txt", "test -s vendor/lib/lib.txt",
    ]}})  # fmt: skip
    run(project, f"cd vendor/lib && {fetch} && git checkout -q {new}", expected="DONE")
