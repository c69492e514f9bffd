"""Spare trees: the tree of a finished task is given to the next one, which is much quicker than a checkout.

A spare is at ``<spare>/<number>``: the files of a commit, the ignored ones that ``workspace.keep`` names, and in place
of its ``.git`` a directory with its index and the record of its setup. It is not registered. One ``rename`` makes a
tree a spare, and one makes it a task's again, in a newly registered worktree: nothing of the last task's HEAD, branch,
refs, flags or settings comes with it. All files are checked when a tree is given back, so that only those that differ
are touched when it is handed out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from agentjobs.disk.delete import delete
from agentjobs.disk.plain_files import is_directory, is_plain, read_plain
from agentjobs.disk.write import replace_file
from agentjobs.model.errors import GitError, UserError
from agentjobs.workspace import handed_over
from agentjobs.workspace.checkout import (
    clear,
    delete_tree,
    fill,
    is_foreign,
    link_back,
    made,
    reach,
    register,
    unregister,
)
from agentjobs.workspace.clone import drop
from agentjobs.workspace.lock import MAKING, READY, RESET, flock, own_directory, set_state, state, tree_lock
from agentjobs.workspace.nested import discard
from agentjobs.workspace.setup import MEMORY, forget, forget_if_changed, note_absent
from agentjobs.workspace.snapshot import not_checked_out_but_there, snapshot
from agentjobs.workspace.sparse import (
    checked_out,
    covers,
    merged,
    read_directories,
    set_checked_out,
    sparse_environment,
    write_directories,
)
from agentjobs.workspace.worktree import look, remove
from agentjobs.workspace.worktree_admin import SEED_INDEX, admin_dir, head, placed, set_placed, tree_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.workspace.git import Git
    from agentjobs.workspace.worktree import TreeState

_GONE, _FACTS, _HELD = ".gone-", "agentjobs-spare", "agentjobs-held"  # `checkout.OURS_IN_SPARE` has all names


class Spare(Struct, frozen=True):
    """What a spare should contain: all of a commit, and only those ignored files that these patterns match."""

    commit: str
    keep: tuple[str, ...]


def hand_out(
    git: Git, tree_dir: Path, spare_dir: Path, commit: str, *, keep: Sequence[str] = (), sparse: Sequence[str] = ()
) -> bool:
    """Make a worktree at ``tree_dir``, on ``commit``, from a spare if there is one. False: the tree was ready.

    The result is the same as from ``worktree.create``, plus the ignored files that ``keep`` matches (as in .gitignore).
    It checks out only the directories ``sparse`` (as from ``sparse.directories``; none: everything). An unusable spare
    is deleted. A half-made tree is made again; to one that is ready, missing directories are added, and its content
    stays.
    """
    own_directory(tree_dir.parent)
    with tree_lock(tree_dir) as lock:
        if made(git, tree_dir, lock):
            if not covers(held := checked_out(tree_dir), sparse):
                _widen(git, tree_dir, lock, merged(held, sparse))
            return False
        if state(lock)[:1] == [MAKING] and _is_spare(tree_dir):
            _add(tree_dir, spare_dir)  # an earlier call like this one was interrupted
        clear(tree_dir, lock)
        handed_over.forget(tree_dir)
        set_state(lock, MAKING)
        set_checked_out(tree_dir, sparse)
        register(git, tree_dir, commit, lock)
        taken = _take(git, tree_dir, spare_dir, sparse)
        try:
            if taken is None or not _switch(git, tree_dir, taken, commit, keep, lock):
                fill(git, tree_dir, commit, lock, ignored_to_keep=keep if taken else None)
        except (GitError, OSError):
            if taken is None:
                raise
            _add(tree_dir, spare_dir, gone=True)
            (Path(tree_environment(git, tree_dir)["GIT_DIR"]) / "index").unlink(missing_ok=True)
            fill(git, tree_dir, commit, lock)
        note_absent(git, tree_dir)
        set_state(lock, READY)
    with contextlib.suppress(UserError):
        delete_gone(spare_dir)
    return True


def give_back(
    git: Git, tree_dir: Path, spare_dir: Path, *, most: int, keep: Sequence[str] = (), known: Sequence[str] = ()
) -> None:
    """Make the tree a spare, or remove it if there are already ``most``; no error if it is gone.

    All ignored files are removed, except those that ``keep`` matches. ``known``: commits whose content is kept (one
    may have landed as another commit).

    Raises ``UserError`` while the tree contains work that is not in a commit we keep; it stays then.
    """
    if not is_directory(tree_dir.parent):
        return
    with tree_lock(tree_dir) as lock:
        begun = state(lock)[:1] == [MAKING] and _is_spare(tree_dir)
        whole = not begun and not tree_dir.is_symlink() and made(git, tree_dir, lock)
        held = look(git, tree_dir, known=known) if whole else None
        if held is not None and held.unkept:
            raise UserError(f"{tree_dir} holds work that is not in a kept commit; it is not given to another task")
        if begun or whole:
            # From here on the tree is nobody's work.
            set_state(lock, MAKING)
            anew = bool(handed_over.read(tree_dir).entries)
            handed_over.forget(tree_dir)
            drop(tree_dir)
            own_directory(spare_dir)
            gone = len(spares(spare_dir)) >= most
            if held is not None and not gone:
                _clean(git, tree_dir, held._replace(changed=held.changed or anew), keep, lock)
                _strip(git, tree_dir, Spare(held.tip, tuple(keep)))
            _add(tree_dir, spare_dir, gone=gone)
            unregister(git, tree_dir)
            set_checked_out(tree_dir, ())
            set_state(lock)
    if not begun and not whole:
        remove(git, tree_dir)
    with contextlib.suppress(UserError):
        delete_gone(spare_dir)


def spares(spare_dir: Path) -> list[Path]:
    """Return the spares, those with the most recent setup first."""
    try:
        found = [entry for entry in spare_dir.iterdir() if entry.name.isdigit() and _is_spare(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=_set_up_at, reverse=True)


def drop_all(spare_dir: Path) -> int:
    """Delete every spare, and return how many there were. Raises ``UserError`` if one cannot be deleted."""
    found = spares(spare_dir)
    for spare in found:
        _add(spare, spare_dir, gone=True)
    delete_gone(spare_dir)
    return len(found)


def delete_gone(spare_dir: Path) -> None:
    """Delete directories that were renamed for deletion, even by a killed call: slow, so without a tree's lock.

    Raises ``UserError`` if one cannot be deleted.
    """
    if not is_directory(spare_dir) or next(spare_dir.glob(_GONE + "*"), None) is None:
        return
    with flock(spare_dir / ".gone.lock"):
        for entry in spare_dir.glob(_GONE + "*"):
            delete_tree(entry)


# --- details ---------------------------------------------------------------------------------------------


def _is_spare(tree_dir: Path) -> bool:
    """Return whether the directory is a spare, wherever it is: its last rename may be missing."""
    own = tree_dir / ".git"
    return is_directory(tree_dir) and is_directory(own) and is_plain(own / "index") and not is_foreign(tree_dir)


def _set_up_at(spare: Path) -> float:
    try:
        return (spare / ".git" / MEMORY).lstat().st_mtime
    except OSError:
        return 0.0


def _clean(git: Git, tree_dir: Path, held: TreeState, keep: Sequence[str], lock: int) -> None:
    """Remove all but the files of its commit and what ``keep`` matches; also what ``copy`` and ``link`` placed."""
    env = tree_environment(git, tree_dir)
    admin = Path(env["GIT_DIR"])
    for path in placed(admin):
        _delete_below(tree_dir, path)
    set_placed(admin, ())
    discard(git, tree_dir)
    for path in keep:  # a link, or a Python environment, which works in one place only
        if (tree_dir / path).is_symlink() or (tree_dir / path / "pyvenv.cfg").exists():
            _delete_below(tree_dir, path)
    if held.changed or not_checked_out_but_there(git, tree_dir):
        fill(git, tree_dir, held.tip, lock, ignored_to_keep=keep)
    else:
        excludes = [part for pattern in keep for part in ("-e", pattern)]
        git.run("clean", "-ffdxq", *excludes, cwd=tree_dir, env=env, pass_fds=(lock,))


def _strip(git: Git, tree_dir: Path, spare: Spare) -> None:
    """Replace the ``.git`` file by a directory with our index and the facts about the tree."""
    admin = Path(tree_environment(git, tree_dir)["GIT_DIR"])
    taken = admin / "agentjobs-spare"
    delete(taken)
    taken.mkdir(mode=0o700)
    replace_file(taken / _FACTS, msgspec.json.encode(spare))
    (admin / SEED_INDEX).replace(taken / "index")
    write_directories(taken / _HELD, checked_out(tree_dir))
    if (admin / MEMORY).exists():
        (admin / MEMORY).replace(taken / MEMORY)
    delete(tree_dir / ".git")
    shutil.move(taken, tree_dir / ".git")


def _delete_below(tree_dir: Path, path: str) -> None:
    """Delete a path in the tree, but nothing behind a link."""
    at = tree_dir
    for part in Path(path).parts:
        at /= part
        if at.is_symlink():
            break
    delete(at)


def _add(tree_dir: Path, spare_dir: Path, *, gone: bool = False) -> None:
    """Rename the tree to a free number, or (``gone``) to a name that ``delete_gone`` deletes."""
    number = 1
    while True:
        target = spare_dir / (f"{_GONE}{number}" if gone else str(number))
        if not os.path.lexists(target):
            try:
                tree_dir.rename(target)
            except FileNotFoundError:  # handed out by another process
                return
            except OSError:  # another process was quicker
                if not os.path.lexists(target):
                    raise
            else:
                return
        number += 1


def _widen(git: Git, tree_dir: Path, lock: int, held: Sequence[str]) -> None:
    """Check out more in a tree that is ready; its uncommitted content stays, uncommitted."""
    tip = head(git, tree_dir)
    if tip is None:
        return
    try:
        taken = snapshot(git, tree_dir, tip, "agentjobs: what a tree held before more was checked out", 0.0)
    except GitError:  # it stays as it is
        return
    forget(git, tree_dir)
    goal = (tip, taken.tree if taken.commit != tip else "")
    # The goal first: after a kill the tree is completed from what was taken, whatever is recorded.
    set_state(lock, RESET, *goal)
    set_checked_out(tree_dir, held)
    if not held:
        admin = Path(tree_environment(git, tree_dir)["GIT_DIR"])
        for index in (SEED_INDEX, "index"):  # nothing else clears the skip-worktree bits
            (admin / index).unlink(missing_ok=True)
    reach(git, tree_dir, lock, *goal)


def _take(git: Git, tree_dir: Path, spare_dir: Path, sparse: Sequence[str]) -> Spare | None:
    """Move a spare to the place of the registered, still empty tree; None if there is no spare.

    Spares with the same directories come first.
    """
    admin = admin_dir(git, tree_dir)
    if admin is None or not is_directory(spare_dir):
        return None
    (tree_dir / ".git").unlink()
    for spare in sorted(spares(spare_dir), key=lambda entry: _held(entry) != tuple(sparse)):
        try:
            spare.rename(tree_dir)
        except OSError:  # another process was quicker
            continue
        with_it = tree_dir / ".git"
        same = _held(tree_dir) == tuple(sparse)
        if same and (with_it / MEMORY).exists():  # with other files a setup may have another result
            shutil.copy2(with_it / MEMORY, admin / MEMORY)
        if same or sparse:  # nothing would clear its skip-worktree bits
            shutil.copy2(with_it / "index", admin / "index")
        try:
            found = msgspec.json.decode(read_plain(with_it / _FACTS), type=Spare)
        except (OSError, msgspec.DecodeError):
            return Spare("", ())
        # Valid until the first file is written: after a kill then, the whole tree must be checked.
        (with_it / _FACTS).unlink()
        return found
    return None


def _held(spare: Path) -> tuple[str, ...]:
    """Return what is checked out in a spare, wherever it is (see ``sparse``)."""
    try:
        return read_directories(spare / ".git" / _HELD)
    except OSError:
        return ("",)


def _switch(git: Git, tree_dir: Path, spare: Spare, commit: str, keep: Sequence[str], lock: int) -> bool:
    """Put a clean spare on ``commit``, touching only files that differ. False: the whole tree must be checked."""
    if not spare.commit or spare.keep != tuple(keep) or git.resolve(spare.commit) is None:
        return False
    if any(path.rpartition("/")[2] == ".gitignore" for path in git.changed(spare.commit, commit)):
        return False  # a kept file may not be ignored any more
    env = tree_environment(git, tree_dir)
    admin = Path(env["GIT_DIR"])
    if not (admin / "index").exists():
        return False
    env |= sparse_environment(tree_dir, admin)
    # Fails if the index is of another commit, or a file to be written is not as it was.
    two_way = ("read-tree", "-m", "-u", spare.commit, commit)
    if git.run(*two_way, cwd=tree_dir, env=env, pass_fds=(lock,), ok=(0, 128)).code != 0:
        return False
    if not_checked_out_but_there(git, tree_dir, "index"):
        return False
    forget_if_changed(git, admin, commit)
    link_back(tree_dir, admin)
    shutil.copy2(admin / "index", admin / SEED_INDEX)
    return True
