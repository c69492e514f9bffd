"""Work inside a tree that its commit cannot contain: in submodules, and in worktrees that the agent made there.

A commit of the project only names a commit of a submodule. If only this tree has that commit, the pointer would land
without its target, which is deleted with the tree. So such work is kept under separate refs, and reported.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk.delete import delete
from agentjobs.disk.plain_files import is_directory, read_plain
from agentjobs.workspace.checkout import unregister
from agentjobs.workspace.differences import GITLINK, differences, listed, take_in
from agentjobs.workspace.git import text
from agentjobs.workspace.handed_over import is_behind_link
from agentjobs.workspace.handed_over import read as read_handed
from agentjobs.workspace.snapshot import snapshot, submodules
from agentjobs.workspace.worktree_admin import admin_dir, head, tree_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.workspace.git import Git
    from agentjobs.workspace.snapshot import Snapshot


class Inside(NamedTuple):
    """A submodule of a tree with content that the project's own commits cannot name."""

    path: str
    directory: Path
    """Its repository."""
    commit: str
    """The commit of its HEAD."""
    only_here: bool
    """No other repository is known to have that commit."""
    edited: bool
    """It has uncommitted changes."""


def keep(git: Git, tree_dir: Path, taken: Snapshot, ref: str, at: float) -> tuple[str, ...]:
    """Keep what a tree contains beyond ``taken``, the commit made of it; return the warnings about it.

    Work in submodules is kept under ``<ref>.inside-1`` …, with a warning. Work in worktrees inside the tree is kept
    under ``<ref>.worktree-1`` …; these are removed, and their branches stay. Raises ``GitError``.
    """
    _keep_worktrees(git, tree_dir, taken, ref, at)
    said = []
    for number, found in enumerate(inside(git, tree_dir, taken.commit), 1):
        kept = f"{ref}.inside-{number}"
        # With its history if git allows that (not from a shallow clone), else only its files.
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        fetched = found.commit and git.run(*fetch, str(found.directory), f"+HEAD:{kept}", ok=range(256)).code == 0
        parents = (found.commit,) if fetched else ()
        if found.edited or not parents:
            tree = _tree(git, tree_dir / found.path, found, whole=not parents)
            git.keep(kept, git.commit_tree(tree, parents, f"{found.path}: what the submodule held", at))
        why = (
            f"commit {found.commit[:12]} of submodule {found.path} is only in this tree and would land as a pointer to "
            "nowhere: push it to the submodule's own repository"
            if found.only_here
            else f"files inside submodule {found.path} are changed, which a commit of this repository cannot hold"
        )
        said.append(f"{why} (kept as {kept})")
    return tuple(said)


def discard(git: Git, tree_dir: Path) -> None:
    """Empty the submodules of a tree, as before their initialisation; their content was kept.

    Their repositories are in the administrative directory, and are deleted with it.
    """
    if not os.path.lexists(tree_dir / ".gitmodules"):
        return
    for path, _ in submodules(git, tree_environment(git, tree_dir)):
        if os.path.lexists(tree_dir / path / ".git") and not is_behind_link(tree_dir, path):
            delete(tree_dir / path)
            (tree_dir / path).mkdir()


def _keep_worktrees(git: Git, tree_dir: Path, taken: Snapshot, ref: str, at: float) -> None:
    paths = dict.fromkeys([*taken.worktrees, *_registered_below(git, tree_dir)])  # git does not list ignored ones
    for number, path in enumerate(paths, 1):
        nested = tree_dir / path
        if admin_dir(git, nested) is not None:  # not in a clone, which is deleted as a whole
            tip = head(git, nested)
            base = tip or taken.commit  # its branch may have no commit yet
            held = snapshot(git, nested, base, f"{path}: what a worktree held", at).commit
            if not git.line("for-each-ref", "--count=1", f"--contains={held}"):
                git.keep(f"{ref}.worktree-{number}", held)
            delete(nested)
            unregister(git, nested)


def _registered_below(git: Git, tree_dir: Path) -> Iterator[str]:
    """Yield the paths of the repository's worktrees inside the tree."""
    above = os.path.realpath(tree_dir) + os.sep
    for link in sorted((git.common_dir / "worktrees").glob("*/gitdir")):
        try:
            there = os.path.dirname(os.path.realpath(text(read_plain(link, 1 << 16)).rstrip("\n")))
        except OSError:
            continue
        if there.startswith(above) and os.path.isdir(there):
            yield there.removeprefix(above)


