"""Replace a file whole, for its owner alone; a value as JSON that any file can hold."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import msgspec

from agentjobs.plainfile import is_directory, put_aside, regain

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file by rename, mode 0600; nothing of it is seen before all of it is there.

    ``durable``: its content is on the disk by then. OSError where it cannot be written; nothing is left behind then.
    """
    temporary = path.with_name(path.name + "~")
    try:
        fd = _created(temporary)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        _rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _created(path: Path) -> int:
    """Open a new file for writing; what a killed process, or an agent, left under its name is never written to."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        if is_directory(path):
            put_aside(path)
        else:
            path.unlink(missing_ok=True)
    except PermissionError:
        if not regain(path):
            raise
    return os.open(path, flags, 0o600)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except IsADirectoryError:
        put_aside(path)
        temporary.rename(path)


def encode(value: object) -> bytes:
    r"""Return a value as JSON; bytes of a file name that are not UTF-8 are shown as ``\xff``."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_all_printable(msgspec.to_builtins(value)))


def printable(text: str) -> str:
    r"""Return a path, or a text with paths in it, as any file can hold it: what is not UTF-8 is shown as ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _all_printable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_all_printable(key): _all_printable(item) for key, item in value.items()}
    return [_all_printable(item) for item in value] if isinstance(value, list | tuple) else value
