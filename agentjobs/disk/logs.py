"""Read the output of a step: its end, its beginning, or all its lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.disk.plain_files import open_plain, read_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from agentjobs.text.masking import Masking

TAIL_BYTES = 256 * 1024
"""Bytes at the end of a log that are read to classify it; ``lines_before`` goes on if they do not decide."""

CHUNK_BYTES = 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024
"""A longer line before the tail is skipped, so that memory stays bounded."""

LOOK_BYTES = 2 * 1024 * 1024
"""Most bytes of new output that are read in one look; a longer line is skipped."""


LOOK_LINES = 20_000
"""Most lines of it: a short line costs as much as a long one."""


class Place(Struct, frozen=True, omit_defaults=True):
    """How far a growing file has been read: up to the end of a line."""

    offset: int = 0
    inside: bool = False
    """In the middle of a line that is too long: the rest of it is skipped."""


class News(Struct, frozen=True):
    """What was added to a growing file since it was last read."""

    place: Place
    lines: bytes = b""
    """Complete lines; an incomplete last one waits for its end."""
    more: bool = False
    """There is more, for the next look."""
    anew: bool = False
    """The file is shorter than it was, so it is a new one: read from its beginning."""


def read_tail(path: Path, masking: Masking | None = None, limit: int = TAIL_BYTES) -> tuple[bytes, int]:
    """Return the end of a file and the size of the whole file; nothing for a missing file.

    With ``masking`` the secrets in it are masked. That comes before the cut, because half a secret is not recognised.
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


def lines_before(
    path: Path, limit: int, masking: Masking | None = None, wanted: Callable[[bytes], bool] | None = None
) -> Iterator[bytes]:
    """Yield the lines that ``read_tail`` cut or left out, newest first, with secrets masked.

    Reads at most ``limit`` bytes, and only as far as lines are asked for; ``wanted`` selects the lines needed. The
    first one is the line that the tail cuts: it is read to its end.
    """
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size - TAIL_BYTES)
            if not begin:
                return
            for line in _backwards(file, _end_of_line(file, begin, size), max(0, size - limit)):
                if len(line) <= LONGEST_LINE and (wanted is None or wanted(line)):
                    yield masking.mask(line) if masking else line
    except FileNotFoundError:
        return


def _end_of_line(file: BinaryIO, at: int, size: int) -> int:
    """Return where the line around ``at`` ends."""
    file.seek(at)
    while chunk := file.read(CHUNK_BYTES):
        found = chunk.find(b"\n")
        if found >= 0:
            return at + found
        at += len(chunk)
    return size


def _backwards(file: BinaryIO, end: int, floor: int) -> Iterator[bytes]:
    """Yield the lines that end before ``end``, newest first; one that starts before ``floor`` is left out."""
    pieces: list[bytes] = []  # of a line whose beginning is not read yet, last piece first
    held = 0
    while end > floor:
        start = max(floor, end - CHUNK_BYTES)
        file.seek(start)
        first, *lines = file.read(end - start).split(b"\n")
        end = start
        if lines:
            last = lines.pop()
            yield b"".join(reversed([*pieces, last])) if held <= LONGEST_LINE else b""
            yield from reversed(lines)
            pieces, held = [], 0
        held += len(first)
        if held <= LONGEST_LINE:
            pieces.append(first)
    if not floor and held <= LONGEST_LINE:
        yield b"".join(reversed(pieces))


def read_head(path: Path, limit: int = TAIL_BYTES) -> bytes:
    """Return the beginning of a file; nothing for a missing file."""
    try:
        return read_plain(path, limit)
    except FileNotFoundError:
        return b""


def read_on(path: str | Path, place: Place, limit: int = LOOK_BYTES, most: int = LOOK_LINES) -> News:
    """Return what follows ``place``, at most ``limit`` bytes and ``most`` lines; nothing if it cannot be read."""
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
