"""Comments, docstrings, messages and docs follow the word list of plain English.

``CLEAN`` lists the files and folders that are checked. Recordings of other programs (tests/fixtures) are not ours.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

CLEAN = ("agentjobs", "docs", "templates", "tests", "README.md", "CONTRIBUTING.md")

PATTERNS = {
    r"(?<!there )\b(?:is|are|was|were) no(?! (?:longer|more|need|one|way|use|point)\b)(?= \w)": 'write "is not a"',
    r"\bso (?:many|much|long|large)\b": 'write "at most N", "this many" or "for N seconds"',
    r"\bwho(?:ever|m)?\b(?! (?:runs|reads|writes|edits)\b)": '"who" is for people: name the program or the caller',
    r"\b(?:tell|tells|telling|told)\b": "describe, report, return, distinguish",
    r"\b(?:is|are) to be\b": 'write "must be" or use an active verb',
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\b(?:of|on|in) its own\b(?! (?:branch|files?|commits?|account|tree|home|words))": 'write "separate" or "private"',
    r"\blikewise\b": "repeat what it is",
    r"\bnobody(?:'s)? (?:knows|can (?:say|tell)|says|could say)\b": '"unknown" or "unclear"',
    r"\bas good as\b|\bbut for\b": '"except", "almost"',
    r"\bstands? (?:at|in|on|behind|there|below|above|beneath|before|under|between)\b": "is",
    r"\bin vain\b": "without success",
}  # fmt: skip
"""Regular expressions (any case) of the old dialect, each with what to write instead."""

ANY = re.compile("|".join(f"(?:{pattern})" for pattern in PATTERNS), re.IGNORECASE)
"""Matches where one of them does: most texts are searched once."""

ALLOWED: dict[str, tuple[str, ...]] = {
    "templates/knowledge-base/tools/agent.py": ("well were what when where whether which while who",),
    "tests/kit/histories.py": ('told) echo "$file:1:1: error: it is told"; code=1 ;;', "silent told ok"),
    "tests/templates/test_skill_files.py": ("agentjobs tell ID", "no command tell"),
}
"""Texts that a file may contain although a pattern matches them; each must be found there."""


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of the comments, docstrings and messages of a Python file, or of the lines of another one."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        code = False
        for number, line in enumerate(source.split("\n"), 1):
            code ^= line.lstrip().startswith("```")
            if not code:
                yield number, re.sub(r"`[^`]*`", "``", line)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], re.sub(r"`+[^`]*`+", "``", token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_text(node.value):
            for offset, line in enumerate(node.value.split("\n")):
                yield node.lineno + offset, re.sub(r"`+[^`]*`+", "``", line)


def is_text(value: str) -> bool:
    """Return whether a string is English, and not a regular expression, a command or a query."""
    return len(re.findall(r"[a-z]{2,} ", value)) >= 2 and re.search(r"\(\?|\\b|\[\^|\)\?", value) is None


def files() -> Iterator[Path]:
    for entry in CLEAN:
        place = ROOT / entry
        kinds = ("*.py", "*.md", "*.j2", "*.toml", "*.tsv", "*.mjs", "*.sh")
        found = [place] if place.is_file() else sorted(path for kind in kinds for path in place.rglob(kind))
        assert found, f"{entry} of CLEAN does not exist"
        yield from (path for path in found if path != Path(__file__) and ROOT / "tests/fixtures" not in path.parents)


def faults(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix()
    for line, text in prose(path):
        for pattern, advice in PATTERNS.items() if ANY.search(text) else ():
            for match in re.finditer(pattern, text, re.IGNORECASE):
                if not any(one in text for one in ALLOWED.get(name, ())):
                    yield f"{name}:{line}: {match[0]!r}: {advice}: {text.strip()}"


@pytest.mark.parametrize("entry", CLEAN)
def test_texts_are_in_plain_words(entry: str) -> None:
    found = [fault for path in files() if path.is_relative_to(ROOT / entry) for fault in faults(path)]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_for(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text('"""A file that is no number."""\n\nWAIT = f"{1} waits so long for it"  # told\nRAW = "told"\n')
    texts = [text for _, text in prose(sample)]
    hits = [[p for p in PATTERNS if re.search(p, text, re.IGNORECASE)] for text in sorted(texts)]
    assert [len(found) for found in hits] == [1, 1, 1], "docstring, message and comment; not a bare word"


def test_nothing_is_allowed_in_vain() -> None:
    for name, texts in ALLOWED.items():
        for text in texts:
            assert any(text in line for _, line in prose(ROOT / name)), f"{name} no longer contains {text!r}"
