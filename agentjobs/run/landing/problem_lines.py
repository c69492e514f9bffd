"""What one line of a tool's output says: an error at a place, a frame of a stack, the head of a failed test. Pure.

A path comes out as ``path_in_tree`` gives it: POSIX, from the top of the tree, or absolute where it lies in a
scratch directory (tests often run on a copy there). Lines are at most ``LONGEST_LINE`` characters; no pattern here
looks further back than its own line, and none nests repetitions.
"""

from __future__ import annotations

import posixpath
import re

from msgspec import Struct

LONGEST_LINE = 1000
LONGEST_PATH = 400

_TAIL_PARTS = 3
_BEFORE_PATH = " \t'\"`()[]{}<>=,;|"
_ABSOLUTE = re.compile(r"(?:file://)?(?:[A-Za-z]:)?/")
SCRATCH = re.compile(r"(?:/private)?/(?:tmp|var/tmp|dev/shm|var/folders/[^/]+/[^/]+/T)/")
_FOREIGN = {"node_modules", "site-packages", "dist-packages", "bower_components"}
_NAMED = re.compile(r"(?:.*/)?[^/]*\.[A-Za-z][A-Za-z0-9]{0,9}")
_DRIVE = re.compile(r"[A-Za-z]:/")

_TSC = re.compile(r"(?P<file>[^\s(].*?)\((?P<line>\d+)(?:,\d+)?\): (?:fatal )?error\b")
_TSC_PRETTY = re.compile(r"(?P<file>\S.*?):(?P<line>\d+):\d+ - error\b")
_COMPACT = re.compile(r"(?P<file>\S.*?): line (?P<line>\d+), col \d+, Error\b")
_COLONS = re.compile(
    r"(?P<file>(?:[A-Za-z]:)?[^\s:]+):(?P<line>\d+)(?::(?P<column>\d+))?(?:-\d+)?(?::\d+)?: (?P<says>\S.*)"
)
_SAYS_ERROR = re.compile(r"(?:fatal |internal )?error\b|[\w.]*(?:Error|Exception)\b|Failed:", re.IGNORECASE)
_SAYS_LESS = re.compile(r"(?:warning|note|info|information|hint|help|remark|debug)\b", re.IGNORECASE)
_UNIX_LESS = re.compile(r"\[(?:Warning|Info)(?:/[^\]]*)?\]$")
_ARROW = re.compile(r"\s*--> (?P<file>\S.*?):(?P<line>\d+):\d+$")
_STYLISH = re.compile(r"\s+(?P<line>\d+):\d+\s+(?P<level>error|warning|[✖×⚠])\s+(?P<says>\S.*)")

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::\d+)?")
_PY_FRAME = re.compile(r'(?:E\s+)?\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_PYTEST_PLACE = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+): ?(?:in \S|[\w.]+$|$)")
_GO_FRAME = re.compile(r"\t(?P<file>\S+\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+)?$")
_TITLED = re.compile(r"(?:\w*Error: |\s*File: )(?P<file>[^\s:][^:]*?)(?::(?P<line>\d+))?(?::\d+$|: )")
_IN_PAREN = re.compile(r".*\((?P<file>[^():\s]+\.\w+)\)$")
_RUST_PANIC = re.compile(r".* panicked at (?P<file>\S.*?):(?P<line>\d+):\d+:?$")

_MODULE = re.compile(
    r"(?:module|path to module|to resolve import|load url|find package)\s+['\"]{0,2}"
    r"(?P<module>[^\s'\"/]*/[^\s'\"]*)['\"]{0,2}"
    r"(?: (?:imported )?from '?(?P<importer>[^\s'\"]+))?",
    re.IGNORECASE,
)
_PY_MODULE = re.compile(r"No module named '(?P<module>[\w.]+)'")
_REQUIRED_BY = re.compile(r"- (?P<file>\S.*\.\w+)$")


class Place(Struct, frozen=True):
    """A file that a line names, and the line of that file (0 where it does not say)."""

    file: str
    line: int = 0


def relative(line: str, tree_dir: str) -> str:
    """Return ``line`` with the paths under ``tree_dir`` written from there.

    A path that ends in the last parts of ``tree_dir`` is taken for it too: tools print the real path where a part of
    the way is a symbolic link (``/private/tmp`` for ``/tmp``).
    """
    if "\\" in tree_dir:
        tree_dir, line = tree_dir.replace("\\", "/"), line.replace("\\", "/")
    tree = tree_dir.rstrip("/") + "/"
    parts = tree[:-1].rsplit("/", _TAIL_PARTS)
    whole = len(parts) <= _TAIL_PARTS or not parts[0]
    needle = tree if whole else tree[len(parts[0]) :]
    head = tree[: -len(needle)]
    done, at = "", line.find(needle) if len(tree) > 1 else -1
    while at >= 0:
        start = at - len(head)
        if line[:at].endswith(head):
            for prefix in ("/private", "file://"):
                start -= len(prefix) if line[:start].endswith(prefix) else 0
        else:
            start = -1
        ours = start == 0 or (start > 0 and line[start - 1] in _BEFORE_PATH)
        if not ours and not whole:
            start = max(line.rfind(mark, 0, at) for mark in _BEFORE_PATH) + 1
            ours = _ABSOLUTE.match(line, start) is not None
        end = at + len(needle)
        done += line[:start] if ours else line[:end]
        line = line[end:]
        at = line.find(needle)
    return done + line


def path_in_tree(raw: str) -> str | None:
    """Return the path a tool wrote, from the top of the tree; None if it is not a file of the project.

    A file in a scratch directory stays absolute; everything else outside the tree, installed libraries and what is
    no path of a file are None.
    """
    raw = raw.strip().replace("\\", "/").removeprefix("file://")
    if len(raw) > LONGEST_PATH or "://" in raw or "<" in raw:
        return None
    if raw.startswith(("node:", "internal/", "webpack:", "~")) or not _NAMED.fullmatch(raw):
        return None
    path = posixpath.normpath(raw)
    if path.startswith("..") or not _FOREIGN.isdisjoint(path.split("/")):
        return None
    if path.startswith("/"):
        return path if SCRATCH.match(path) else None
    return None if _DRIVE.match(path) else path


def diagnostic(line: str) -> Place | None:
    """Return where an error is that a compiler or linter reports in one line; None for warnings and remarks."""
    for pattern in (_TSC, _TSC_PRETTY, _COMPACT, _RUST_PANIC):
        if found := pattern.match(line):
            return _place(found)
    found = _COLONS.match(line)
    if not found or _SAYS_LESS.match(says := found["says"]) or _UNIX_LESS.search(says):
        return None
    return _place(found) if found["column"] or _SAYS_ERROR.match(says) else None


def arrow(line: str, before: str) -> Place | None:
    """Return the place of ``  --> file:line:column``, which belongs to the line before it (Rust, ruff)."""
    found = _ARROW.match(line)
    return _place(found) if found and before.strip() and not _SAYS_LESS.match(before.strip()) else None


def listed(line: str) -> tuple[int, bool, str] | None:
    """Return line, "is an error" and text of an entry under a line that is a path (eslint's stylish format)."""
    found = _STYLISH.match(line)
    return (int(found["line"][:9]), found["level"] not in {"warning", "⚠"}, found["says"]) if found else None


def frame(line: str, bare: bool = False) -> Place | None:
    """Return the file a line of a JavaScript or Go stack names; ``bare``: also without ``at`` (TAP)."""
    text = line.strip()
    if text.startswith(("at ", "\u276f ")):
        text = text.partition(" ")[2].strip()
    elif found := _GO_FRAME.match(line):
        return _place(found)
    elif not bare:
        return None
    if text.endswith(")") and " (" in text:
        text = text.partition(" (")[2][:-1]
    elif " " in text:
        # The text before the place is the name of the function, or "async".
        text = text.rpartition(" ")[2] if not text.startswith("/") else text
    found = _PLACE.fullmatch(text)
    return _place(found) if found else None


def python_frame(line: str) -> Place | None:
    """Return the file a line of a Python traceback, plain or as pytest writes it, names."""
    found = _PY_FRAME.match(line) or _PYTEST_PLACE.match(line)
    return _place(found) if found else None


def mentioned(line: str) -> Place | None:
    """Return a file that the message of an error names: what could not be parsed, where time ran out."""
    found = _TITLED.match(line.lstrip()) or _IN_PAREN.match(line)
    return _place(found) if found else crash(line.removeprefix(" ").removeprefix("Exception during run: "))


def crash(line: str) -> Place | None:
    """Return the place in a line that holds nothing else: Node starts the report of a crash with it."""
    found = _PLACE.fullmatch(line) if not line.startswith((" ", "\t")) else None
    return _place(found) if found and " " not in line else None


def python_module(line: str) -> str | None:
    """Return the path of a Python module that was not found, as if it were not a package."""
    found = _PY_MODULE.search(line)
    return found["module"].replace(".", "/") + ".py" if found else None


def module(line: str) -> tuple[str, str] | None:
    """Return a JavaScript module that an error names, and the file that imports it ("" if not named)."""
    found = _MODULE.search(line)
    return (found["module"], found["importer"] or "") if found else None


def required_by(line: str) -> str | None:
    """Return the file of an entry of Node's "Require stack"."""
    found = _REQUIRED_BY.match(line)
    return path_in_tree(found["file"]) if found else None


def joined(importer: str, specifier: str) -> str | None:
    """Return the path a relative (or absolute) specifier means in ``importer``; its ending may be missing."""
    specifier = specifier.removeprefix("file://")
    if not specifier.startswith(("./", "../", "/")):
        # An absolute path in the tree was made relative before: it needs no importer.
        return path_in_tree(specifier)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(importer), specifier))
    if path.startswith("..") or not _FOREIGN.isdisjoint(path.split("/")):
        return None
    return path if not path.startswith("/") or SCRATCH.match(path) else None


def _place(found: re.Match[str]) -> Place | None:
    path = path_in_tree(found["file"])
    # Nine digits are more lines than a file has.
    return Place(path, int((found.groupdict().get("line") or "0")[:9])) if path else None
