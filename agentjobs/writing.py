"""Replace a file whole, for its owner alone."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file by rename, mode 0600; nothing of it is seen before all of it is there.

    ``durable``: its content is on the disk by then. OSError where it cannot be written; nothing is left behind then.
    """
    temporary = path.with_name(path.name + "~")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
