"""Which paths a row's ``files`` cover (pure): what was changed outside them, and which tasks overlap.

An entry is a path from the top of the tree: a file, a directory (with all beneath it), or a glob, in which ``*`` and
``?`` stop at ``/``, ``**`` does not, ``[…]`` is a set, and a slash at the end means all beneath the directories that
match. An entry with a bracket also stands for the path of exactly that name (``pages/[id].tsx``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GLOB = re.compile(r"[*?\[]")


def normalise(entry: str) -> str:
    """Return ``entry`` without ``./`` and doubled slashes; a slash at the end stays; the top is ``""``.

    Raises ``UserError`` if the entry is not inside the tree.
    """
    if not entry or "\0" in entry:
        raise UserError(f"files: {entry!r} is not a path")
    if entry.startswith("/"):
        raise UserError(f"files: {entry!r} is absolute; write it from the top of the repository")
    parts = [part for part in entry.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UserError(f"files: {entry!r} leads out of the repository; write it without '..'")
    slash = "/" if parts and entry.endswith(("/", "/.")) else ""
    return "/".join(parts) + slash


def output_fault(output: str) -> str:
    """Say what is wrong with what each of many tasks is to write, as in ``out/{id}.md``; empty where it is good."""
    if "{id}" not in output:
        return f"{output!r} has no {{id}}: all tasks would write the same file"
    try:
        normalise(output)
    except UserError as error:
        return error.message.removeprefix("files: ")
    return ""


def in_scope(changed: Iterable[str], files: Sequence[str]) -> tuple[str, ...]:
    """Return the paths of ``changed`` that ``files`` do not cover; none where ``files`` is empty."""
    if not files:
        return ()
    entries = [normalise(entry) for entry in files]
    literal = {entry.rstrip("/") for entry in entries}
    if "" in literal:
        return ()
    globs = [_regex(entry) for entry in entries if _GLOB.search(entry)]
    return tuple(
        path for path in changed if not (_beneath(path, literal) or any(g.fullmatch(path) for g in globs))
    )


def overlap(files_a: Sequence[str], files_b: Sequence[str]) -> bool:
    """Return whether two tasks may touch the same path; globs are compared by their plain beginnings.

    So it may say yes for globs that never meet, and never says no for any that do. No ``files`` claim nothing.
    """
    return any(_meet(a, b) for a in map(normalise, files_a) for b in map(normalise, files_b))


def fixed_part(entry: str) -> str | None:
    """Return an entry's path; for a glob the directory, with a slash at the end, that holds all its matches.

    Empty for the top alone, without what is beneath; None if the matches may be anywhere.
    """
    path = normalise(entry)
    glob = _GLOB.search(path)
    if not glob:
        return path or None
    if directory := path[: glob.start()].rpartition("/")[0]:
        return f"{directory}/"
    return "" if "/" not in path and "**" not in path else None


def before_glob(path: str) -> str | None:
    """Return the part of a normalised entry before its first special character; None if it has none."""
    glob = _GLOB.search(path)
    return path[: glob.start()] if glob else None


def _beneath(path: str, literal: set[str]) -> bool:
    """Return whether ``path`` or a directory above it is one of ``literal``."""
    if path in literal:
        return True
    end = path.rfind("/")
    while end > 0:
        if path[:end] in literal:
            return True
        end = path.rfind("/", 0, end)
    return False


def _meet(a: str, b: str) -> bool:
    glob_a, glob_b = _GLOB.search(a), _GLOB.search(b)
    if not glob_a and not glob_b:
        a, b = a.rstrip("/"), b.rstrip("/")
        return not a or not b or a == b or a.startswith(b + "/") or b.startswith(a + "/")
    # A plain entry may be a directory of what the glob matches, so its beginning counts as well.
    plain_a = a[: glob_a.start()] if glob_a else a.rstrip("/")
    plain_b = b[: glob_b.start()] if glob_b else b.rstrip("/")
    return plain_a.startswith(plain_b) or plain_b.startswith(plain_a)


@lru_cache(maxsize=4096)
def _regex(entry: str) -> re.Pattern[str]:
    directory = entry.endswith("/")
    pattern = _translate(entry.rstrip("/"))
    return re.compile(pattern + (r"/.*" if directory else ""), re.DOTALL)


def _translate(glob: str) -> str:
    """Return the regular expression of ``glob``; unlike ``fnmatch`` it knows ``/``."""
    out: list[str] = []
    at = 0
    while at < len(glob):
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            out.append(r"(?:.*/)?")
            at += 3
        elif glob.startswith("**", at):
            out.append(r".*")
            at += 2
        elif glob[at] == "*":
            out.append(r"[^/]*")
            at += 1
        elif glob[at] == "?":
            out.append(r"[^/]")
            at += 1
        elif (
            glob[at] == "[" and (end := glob.find("]", at + (3 if glob[at + 1 : at + 2] in "!^" else 2))) > 0
        ):
            out.append(_set(glob[at + 1 : end]))
            at = end + 1
        else:
            out.append(re.escape(glob[at]))
            at += 1
    return "".join(out)


def _set(body: str) -> str:
    """Return the regular expression of the set ``[body]``; an invalid range matches nothing."""
    negated = body[:1] in ("!", "^")
    inner = body[1:] if negated else body
    escaped = re.sub(r"([\\\[\]^&~|]|-(?=-))", r"\\\1", inner)  # Python may come to read these as operations on sets
    pattern = f"(?!/)[{'^' if negated else ''}{escaped}]"
    try:
        re.compile(pattern)
    except re.error:
        return r"(?!)"
    return pattern
