"""What an agent did is measured from the tree as it was handed over; setup and line endings are not its work."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentjobs.policy.policy import Workspace
from agentjobs.workspace import handed_over, worktree
from agentjobs.workspace.snapshot import differing
from tests.kit.repositories import contents, make_repository, sh, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.workspace.git import Git
    from tests.kit.harness import Project

TRACKED = {"t.txt": "t\n", "d/t.txt": "dt\n", "d/e/t.txt": "det\n"}
UNTRACKED = ("u.txt", "d/u.txt", "gen/u.txt")
IGNORED = ("i.log", "d/i.log", "node_modules/x/i.js", "node_modules/i.js")
CONTENTS = ("", "one\n", "two\n", "x\r\ny\r\n")

edits = st.dictionaries(
    st.sampled_from([*TRACKED, *UNTRACKED, *IGNORED]), st.one_of(st.none(), st.sampled_from(CONTENTS)), max_size=5
)


@contextmanager
def a_tree() -> Iterator[tuple[Git, str, Path]]:
    with TemporaryDirectory(prefix="handed-") as directory:
        git = make_repository(Path(directory) / "repo", TRACKED)
        base = git.resolve("main")
        assert base
        tree = git.root / ".agentjobs" / "trees" / "t1"
        worktree.create(git, tree, base)
        yield git, base, tree


def edit(tree: Path, changes: dict[str, str | None]) -> None:
    for path, content in changes.items():
        if content is None:
            (tree / path).unlink(missing_ok=True)
        else:
            write(tree / path, content)


def state(tree: Path) -> dict[str, str]:
    files = (Path(top, name) for top, _, names in os.walk(tree) for name in names if name != ".git")
    return {str(path.relative_to(tree)): path.read_bytes().decode() for path in files}


def is_ignored(path: str) -> bool:
    return path in IGNORED


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(setup=edits, work=edits)
def test_only_what_the_agent_changed_lands_and_is_seen_by_checks(
    setup: dict[str, str | None], work: dict[str, str | None]
) -> None:
    with a_tree() as (git, base, tree):
        base_files = contents(git, base)
        edit(tree, setup)
        before = state(tree)
        worktree.note_handed(git, tree, with_setup=True)
        edit(tree, work)
        after = state(tree)
        taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "work", 0.0)
        expected = {}
        for path in {*base_files, *before, *after}:
            touched = after.get(path) != before.get(path)
            content = after.get(path) if touched and not is_ignored(path) else base_files.get(path)
            if content is not None:
                expected[path] = content
        assert contents(git, taken.commit) == expected
        _, again = worktree.restore(git, git.root, tree, taken.commit, Workspace())
        seen = state(tree)
        assert {path: seen.get(path) for path in expected} == expected, "the checks see what lands"
        beside = {path: content for path, content in before.items() if path not in base_files and path not in expected}
        spoilt = {path for path, content in beside.items() if after.get(path) != content}
        # Written anew with the same content is a change, too: nobody reads node_modules to compare it.
        assert spoilt == set() or again
        if not again:
            assert {path: seen[path] for path in seen if path not in expected} == beside, "and what setup made"
        else:
            assert set(seen) == set(expected), "or nothing else, before setup runs again"


def test_a_repair_may_put_back_what_setup_made_and_may_make_what_setup_had_made() -> None:
    with a_tree() as (git, base, tree):
        edit(tree, {"gen/u.txt": "one\n", "t.txt": "one\n", "d/t.txt": None})
        worktree.note_handed(git, tree, with_setup=True)
        edit(tree, {"gen/u.txt": "two\n", "d/e/t.txt": "two\n"})
        first = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "work", 0.0)
        assert git.changed(base, first.commit) == ("d/e/t.txt", "gen/u.txt")
        worktree.restore(git, git.root, tree, first.commit, Workspace())
        edit(tree, {"gen/u.txt": "one\n", "t.txt": "one\n", "d/t.txt": None})  # tracked files were reset meanwhile
        second = worktree.keep(git, tree, base, "refs/agentjobs/t1/2", "work", 0.0)
        assert git.changed(base, second.commit) == ("d/e/t.txt", "d/t.txt", "t.txt")


def test_what_setup_makes_again_is_no_work_either() -> None:
    with a_tree() as (git, base, tree):
        for _ in range(2):
            edit(tree, {"gen/u.txt": "one\n"})
            worktree.note_handed(git, tree, with_setup=True)
        assert worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "nothing", 0.0).commit == base


@pytest.mark.parametrize("more", ["true", "git add -A", "git add -A && git commit -qm setup"])
def test_what_setup_adds_to_the_index_is_there_for_the_checks(more: str) -> None:
    with a_tree() as (git, base, tree):
        edit(tree, {"u.txt": "one\n"})
        sh(tree, "sh", "-c", more)
        worktree.note_handed(git, tree, with_setup=True)
        edit(tree, {"t.txt": "work\n"})
        taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "work", 0.0)
        _, again = worktree.restore(git, git.root, tree, taken.commit, Workspace())
        assert (git.changed(base, taken.commit), again) == (("t.txt",), False)
        assert (tree / "u.txt").exists()


def test_an_ignored_file_that_a_task_is_to_write_is_no_work_as_setup_or_an_earlier_task_left_it() -> None:
    with a_tree() as (git, base, tree):
        edit(tree, {"i.log": "one\n"})
        worktree.note_handed(git, tree, with_setup=False, keep=("i.log",))
        kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "nothing", 0.0, named=("i.log",))
        assert kept.commit == base
        edit(tree, {"i.log": "two\n"})
        kept = worktree.keep(git, tree, base, "refs/agentjobs/t1/2", "work", 0.0, named=("i.log",))
        assert git.changed(base, kept.commit) == ("i.log",)


def test_a_tree_without_setup_holds_nothing_beside_its_commit_when_it_is_checked() -> None:
    with a_tree() as (git, base, tree):
        worktree.note_handed(git, tree, with_setup=False)
        edit(tree, {"t.txt": "new\n", "node_modules/dep/index.js": "x\n", "i.log": "x\n", "helper": "y\n"})
        write(tree / ".gitignore", "*.log\nnode_modules/\n.agentjobs/\nhelper\n")
        taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "work", 0.0)
        removed, again = worktree.restore(git, git.root, tree, taken.commit, Workspace())
        assert sorted(removed) == ["helper", "i.log", "node_modules/"]
        assert not again
        assert set(state(tree)) == set(contents(git, taken.commit))


def test_ignored_files_of_an_attempt_that_goes_on_stay() -> None:
    with a_tree() as (git, base, tree):
        edit(tree, {"t.txt": "new\n", "node_modules/dep/index.js": "x\n"})
        taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "work", 0.0)
        worktree.reset(git, tree, taken.commit)
        assert (tree / "node_modules/dep/index.js").exists()


ATTRIBUTES = {
    "crlf": ("*.bat text eol=crlf\n", b"a\r\nb\r\n"),
    "auto": ("* text=auto\n", b"a\r\nb\r\n"),
    "lf": ("*.bat text eol=lf\n", b"a\r\nb\r\n"),
    "ident": ("*.bat ident\n", b"$Id: 1234 $\n"),
    "filter": ("*.bat filter=pointer\n", b"content\n"),
    "utf16": ("*.bat text working-tree-encoding=UTF-16LE\n", b"a\n"),
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_a_file_that_differs_from_its_own_commit_at_once_is_not_changed(tmp_path: Path, kind: str) -> None:
    attributes, content = ATTRIBUTES[kind]
    git = make_repository(tmp_path / "repo", TRACKED)
    write(git.root / "build.bat", content)
    sh(git.root, "git", "add", "build.bat")
    sh(git.root, "git", "commit", "-qm", "content")
    write(git.root / ".gitattributes", attributes)
    sh(git.root, "git", "add", ".gitattributes")
    sh(git.root, "git", "commit", "-qm", "attributes")
    sh(git.root, "git", "config", "filter.pointer.clean", "sed s/content/pointer/")
    sh(git.root, "git", "config", "filter.pointer.smudge", "sed s/pointer/content/")
    base = git.resolve("main")
    assert base
    tree = tmp_path / "trees" / "t1"
    worktree.create(git, tree, base)
    assert worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "nothing", 0.0).commit == base
    os.utime(tree / "build.bat", (1, 1))
    write(tree / "t.txt", "work\n")
    taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/2", "work", 0.0)
    assert git.changed(base, taken.commit) == ("t.txt",)
    worktree.reset(git, tree, taken.commit)
    os.utime(tree / "build.bat", (1, 1))
    assert differing(git, tree) == ()
    write(tree / "build.bat", content + b"more\r\n")
    edited = worktree.keep(git, tree, base, "refs/agentjobs/t1/3", "work", 0.0)
    assert git.changed(base, edited.commit) == ("build.bat", "t.txt")
    assert differing(git, tree) == ("build.bat",)


def test_what_was_handed_is_forgotten_with_the_tree() -> None:
    with a_tree() as (git, base, tree):
        edit(tree, {"u.txt": "one\n"})
        worktree.note_handed(git, tree, with_setup=True)
        assert handed_over.read(tree).roots == ("u.txt",)
        worktree.remove(git, tree, force=True)
        worktree.create(git, tree, base)
        assert handed_over.read(tree) == handed_over.Handed()


@pytest.mark.parametrize("root", ["d/u", "d", "../../precious", "gen"])
def test_nothing_is_removed_through_a_link_or_above_the_tree(root: str) -> None:
    with a_tree() as (git, base, tree):
        write(git.root / "precious/u/file", "mine\n")
        edit(tree, {"d/u/x.log": "x\n", "gen/x.log": "x\n"})
        worktree.note_handed(git, tree, with_setup=True)
        record = tree.with_name(".t1.handed")
        record.write_bytes(record.read_bytes() + f"\0root\t\t{root}\0file\tm\t{root}/gone".encode())
        for name in ("d", "gen"):
            sh(tree, "rm", "-rf", name)
            (tree / name).symlink_to(git.root / "precious")
        taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "work", 0.0)
        worktree.restore(git, git.root, tree, taken.commit, Workspace())
        assert (git.root / "precious/u/file").read_text() == "mine\n"


def test_a_new_start_sees_nothing_of_the_agent_before_it_not_even_in_what_is_kept(project: Project) -> None:
    write(project.root / ".gitignore", "nm/\n.agentjobs/\n")
    sh(project.root, "git", "add", ".gitignore")
    sh(project.root, "git", "commit", "-qm", "ignore")
    do = 'cat >/dev/null; echo x > a.txt; test "$AGENTJOBS_ATTEMPT" != 1 || (mkdir -p p/nm; echo x > p/nm/x; exit 1)'
    project.configure(
        {
            "agents": {"shell": {"command": ["sh", "-c", do]}},
            "profiles": {"default": {"agent": "shell", "verify": ["test ! -e p/nm/x"]}},
        },
        workspace={"setup": "mkdir -p nm; echo d > nm/d", "keep": ["nm"]},
        retry={"resumes": 0, "repairs": 0, "restarts": 1, "diagnose_above": 1.0},
    )
    project.rows({"id": "a", "files": "a.txt"})
    assert project.settle() == {"a": "DONE"}, project.story()
