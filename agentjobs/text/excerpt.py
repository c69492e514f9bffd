"""The important parts of a long log: clean lines, a bounded excerpt, a signature to recognise its errors. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_INPUT = 1 << 20
"""Bytes of a log that are read: the first quarter of them from its beginning, the rest from its end."""
LONGEST_LINE = 600
SHORT_LINE = 20
TAIL_LINES = 20
SIGNATURE_LINES = 200

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_ERROR = re.compile(
    r"error|fail|exception|traceback|panic|fatal|assert|not ok\b|cannot|can't|could not|unable|denied|refused"
    r"|not found|undefined|unexpected|expected|conflict|killed|abort|invalid|missing|[✗✘✖✕\u00d7❌]"
    r"|^\s*[-+>] (?:expected|received|actual)",
    re.IGNORECASE,
)
_PASSED = re.compile(r"^\s*(?:ok\b|PASS\b|[✓✔√]|# Subtest:|not ok\b[^#]*# (?:todo|skip)\b)", re.IGNORECASE)
"""A test that passed, as test runners (TAP, jest, mocha) report it, or the title of tests that may have passed."""
_TAP = re.compile(r"TAP version \d+$")
_TAP_REST = re.compile(r"\s*(?:#.*|1\.\.\d+)?$")
"""Titles, plans and blank lines of TAP: there are as many as tests."""
_CALM = re.compile(rf"\b(?:0|no) (?:errors?|fail\w*|warnings?)\b|{_PASSED.pattern}", re.IGNORECASE)
_FAILED = re.compile(r"^\s*(?:not ok\b|[●✗✘✖✕×] |FAIL\b|\d+\) )")
"""A test that failed; the lines after it that are indented deeper are its details."""
DETAIL_LINES = 40
_UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_HEX = re.compile(r"\b0x[0-9a-f]+\b|\b(?=[a-f]*[0-9])[0-9a-f]{7,64}\b", re.IGNORECASE)
_SCRATCH = re.compile(r"(?:/private)?/(?:var/folders/[^/\s]+/[^/\s]+/T|var/tmp|tmp)/[^/\s'\"():,]+")
_NUMBER = re.compile(r"(?<![A-Za-z_0-9])[0-9]+(?:[.,:][0-9]+)*")
_AFTER_NUMBER = re.compile(r"#\s?(?:ms|s|secs?|seconds?|m|min|minutes?|h|hours?|µs|us|ns)\b")


def clean_lines(output: bytes) -> list[str]:
    """Return the lines as a person would see them: decoded, no colours or control characters, no blank ends.

    Bytes that are not UTF-8 become U+FFFD. A line that is redrawn with carriage returns keeps its last state.
    """
    text = _ESCAPE.sub("", _bounded(output).decode("utf-8", "replace"))
    lines = []
    for line in text.split("\n"):
        last = next((part for part in reversed(line.split("\r")) if part), "")
        lines.append(_CONTROL.sub("", last).rstrip())
    while lines and not lines[-1]:
        lines.pop()
    return lines


def looks_like_error(line: str) -> bool:
    """Return whether a line of a log looks like an error."""
    return _ERROR.search(line) is not None and _CALM.search(line) is None


def error_excerpt(output: bytes, limit_chars: int = 6000) -> str:
    """Return at most ``limit_chars`` characters of a log: all of it if it fits, else the most important lines.

    A repeated line is shown once with its count. If lines must go, these stay, in their order: the end, tests that
    failed with their details, the lines that look like errors, the beginning; but no tests that passed. A mark shows
    where lines were left out.
    """
    lines = _without_repeats(clean_lines(output))
    text = "\n".join(lines)
    if len(text) <= limit_chars:
        return text
    keep = _choose(lines, limit_chars)
    parts: list[str] = []
    before = -1
    for index in sorted(keep):
        if index > before + 1:
            parts.append(_gap(index - before - 1))
        parts.append(lines[index])
        before = index
    if before < len(lines) - 1:
        parts.append(_gap(len(lines) - 1 - before))
    return "\n".join(parts)[: max(limit_chars, 0)]


def signature(output: bytes, tree_dir: str = "") -> str:
    """Return a short hash of the errors; the same failure in two trees or at two times has the same hash.

    Numbers, hashes, ids, durations, colours, scratch directories and the path of the tree do not count, nor do order
    and repetition of lines. Empty output has the signature "".
    """
    lines = [line for line in clean_lines(output) if line.strip()]
    errors = [line for line in lines if looks_like_error(line)]
    plain = {_normal(line, tree_dir) for line in (errors or lines[-TAIL_LINES:])[:SIGNATURE_LINES]}
    plain.discard("")
    if not plain:
        return ""
    return hashlib.sha256("\n".join(sorted(plain)).encode("utf-8", "replace")).hexdigest()[:12]


def _bounded(output: bytes) -> bytes:
    if len(output) <= LONGEST_INPUT:
        return output
    head = LONGEST_INPUT // 4
    return output[:head] + b"\n" + output[head - LONGEST_INPUT :]


def _normal(line: str, tree_dir: str) -> str:
    tree = tree_dir.rstrip("/")
    if tree:
        line = line.replace(f"/private{tree}", "").replace(tree, "")
    line = _SCRATCH.sub("/scratch", line[: 4 * LONGEST_LINE])
    line = _HEX.sub("#", _UUID.sub("#", line))
    line = _AFTER_NUMBER.sub("#", _NUMBER.sub("#", line))
    return " ".join(line.split())


def _without_repeats(lines: list[str]) -> list[str]:
    """Drop lines seen before; short ones, such as braces, only if they follow each other."""
    counts = Counter(line.strip() for line in lines)
    seen: set[str] = set()
    kept: list[str] = []
    previous: str | None = None
    for line in lines:
        key = line.strip()
        long = len(key) >= SHORT_LINE
        if key == previous or (long and key in seen):
            continue
        previous = key
        if long:
            seen.add(key)
        short = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} […]"
        kept.append(f"{short} [{counts[key]} times]" if long and counts[key] > 1 else short)
    return kept


def _choose(lines: list[str], limit_chars: int) -> set[int]:
    """Return the lines to keep. Each costs its own length and that of the mark for a gap it may open."""
    gap = len(_gap(len(lines))) + 1
    left = limit_chars - gap
    keep: set[int] = set()
    last = len(lines) - 1
    passed = _passed(lines)
    tail = [i for i in range(last, max(last - TAIL_LINES, -1), -1) if i == last or i not in passed]
    if any(map(_TAP.match, lines)):
        passed |= {i for i, line in enumerate(lines) if _TAP_REST.match(line)}
    failed = [i for i, line in enumerate(lines) if _FAILED.match(line) and i not in passed]
    details = [i for at in failed for i in _details(lines, at) if i not in passed]
    errors = [i for i, line in enumerate(lines) if looks_like_error(line)]
    around = [near for i in errors for near in (i, i + 1) if near <= last and near not in passed]
    rest = [i for i in range(len(lines)) if i not in passed]
    stages = ((tail, 0.3), (failed, 0.5), (details, 0.75), (around, 0.85), (rest, 0.93), (rest[::-1], 1.0))
    for order, share in stages:
        floor = (limit_chars - gap) * (1 - share)
        for index in order:
            if index in keep:
                continue
            cost = len(lines[index]) + 1
            if index - 1 not in keep and index + 1 not in keep:
                cost += gap
            if left - cost < floor:
                break
            left -= cost
            keep.add(index)
    return keep


def _passed(lines: list[str]) -> set[int]:
    """Return the lines about tests that passed: the line of each, and what TAP adds between ``---`` and ``...``."""
    found: set[int] = set()
    is_open = False
    for index, line in enumerate(lines):
        mark = line.strip()
        is_open = (is_open or (mark == "---" and index - 1 in found)) and not _FAILED.match(line)
        if is_open or _PASSED.match(line):
            found.add(index)
        is_open = is_open and mark != "..."
    return found


def _details(lines: list[str], at: int) -> Iterator[int]:
    """Yield the lines that belong to the failed test at a line: those that follow and are indented deeper."""
    depth = _depth(lines[at])
    for index in range(at + 1, min(at + 1 + DETAIL_LINES, len(lines))):
        if lines[index] and _depth(lines[index]) <= depth:
            return
        yield index


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _gap(count: int) -> str:
    return f"[… {count} lines left out]"
