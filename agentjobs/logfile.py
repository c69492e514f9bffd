"""Reading the output of a step: its end, its beginning, or all of its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TAIL_BYTES = 256 * 1024
"""So much of the end of a log is read to classify it."""


def read_tail(path: Path, limit: int = TAIL_BYTES) -> tuple[bytes, int]:
    """Return the end of a file and the size of all of it; nothing for a file that is not there."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            return file.read(limit), size
    except FileNotFoundError:
        return b"", 0


def read_head(path: Path, limit: int = TAIL_BYTES) -> bytes:
    """Return the beginning of a file; nothing for a file that is not there."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return b""
