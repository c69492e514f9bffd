"""Compares an agent's list of changed files with what it changed. Pure.

Only an explicit list is a claim: a section ``Changed`` or ``Files changed`` with one path on each line. A finding is
not a failure: people see it, and so does the next attempt if this one failed for another reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.prompts.handoff_text import parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from agentjobs.workspace.diffstat import FileChange

FINDINGS_MAX: Final = 50
"""Most findings that are kept; one more line counts the rest."""

TOLD_MAX: Final = 10
"""Most findings that the next attempt receives."""

_NOTHING: Final = frozenset({"none", "nothing", "no files", "no file", "no changes", "n/a", "-"})
_BULLET: Final = re.compile(r"(?:[-*+•]|\d+[.)])\s+")
_STATE: Final = re.compile(
    r"(?:\[[ xX]\]\s+)?(?:(?i:modified|changed|edited|updated|added|created|new file|new|deleted|removed|renamed|moved)"
    r"\b\s*:?\s+|[MADRCTU?]{1,2}\s+)?"
)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_REMARK: Final = re.compile(r"\s[-–—]{1,2}\s|:(?:\s|$)|\s\(|\s\|\s")
_BETWEEN: Final = re.compile(r"\s*(?:,|->|→|=>|\s(?:to|and)\s)\s*")
_QUOTED: Final = re.compile(r"`([^`]+)`")
_ENDING: Final = re.compile(r"[^/.][^/]*\.[A-Za-z][A-Za-z0-9]{0,7}")
_GLOB: Final = re.compile(r"[*?]")


class Claims(Struct, frozen=True):
    """The paths that an agent lists as changed; empty: it says that it changed nothing."""

    paths: tuple[str, ...] = ()


def claimed(text: str, tree: str = "") -> Claims | None:
    """Return the list of changed files in a handoff or a last message; None if it has no such list.

    ``tree``: the directory the agent worked in, which may be a prefix of its paths. Paths outside of it are left out.
    """
    body = parse(text).changed
    if not body:
        return None
    if body.strip().strip("-*. ").casefold() in _NOTHING or not body.strip("-*. \n"):
        return Claims()
    paths = [path for word in _words(body) if (path := _under(word, tree))]
    return Claims(tuple(dict.fromkeys(paths))) if paths else None


def _words(body: str) -> Iterator[str]:
    """Yield the path-like start of each line that is not nested under another one."""
    margin = -1
    for line in body.split("\n"):
        text = line.strip()
        if not text or text.startswith(("```", "~~~")):
            continue
        indent = len(line) - len(line.lstrip())
        margin = indent if margin < 0 else min(margin, indent)
        if indent > margin + 1:
            continue
        bullet = _BULLET.match(text)
        text = _LINK.sub(r"\1", text[bullet.end() :] if bullet else text)
        state = _STATE.match(text)
        text = text[state.end() :] if state else text
        head = _REMARK.split(text, maxsplit=1)[0].replace("**", "")
        quoted = _QUOTED.findall(head)
        if quoted and head.startswith("`"):
            yield from quoted
            continue
        words = [word.strip("\"'").rstrip(".,;:") for word in _BETWEEN.split(head)]
        if all(word and not re.search(r"\s", word) for word in words):
            yield from words


def _under(word: str, tree: str) -> str:
    """Return a path below the tree; empty if it is not one."""
    word = word.strip()
    if tree and word.startswith(tree.rstrip("/") + "/"):
        word = word[len(tree.rstrip("/")) + 1 :]
    if not word or "://" in word or word.startswith(("/", "~", "-", "$")) or "\0" in word:
        return ""
    parts = [part for part in word.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return ""
    return "/".join(parts) + ("/" if word.endswith("/") else "")


def findings(
    claims: Claims,
    changes: Sequence[FileChange],
    *,
    there: Collection[str] = (),
    recent: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Return the differences between claims and changes, a line each, claims first.

    ``there``: those of the claimed paths that are or were in the repository. ``recent``: the paths that this attempt
    changed, if ``changes`` also has the work of earlier ones; None: all of them. A renamed file may be claimed by
    either name. If no claim can be a path, there are no claims.
    """
    paths = list(dict.fromkeys(path for c in changes for path in (c.was, c.path) if path))
    meant = {claim: {path for path in paths if _means(claim, path)} for claim in claims.paths}
    false = [claim for claim, hit in meant.items() if not hit and (claim in there or _looks_like_path(claim))]
    if claims.paths and not false and not any(meant.values()):
        return ()
    said = {path for hit in meant.values() for path in hit}
    found = [f"reported a change of {claim}, but made none" for claim in false]
    for change in changes:
        names = {change.path, change.was} - {""}
        if not names & said and (recent is None or names & set(recent)):
            found.append(f"changed {change.path} without reporting it")
    if len(found) > FINDINGS_MAX:
        found = [*found[:FINDINGS_MAX], f"and {len(found) - FINDINGS_MAX} more"]
    return tuple(found)


def _means(claim: str, path: str) -> bool:
    """Return whether a claim names a path: all of it, a part of it (its end, a directory above it), or a glob."""
    if f"/{claim.rstrip('/')}/" in f"/{path}/":
        return True
    if not _GLOB.search(claim):
        return False
    pattern = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in claim)
    return re.fullmatch(f"(?:.*/)?{pattern}(?:/.*)?" if claim.endswith("/") else f"(?:.*/)?{pattern}", path) is not None


def _looks_like_path(claim: str) -> bool:
    """Return whether a name that does not exist is meant as a path: it contains a slash or has a file extension."""
    name = claim.rstrip("/").rpartition("/")[2]
    return (claim.endswith("/") or _ENDING.fullmatch(name) is not None) and not re.search(r"[\s()<>]", claim)


def errors_with(errors: str, found: Sequence[str]) -> str:
    """Return the errors for the next attempt, with the findings about this one."""
    if not found:
        return errors
    lines = [f"- it {line}" if not line.startswith("and ") else f"- {line}" for line in found[:TOLD_MAX]]
    if len(found) > TOLD_MAX:
        lines[-1] = f"- and {len(found) - TOLD_MAX + 1} more"
    said = "\n".join(["Its list of changed files does not match its commit:", *lines])
    return f"{errors.rstrip()}\n\n{said}" if errors.strip() else said
