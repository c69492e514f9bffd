"""Read the tables of manifests: ``imports``, ``exports``, ``paths`` and ``workspaces`` (no file is opened here)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = frozenset({"types", "typings"})

DEPTH_MAX = 64
"""Nested conditions, and names that refer to names, are followed to this depth."""


def package_name(text: str) -> tuple[str, str]:
    """Split a specifier into the package's name and what follows (``""`` or ``"/…"``)."""
    parts = text.split("/", 2 if text.startswith("@") else 1)
    name = "/".join(parts[:2] if text.startswith("@") else parts[:1])
    return name, text[len(name) :]


def matched(pattern: str, text: str) -> str | None:
    """Return what the ``*`` of ``pattern`` matches in ``text`` (empty without one); None: no match."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if pattern == text else None
    if len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after):
        return text[len(before) : len(text) - len(after)]
    return None


class _Star:
    """A target of a manifest with the match of its ``*``."""

    __slots__ = ("star", "value")

    def __init__(self, value: Any, star: str) -> None:
        self.value = value
        self.star = star


def entry_for(table: Any, text: str) -> _Star | Any:
    """Return the entry of ``imports`` or ``exports`` for ``text``: the exact one, or the longest."""
    if not isinstance(table, dict):
        return None
    if text in table and "*" not in text:
        return table[text]
    best: tuple[int, Any] | None = None
    for key, value in table.items():
        # A key that ends in a slash is the old form of one that ends in a star.
        star = matched(key + "*" if key.endswith("/") else key, text) if key.endswith("/") or "*" in key else None
        if star:
            length = len(key.partition("*")[0])
            if best is None or length > best[0]:
                best = length, _Star(value, star)
    return best[1] if best else None


def targets(entry: _Star | Any, require: bool) -> Iterator[str]:
    """Yield the targets of an entry, best first.

    They are in the order of the manifest, but those of the other module system come later, and those for types last,
    because the file that runs is the one that is imported.
    """
    star = entry.star if isinstance(entry, _Star) else ""
    value = entry.value if isinstance(entry, _Star) else entry
    later = "import" if require else "require"
    ranked: list[tuple[int, int, str]] = []
    waiting: list[tuple[int, int, Any]] = [(0, 0, value)]
    order = 0
    while waiting:
        rank, depth, value = waiting.pop()
        if isinstance(value, str):
            order += 1
            target = value.replace("*", star) if star else value
            ranked.append((rank, order, target + star if star and target.endswith("/") else target))
        elif isinstance(value, list) and depth < DEPTH_MAX:
            waiting += [(rank, depth + 1, item) for item in reversed(value)]
        elif isinstance(value, dict) and depth < DEPTH_MAX:
            for key, item in reversed(value.items()):
                lower = 2 if key in _TYPES or key.startswith("types@") else 1 if key == later else 0
                waiting.append((max(rank, lower), depth + 1, item))
    for _, _, target in sorted(ranked):
        yield target


def workspace_glob(glob: str) -> re.Pattern[str]:
    """Return the expression of a workspace's glob, which matches directories that end in a slash.

    ``**`` also stands for no directory: what the tools look for is ``packages/**/package.json``.
    """
    parts = posixpath.normpath(glob.strip("/")).split("/")
    return re.compile("".join("(?:[^/]+/)*" if part == "**" else f"{_name(part)}/" for part in parts), re.DOTALL)


def _name(glob: str) -> str:
    """Return the expression of one name, with ``*``, ``?`` and ``{a,b}``."""
    marks = {"*": "[^/]*", "?": "[^/]", "{": "(?:", ",": "|", "}": ")"}
    pieces = re.split(r"(\{[^{}]*\})", glob)
    return "".join(
        marks[char] if char in "*?" or (char in "{,}" and place % 2) else re.escape(char)
        for place, piece in enumerate(pieces)
        for char in piece
    )


def beneath(directory: str, top: str) -> str | None:
    """Return ``directory`` relative to ``top``; None if it is elsewhere."""
    if not top or directory == top:
        return directory if not top else ""
    return directory[len(top) + 1 :] if directory.startswith(top + "/") else None