def inside(git: Git, tree_dir: Path, commit: str) -> Iterator[Inside]:
    """Yield the submodules in a tree with content that no commit of the project, and no other repository, has.

    ``commit``: what was made of the tree.
    """
    links = git.submodules(commit)
    if not links:
        return
    bound, handed = tree_environment(git, tree_dir), read_handed(tree_dir).inside
    with tempfile.TemporaryDirectory(prefix="agentjobs-snapshot-", dir=bound["GIT_DIR"]) as scratch:
        env = {**bound, "GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git.run("read-tree", commit, env=env)
        names = dict(submodules(git, env))
    for path in links:
        for found, name in _initialised(git, tree_dir, path, names.get(path, path)):
            content = _tree(git, tree_dir / found.path, found)
            edited = content not in {_tree_of(git, found), handed.get(found.path)}
            known = not found.commit or _is_known(git, found.directory, name, found.commit)
            if edited or not known:
                yield found._replace(edited=edited, only_here=not known)


def files_inside(git: Git, tree_dir: Path) -> Iterator[str]:
    """Yield the files in the commits of a tree's submodules, and their ``.git``."""
    tip = head(git, tree_dir)
    for path in git.submodules(tip) if tip else ():
        for found, _ in _initialised(git, tree_dir, path, path):
            yield f"{found.path}/.git"
            if found.commit:
                names = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", found.commit)
                listed = git.run(*names, env=_reading(git, found)).stdout.split(b"\0")
                yield from (f"{found.path}/{text(name)}" for name in listed if name)


def contents(git: Git, tree_dir: Path, commit: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return which submodules of a commit are initialised in the tree, and the content of submodules.

    The latter as tree objects, if different from the submodule's own commit.
    """
    links = git.submodules(commit)
    found = [one for path in links for one, _ in _initialised(git, tree_dir, path, path)]
    held = {one.path: (_tree(git, tree_dir / one.path, one), _tree_of(git, one)) for one in found}
    initialised = tuple(path for path in links if _repository(tree_dir / path) is not None)
    return initialised, {path: now for path, (now, own) in held.items() if now != own}


def _links(git: Git, commit: str, env: dict[str, str]) -> list[str]:
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", commit, env=env).stdout.split(b"\0")
    return [text(line.partition(b"\t")[2]) for line in listed if line.startswith(GITLINK.encode())]


def _initialised(git: Git, tree_dir: Path, path: str, name: str) -> Iterator[tuple[Inside, str]]:
    """Yield the submodule at a path and those inside it, with their names.

    One that is not initialised has no commit; it still counts if its directory contains files.
    """
    if is_behind_link(tree_dir, path) or not is_directory(tree_dir / path):
        return
    directory = _repository(tree_dir / path)
    if directory is None:
        if any((tree_dir / path).iterdir()):
            yield Inside(path, git.common_dir, "", only_here=False, edited=False), name
        return
    done = git.run("rev-parse", "--verify", "-q", "HEAD^{commit}", env=_only(directory), ok=range(256))
    if done.code != 0:
        return
    found = Inside(path, directory, text(done.stdout).strip(), only_here=False, edited=False)
    yield found, name
    for below in _links(git, found.commit, _reading(git, found)):
        yield from _initialised(git, tree_dir, f"{path}/{below}", f"{name}/modules/{below}")


def _repository(sub_dir: Path) -> Path | None:
    """Return the repository of an initialised submodule."""
    link = sub_dir / ".git"
    if is_directory(link):
        return link
    try:
        target = read_plain(link, 4096).removeprefix(b"gitdir: ").strip()
    except OSError:
        return None
    return Path(os.path.realpath(sub_dir / text(target)))


def _only(directory: Path) -> dict[str, str]:
    return {"GIT_DIR": str(directory)}


def _is_known(git: Git, directory: Path, name: str, commit: str) -> bool:
    """Return whether the user's own repository of the submodule has a commit, or a remote that it was fetched from."""
    users = git.common_dir / "modules" / name
    if users.is_dir() and git.run("cat-file", "-e", commit, env=_only(users), ok=range(256)).code == 0:
        return True
    flags = ("for-each-ref", "--count=1", f"--contains={commit}", "refs/remotes/")
    done = git.run(*flags, env=_only(directory), ok=range(256))
    return done.code == 0 and bool(done.stdout.strip())


def _reading(git: Git, found: Inside) -> dict[str, str]:
    """Return the variables with which our git reads the submodule's objects, and none of its settings."""
    return {"GIT_DIR": str(git.common_dir), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(found.directory / "objects")}


def _tree_of(git: Git, found: Inside) -> str:
    if not found.commit:
        return ""
    return git.line("rev-parse", "--verify", f"{found.commit}^{{tree}}", env=_reading(git, found))


def _tree(git: Git, sub_dir: Path, found: Inside, *, whole: bool = False) -> str:
    """Return a tree object of the files of a submodule; ``whole``: all of its content is copied to our repository."""
    with tempfile.TemporaryDirectory(prefix="agentjobs-snapshot-") as scratch:
        env = _reading(git, found) | {"GIT_WORK_TREE": str(sub_dir), "GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git.run("read-tree", found.commit or "--empty", cwd=sub_dir, env=env)
        found_there = differences(git, sub_dir, env)
        take_in(git, sub_dir, env, found_there.changed, found_there.gone)
        tracked = git.run("ls-files", "-z", cwd=sub_dir, env=env).stdout
        if whole:
            del env["GIT_ALTERNATE_OBJECT_DIRECTORIES"]
            git.run("read-tree", "--empty", cwd=sub_dir, env=env)
        stdin = listed(found_there.plain) + (tracked if whole else b"")
        git.run("update-index", "--add", "--remove", "-z", "--stdin", cwd=sub_dir, env=env, stdin=stdin)
        return git.line("write-tree", env=env)
