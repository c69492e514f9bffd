"""Which files look like tests, and by which names they speak of a file (pure)."""

from __future__ import annotations

import re
from typing import Final

ENDINGS: Final = (
    "py", "js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte", "go", "rb", "java", "kt", "scala",
    "rs", "c", "cc", "cpp", "cxx", "h", "hpp", "cs", "fs", "php", "swift", "m", "ex", "exs", "erl", "clj", "dart",
    "lua", "pl", "t", "r", "jl", "hs", "ml", "sh", "coffee",
)  # fmt: skip
"""Endings of programs; snapshots and data beside tests mention everything, and are no tests."""

TEST_GLOBS: Final = (
    "**/test_*", "**/*_test.*", "**/*.test.*", "**/*.spec.*", "**/*_spec.*", "**/__tests__/**", "**/test/**",
    "**/tests/**",
)  # fmt: skip
"""Where git is to look; ``looks_like_test`` decides."""

_NAME: Final = re.compile(r"test_.*|.*[._](?:test|spec)\..*")
_PLACES: Final = frozenset({"__tests__", "test", "tests"})
_ENTRY: Final = frozenset({"index", "__init__", "mod", "main"})
_ENDING: Final = re.compile(r"(?:\.d)?\.[A-Za-z0-9]+$")

SHORTEST: Final = 3
"""A name of fewer letters is in every text."""


def looks_like_test(path: str) -> bool:
    """Whether a file is a test by its name or by the directory it is in."""
    *places, name = path.split("/")
    if name.rpartition(".")[2].lower() not in ENDINGS:
        return False
    return bool(_NAME.fullmatch(name)) or not _PLACES.isdisjoint(places)


def word_of(path: str) -> str:
    """Return the name by which others speak of a file: without its ending; of an index that of its directory.

    Empty where there is none that says anything.
    """
    *places, name = path.split("/")
    stem = _ENDING.sub("", name)
    if stem in _ENTRY and places:
        stem = places[-1]
    return stem if len(stem) >= SHORTEST else ""
