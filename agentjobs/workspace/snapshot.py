"""All of a working tree as one commit, whatever an agent did to its index, its HEAD or ``.git``."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk.plain_files import read_plain
from agentjobs.workspace.differences import GITLINK, differences, listed, take_in
from agentjobs.workspace.git import parse_raw, raw, text
from agentjobs.workspace.handed_over import is_behind_link, is_untouched
from agentjobs.workspace.handed_over import read as read_handed
from agentjobs.workspace.hazards import disarm
from agentjobs.workspace.sparse import checked_out, may_lack_files, outside
from agentjobs.workspace.worktree_admin import SEED_INDEX, agents_view, clone_dir, detached_at, placed, tree_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agentjobs.workspace.git import Change, Git

class Snapshot(NamedTuple):
    """A tree object and its commit, which is ``base`` itself if nothing differs."""

    tree: str
    commit: str
    worktrees: tuple[str, ...] = ()
    """Paths of worktrees of this repository inside the tree: not part of its content."""
    changes: tuple[Change, ...] = ()
    """How the commit differs from its base."""


def snapshot(
    git: Git, tree_dir: Path, base: str, message: str, at: float, *, named: Sequence[str] = ()
) -> Snapshot:
    """Commit all that differs from ``base`` as one commit on it; the working tree is not touched.

    It contains what the agent left uncommitted, what it committed, staged or deleted, and untracked files that are not
    ignored. The files of a repository that was made inside the tree are taken as plain files (without its history).
    Left out: ignored files, what ``copy`` and ``link`` of the workspace put there, worktrees of this repository inside
    the tree, and whatever is still as it was handed to the agent (see ``handed_over``) or as git wrote it. ``named``:
    paths that are taken even if git ignores them: the declared output of a task is its work. Raises ``GitError``, for
    instance for a file that cannot be read.
    """
    bound = tree_environment(git, tree_dir)
    admin = Path(bound["GIT_DIR"])
    disarm(tree_dir)
    with tempfile.TemporaryDirectory(prefix="agentjobs-snapshot-", dir=admin) as scratch:
        index = Path(scratch) / "index"
        env = {**bound, "GIT_INDEX_FILE": str(index)}
        try:
            # With its time: by the index's age git decides whether a file may have changed within the same tick.
            shutil.copy2(admin / SEED_INDEX, index)
        except FileNotFoundError:
            git.run("read-tree", base, cwd=tree_dir, env=env)
        ours = placed(admin)
        # Not checked out, but there: it counts. Not checked out and not there: not a deletion.
        if may_lack_files(tree_dir, admin):
            _mark_absent(git, tree_dir, agents_view(tree_dir, bound), env)
        found = differences(git, tree_dir, env, ours)
        allowed = (path for path in named if ".git" not in path.lower().split("/"))
        touched = (path for path in allowed if not is_untouched(tree_dir, path))
        wanted = [*found.changed, *found.plain, *_present(tree_dir, touched, ours)]
        take_in(git, tree_dir, env, wanted, found.gone)
        untouched = not found.staged and not wanted and not found.gone and detached_at(admin) == base
        changes = () if untouched else _staged(git, tree_dir, base, env)
        hidden = [change.path for change in changes if not int(change.new_mode, 8)]
        hidden += _added_by_agent(git, tree_dir, agents_view(tree_dir, bound), base)
        hidden = list(_present(tree_dir, hidden, ours))
        take_in(git, tree_dir, env, hidden)
        links = [c.path for c in changes if c.new_mode == GITLINK and c.old_mode != GITLINK]
        if links:
            declared = {path for path, _ in submodules(git, env)}
            links = [path for path in links if path not in declared]
            remove = ("update-index", "-z", "--force-remove", "--stdin")
            git.run(*remove, cwd=tree_dir, env=env, stdin=listed(links))
        inner = dict.fromkeys([*found.nested, *links])
        worktrees = tuple(path for path in inner if _is_worktree(git, tree_dir, path))
        for number, path in enumerate(path for path in inner if path not in worktrees):
            inner_index = Path(scratch) / f"nested-{number}"
            tree = _nested_tree(git, tree_dir, path, bound, inner_index)
            if tree:
                git.run("read-tree", f"--prefix={path}/", tree, cwd=tree_dir, env=env)
        taken_back = _take_back_untouched(git, tree_dir, base, changes, env, Path(scratch))
        tree = git.line("write-tree", env=env) if changes or hidden or inner else git.tree_of(base)
    if tree == git.tree_of(base):
        return Snapshot(tree, base, worktrees)
    if hidden or inner or taken_back:  # the index has changed since
        changes = git.changes(base, tree)
    return Snapshot(tree, git.commit_tree(tree, (base,), message, at), worktrees, tuple(changes))


def differing(git: Git, tree_dir: Path) -> tuple[str, ...]:
    """Return the tracked files of the tree that are not as we checked them out."""
    bound = tree_environment(git, tree_dir)
    index = Path(bound["GIT_DIR"]) / SEED_INDEX
    env = {**bound, "GIT_INDEX_FILE": str(index)}
    flags = ("--name-only", "-z", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules=all")
    done = git.run("diff", *flags, cwd=tree_dir, env=env)
    paths = [text(path) for path in done.stdout.split(b"\0") if path]
    if not paths:
        return ()
    with tempfile.TemporaryDirectory(prefix="agentjobs-snapshot-", dir=index.parent) as scratch:
        same = _as_checked_out(git, tree_dir, env, paths, Path(scratch))
    return tuple(path for path in paths if path not in same)


def differing_from(git: Git, tree_dir: Path, tree: str) -> dict[str, tuple[str, str]]:
    """Return where a tree object differs from our checkout: mode and blob by path, as in ``handed_over``."""
    bound = tree_environment(git, tree_dir)
    env = {**bound, "GIT_INDEX_FILE": str(Path(bound["GIT_DIR"]) / SEED_INDEX)}
    return {change.path: _entry(change.old_mode, change.old) for change in _staged(git, tree_dir, tree, env)}


def _staged(git: Git, tree_dir: Path, tree: str, env: dict[str, str]) -> Sequence[Change]:
    """Return how the index in ``env`` differs from a commit or tree object."""
    flags = ("--cached", "--raw", "-z", "--no-renames")
    return parse_raw(git.run("diff-index", *flags, tree, cwd=tree_dir, env=env).stdout)


def submodules(git: Git, env: Mapping[str, str], commit: str = "") -> list[tuple[str, str]]:
    """Return path and name of each submodule that ``.gitmodules`` declares in a commit, or in the index of ``env``."""
    listing = ("config", f"--blob={commit}:.gitmodules", "--no-includes", "-z")
    # 1 and 128: there are none, or nothing that git can read.
    done = git.run(*listing, "--get-regexp", r"^submodule\..*\.path$", env=env, ok=range(256))
    pairs = (entry.partition(b"\n") for entry in done.stdout.split(b"\0") if done.code == 0 and entry)
    return [(text(path), text(key)[len("submodule.") : -len(".path")]) for key, _, path in pairs]


def _take_back_untouched(
    git: Git, tree_dir: Path, base: str, changes: Sequence[Change], env: dict[str, str], scratch: Path
) -> bool:
    """Restore the old index entry of every path that was not touched since the tree was handed to the agent.

    Returns whether there was one.

    What git reports is not enough. Line endings and filters can make a file differ from its own commit as soon as it is
    checked out; and what setup changed is not the agent's work.
    """
    handed = read_handed(tree_dir).entries
    if handed:  # what was added one by one is not in ``changes`` yet
        changes = _staged(git, tree_dir, base, env)
    as_handed = {c.path: c for c in changes if handed.get(c.path) == _entry(c.new_mode, c.new)}
    converted = [c.path for c in changes if c.path not in as_handed and _is_converted(tree_dir, c)]
    seed = {**env, "GIT_INDEX_FILE": str(scratch / "seed")}
    if not as_handed and not converted:
        return False
    try:
        shutil.copy2(Path(env["GIT_DIR"]) / SEED_INDEX, scratch / "seed")
    except FileNotFoundError:
        git.run("read-tree", base, cwd=tree_dir, env=seed)
    untouched = _as_checked_out(git, tree_dir, seed, converted, scratch) if converted else set()
    if not untouched and not as_handed:
        return False
    lines = git.run("ls-files", "-s", "-z", cwd=tree_dir, env=seed).stdout.split(b"\0")
    known = {text(path): head for head, _, path in (line.partition(b"\t") for line in lines)}
    none = b"0 " + b"0" * len(changes[0].old)
    entries = {path: known.get(path, none) for path in untouched}
    # Compare with `base`, not the checkout: an earlier attempt may have changed it, and this one restored it.
    entries |= {path: raw(f"{change.old_mode} {change.old}") for path, change in as_handed.items()}
    info = (entry + b"\t" + raw(path) + b"\0" for path, entry in sorted(entries.items()))
    git.run("update-index", "-z", "--index-info", cwd=tree_dir, env=env, stdin=b"".join(info))
    return True


def _entry(mode: str, blob: str) -> tuple[str, str]:
    """Return an entry in the format of ``handed_over``."""
    return (mode, blob) if int(mode, 8) else ("0", "")


def _is_converted(tree_dir: Path, change: Change) -> bool:
    """Return whether git stores other content for a changed file than the tree has."""
    if change.old_mode[:3] != "100" or change.new_mode[:3] != "100":
        return False
    data = _content(tree_dir / change.path)
    digest = hashlib.sha1 if len(change.new) == hashlib.sha1().digest_size * 2 else hashlib.sha256  # noqa: S324 - git's
    return data is not None and digest(b"blob %d\0" % len(data) + data).hexdigest() != change.new


def _as_checked_out(git: Git, tree_dir: Path, env: dict[str, str], paths: Sequence[str], scratch: Path) -> set[str]:
    """Return which of these files equal, byte for byte, what git writes for the index in ``env``."""
    place = scratch / "out"
    flags = ("--quiet", "--force", f"--prefix={place}/", "-z", "--stdin")
    git.run("checkout-index", *flags, cwd=tree_dir, env=env, stdin=listed(paths), ok=(0, 1))
    same = set()
    for path in paths:
        one, other = tree_dir / path, place / path
        data = _content(other)
        if data is not None and data == _content(one) and os.access(one, os.X_OK) == os.access(other, os.X_OK):
            same.add(path)
    return same


def _content(path: Path) -> bytes | None:
    """Return the bytes of a regular file, else None."""
    try:
        return read_plain(path)
    except OSError:
        return None


def _is_worktree(git: Git, tree_dir: Path, path: str) -> bool:
    """Return whether the directory is a worktree of this repository (or of the agent's clone of it)."""
    link = tree_dir / path / ".git"
    data = _content(link) or b""
    if not data.startswith(b"gitdir: "):
        return False
    admin = os.path.realpath(link.parent / text(data[len("gitdir: ") :].strip()))
    places = (git.common_dir, clone_dir(tree_dir))
    return any(os.path.dirname(admin) == os.path.realpath(place / "worktrees") for place in places)


def not_checked_out_but_there(git: Git, tree_dir: Path, index: str = SEED_INDEX) -> list[str]:
    """Return the files of the tree at paths where our index has none checked out: somebody wrote them."""
    bound = tree_environment(git, tree_dir)
    admin = Path(bound["GIT_DIR"])
    if not may_lack_files(tree_dir, admin):
        return []
    there = _there(tree_dir)
    bits = _bits(git, tree_dir, {**bound, "GIT_INDEX_FILE": str(admin / index)})
    return [path for path, bit in bits.items() if bit and there(path)]


def _mark_absent(git: Git, tree_dir: Path, theirs: dict[str, str], env: dict[str, str]) -> None:
    """Set the skip-worktree bit, in our index, for files that are neither checked out nor there, and only for those.

    Not checked out are the files that we left out, and those that the agent's git removed from the tree (``git
    sparse-checkout set``).
    """
    ours, agents = _bits(git, tree_dir, env), _bits(git, tree_dir, theirs)
    there = _there(tree_dir)
    written = [path for path, bit in ours.items() if bit and there(path)]
    taken_out = [path for path, bit in agents.items() if bit and ours.get(path) is False and not there(path)]
    if not any(ours.values()):  # made without our index, which is gone
        taken_out += [path for path in outside(checked_out(tree_dir), ours) if not there(path)]
    for flag, paths in (("--no-skip-worktree", written), ("--skip-worktree", taken_out)):
        if paths:
            git.run("update-index", "-z", flag, "--stdin", cwd=tree_dir, env=env, stdin=listed(paths))


def _bits(git: Git, tree_dir: Path, env: dict[str, str]) -> dict[str, bool]:
    """Return for each file of an index whether it has the skip-worktree bit; empty for a broken index."""
    done = git.run("ls-files", "-t", "-z", cwd=tree_dir, env=env, ok=(0, 128))
    entries = done.stdout.split(b"\0") if done.code == 0 else []
    return {text(entry[2:]): entry[:1] == b"S" for entry in entries if entry}


def _there(tree_dir: Path) -> Callable[[str], bool]:
    """Return a function that returns whether a path is a file or link of the tree itself, not behind a link."""
    known: dict[str, bool] = {"": True}

    def directory(path: str) -> bool:
        if path not in known:
            full = tree_dir / path
            known[path] = directory(path.rpartition("/")[0]) and full.is_dir() and not full.is_symlink()
        return known[path]

    def there(path: str) -> bool:
        full = tree_dir / path
        return directory(path.rpartition("/")[0]) and (full.is_symlink() or full.is_file())

    return there


def _added_by_agent(git: Git, tree_dir: Path, theirs: dict[str, str], base: str) -> list[str]:
    """Return what the agent's own index has beyond ``base``: it may have added ignored files by force."""
    admin = Path(theirs["GIT_DIR"])
    own = _content(Path(theirs.get("GIT_INDEX_FILE", admin / "index")))
    if own is not None and own == _content(admin / SEED_INDEX):
        return []  # it is as we made it, and what it has is in our index
    done = git.run(
        "diff-index",
        "--cached",
        "--name-only",
        "-z",
        "--no-renames",
        "--diff-filter=A",
        base,
        cwd=tree_dir,
        env=theirs,
        ok=range(256),  # a broken index of the agent adds nothing
    )
    return [text(path) for path in done.stdout.split(b"\0") if path] if done.code == 0 else []


def _present(tree_dir: Path, paths: Iterable[str], ours: Sequence[str]) -> Iterator[str]:
    """Yield the paths that are a file (or a link) of the tree itself and were not put there by us."""
    own = tuple(path.rstrip("/") for path in ours)
    for path in dict.fromkeys(paths):
        if any(path == mine or path.startswith(mine + "/") for mine in own):
            continue
        full = tree_dir / path
        if is_behind_link(tree_dir, path):
            continue
        if full.is_symlink() or full.is_file():
            yield path


def _nested_tree(git: Git, tree_dir: Path, path: str, bound: dict[str, str], index: Path) -> str | None:
    """Return a tree object of the files in the repository at ``path``, without those that either side ignores."""
    inner_dir = tree_dir / path
    if inner_dir.is_symlink() or not inner_dir.is_dir():
        return None
    env = {**bound, "GIT_WORK_TREE": str(inner_dir), "GIT_INDEX_FILE": str(index)}
    found = differences(git, inner_dir, env)
    full = listed(f"{path}/{name}" for name in found.plain)
    ignored = set()
    if full:
        done = git.run(
            "check-ignore", "-z", "--no-index", "--stdin", cwd=tree_dir, env=bound, stdin=full, ok=(0, 1)
        )
        ignored = {text(name) for name in done.stdout.split(b"\0") if name}
    take_in(git, inner_dir, env, (name for name in found.plain if f"{path}/{name}" not in ignored))
    for number, name in enumerate(found.nested):
        tree = _nested_tree(git, tree_dir, f"{path}/{name}", bound, index.with_name(f"{index.name}-{number}"))
        if tree:
            git.run("read-tree", f"--prefix={name}/", tree, cwd=inner_dir, env=env)
    return git.line("write-tree", env=env) if index.exists() else None
