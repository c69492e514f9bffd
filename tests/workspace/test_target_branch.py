"""landing.py: serial landing on real repositories."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agentjobs.model.errors import GitError, UserError
from agentjobs.workspace import target_branch, trailers, worktree
from agentjobs.workspace.snapshot import snapshot
from agentjobs.workspace.worktree_admin import head
from tests.kit.repositories import contents, make_repository, sh, write

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.workspace.git import Git

TARGET = "agentjobs/landed"


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


def work(git: Git, tree: Path, base: str, files: dict[str, str]) -> str:
    worktree.create(git, tree, base)
    for name, content in files.items():
        write(tree / name, content)
    return worktree.keep(git, tree, base, f"refs/agentjobs/{tree.name}/1", "m", 1).commit


def test_eight_tasks_land_one_after_the_other(git: Git, base: str, trees: Path) -> None:
    commits = {}
    for number in range(8):
        name = f"t{number:02}"
        commits[name] = work(
            git, trees / name, base, {f"made/{name}.txt": name, "a.txt": "one\ntwo\nthree\n"}
        )
    for number, (name, commit) in enumerate(commits.items()):
        tip = target_branch.target_tip(git, TARGET, "main")
        message = trailers.landing_message(f"convert {name}", task=name, attempt=2, agent="scripted")
        made = target_branch.integrate(git, trees / name, commit, tip, message, 100 + number)
        assert made.conflicts == ()
        assert git.line("rev-list", "--parents", "-1", made.commit) == f"{made.commit} {tip}"
        assert head(git, trees / name) == made.commit
        assert git.changed(tip, made.commit) == (f"made/{name}.txt",)
        assert snapshot(git, trees / name, made.commit, "m", 1).commit == made.commit
        assert target_branch.land(git, TARGET, made.commit, tip)
        assert target_branch.land(git, TARGET, made.commit, tip), "done already"
        worktree.remove(git, trees / name)
    landed = contents(git, TARGET)
    assert {f"made/t{n:02}.txt" for n in range(8)} < set(landed)
    assert sh(git.root, "git", "rev-list", "--count", f"main..{TARGET}") == "8"
    shown = sh(git.root, "git", "log", "-1", "--format=%s|%(trailers:only,unfold,separator=;)", TARGET)
    assert shown == "convert t07|Agentjobs-Task: t07;Agentjobs-Attempt: 2;Agentjobs-Agent: scripted"
    assert sh(git.root, "git", "status", "--porcelain") == ""
    assert git.resolve("main") == base


def test_a_conflict_shows_both_sides_on_top_of_the_target(git: Git, base: str, trees: Path) -> None:
    mine = work(git, trees / "mine", base, {"a.txt": "one\nmine\nthree\n", "new.txt": "new"})
    theirs = work(git, trees / "theirs", base, {"a.txt": "one\ntheirs\nthree\n"})
    assert target_branch.land(git, TARGET, theirs, base)
    for _ in range(2):  # killed in the middle, it is done again
        made = target_branch.integrate(git, trees / "mine", mine, theirs, "m", 5)
    assert (made.commit, made.conflicts) == ("", ("a.txt",))
    assert "CONFLICT (content)" in made.messages[0]
    tree = trees / "mine"
    shown = (tree / "a.txt").read_text()
    assert "<<<<<<<" in shown
    assert {"mine", "theirs"} < set(shown.split())
    assert head(git, tree) == theirs
    assert sh(tree, "git", "status", "--porcelain").split("\n") == ["M a.txt", "?? new.txt"]
    left = snapshot(git, tree, theirs, "m", 6)
    assert target_branch.has_markers(git, git.changes(theirs, left.commit)) == ("a.txt",)
    write(tree / "a.txt", "one\nboth\nthree\n")
    resolved = snapshot(git, tree, theirs, "m", 7)
    assert target_branch.has_markers(git, git.changes(theirs, resolved.commit)) == ()
    done = target_branch.integrate(git, tree, resolved.commit, theirs, "m", 8)
    assert target_branch.land(git, TARGET, done.commit, theirs)
    assert contents(git, TARGET)["a.txt"] == "one\nboth\nthree\n"


def test_other_kinds_of_conflict_are_listed(git: Git, base: str, trees: Path) -> None:
    mine = work(git, trees / "mine", base, {"a.txt": "changed\n", "x": "a file", "caf\udce9": "mine\n"})
    worktree.create(git, trees / "theirs", base)
    (trees / "theirs" / "a.txt").unlink()
    theirs = work(git, trees / "theirs", base, {"x/y": "a directory", "caf\udce9": "theirs\n"})
    merged = git.merge(theirs, mine)
    assert "a.txt" in merged.conflicts
    assert "caf\udce9" in merged.conflicts
    assert any(path.startswith("x") for path in merged.conflicts)
    assert any("modify/delete" in message for message in merged.messages)
    made = target_branch.integrate(git, trees / "mine", mine, theirs, "m", 5)
    assert made.conflicts == merged.conflicts
    assert (trees / "mine" / "x" / "y").exists()


def test_work_that_is_in_the_target_already_adds_no_commit(git: Git, base: str, trees: Path) -> None:
    one = work(git, trees / "one", base, {"same": "s"})
    two = work(git, trees / "two", base, {"same": "s", "a.txt": "one\ntwo\nthree\n"})
    assert target_branch.land(git, TARGET, one, base)
    made = target_branch.integrate(git, trees / "two", two, one, "m", 5)
    assert (made.commit, made.tree, made.conflicts) == (one, git.tree_of(one), ())
    assert target_branch.land(git, TARGET, made.commit, one)


def test_renames_by_two_tasks_merge(git: Git, base: str, trees: Path) -> None:
    worktree.create(git, trees / "one", base)
    (trees / "one" / "lib" / "b.txt").rename(trees / "one" / "lib" / "b.md")
    one = work(git, trees / "one", base, {})
    two = work(git, trees / "two", base, {"lib/c.txt": "c"})
    assert target_branch.land(git, TARGET, one, base)
    made = target_branch.integrate(git, trees / "two", two, one, "m", 5)
    assert {"lib/b.md", "lib/c.txt"} < set(contents(git, made.commit)), "c.txt stays where it was written"


def test_a_moved_target_is_not_overwritten(git: Git, base: str, trees: Path) -> None:
    commits = [work(git, trees / f"t{n}", base, {f"f{n}": "x"}) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        landed = list(pool.map(lambda commit: target_branch.land(git, TARGET, commit, base), commits))
    assert sum(landed) == 1
    assert git.resolve(TARGET) == commits[landed.index(True)]


def test_the_target_is_made_from_base(git: Git, base: str) -> None:
    assert target_branch.target_tip(git, TARGET, "main") == base
    assert git.resolve(TARGET) is None
    with pytest.raises(UserError, match="base 'gone' is not a commit"):
        target_branch.target_tip(git, TARGET, "gone")


def test_a_target_that_is_checked_out_is_refused(git: Git, base: str, trees: Path, tmp_path: Path) -> None:
    commit = work(git, trees / "t1", base, {"f": "x"})
    with pytest.raises(UserError, match=r"the target branch main is checked out in .*/repo;"):
        target_branch.land(git, "main", commit, base)
    assert target_branch.land(git, TARGET, commit, base)
    sh(git.root, "git", "worktree", "add", "-q", str(tmp_path / "look"), TARGET)
    with pytest.raises(UserError, match=r"checked out in .*/look;"):
        target_branch.check_target(git, TARGET, trees_dir=trees)
    sh(tmp_path / "look", "git", "symbolic-ref", "refs/heads/alias", f"refs/heads/{TARGET}")
    sh(tmp_path / "look", "git", "symbolic-ref", "HEAD", "refs/heads/alias")
    with pytest.raises(UserError, match=r"checked out in .*/look;"):
        target_branch.check_target(git, TARGET, trees_dir=trees)
    sh(tmp_path / "look", "git", "checkout", "-q", "--detach")
    sh(trees / "t1", "git", "checkout", "-q", "-f", TARGET)  # an agent that looks around is not an obstacle
    target_branch.check_target(git, TARGET, trees_dir=trees)
    for name in ("a..b", "with space", "refs/tags/x", "-x/", ""):
        with pytest.raises(UserError, match="cannot be the name of a branch"):
            target_branch.check_target(git, name)


def test_histories_without_a_common_commit(git: Git, base: str, trees: Path) -> None:
    alone = git.commit_tree(git.tree_of(base), (), "alone", 1)
    with pytest.raises(GitError, match="unrelated histories"):
        git.merge(alone, base)


def test_markers_that_were_there_before_do_not_count(git: Git, base: str, trees: Path) -> None:
    sample = "<<<<<<< ours\n=======\n>>>>>>> theirs\n"
    before = work(git, trees / "t1", base, {"docs.md": sample, "heading.rst": "Title\n=======\n"})
    assert target_branch.has_markers(git, git.changes(base, before)) == ("docs.md",)
    write(trees / "t1" / "docs.md", sample + "more\n")
    write(trees / "t1" / "heading.rst", "Other\n=======\n")
    write(trees / "t1" / "left.txt", "x\r\n>>>>>>> 1234567\r\n")
    (trees / "t1" / "a.txt").unlink()
    after = snapshot(git, trees / "t1", before, "m", 2).commit
    assert target_branch.has_markers(git, git.changes(before, after)) == ("left.txt",)


def test_the_message_keeps_its_shape_whatever_goes_in() -> None:
    message = trailers.landing_message(
        "a\nb", task="t", attempt=1, agent="x\nSigned-off-by: y", body="why\n\n"
    )
    assert message == (
        "a b\n\nwhy\n\nAgentjobs-Task: t\nAgentjobs-Attempt: 1\nAgentjobs-Agent: x Signed-off-by: y\n"
    )
    assert trailers.landing_message("", task="t", attempt=1, agent="x").startswith("t\n\n")
