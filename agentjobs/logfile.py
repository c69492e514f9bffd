"""Reading the output of a step: its end, its beginning, or all of its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.masking import Masking

TAIL_BYTES = 256 * 1024
"""So much of the end of a log is read to classify it."""


def read_tail(path: Path, masking: Masking | None = None, limit: int = TAIL_BYTES) -> tuple[bytes, int]:
    """Return the end of a file and the size of all of it; nothing for a file that is not there.

    With ``masking`` there are no secrets in it: taken out before anything is cut, for half of one is not known again.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size - limit)
            lead = min(begin, masking.longest - 1) if masking else 0
            file.seek(begin - lead)
            data = file.read(limit + lead)
    except FileNotFoundError:
        return b"", 0
    if not masking:
        return data, size
    return (masking.tail(data, lead) if lead else masking.mask(data)), size


def read_head(path: Path, limit: int = TAIL_BYTES) -> bytes:
    """Return the beginning of a file; nothing for a file that is not there."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return b""
