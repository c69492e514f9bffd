"""Find simple mistakes of JavaScript and TypeScript, line by line, in code without its strings and comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Mistake = tuple[int, str, str, str, str]

LONG = 80
"""A function with more lines than this is called long."""

PIECES = re.compile(
    r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`"
    r"|(?<=[=(,:;!&|?{}\n])[ \t]*/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*", re.DOTALL,
)  # fmt: skip
"""Comments, strings and regular expressions."""

RULES = (
    (r"(?<![\w$.])eval\s*\(|\bnew\s+Function\s*\(", "high", "code made from a value",
     "a value that others can influence", "they run code here"),
    (r"\.(innerHTML|outerHTML)\s*=(?!=)|\bdocument\.write\s*\(", "high", "HTML made from a value",
     "a value with a tag in it", "scripts of others run in the page"),
    (r"\bcatch\s*(\([^)]*\)\s*)?\{\s*\}", "medium", "every error is swallowed", "any error in the block",
     "the failure is seen later, elsewhere, without its cause"),
    (r"(?<![=!])(==|!=)(?!=)(?!\s*(null|undefined)\b)", "low", "== converts what it compares",
     "operands of two types, as '' and 0", "different things count as equal"),
    (r"\bdebugger\b", "medium", "debugger statement", "open developer tools", "the program stops there"),
)  # fmt: skip
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b")
BRANCH = re.compile(r"\b(if|for|while|switch|catch|with)\s*\([^{}]*\)\s*\{$")
FUNCTION = re.compile(r"\bfunction\b[^{;]*\{|\)\s*(?::[^{};=]*)?(?:=>\s*)?\{")


def mistakes(text: str) -> Iterator[Mistake]:
    """Find mistakes in a module."""
    bare = PIECES.sub(lambda piece: re.sub(r"[^\n]", " ", piece[0]), text)
    for pattern, severity, title, trigger, impact in RULES:
        for found in re.finditer(pattern, bare):
            yield line_of(text, found.start()), severity, title, trigger, impact
    for piece in PIECES.finditer(text):
        if piece[0].startswith(("//", "/*")) and (found := TODO.search(piece[0])):
            yield (line_of(text, piece.start() + found.start()), "low", f"{found[1]} left in the code",
                   "a user of what is not finished", "unfinished work that no issue tracker has")  # fmt: skip
    yield from long_functions(bare)


def long_functions(bare: str) -> Iterator[Mistake]:
    """Find functions of many lines, by their braces."""
    for found in FUNCTION.finditer(bare):
        if BRANCH.search(bare[max(0, found.start() - 200) : found.end()]):
            continue
        depth = 1
        for brace in re.finditer(r"[{}]", bare[found.end() :]):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                first, last = line_of(bare, found.end() - 1), line_of(bare, found.end() + brace.start())
                if last - first + 1 > LONG:
                    yield (first, "low", f"a function of {last - first + 1} lines", "any change to it",
                           "nobody sees all of it at once, and its parts cannot be tested alone")  # fmt: skip
                break


def line_of(text: str, at: int) -> int:
    """Return the line of a place, from 1."""
    return text.count("\n", 0, at) + 1


def quoted(text: str) -> set[int]:
    """Return the lines inside string literals of several lines, without the first line of each."""
    found: set[int] = set()
    for piece in PIECES.finditer(text):
        if piece[0].startswith("`"):
            found.update(range(line_of(text, piece.start()) + 1, line_of(text, piece.end()) + 1))
    return found
