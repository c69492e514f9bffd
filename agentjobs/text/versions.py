"""Versions of agent programs: find them in output, compare them with the tested ones. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_OTHERS: Final = re.compile(
    r"(?i)warn|deprecat|node\.js|(?:new|newer|latest) version|available|requires?\b|needs?\b|https?://"
)
"""Lines in which a version is not that of the program itself."""
_VERSION: Final = re.compile(r"(?<![\w.=])v?(\d{1,9}(?:\.\d{1,9}){1,4}(?:-[0-9A-Za-z.]+)?)")


class Standing(StrEnum):
    """How a version compares to those that the settings of an agent were tested with."""

    TESTED = "tested"
    NEWER = "newer than tested"
    OLDER = "older than tested"
    UNTESTED = "untested"
    """No version was tested."""
    UNKNOWN = "unknown"
    """The program does not print its version."""


def version_in(printed: str, pattern: str | None = None) -> str:
    """Return the version in what a program printed; empty if there is none.

    ``pattern`` is a regular expression whose first group is the version. Without it the version is the first one in a
    line that is about neither a value (``temperature=0.5``) nor another program or a newer version (warnings).
    """
    if pattern is not None:
        found = re.search(pattern, printed, re.MULTILINE)
        return (found[1] if found.re.groups else found[0]) or "" if found else ""
    lines = [line for line in printed.splitlines() if not _OTHERS.search(line)]
    for text in ("\n".join(lines), printed):
        found = _VERSION.search(text)
        if found is not None:
            return found[1].rstrip(".")
    return ""


def too_old(version: str, least: str) -> bool:
    """Return whether a version is known and below ``least``; numbers are compared."""
    return bool(version) and _numbers(version) < _numbers(least)


def standing(version: str, tested: Sequence[str]) -> Standing:
    """Compare the numbers of a version (empty: unknown) with the oldest and the newest tested one."""
    if not tested:
        return Standing.UNTESTED
    if not version:
        return Standing.UNKNOWN
    if version in tested:
        return Standing.TESTED
    known = [_numbers(one) for one in tested]
    mine = _numbers(version)
    if mine < min(known):
        return Standing.OLDER
    return Standing.NEWER if mine > max(known) else Standing.TESTED


def range_of(tested: Sequence[str]) -> str:
    """Return the tested versions as one word: the oldest and the newest."""
    if not tested:
        return ""
    ordered = sorted(tested, key=_numbers)
    return ordered[0] if len(set(ordered)) == 1 else f"{ordered[0]}..{ordered[-1]}"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers before any ``-``, without zeros at the end."""
    found = [int(number) for number in re.findall(r"\d+", version.partition("-")[0])]
    while found and not found[-1]:
        found.pop()
    return tuple(found)
