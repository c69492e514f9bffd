"""Sparse trees: only what a task needs is checked out, and what is not is neither lost nor taken for deleted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.policy import Workspace
from agentjobs.workspace import pool, target_branch, worktree
from agentjobs.workspace.git import Git
from agentjobs.workspace.setup import setup_done, setup_due
from agentjobs.workspace.snapshot import snapshot
from agentjobs.workspace.sparse import checked_out, covers, directories, merged, patterns, set_checked_out, widened
from agentjobs.workspace.worktree_admin import SEED_INDEX, admin_dir, head
from tests.kit.harness import Project
from tests.kit.repositories import contents, make_repository, sh, write

pytestmark = pytest.mark.sample(2)

FILES = {
    "top.txt": "top\n",
    "packages/list.txt": "a b c\n",
    **{f"packages/{name}/{path}": f"{name} {path}\n" for name in "abc" for path in ("x.txt", "y.txt", "deep/z.txt")},
    "tools/run.sh": "true\n",
    "docs/d.txt": "d\n",
    "docs/more/e.txt": "e\n",
    "[odd] *\\name/f.txt": "f\n",
}
TOP = {".gitignore", "top.txt"}
A = ("packages/a/",)
OF_A = {*TOP, "packages/list.txt", "packages/a/x.txt", "packages/a/y.txt", "packages/a/deep/z.txt"}
OF_B = {path.replace("/a/", "/b/") for path in OF_A}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("original") / "repo", FILES).root


@pytest.fixture
def git(original: Path, tmp_path: Path) -> Git:
    sh(tmp_path, "cp", "-r", str(original), "repo")
    return Git(tmp_path / "repo")


@pytest.fixture
def base(git: Git) -> str:
    return tip(git)


@pytest.fixture
def trees(git: Git) -> Path:
    return git.root / ".agentjobs" / "trees"


@pytest.fixture
def spare(git: Git) -> Path:
    return git.root / ".agentjobs" / "spare"


@pytest.fixture
def tree(git: Git, base: str, trees: Path, spare: Path) -> Path:
    assert pool.hand_out(git, trees / "t1", spare, base, sparse=A)
    return trees / "t1"


def tip(git: Git) -> str:
    found = git.resolve("main")
    assert found
    return found


def on_disk(tree: Path) -> set[str]:
    return {p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file() and p.name != ".git"}


def commit_on(git: Git, commit: str, changes: dict[str, str | None]) -> str:
    """Return a commit on ``commit`` with these files written (None: deleted), made elsewhere."""
    other = git.root.parent / "other"
    sh(git.root, "git", "worktree", "add", "-q", "--detach", str(other), commit)
    for path, content in changes.items():
        if content is None:
            (other / path).unlink()
        else:
            write(other / path, content)
    sh(other, "git", "add", "-A")
    sh(other, "git", "commit", "-q", "-m", "elsewhere")
    made = sh(other, "git", "rev-parse", "HEAD")
    sh(git.root, "git", "worktree", "remove", "--force", str(other))
    return made


def assert_clean(git: Git, tree: Path, commit: str, files: set[str]) -> None:
    """The tree is on the commit, contains only these of its files, and git reports no change."""
    assert on_disk(tree) == files
    assert sh(tree, "git", "rev-parse", "HEAD") == commit
    assert sh(tree, "git", "status", "--porcelain") == ""
    assert sh(tree, "git", "diff", "--stat", "HEAD") == ""
    assert snapshot(git, tree, commit, "m", 1).commit == commit
    for path in files:
        assert (tree / path).read_bytes() == git.run("cat-file", "blob", f"{commit}:{path}").stdout


# --- which directories ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "held"),
    [
        ((), ("tools/",)),
        (("packages/a/x.txt", "./packages//a/y.txt"), ("packages/a/", "tools/")),
        (("packages/a/deep/z.txt", "packages/b"), ("packages/a/deep/", "packages/b/", "tools/")),
        (("packages/a/**/*.txt", "packages/a/deep/z.txt", "tools/x"), ("packages/a/", "tools/")),
        (("packages/*/x.txt",), ("packages/", "tools/")),
        (("packages/new", "packages/c/new/f.txt"), ("packages/c/new/f.txt/", "packages/new/", "tools/")),
        (("top.txt", "*.txt", "new.txt"), ("new.txt/", "tools/")),
        (("**/*.txt",), ()),
        (("*/x.txt",), ()),
        ((".",), ()),
        (("[odd] *\\name/f.txt", "docs/d[ab].txt"), ()),
        (("docs/d[ab].txt",), ("docs/", "tools/")),
    ],
)
def test_the_directories_of_a_task(git: Git, base: str, files: tuple[str, ...], held: tuple[str, ...]) -> None:
    assert directories(git, base, ("tools",), files) == held
    assert directories(git, base, (), files) == ()


PATHS = st.lists(st.sampled_from(["a", "b", "*", "c d "]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=30, deadline=None)
@given(st.lists(PATHS, min_size=1), st.lists(PATHS))
def test_more_directories_are_never_fewer(held: list[str], more: list[str]) -> None:
    whole = merged([f"{path}/" for path in held], [f"{path}/" for path in held])
    wide = widened(whole, [f"{path}/f" for path in more])
    assert covers(wide, whole)
    assert covers((), wide)
    assert not covers(wide, ())
    lines = patterns(wide).splitlines()
    assert len(lines) == len(set(lines))
    assert {f"/{path}/".replace("*", "\\*").encode() for path in held if f"{path}/" in wide} <= set(lines)


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "a/*", "a[b]", "", ".", "./a", "a//b", "!a", "a\\b"])
def test_what_cannot_be_a_directory(path: str) -> None:
    quoted = path.replace("\\", "\\\\")
    with pytest.raises(UserError, match=r"not the path of a directory below") as error:
        parse_policy(f'[workspace]\nsparse = ["ok", "{quoted}"]\n'.encode())
    assert error.value.line == 2


def test_directories_can_be_named() -> None:
    assert parse_policy(b'[workspace]\nsparse = ["packages/a", "tools/", ".github"]\n').workspace.sparse


# --- what an agent meets ----------------------------------------------------------------------------------


def test_a_tree_holds_what_it_should_and_the_repository_is_as_it_was(
    git: Git, base: str, tree: Path, trees: Path, spare: Path
) -> None:
    assert_clean(git, tree, base, OF_A)
    config = (git.common_dir / "config").read_bytes()
    odd = directories(git, base, ("[odd] *\\name",), ())
    pool.hand_out(git, trees / "t2", spare, base, sparse=odd)
    assert_clean(git, trees / "t2", base, {*TOP, "[odd] *\\name/f.txt"})
    pool.hand_out(git, trees / "t3", spare, base)
    assert_clean(git, trees / "t3", base, {*FILES, ".gitignore"})
    worktree.create(git, trees / "gate", base)
    assert_clean(git, trees / "gate", base, {*FILES, ".gitignore"})
    assert (git.common_dir / "config").read_bytes() == config
    assert not (git.common_dir / "config.worktree").exists()
    assert not (git.common_dir / "info/sparse-checkout").exists()
    assert sh(git.root, "git", "status", "--porcelain") == ""


def test_a_user_who_has_a_sparse_checkout(git: Git, base: str, trees: Path, spare: Path) -> None:
    sh(git.root, "git", "sparse-checkout", "set", "docs")
    before = on_disk(git.root)
    pool.hand_out(git, trees / "t", spare, base, sparse=A)
    assert_clean(git, trees / "t", base, OF_A)
    assert {path for path in on_disk(git.root) if not path.startswith((".git/", ".agentjobs/"))} <= before
    assert sh(git.root, "git", "sparse-checkout", "list") == "docs"


def test_add_all_and_commit_delete_nothing(git: Git, base: str, tree: Path) -> None:
    write(tree / "packages/a/x.txt", "work\n")
    write(tree / "packages/a/new.txt", "new\n")
    (tree / "packages/a/y.txt").unlink()
    sh(tree, "git", "add", "-A")
    sh(tree, "git", "commit", "-q", "-m", "mine")
    want = {"packages/a/x.txt", "packages/a/new.txt", "packages/a/y.txt"}
    assert set(git.changed(base, sh(tree, "git", "rev-parse", "HEAD"))) == want
    taken = snapshot(git, tree, base, "m", 1)
    assert set(git.changed(base, taken.commit)) == want


def test_what_is_written_where_nothing_is_checked_out_counts(git: Git, base: str, tree: Path, tmp_path: Path) -> None:
    write(tree / "docs/d.txt", "changed\n")
    write(tree / "docs/new.txt", "new\n")
    write(tree / "packages/b/x.txt", FILES["packages/b/x.txt"])  # as it is anyway
    write(tree / "tools", "a file in the place of a directory\n")
    write(tree / "packages/c/y.txt/inner.txt", "a directory in the place of a file\n")
    (tree / "packages/c/deep").symlink_to(tmp_path)  # a link in the place of a directory
    taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    found = contents(git, taken.commit)
    assert found["docs/d.txt"] == "changed\n"
    assert set(git.changed(base, taken.commit)) == {
        "docs/d.txt", "docs/new.txt", "tools", "tools/run.sh",
        "packages/c/y.txt", "packages/c/y.txt/inner.txt", "packages/c/deep", "packages/c/deep/z.txt",
    }  # fmt: skip
    # The checks, and the next agent, find what this one made, and what lies beside it.
    worktree.reset(git, tree, taken.commit)
    there = on_disk(tree)
    assert {"docs/d.txt", "docs/new.txt", "tools", "packages/c/y.txt/inner.txt", "packages/c/x.txt"} <= there
    assert {"docs/more/e.txt", "packages/b/x.txt", "tools/run.sh"} & there == set()
    assert sh(tree, "git", "status", "--porcelain") == ""
    assert snapshot(git, tree, taken.commit, "m", 1).commit == taken.commit


@pytest.mark.parametrize(
    "script",
    [
        "git ls-files -t -z | sed -z -n 's/^S //p' | git update-index -z --no-skip-worktree --stdin",
        "rm $(git rev-parse --git-dir)/index; git reset -q",
        "git sparse-checkout disable",
        "git sparse-checkout set --cone docs",
        "git sparse-checkout set --no-cone docs",
        "git checkout -q -- .",
        "git checkout -q --ignore-skip-worktree-bits HEAD -- docs",
        "git stash -q -u; git stash pop -q",
    ],
)
def test_whatever_an_agent_does_to_git(git: Git, base: str, tree: Path, script: str) -> None:
    write(tree / "packages/a/new.txt", "new\n")
    subprocess.run(["sh", "-c", script], cwd=tree, check=True, capture_output=True)
    write(tree / "packages/a/new.txt", "new\n")
    taken = snapshot(git, tree, base, "m", 1)
    assert git.changed(base, taken.commit) == ("packages/a/new.txt",)
    sh(tree, "git", "add", "-A", "--sparse")
    sh(tree, "git", "commit", "-q", "-m", "mine")
    assert snapshot(git, tree, base, "m", 1) == taken
    worktree.reset(git, tree, taken.commit)
    assert_clean(git, tree, taken.commit, {*OF_A, "packages/a/new.txt"})
    assert sh(tree, "git", "ls-files", "-t").count("S ") == len({*FILES, ".gitignore"} - OF_A)


def test_work_is_the_same_after_everything_was_checked_out(git: Git, base: str, tree: Path) -> None:
    sh(tree, "git", "sparse-checkout", "disable")
    write(tree / "docs/d.txt", "changed\n")
    sh(tree, "git", "commit", "-q", "-a", "-m", "mine")
    write(tree / "tools/run.sh", "false\n")
    taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    assert git.changed(base, taken.commit) == ("docs/d.txt", "tools/run.sh")
    worktree.reset(git, tree, taken.commit)
    assert_clean(git, tree, taken.commit, {*OF_A, "docs/d.txt", "tools/run.sh"})


def test_without_our_index_nothing_is_taken_for_deleted(git: Git, base: str, tree: Path) -> None:
    admin = admin_dir(git, tree)
    assert admin
    (admin / SEED_INDEX).unlink()
    assert snapshot(git, tree, base, "m", 1).commit == base
    (tree / "packages/a/x.txt").unlink()
    write(tree / "docs/d.txt", "changed\n")
    assert git.changed(base, snapshot(git, tree, base, "m", 1).commit) == ("docs/d.txt", "packages/a/x.txt")


def test_tracked_paths_cannot_be_placed_though_they_are_not_there(git: Git, tree: Path) -> None:
    write(git.root / "docs/own.log", "ignored")
    for path in ("docs", "docs/d.txt"):
        with pytest.raises(UserError, match="tracked by git"):
            worktree.setup_files(git, git.root, tree, copy=[path], link=[])
    worktree.setup_files(git, git.root, tree, copy=["docs/own.log"], link=[])
    assert (tree / "docs/own.log").exists()


# --- merges -----------------------------------------------------------------------------------------------


def test_what_lands_elsewhere_stays_elsewhere(git: Git, base: str, tree: Path) -> None:
    new = commit_on(git, base, {"docs/d.txt": "landed\n", "docs/more/e.txt": None, "packages/a/y.txt": "landed\n"})
    write(tree / "packages/a/x.txt", "work\n")
    taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    done = target_branch.integrate(git, tree, taken.commit, new, "m", 1)
    assert_clean(git, tree, done.commit, OF_A)
    assert git.changed(new, done.commit) == ("packages/a/x.txt",)


def test_conflicts_are_written_out_wherever_they_are(git: Git, base: str, tree: Path) -> None:
    new = commit_on(git, base, {"docs/d.txt": "landed\n", "packages/b/x.txt": "landed\n"})
    write(tree / "docs/d.txt", "work\n")
    write(tree / "docs/more/new.txt", "new\n")
    write(tree / "packages/a/x.txt", "work\n")
    taken = worktree.keep(git, tree, base, "refs/agentjobs/t1/1", "m", 1)
    set_checked_out(tree, A)  # as if somebody had made the tree again since
    done = target_branch.integrate(git, tree, taken.commit, new, "m", 1)
    assert done.conflicts == ("docs/d.txt",)
    assert head(git, tree) == new
    assert on_disk(tree) == {*OF_A, "docs/d.txt", "docs/more/e.txt", "docs/more/new.txt"}
    assert "<<<<<<<" in (tree / "docs/d.txt").read_text()
    assert sh(tree, "git", "status", "--porcelain").split() == [
        "M", "docs/d.txt", "M", "packages/a/x.txt", "??", "docs/more/new.txt",
    ]  # fmt: skip
    shown = snapshot(git, tree, new, "m", 1)
    assert shown.tree == done.tree, "all that was merged counts as the task's, and nothing else"


# --- handed on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moved", "meddled"), [(False, False), (True, True)], ids=["as it was", "moved, all of it checked out"]
)
@pytest.mark.parametrize(
    ("before", "after", "files"),
    [(A, ("packages/b/",), OF_B), (A, (), {*FILES, ".gitignore"}), ((), A, OF_A), (A, ("docs",), None)],
)
def test_the_next_task_gets_what_it_should(
    git: Git, base: str, trees: Path, spare: Path, before: tuple[str, ...], after: tuple[str, ...],
    files: set[str] | None, moved: bool, meddled: bool,
) -> None:  # fmt: skip
    pool.hand_out(git, trees / "a", spare, base, keep=("node_modules",), sparse=before)
    write(trees / "a/packages/b/node_modules/m.js", "m")
    if meddled:
        sh(trees / "a", "git", "sparse-checkout", "disable")
    pool.give_back(git, trees / "a", spare, most=2, keep=("node_modules",))
    assert not list(trees.glob(".a.sparse"))
    changes: dict[str, str | None] = {path: "new\n" for path in FILES if path.endswith("x.txt")}
    new = commit_on(git, base, changes) if moved else base
    pool.hand_out(git, trees / "b", spare, new, keep=("node_modules",), sparse=after)
    assert checked_out(trees / "b") == after
    (trees / "b/packages/b/node_modules/m.js").unlink()
    assert_clean(git, trees / "b", new, files or {*TOP, "docs/d.txt"})
    assert pool.spares(spare) == []


def test_a_spare_whose_index_is_broken_leaves_nothing_behind(git: Git, base: str, trees: Path, spare: Path) -> None:
    pool.hand_out(git, trees / "a", spare, base)
    pool.give_back(git, trees / "a", spare, most=2)
    (found,) = pool.spares(spare)
    (found / ".git/index").write_bytes(b"DIRC" + bytes(64))
    write(found / "docs/d.txt", "somebody was here\n")
    pool.hand_out(git, trees / "b", spare, base, sparse=A)
    assert_clean(git, trees / "b", base, OF_A)


def test_read_only_directories_do_not_keep_what_is_not_wanted(git: Git, base: str, tree: Path) -> None:
    write(tree / "docs/d.txt", "changed\n")
    (tree / "docs").chmod(0o500)
    worktree.reset(git, tree, base)
    assert_clean(git, tree, base, OF_A)


def test_a_setup_counts_for_the_same_directories_alone(git: Git, base: str, trees: Path, spare: Path) -> None:
    wanted = Workspace(setup="npm ci", keep=("node_modules",))
    for name, held in (("a", A), ("b", ("packages/b/",))):
        pool.hand_out(git, trees / name, spare, base, keep=wanted.keep, sparse=held)
        write(trees / name / "node_modules/m.js", "m")
        setup_done(git, trees / name, base, wanted)
    for name in "ab":
        pool.give_back(git, trees / name, spare, most=2, keep=wanted.keep)
    pool.hand_out(git, trees / "c", spare, base, keep=wanted.keep, sparse=A)
    assert not setup_due(git, trees / "c", base, wanted), "the spare that fits was taken"
    pool.hand_out(git, trees / "d", spare, base, keep=wanted.keep, sparse=A)
    assert setup_due(git, trees / "d", base, wanted)


@pytest.mark.parametrize("wanted", [("docs/", "packages/a/"), ()], ids=["more", "everything"])
def test_a_task_that_is_given_more_keeps_its_work(
    git: Git, base: str, tree: Path, spare: Path, wanted: tuple[str, ...]
) -> None:
    write(tree / "packages/a/x.txt", "work\n")
    write(tree / "tools/run.sh", "work\n")
    (tree / "packages/a/y.txt").unlink()
    before = snapshot(git, tree, base, "m", 1)
    assert not pool.hand_out(git, tree, spare, base, sparse=wanted)
    assert (tree / "docs/more/e.txt").exists()
    assert (tree / "packages/b/x.txt").exists() is not bool(wanted)
    assert (tree / "tools/run.sh").read_text() == "work\n"
    assert snapshot(git, tree, base, "m", 1) == before
    assert not pool.hand_out(git, tree, spare, base, sparse=A), "what it has is enough"
    assert snapshot(git, tree, base, "m", 1) == before
    worktree.reset(git, tree, base, sparse=A)
    assert_clean(git, tree, base, OF_A)


def test_a_tree_that_somebody_removed_is_made_as_it_was(git: Git, base: str, tree: Path) -> None:
    sh(tree.parent, "rm", "-rf", tree.name)
    assert worktree.create(git, tree, base)
    assert_clean(git, tree, base, OF_A)
    worktree.remove(git, tree)
    assert worktree.create(git, tree, base)
    assert_clean(git, tree, base, {*FILES, ".gitignore"})


@pytest.mark.parametrize("tree_too", [False, True])
def test_killed_while_it_was_reset(git: Git, base: str, tree: Path, tree_too: bool) -> None:
    new = commit_on(git, base, {"docs/d.txt": "new\n", "packages/a/x.txt": "new\n"})
    over = commit_on(git, new, {"docs/more/e.txt": "over\n"}) if tree_too else ""
    admin = admin_dir(git, tree)
    assert admin
    (admin / SEED_INDEX).replace(admin / "index")
    (tree / "packages/a/x.txt").unlink()
    write(admin / "info/sparse-checkout", "")
    write(tree.parent / f".{tree.name}.lock", f"reset {new} {over and git.tree_of(over)}\n")
    assert not worktree.create(git, tree, base)
    if tree_too:
        assert git.tree_of(over) == snapshot(git, tree, new, "m", 1).tree
        assert on_disk(tree) == {*OF_A, "docs/d.txt", "docs/more/e.txt"}
    else:
        assert_clean(git, tree, new, OF_A)


# --- all of it --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_large_repository_from_dispatch_to_landing(tmp_path: Path) -> None:
    files = {f"packages/p{n // 250}/src/f{n % 250}.txt": f"{n}\n" for n in range(5000)} | {"tools/t/run.sh": "true\n"}
    seen = "find . -name '*.txt' -o -name '*.sh' | grep -v ./.git | sort >$AGENTJOBS_ROOT/../seen.$AGENTJOBS_TASK"
    project = Project(
        tmp_path,
        files=files,
        settings={
            "slots": 3,
            "workspace": {"sparse": ["tools"]},
            "profiles": {"default": {"verify": [seen]}},
            "landing": {"gate": ["test $(find packages -name '*.txt' | wc -l) -gt 5000"]},
        },
    )
    rows = [
        {"id": f"t{n}", "plan": "ok", "files": f"packages/p{n}/src/", "out": f"packages/p{n}/src/out.txt"}
        for n in range(2)
    ]
    config = (project.root / ".git/config").read_bytes()
    # It names no files, so it may write anywhere.
    project.rows(*rows, {"id": "free", "plan": "fail,ok", "out": "packages/p9/src/f3.txt"})
    assert set(project.settle().values()) == {"DONE"}, project.story()
    for n in range(2):
        seen_by = (tmp_path / f"seen.t{n}").read_text().split()
        assert seen_by == sorted(
            ["./tools/t/run.sh", f"./packages/p{n}/src/out.txt", *(f"./packages/p{n}/src/f{k}.txt" for k in range(250))]
        )
    assert len((tmp_path / "seen.free").read_text().split()) == 251
    assert sorted(project.landings()) == ["free", "t0", "t1"]
    changed = project.git("diff", "--name-status", "main", "agentjobs/landed").split()
    assert changed == [
        "A", "packages/p0/src/out.txt", "A", "packages/p1/src/out.txt",
        "M", "packages/p9/src/f3.txt",
    ]  # fmt: skip
    assert (project.root / ".git/config").read_bytes() == config
