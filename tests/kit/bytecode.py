"""Rewrite the assertions of all test files once, before the workers start, instead of once in every worker.

pytest rewrites a test file when it imports it, and keeps the result beside the file. Workers of pytest-xdist start at
the same time, so after a change (and in a fresh clone) each of them would rewrite everything: 20 seconds of work each.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from _pytest.assertion import rewrite

if TYPE_CHECKING:
    import pytest


def warm(config: pytest.Config) -> None:
    """Write the bytecode of the test files that `config.args` name, in as many processes as there are cores.

    It uses private functions of pytest. When they change, nothing breaks: the workers do the work, as without this.
    """
    paths = [path for arg in config.args for path in _files(Path(arg.partition("::")[0])) if _old(path)]
    if not paths or sys.dont_write_bytecode:
        return
    shares = os.cpu_count() or 1
    processes = [
        multiprocessing.get_context("fork").Process(target=_write, args=(config, sorted(paths)[share::shares]))
        for share in range(shares)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def _files(place: Path) -> list[Path]:
    place = place.resolve()  # where the bytecode of a file is depends on its whole path
    return sorted(place.rglob("test_*.py")) if place.is_dir() else [place] if place.is_file() else []


def _bytecode(path: Path) -> Path:
    return rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"


def _old(path: Path) -> bool:
    return rewrite._read_pyc(path, _bytecode(path)) is None


def _write(config: pytest.Config, paths: list[Path]) -> None:
    for path in paths:
        stat, code = rewrite._rewrite_test(path, config)
        _bytecode(path).parent.mkdir(parents=True, exist_ok=True)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, stat, _bytecode(path))
