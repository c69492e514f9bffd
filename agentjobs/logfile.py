"""Reading the output of a step: its end, its beginning, or all of its lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.plainfile import open_plain, read_plain

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.masking import Masking

TAIL_BYTES = 256 * 1024
"""So much of the end of a log is read to classify it."""

LOOK_BYTES = 2 * 1024 * 1024
"""So much of what is new is read in one look; a longer line is passed over."""


LOOK_LINES = 20_000
"""At most this many lines of it: a short line costs as much as a long one."""


class Place(Struct, frozen=True, omit_defaults=True):
    """How far a file that grows has been read: up to the end of a line."""

    offset: int = 0
    inside: bool = False
    """In the middle of a line that is too long: the rest of it is passed over."""


class News(Struct, frozen=True):
    """What a file that grows has to say since it was last read."""

    place: Place
    lines: bytes = b""
    """Whole lines; one without its end waits for it."""
    more: bool = False
    """There is more, for the next look."""
    anew: bool = False
    """The file is shorter than it was, so it is another one: read from its beginning."""


def read_tail(path: Path, masking: Masking | None = None, limit: int = TAIL_BYTES) -> tuple[bytes, int]:
    """Return the end of a file and the size of all of it; nothing for a file that is not there.

    With ``masking`` there are no secrets in it: taken out before anything is cut, for half of one is not known again.
    """
    try:
        with os.fdopen(open_plain(path), "rb") as file:
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
        return read_plain(path, limit)
    except FileNotFoundError:
        return b""


def read_on(path: str | Path, place: Place, limit: int = LOOK_BYTES, most: int = LOOK_LINES) -> News:
    """Return what came after ``place``, at most ``limit`` bytes and ``most`` lines; no news if it cannot be read."""
    try:
        with os.fdopen(open_plain(path, follow=True), "rb") as file:  # a transcript may be a link
            size = file.seek(0, 2)
            anew = size < place.offset
            if anew:
                place = Place()
            file.seek(place.offset)
            chunk = file.read(limit) if size > place.offset else b""
    except OSError:
        return News(place)
    end = chunk.rfind(b"\n") + 1
    more = place.offset + len(chunk) < size
    if not end:
        if len(chunk) < limit:
            return News(place, anew=anew)
        return News(Place(place.offset + len(chunk), inside=True), more=more, anew=anew)
    if chunk.count(b"\n") > most:
        end = len(chunk) - len(chunk.split(b"\n", most)[most])
        more = True
    lines = chunk[:end]
    if place.inside:
        lines = lines.partition(b"\n")[2]
    return News(Place(place.offset + end), lines, more, anew)
