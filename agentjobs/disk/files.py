"""Files of ours: read where they can be, written whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from agentjobs.disk.plain_files import FACT_MAX, read_plain
from agentjobs.disk.write import encode, replace_file
from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


def read_raw(path: Path | str, *, follow: bool = False) -> bytes:
    """Return the bytes of a file, or none where there is no regular file; a person's own may be a link (``follow``)."""
    try:
        data = read_plain(path, FACT_MAX + 1, follow=follow)
    except FileNotFoundError:
        return b""
    return data if len(data) <= FACT_MAX else b""


def read_json(path: Path | str, kind: type[T]) -> T | None:
    """Return a fact, or None where there is none that can be read."""
    data = read_raw(path)
    if not data:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None


def write_json(path: Path, value: object, *, durable: bool = False) -> None:
    """Write a value as JSON, by rename; ``durable``: it must survive a power cut too."""
    write_bytes(path, encode(value) + b"\n", durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file by rename, mode 0600; nothing of it is seen before all of it is there."""
    try:
        replace_file(path, data, durable=durable)
    except OSError as error:
        raise UserError(f"cannot write: {error.strerror}", file=str(path)) from error
