"""A directory of the checkout that is linked into a tree leads to the tree's own packages, not to the checkout's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentjobs.workspace import worktree
from agentjobs.workspace.links import links_back
from agentjobs.workspace.snapshot import snapshot
from tests.kit.repositories import make_repository, write

if TYPE_CHECKING:
    from agentjobs.workspace.git import Git

PACKAGES = {"packages/a/index.js": "a\n", "packages/b/index.js": "b\n", "packages/b/cli.js": "cli\n"}

LAYOUTS = {
    "npm": {"@s/a": "../../packages/a", "b": "../packages/b", ".bin/cli": "../b/cli.js"},
    "pnpm": {
        "@s/a": "../../packages/a",
        "dep": ".pnpm/dep@1/node_modules/dep",
        ".pnpm/dep@1/node_modules/@s/a": "../../../../../packages/a",
        ".pnpm/node_modules/b": "../../../packages/b",
    },
    "absolute": {"a": "{root}/packages/a"},
    "itself": {"me": "..", "@s/a": "../../packages/a"},
    "deep": {"x/y/z/a": "../../../../packages/a", "x/y/own": "../../plain"},
}


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return make_repository(tmp_path / "repo", PACKAGES)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_links_to_the_projects_own_packages_lead_to_those_of_the_tree(git: Git, kind: str) -> None:
    root, tree = git.root, git.root / ".agentjobs/trees/t1"
    write(root / "node_modules/plain/index.js", "plain\n")
    write(root / "node_modules/.pnpm/dep@1/node_modules/dep/index.js", "dep\n")
    for path, leads in LAYOUTS[kind].items():
        (root / "node_modules" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "node_modules" / path).symlink_to(leads.format(root=root))
    base = git.resolve("main")
    assert base
    worktree.create(git, tree, base)
    worktree.setup_files(git, root, tree, copy=(), link=("node_modules",))
    for package in "ab":
        write(tree / f"packages/{package}/index.js", f"{package} of the tree\n")
    for path, leads in LAYOUTS[kind].items():
        found = (tree / "node_modules" / path).resolve()
        theirs = (root / "node_modules" / path).resolve()
        assert found.exists()
        of_project = theirs == root or theirs.is_relative_to(root / "packages")
        assert found.is_relative_to(tree) == of_project, leads
    assert (tree / "node_modules/plain/index.js").read_text() == "plain\n"
    taken = snapshot(git, tree, base, "work", 0.0)
    assert sorted(git.changed(base, taken.commit)) == ["packages/a/index.js", "packages/b/index.js"]
    worktree.setup_files(git, root, tree, copy=(), link=("node_modules",))  # to do so again refreshes them
    worktree.remove(git, tree, force=True)
    assert (root / "node_modules/plain/index.js").exists()
    assert (root / "packages/a/index.js").read_text() == "a\n", "the checkout is not touched"


def test_a_directory_that_leads_nowhere_else_is_one_link(git: Git) -> None:
    root, tree = git.root, git.root / ".agentjobs/trees/t1"
    write(root / "node_modules/dep/index.js", "dep\n")
    (root / "node_modules/.bin").mkdir()
    (root / "node_modules/.bin/dep").symlink_to("../dep/index.js")
    (root / "node_modules/outside").symlink_to("/usr")
    (root / "node_modules/nowhere").symlink_to("../nowhere")
    (root / "node_modules/own").symlink_to("../.agentjobs")
    base = git.resolve("main")
    assert base
    worktree.create(git, tree, base)
    worktree.setup_files(git, root, tree, copy=(), link=("node_modules",))
    assert (tree / "node_modules").is_symlink()
    assert links_back(root / "node_modules", str(root), 0) == {"nowhere": "nowhere"}


def test_a_copy_and_a_link_to_a_link_lead_to_the_trees_own_files(git: Git) -> None:
    root, tree = git.root, git.root / ".agentjobs/trees/t1"
    (root / "node_modules/.bin").mkdir(parents=True)
    (root / "node_modules/a").symlink_to(root / "packages/a")
    (root / "node_modules/.bin/cli").symlink_to("../../packages/b/cli.js")
    (root / "node_modules/usr").symlink_to("/usr")
    (root / ".env").symlink_to("packages/b/cli.js")
    base = git.resolve("main")
    assert base
    worktree.create(git, tree, base)
    worktree.setup_files(git, root, tree, copy=("node_modules",), link=(".env",))
    assert (tree / "node_modules/a").resolve() == tree / "packages/a"
    assert (tree / "node_modules/.bin/cli").resolve() == (tree / ".env").resolve() == tree / "packages/b/cli.js"
    assert (tree / "node_modules/usr").resolve() == Path("/usr")
