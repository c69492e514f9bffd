"""A path of the user's checkout, linked into a tree: ``workspace.link``.

A directory may contain links to files of the project outside it: the packages of a workspace in ``node_modules``. With
one link to the directory all these would lead to the user's checkout, and the checks would test that. So such a
directory, and those on the way to these links, are created, and the links lead to the tree's own files.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


def link(source: Path, target: Path, root: Path, tree_dir: Path) -> None:
    """Make ``target`` in the tree a link to ``source`` in the user's checkout at ``root``."""
    real = Path(os.path.realpath(source))
    leads = os.path.relpath(real, os.path.realpath(root))
    if _in_project(leads) and (tree_dir / leads).exists():  # itself a link to something that the tree has
        target.symlink_to(tree_dir / leads)
        return
    back = links_back(real, os.path.realpath(root), real.stat().st_mtime_ns) if real.is_dir() else {}
    back = {path: leads for path, leads in back.items() if (tree_dir / leads.partition("/")[0]).exists()}
    if not back:
        target.symlink_to(real, target_is_directory=real.is_dir())
        return
    above = {str(parent) for path in back for parent in Path(path).parents}
    todo = ["."]
    while todo:
        directory = todo.pop()
        (target / directory).mkdir()
        for entry in (real / directory).iterdir():
            path = str(entry.relative_to(real))
            if path in above:
                todo.append(path)
            else:
                (target / path).symlink_to(tree_dir / back[path] if path in back else entry)


def turn(source: Path, target: Path, root: Path, tree_dir: Path) -> None:
    """Redirect absolute links to files of the project, in a copied directory, to the tree's own files."""
    real = Path(os.path.realpath(source))
    for path, leads in links_back(real, os.path.realpath(root), real.stat().st_mtime_ns).items():
        found = target / path
        if found.readlink().is_absolute() and (tree_dir / leads.partition("/")[0]).exists():
            found.unlink()
            found.symlink_to(tree_dir / leads)


@lru_cache
def links_back(directory: Path, root: str, _changed_at: int) -> dict[str, str]:
    """Return the links below a directory that lead to other places of the project: their path and destination.

    All paths are real ones. ``_changed_at`` is part of the key of the cache.
    """
    found = {}
    inside = os.path.relpath(directory, root) + "/"
    todo = [str(directory)]
    while todo:
        with os.scandir(todo.pop()) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                elif entry.is_symlink():
                    leads = os.path.relpath(os.path.realpath(entry.path), root)
                    if _in_project(leads) and not f"{leads}/".startswith(inside):
                        found[os.path.relpath(entry.path, directory)] = leads
    return found


def _in_project(path: str) -> bool:
    """Return whether a path from the top of the checkout leads to files of the project (``.``: to all of it)."""
    return path.partition("/")[0] not in {"..", ".git", ".agentjobs"}
