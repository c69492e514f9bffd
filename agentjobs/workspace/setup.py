"""Whether what ``workspace.setup`` made in a tree still holds, so that it need not run again.

Remembered in the tree's administrative directory once the command has exited 0, and forgotten as soon as the
tree is put on a commit whose inputs differ: whatever was installed for those is not what it was. Only what lies
in the paths of ``workspace.keep`` is relied upon; without any there is nothing to remember.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from agentjobs.disk.plain_files import read_plain
from agentjobs.disk.write import replace_file
from agentjobs.text.path_patterns import in_scope
from agentjobs.workspace.git import text
from agentjobs.workspace.snapshot import admin_dir, tree_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentjobs.policy.policy import Workspace
    from agentjobs.workspace.git import Git

MEMORY = "agentjobs-setup"
"""The name of the file in the administrative directory."""


class Prepared(Struct, frozen=True):
    """What is remembered of a setup."""

    key: str
    """Of the command and all else that it may depend on, but for the files of the commit."""
    commit: str
    """Where the tree stood."""
    inputs: tuple[str, ...]
    paths: tuple[str, ...]
    """What it left in the paths that are kept."""


def setup_due(git: Git, tree_dir: Path, commit: str, settings: Workspace) -> bool:
    """Whether the setup command must run before the tree, put on ``commit``, is what it should be.

    Where it must, what was remembered is forgotten: a command that is cut off leaves neither the old nor the new.
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
    """Remember that the setup command exited 0 in the tree, which stands on ``commit``."""
    admin = admin_dir(git, tree_dir)
    if admin is None or not settings.setup or not settings.keep:
        return
    if paths := _kept(git, tree_dir, settings.keep):
        prepared = Prepared(_key(settings), commit, settings.inputs, paths)
        replace_file(admin / MEMORY, msgspec.json.encode(prepared))


def forget(git: Git, tree_dir: Path) -> None:
    """Forget that the tree was set up."""
    admin = admin_dir(git, tree_dir)
    if admin is not None:
        (admin / MEMORY).unlink(missing_ok=True)


def forget_if_changed(git: Git, admin: Path, commit: str) -> None:
    """Forget it if the inputs are others in ``commit``, on which the tree is about to be put."""
    known = _decode(admin / MEMORY)
    if known is not None and _inputs_differ(git, known, commit):
        (admin / MEMORY).unlink(missing_ok=True)


def is_input(path: str, inputs: Sequence[str]) -> bool:
    """Whether one of the patterns names the path: without a slash at any depth, else from the top."""
    return not in_scope((path,), [entry if "/" in entry else f"**/{entry}" for entry in inputs])


def _inputs_differ(git: Git, known: Prepared, commit: str) -> bool:
    if known.commit == commit or not known.inputs:
        return False
    names = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", known.commit, commit)
    done = git.run(*names, ok=(0, 128))  # 128: a commit that is gone
    return done.code != 0 or any(is_input(text(path), known.inputs) for path in done.stdout.split(b"\0") if path)


def _key(settings: Workspace) -> str:
    parts = (settings.setup or "", "", *settings.copy, "", *settings.link, "", *settings.inputs, "", *settings.keep)
    return blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _kept(git: Git, tree_dir: Path, keep: Sequence[str]) -> tuple[str, ...]:
    """Return the ignored paths in the tree that ``keep`` names, as far as git lists them."""
    flags = ("--others", "--ignored", "--exclude-standard", "--directory")
    done = git.run("ls-files", "-z", *flags, cwd=tree_dir, env=tree_environment(git, tree_dir))
    listed = [text(path).rstrip("/") for path in done.stdout.split(b"\0") if path]
    found = [path for path in listed if is_input(path, keep)]
    # A path inside a directory that is ignored as a whole is not listed.
    found += [path.strip("/") for path in keep if "/" in path.strip("/")]
    return tuple(sorted({path for path in found if _filled(tree_dir / path)}))


def _filled(path: Path) -> bool:
    """Whether something stands there, and is not an empty directory."""
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
