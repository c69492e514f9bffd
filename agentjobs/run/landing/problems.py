"""Finds the problems in a gate's output, their files, and the tasks that changed these files. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentjobs.run.landing.problem_lines import LONGEST_LINE, SCRATCH, relative
from agentjobs.run.landing.problem_reader import Problem, Reader
from agentjobs.text.excerpt import clean_lines, error_excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Problem", "attribute", "find"]

BLAME_CHARS = 6000
"""Most characters of problems that one task gets."""

_ENDINGS = ("", ".js", ".ts", ".jsx", ".tsx", ".mjs", ".mts", ".cjs", ".cts", "/index.js", "/index.ts", "/index.tsx")


def find(output: bytes, *, tree_dir: str = "", patterns: Sequence[str] = ()) -> tuple[Problem, ...]:
    """Return the problems in a gate's output, each once.

    Known are tsc, eslint, jest, vitest, node:test, mocha, pytest, unittest, mypy, ruff, Go, Rust and whatever writes
    ``file:line:column: error``. ``patterns`` are further regular expressions, searched in each line, with a group
    ``file`` and, if wanted, ``line`` and ``text``. ``tree_dir`` is where the gate ran. Warnings, installed libraries
    and files outside the tree do not count. Raises ``re.error`` for an invalid pattern.
    """
    reader = Reader([re.compile(pattern) for pattern in patterns])
    for line in clean_lines(output):
        reader.feed(relative(line[:LONGEST_LINE], tree_dir))
    return reader.result()


def attribute(problems: Sequence[Problem], owners: Mapping[str, str]) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the text about its problems for each task to blame, and the problems that belong to no task.

    ``owners`` maps a file to the id of the task that changed it; of a converted file it has both names. A problem is
    its file's owner's; else, where all owned files of its stack are one task's, that task's. Two tasks in one stack:
    nobody is blamed, rather than an innocent.
    """
    blamed: dict[str, list[str]] = {}
    left = []
    for problem in problems:
        owner = _owner(problem.file, owners)
        if owner is None:
            theirs = {found for name in problem.frames if (found := _owner(name, owners)) is not None}
            owner = theirs.pop() if len(theirs) == 1 else None
        if owner is None:
            left.append(problem)
        else:
            blamed.setdefault(owner, []).append(problem.text)
    told = {owner: error_excerpt("\n\n".join(texts).encode(), BLAME_CHARS) for owner, texts in blamed.items()}
    return told, tuple(left)


def _owner(path: str, owners: Mapping[str, str]) -> str | None:
    if scratch := SCRATCH.match(path):
        # Below the copy's own directory; a bare name further down could be any file of that name.
        parts = path[scratch.end() :].split("/")[1:]
        tails = ["/".join(parts[at:]) for at in range(max(len(parts) - 1, 1))]
        return next((owners[tail] for tail in tails if tail in owners), None)
    names = [path + ending for ending in _ENDINGS]
    if path.endswith(".py"):
        names.append(f"{path[:-3]}/__init__.py")
    return next((owners[name] for name in names if name in owners), None)
