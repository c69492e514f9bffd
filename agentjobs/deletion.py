"""Deleting what an agent left, read-only directories and all."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from agentjobs.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def delete(path: Path) -> None:
    """Delete a file, a link or a directory, read-only ones included. Raises ``UserError`` if it cannot."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        try:
            shutil.rmtree(path)
        except OSError:
            make_writable(path)
            shutil.rmtree(path)
    except OSError as error:
        raise UserError(f"cannot delete {path}: {error.strerror or error}") from error


def make_writable(top: Path) -> None:
    """Give us every right on ``top`` and all directories below it."""
    os.chmod(top, stat.S_IRWXU)  # noqa: PTH101
    for directory, names, _ in os.walk(top):
        # Before the walk goes down into them.
        for name in names:
            path = os.path.join(directory, name)
            if not os.path.islink(path):  # noqa: PTH114
                os.chmod(path, stat.S_IRWXU)  # noqa: PTH101
