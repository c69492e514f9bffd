r"""The files of a repository or a directory, selected by globs.

A glob means what it means in ``.gitignore``, for paths from the top of the directory:

- without a slash (``*.js``, ``vendor``) it matches a name at any depth; with one, at its beginning or inside
  (``src/*.js``, ``/setup.py``), it is tied to the top;
- ``*`` and ``?`` stop at ``/``; ``**/`` is any number of directories, ``/**`` everything beneath; ``[a-z]`` and
  ``[!a-z]`` are sets; ``\`` makes the next character literal;
- a glob that matches a directory includes all beneath it, and one that ends in a slash matches only directories.

There are two additions: ``{a,b}`` is either (``*.{js,jsx}``), and ``./`` at the beginning is the top. There is no
``!``: use ``exclude`` instead.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError
from agentjobs.workspace.git import Git, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NO_SOURCES = frozenset({".git", ".agentjobs"})
"""Directories that never contain documents."""


def present(directory: Path) -> list[str]:
    """Return the files beneath a directory, relative to it, sorted, without those that git ignores.

    Without a repository or git, or if git ignores the directory itself, all that ``walked`` finds. Symbolic links are
    left out.
    """
    top = os.fspath(directory)
    try:
        if is_ignored(directory):
            return walked(directory)
        listed = Git(directory).run("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
        paths = text(listed.stdout).split("\0")[:-1]
    except UserError:
        return walked(directory)
    return [path for path in sorted(paths) if _is_file(f"{top}/{path}")]


def is_ignored(path: Path) -> bool:
    """Return whether something exists there and git ignores it."""
    if not path.exists():
        return False
    place, name = (path, ".") if path.is_dir() else (path.parent, path.name)
    try:
        return Git(place).run("check-ignore", "--quiet", "--", name, ok=(0, 1)).code == 0
    except UserError:
        return False


def walked(directory: Path) -> list[str]:
    """Return the files beneath a directory, relative to it, sorted, without those of git and agentjobs."""
    top = os.fspath(directory)
    found = []
    for place, directories, names in os.walk(top):
        directories[:] = [name for name in directories if name not in NO_SOURCES]
        found += [os.path.relpath(os.path.join(place, name), top) for name in names]
    return [path for path in sorted(found) if _is_file(f"{top}/{path}")]


def matching(paths: Iterable[str], include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[str]:
    """Return those of ``paths`` that an ``include`` matches and no ``exclude`` does, sorted.

    Without ``include`` all match. Raises ``UserError`` for an invalid glob.
    """
    wanted = _matcher(include) if include else None
    unwanted = _matcher(exclude) if exclude else None
    return [
        path
        for path in sorted(paths)
        if (wanted is None or wanted.fullmatch(path)) and not (unwanted is not None and unwanted.fullmatch(path))
    ]


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _matcher(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_regex(glob) for glob in globs), re.DOTALL)


def _regex(glob: str) -> str:
    """Return the regular expression of one glob; it matches whole paths of files."""
    if glob.startswith("!"):
        raise UserError(f"glob {glob!r}: '!' is not supported; use exclude")
    body = glob[1:] if glob.startswith("./") else glob
    directory = body.endswith("/")
    body = body.rstrip("/")
    anchored = "/" in body
    body = body.lstrip("/")
    parts = body.split("/")
    if not body or "\0" in glob:
        raise UserError(f"glob {glob!r} matches nothing; '**' is every file")
    if ".." in parts or "." in parts or "" in parts or "//" in glob:
        raise UserError(f"glob {glob!r}: write it from the top of the repository, without '..', '.' and '//'")
    start = "" if anchored else "(?:.*/)?"
    return f"(?:{start}{_translate(body, glob)}{'/.*' if directory else '(?:/.*)?'})"


def _translate(body: str, glob: str) -> str:
    out: list[str] = []
    at = 0
    braces = 0
    while at < len(body):
        here = body[at]
        at += 1
        if here == "*":
            piece, at = _stars(body, at)
        elif here == "?":
            piece = "[^/]"
        elif here == "[":
            piece, at = _set(body, at, glob)
        elif here == "{":
            piece, braces = "(?:", braces + 1
        elif here == "}" and braces:
            piece, braces = ")", braces - 1
        elif here == "," and braces:
            piece = "|"
        elif here == "\\":
            if at == len(body):
                raise UserError(f"glob {glob!r} ends in a backslash without a character after it")
            piece, at = re.escape(body[at]), at + 1
        else:
            piece = re.escape(here)
        out.append(piece)
    if braces:
        raise UserError(f"glob {glob!r}: a '{{' is never closed; write '\\{{' for the character")
    return "".join(out)


def _stars(body: str, at: int) -> tuple[str, int]:
    """Return the expression of a run of stars, the first of which is read, and where the run ends."""
    end = at
    while end < len(body) and body[end] == "*":
        end += 1
    whole_name = (at == 1 or body[at - 2] in "/{,") and (end == len(body) or body[end] in "/},")
    if end == at or not whole_name:
        return "[^/]*", end
    if end < len(body) and body[end] == "/":
        return "(?:.*/)?", end + 1
    return ".*", end


def _set(body: str, at: int, glob: str) -> tuple[str, int]:
    """Return the expression of the set whose ``[`` is read, and where it ends."""
    negated = body[at : at + 1] in ("!", "^")
    begin = at + negated
    end = body.find("]", begin + 1)
    if end < 0:
        raise UserError(f"glob {glob!r}: a '[' is never closed; write '\\[' for the character")
    inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", body[begin:end])
    expression = f"(?!/)[{'^' if negated else ''}{inner}]"
    try:
        re.compile(expression)
    except re.error as error:
        raise UserError(f"glob {glob!r}: [{body[at:end]}] is not a valid set of characters ({error.msg})") from error
    return expression, end + 1
