"""Paths of this machine that a sandbox needs to see, and those that each sandbox has for itself."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import agentjobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - every program's


def real(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return paths without a link in them."""
    return tuple(os.path.realpath(path) for path in paths)


def needed_by(words: Iterable[str]) -> Iterator[str]:
    """Yield those of some words that are paths, and where the Python that runs us lies."""
    for path in words:
        if path.startswith("/") and os.path.exists(path):  # noqa: PTH110 - of any text: a Path may raise
            yield from (os.path.normpath(path), os.path.realpath(path))
    yield from interpreter()


@cache
def interpreter() -> tuple[str, ...]:
    """Return where the Python that runs us lies, and its modules: checks call us by AGENTJOBS_PYTHON."""
    places = {sys.prefix, sys.base_prefix, sys.executable, agentjobs.__path__[0], *sys.path}
    there = [path for path in places if path.startswith("/") and Path(path).exists()]
    return tuple(sorted({os.path.normpath(path) for path in there} | {os.path.realpath(path) for path in there}))


@cache
def private_places() -> tuple[str, ...]:
    """Return the temporary directories, of which each sandbox has its own."""
    return tuple(sorted({os.path.realpath(path) for path in TEMPORARY if os.path.isdir(path)}))
