"""Recognise tests by their paths, and the names by which they mention a file (pure)."""

from __future__ import annotations

import re
from typing import Final

ENDINGS: Final = (
    "py", "js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte", "go", "rb", "java", "kt", "scala",
    "rs", "c", "cc", "cpp", "cxx", "h", "hpp", "cs", "fs", "php", "swift", "m", "ex", "exs", "erl", "clj", "dart",
    "lua", "pl", "t", "r", "jl", "hs", "ml", "sh", "coffee",
)  # fmt: skip
"""Endings of programs; snapshots and data next to tests mention everything, but are not tests."""

TEST_GLOBS: Final = (
    "**/test_*", "**/*_test.*", "**/*.test.*", "**/*.spec.*", "**/*_spec.*", "**/__tests__/**", "**/test/**",
    "**/tests/**",
)  # fmt: skip
"""Where git searches; ``looks_like_test`` decides."""

_NAME: Final = re.compile(r"test_.*|.*[._](?:test|spec)\..*")
_PLACES: Final = frozenset({"__tests__", "test", "tests"})
_ENTRY: Final = frozenset({"index", "__init__", "mod", "main"})
_ENDING: Final = re.compile(r"(?:\.d)?\.[A-Za-z0-9]+$")

SHORTEST: Final = 3
"""A shorter name occurs in every text."""


def looks_like_test(path: str) -> bool:
    """Return whether a file is a test, judging by its name and its directory."""
    *places, name = path.split("/")
    if name.rpartition(".")[2].lower() not in ENDINGS:
        return False
    return bool(_NAME.fullmatch(name)) or not _PLACES.isdisjoint(places)


def word_of(path: str) -> str:
    """Return the name by which other files mention a file: without its ending; for an index that of its directory.

    Empty if that name is too general.
    """
    *places, name = path.split("/")
    stem = _ENDING.sub("", name)
    if stem in _ENTRY and places:
        stem = places[-1]
    return stem if len(stem) >= SHORTEST else ""
