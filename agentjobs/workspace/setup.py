"""Whether the result of ``workspace.setup`` in a tree is still valid, so that it need not run again.

This is recorded in the tree's administrative directory once the command has exited 0, and deleted as soon as the tree
is put on a commit with different inputs: then the installed packages may be wrong. Only the paths of ``workspace.keep``
survive; without any there is nothing to record.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from agentjobs.disk.plain_files import is_directory, read_plain
from agentjobs.disk.write import replace_file
from agentjobs.text.path_patterns import in_scope
from agentjobs.workspace.git import text
from agentjobs.workspace.worktree_admin import admin_dir, tree_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentjobs.policy.policy import Workspace
    from agentjobs.workspace.git import Git

MEMORY = "agentjobs-setup"
"""The name of the file in the administrative directory."""

_ABSENT = "agentjobs-no-setup"
"""Exists there while the tree does not have what the setup command makes, although an agent may work in it later."""


class Prepared(Struct, frozen=True):
    """The record of a setup."""

    key: str
    """Hash of the command and all else that it may depend on, except the files of the commit."""
    commit: str
    """The commit of the tree."""
    inputs: tuple[str, ...]
    paths: tuple[str, ...]
    """What it left in the paths that are kept."""


def setup_due(git: Git, tree_dir: Path, commit: str, settings: Workspace) -> bool:
    """Return whether the setup command must run in the tree, which is on ``commit``.

    If so, the record is deleted: after an interrupted command neither the old nor the new result is valid.
    """
    if not settings.setup:
        return False
    known = _read(git, tree_dir)
    if (
        known is not None
        and known.key == _key(settings)
        and not _inputs_differ(git, known, commit)
        and all(_filled(tree_dir / path) for path in known.paths)
    ):
        return False
    forget(git, tree_dir)
    return True


def setup_done(git: Git, tree_dir: Path, commit: str, settings: Workspace) -> None:
    """Record that the setup command exited 0 in the tree, which is on ``commit``."""
    admin = admin_dir(git, tree_dir)
    if admin is None or not settings.setup or not settings.keep:
        return
    if paths := _kept(git, tree_dir, settings.keep):
        prepared = Prepared(_key(settings), commit, settings.inputs, paths)
        replace_file(admin / MEMORY, msgspec.json.encode(prepared))


def note_absent(git: Git, tree_dir: Path) -> None:
    """Record that the setup command must run in the tree, unless it came with a valid result."""
    admin = admin_dir(git, tree_dir)
    if admin is not None and not (admin / MEMORY).exists():
        (admin / _ABSENT).touch()


def note_present(git: Git, tree_dir: Path) -> None:
    """Record that the setup command exited 0 in the tree."""
    admin = admin_dir(git, tree_dir)
    if admin is not None:
        (admin / _ABSENT).unlink(missing_ok=True)


def is_absent(git: Git, tree_dir: Path, settings: Workspace) -> bool:
    """Return whether there is a setup command that must run before anything else works in the tree.

    That is so in every tree that was made again in the middle of its task.
    """
    if not settings.setup:
        return False
    admin = admin_dir(git, tree_dir)
    return admin is None or not is_directory(tree_dir) or (admin / _ABSENT).exists()


def forget(git: Git, tree_dir: Path) -> None:
    """Delete the record of the setup."""
    admin = admin_dir(git, tree_dir)
    if admin is not None:
        (admin / MEMORY).unlink(missing_ok=True)


def forget_if_changed(git: Git, admin: Path, commit: str) -> None:
    """Delete the record if the inputs differ in ``commit``, the tree's next one."""
    known = _decode(admin / MEMORY)
    if known is not None and _inputs_differ(git, known, commit):
        (admin / MEMORY).unlink(missing_ok=True)


def is_input(path: str, inputs: Sequence[str]) -> bool:
    """Return whether one of the patterns matches the path: without a slash at any depth, else from the top."""
    return not in_scope((path,), [entry if "/" in entry else f"**/{entry}" for entry in inputs])


def _inputs_differ(git: Git, known: Prepared, commit: str) -> bool:
    if known.commit == commit or not known.inputs:
        return False
    names = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", known.commit, commit)
    done = git.run(*names, ok=(0, 128))  # 128: an unknown commit
    return done.code != 0 or any(is_input(text(path), known.inputs) for path in done.stdout.split(b"\0") if path)


def _key(settings: Workspace) -> str:
    parts = (settings.setup or "", "", *settings.copy, "", *settings.link, "", *settings.inputs, "", *settings.keep)
    return blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _kept(git: Git, tree_dir: Path, keep: Sequence[str]) -> tuple[str, ...]:
    """Return the ignored paths in the tree that ``keep`` matches, as far as git lists them."""
    flags = ("--others", "--ignored", "--exclude-standard", "--directory")
    done = git.run("ls-files", "-z", *flags, cwd=tree_dir, env=tree_environment(git, tree_dir))
    listed = [text(path).rstrip("/") for path in done.stdout.split(b"\0") if path]
    found = [path for path in listed if is_input(path, keep)]
    # A path inside a directory that is ignored as a whole is not listed.
    found += [path.strip("/") for path in keep if "/" in path.strip("/")]
    return tuple(sorted({path for path in found if _filled(tree_dir / path)}))


def _filled(path: Path) -> bool:
    """Return whether there is anything at the path, except an empty directory."""
    try:
        return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)
    except OSError:
        return False


def _read(git: Git, tree_dir: Path) -> Prepared | None:
    admin = admin_dir(git, tree_dir)
    return None if admin is None else _decode(admin / MEMORY)


def _decode(path: Path) -> Prepared | None:
    try:
        return msgspec.json.decode(read_plain(path), type=Prepared)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
