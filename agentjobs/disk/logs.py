"""Reading the output of a step: its end, its beginning, or all of its lines."""

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
"""So much of the end of a log is read to classify it; ``lines_before`` reads on where that does not decide."""

CHUNK_BYTES = 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024
"""A longer line before the tail is passed over, so that memory stays bounded."""

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


def lines_before(
    path: Path, limit: int, masking: Masking | None = None, wanted: Callable[[bytes], bool] | None = None
) -> Iterator[bytes]:
    """Yield the lines that ``read_tail`` cut or left out, the newest first, without secrets.

    Reads at most ``limit`` bytes, and only as far as lines are asked for; ``wanted`` says which ones are needed.
    The first one is the line in whose middle the tail begins: it is read to its end.
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
    """Return where the line ends that ``at`` is in."""
    file.seek(at)
    while chunk := file.read(CHUNK_BYTES):
        found = chunk.find(b"\n")
        if found >= 0:
            return at + found
        at += len(chunk)
    return size


def _backwards(file: BinaryIO, end: int, floor: int) -> Iterator[bytes]:
    """Yield the lines that end before ``end``, the newest first; one that begins before ``floor`` is left out."""
    pieces: list[bytes] = []  # of a line whose beginning has not been read, the last first
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
