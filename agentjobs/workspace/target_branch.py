"""Landing: merge in memory, one commit per task, move the target by compare-and-swap."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.model.errors import UserError
from agentjobs.workspace.worktree import reset, show_merge
from agentjobs.workspace.worktree_admin import may_be_checked_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentjobs.workspace.git import Change, Git

_ABSENT = re.compile(r"0+")
_MARKER = re.compile(rb"^(?:<{7}|>{7}|\|{7})(?: .*)?\r?$", re.MULTILINE)


class Integrated(NamedTuple):
    """A task's work on top of the target. With ``conflicts`` (paths) there is no commit."""

    commit: str
    tree: str
    conflicts: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    """Git's message for each conflict."""


def branch_ref(name: str) -> str:
    """Return the full name of a branch: ``agentjobs/landed`` is ``refs/heads/agentjobs/landed``."""
    return name if name.startswith("refs/") else f"refs/heads/{name}"


def target_tip(git: Git, target: str, base: str) -> str:
    """Return the commit of the target or, if there is none, of ``base``; ``UserError`` without either."""
    return git.resolve(branch_ref(target)) or base_commit(git, base)


def base_commit(git: Git, base: str) -> str:
    """Return the commit that ``base`` names; ``UserError`` if there is none."""
    found = git.resolve(base)
    if found is None:
        here = git.branch()
        cure = f"did you mean {here!r}?" if git.resolve(here) else "commit something first"
        raise UserError(f"base {base!r} is not a commit of this repository; {cure}", file="agentjobs.toml")
    return found


def integrate(
    git: Git, tree_dir: Path, commit: str, tip: str, message: str, at: float, *, stands_on: str = ""
) -> Integrated:
    """Merge a task's ``commit`` onto the target's ``tip`` and put the tree there, for the checks.

    Clean: one commit with the one parent ``tip`` (or ``tip`` itself if the work is in it already), the tree on it.
    Conflict: the tree on ``tip``, with both sides of each conflict in its files, uncommitted, for an agent to resolve.
    The tree's old content is lost: point a ref at ``commit`` first. The same arguments give the same result.

    ``stands_on``: the commit that the work was based on. If the target no longer contains that one (somebody dropped
    what had landed), only the changes of the work itself are applied.
    """
    merged = merge_onto(git, commit, tip, message, at, stands_on=stands_on)
    if merged.conflicts:
        show_merge(git, tree_dir, tip, merged.tree)
    else:
        reset(git, tree_dir, merged.commit)
    return merged


def merge_onto(git: Git, commit: str, tip: str, message: str, at: float, *, stands_on: str = "") -> Integrated:
    """Merge ``commit`` onto ``tip`` in memory, as ``integrate`` does; no tree is touched."""
    ours, theirs = tip, commit
    if stands_on and not git.contains(tip, stands_on):
        root = git.commit_tree(git.tree_of(stands_on), (), message, at)
        ours = git.commit_tree(git.tree_of(tip), (root,), message, at)
        theirs = git.commit_tree(git.tree_of(commit), (root,), message, at)
    merged = git.merge(ours, theirs)
    if merged.conflicts:
        return Integrated("", merged.tree, merged.conflicts, merged.messages)
    new = merged.tree != git.tree_of(tip)
    onto = git.commit_tree(merged.tree, (tip,), message, at) if new else tip
    return Integrated(onto, merged.tree)


def land(git: Git, target: str, commit: str, parent: str, *, trees_dir: Path | None = None) -> bool:
    """Move the branch ``target`` from ``parent`` to ``commit``, or create it; False if it is elsewhere.

    Also True if it contains ``commit`` already. Raises ``UserError`` while the branch is checked out somewhere; the
    trees beneath ``trees_dir`` are ours and do not count.
    """
    ref = branch_ref(target)
    check_target(git, target, trees_dir=trees_dir)
    tip = git.resolve(ref)
    if tip is not None and git.contains(tip, commit):
        return True
    if tip not in (None, parent):
        return False
    return git.update_ref(ref, commit, tip)


def check_target(git: Git, target: str, *, trees_dir: Path | None = None) -> None:
    """Raise ``UserError`` if ``target`` is not a valid branch name, or is checked out by the user."""
    ref = branch_ref(target)
    there = ref.startswith("refs/heads/") and git.resolve(ref) is not None
    if not there:
        if git.run("check-ref-format", ref, ok=(0, 1)).code != 0 or not ref.startswith("refs/heads/"):
            raise UserError(f"target {target!r} cannot be the name of a branch; set another in agentjobs.toml")
        if other := _in_the_way(git, ref):
            raise UserError(
                f"target {target!r} cannot exist next to the branch {other!r}; set another in agentjobs.toml"
            )
    ours = os.path.realpath(trees_dir) + os.sep if trees_dir else None
    for tree in git.worktrees() if may_be_checked_out(git, ref) else ():
        if tree.branch != ref or (ours and os.path.realpath(tree.directory).startswith(ours)):
            continue
        raise UserError(
            f"the target branch {target} is checked out in {tree.directory}; "
            "switch to another branch there, or set another target in agentjobs.toml"
        )


def left_behind(git: Git, target: str, base: str) -> str:
    """Describe the commits of ``base`` that new trees will not see, as they start from the target; empty if none."""
    ref = branch_ref(target)
    tip = git.resolve(ref)
    if tip is None:
        return ""
    start = base_commit(git, base)
    count = int(git.line("rev-list", "--count", start, f"^{ref}"))
    if not count:
        return ""
    commits = "1 commit" if count == 1 else f"{count} commits"
    merge = "" if git.contains(start, tip) else f"merge {target} into it, then "
    return (
        f"{base} has {commits} that {target} does not have, and new trees start from there: "
        f"{merge}`git branch -f {target} {base}`"
    )


def _in_the_way(git: Git, ref: str) -> str:
    """Return the branch because of which ``ref`` cannot exist: git does not allow ``a`` next to ``a/b``."""
    parts = ref.split("/")
    above = ["/".join(parts[:end]) for end in range(3, len(parts))]
    for name in git.line("for-each-ref", "--format=%(refname)", *above, ref).splitlines():
        if name in above or name.startswith(ref + "/"):
            return name.removeprefix("refs/heads/")
    return ""


def has_markers(git: Git, changes: Sequence[Change]) -> tuple[str, ...]:
    """Return the changed files that now have more lines of conflict markers than before."""
    changes = [c for c in changes if not _ABSENT.fullmatch(c.new) and c.new_mode[:2] == "10"]
    blobs = git.blobs(c.new for c in changes)
    suspects = [(c, found) for c in changes if (found := len(_MARKER.findall(blobs.get(c.new, b""))))]
    before = git.blobs(c.old for c, _ in suspects if not _ABSENT.fullmatch(c.old))
    return tuple(c.path for c, found in suspects if found > len(_MARKER.findall(before.get(c.old, b""))))
