"""How many tokens files have: counted in parallel, and remembered by content in a file that is never needed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

from agentjobs.disk.plain_files import read_plain
from agentjobs.tokens.count import ENCODING, count_all
from agentjobs.tokens.vocabularies import vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MOST_BYTES: Final = 16 * 1024 * 1024
"""A memory that has grown past it (some 400,000 contents) begins anew."""

SMALL: Final = 64
"""Bytes of a content that is not worth remembering."""

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of a content of which every token is counted; no window holds a larger one, and the memory of few machines."""

SAMPLE: Final = 4 * 1024 * 1024
"""Bytes at the beginning of a larger one that are counted; the rest is taken to be like them."""

_LINE: Final = re.compile(rb"^([0-9a-f]{32}) (\d{1,12})$", re.MULTILINE)


def count_contents(contents: Sequence[bytes], *, encoding: str = ENCODING, memory: Path | None = None) -> list[int]:
    """Return the number of tokens of each content; what is not UTF-8 counts as replacement characters.

    Of a content larger than ``LARGEST`` it is an estimate.

    ``memory``: a directory in which counts are kept by content, one file for each encoding; it is made where it is
    not there. Where it cannot be read or written all is counted, and nobody is bothered. UserError for an encoding
    that is not on this machine.
    """
    path = None if memory is None else memory / encoding
    known = _read(path) if path is not None else {}
    names = [_name(data) for data in contents]
    new = {name: data for name, data in zip(names, contents, strict=True) if name not in known}
    if new:
        parts = [data if len(data) <= LARGEST else data[:SAMPLE] for data in new.values()]
        texts = [part.decode("utf-8", "replace") for part in parts]
        counts = count_all(vocabulary(encoding), texts, os.cpu_count() or 1)
        found = {
            name: count * len(data) // max(1, len(part))
            for (name, data), part, count in zip(new.items(), parts, counts, strict=True)
        }
        known.update(found)
        if path is not None:
            _append(path, ((name, found[name]) for name, data in new.items() if len(data) > SMALL))
    return [known[name] for name in names]


def _name(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _read(path: Path) -> dict[str, int]:
    """Return what is remembered; a line that a crash has cut is skipped."""
    try:
        data = read_plain(path)
    except OSError:
        return {}
    whole = data[: data.rfind(b"\n") + 1]
    return {name.decode(): int(count) for name, count in _LINE.findall(whole)}


def _append(path: Path, counts: Iterable[tuple[str, int]]) -> None:
    """Add to the memory in one write, so that two programs at once do no harm."""
    data = "".join(f"{name} {count}\n" for name, count in counts).encode()
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MOST_BYTES:
            path.unlink()
        with path.open("ab") as file:  # after a line that a crash has cut the first of these is lost, and no more
            file.write(data)
