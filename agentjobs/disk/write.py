"""Replace a file atomically, readable by its owner only; write any value as JSON."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import msgspec

from agentjobs.disk.plain_files import is_directory, put_aside, regain
from agentjobs.model.errors import is_machines

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file by rename, mode 0600; nobody sees a half-written file.

    ``durable``: its content is on the disk when this returns. Anything in the way is put aside. Raises OSError, and
    leaves nothing behind, if it cannot be written. FileNotFoundError if there is no directory: the project may have
    been deleted, and must not come back by accident.
    """
    try:
        _replace(path, data, durable=durable)
    except FileNotFoundError:
        raise
    except OSError as error:
        if is_machines(error):
            raise
        make_room(path)
        _replace(path, data, durable=durable)


def _replace(path: Path, data: bytes, *, durable: bool) -> None:
    temporary = path.with_name(path.name + "~")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        try:
            fd = os.open(temporary, flags, 0o600)
        except FileExistsError:
            temporary.unlink()  # left by a killed process of ours; or a pipe or a link that somebody put there
            fd = os.open(temporary, flags, 0o600)
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


def remove(path: Path) -> None:
    """Remove a state file; a directory in its place is put aside."""
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):
        make_room(path)
        path.unlink(missing_ok=True)


def make_room(path: Path) -> None:
    """Make sure that a file can be created at ``path``; our directory for it is created if needed.

    Anything in the way (a directory there, a file in the place of the directory) is put aside. Rights that we lost
    below ``.agentjobs`` are restored.
    """
    for there in (path, path.with_name(f"{path.name}~")):
        if is_directory(there):
            put_aside(there, "~")
    if not path.parent.is_dir():
        if os.path.lexists(path.parent):
            put_aside(path.parent, "~")
        path.parent.mkdir(mode=0o700, parents=True)
    regain(path)


def encode(value: object) -> bytes:
    r"""Return a value as JSON; bytes of a file name that are not UTF-8 become ``\xff``."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_all_printable(msgspec.to_builtins(value)))


def printable(text: str) -> str:
    r"""Return a path, or a text with paths, that any file can hold: what is not UTF-8 becomes ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _all_printable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_all_printable(key): _all_printable(item) for key, item in value.items()}
    return [_all_printable(item) for item in value] if isinstance(value, list | tuple) else value
