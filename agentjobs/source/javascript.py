"""The imports in a JavaScript or TypeScript file."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.source.syntax import captures, language_of, parse_either, parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentjobs.source.syntax import Language, Node

PARSED_MAX = 1_000_000
"""Bytes. A larger file was not written by hand; it is searched, not parsed (a second for each MB)."""

_SEEN_FOR_BINARY = 8_000

_SIGN = re.compile(rb"\b(?:import|require)\b|\bdefine\s*\(|\bfrom\s*[\"'/]")
"""Every import contains one of these; a file without any imports nothing."""

_QUOTE = re.compile(rb"['\"`]")

_SEARCH = re.compile(
    r"""\b(?:(?:from|import|require)\b(?:\.resolve\b)?)\s*\(?\s*(?:"([^"\n]+)"|'([^'\n]+)'|`([^`$\n]+)`)"""
)

_REFERENCE = re.compile(rb"""^[ \t]*///[ \t]*<reference[ \t]+path[ \t]*=[ \t]*["']([^"'\n]+)["']""", re.MULTILINE)

_CALLS = """
(import_statement source: (string) @import)
(export_statement source: (string) @import)
(call_expression function: (import) arguments: (arguments) @import_call)
(call_expression function: (identifier) @_name arguments: (arguments) @require_call (#eq? @_name "require"))
(call_expression function: (member_expression object: (identifier) @_object property: (property_identifier) @_name)
  arguments: (arguments) @require_call (#eq? @_object "require") (#eq? @_name "resolve"))
(call_expression function: (identifier) @_name arguments: (arguments) @define_call (#eq? @_name "define"))
"""
_TYPESCRIPT = """
(import_require_clause source: (string) @require)
"""

_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}


class Specifier(NamedTuple):
    """An import as written in the file; ``require`` is true for CommonJS."""

    text: str
    require: bool


def specifiers(path: str, data: bytes) -> tuple[Specifier, ...]:
    """Return what the file ``path`` with content ``data`` imports, each once, in no particular order.

    That is every literal in ``import … from``, ``export … from``, ``import "x"``, ``import("x")``, ``require("x")``,
    ``require.resolve("x")``, ``import x = require("x")``, ``define(["x"])`` and ``/// <reference path="x" />``,
    including types and imports in functions. Never fails: a file with syntax errors, or of more than ``PARSED_MAX``
    bytes, is searched for what looks like an import, in comments too; a binary one imports nothing.
    """
    language = language_of(path)
    if language is None or b"\0" in data[:_SEEN_FOR_BINARY]:
        return ()
    found = set(_imported(language, data))
    if b"<reference" in data:
        found.update(Specifier(_slashed(name), False) for name in _REFERENCE.findall(data))
    return tuple(found)


def _imported(language: Language, data: bytes) -> Iterable[Specifier]:
    last = -1
    for sign in _SIGN.finditer(data):
        last = sign.start()
    if last < 0:
        return ()
    # Most imports are at the top, and parsing takes the time: if the text up to the line of the last one is valid by
    # itself, then the rest does not matter.
    quote = _QUOTE.search(data, last)
    end = data.find(b"\n", quote.start()) + 1 if quote else 0
    if 0 < end < min(len(data), PARSED_MAX):
        root = parser(language).parse(data[:end]).root_node
        if not root.has_error:
            return _of_tree(language, root)
    return _searched(data) if len(data) > PARSED_MAX else _parsed(language, data)


def _parsed(language: Language, data: bytes) -> Iterable[Specifier]:
    root, language = parse_either(data, language)
    if root.has_error:
        # The parser's result for such a file is a guess, and a query on a tree of errors takes quadratic time.
        return _searched(data)
    return _of_tree(language, root)


def _of_tree(language: Language, root: Node) -> Iterator[Specifier]:
    return _literals(captures(language, _CALLS if language == "javascript" else _CALLS + _TYPESCRIPT, root))


def _literals(found: dict[str, list[Node]]) -> Iterator[Specifier]:
    for name, nodes in found.items():
        for node in nodes:
            for literal in _named(name, node):
                written = _value(literal)
                if written:
                    yield Specifier(written, not name.startswith("import"))


def _named(name: str, node: Node) -> Iterable[Node]:
    """Return the nodes, literals or not, that are in the place of a specifier in the capture ``name``."""
    if name in ("import", "require"):
        return (node,)
    if name.startswith("_"):
        return ()
    arguments = [child for child in node.named_children if child.type != "comment"]
    if name != "define_call":
        return arguments[:1]
    for argument in arguments[:2]:
        if argument.type == "array":
            return argument.named_children
    return ()


def _value(node: Node) -> str:
    """Return the value of a literal; empty for anything else, and for a template with substitutions."""
    if node.type == "template_string":
        if any(child.type == "template_substitution" for child in node.named_children):
            return ""
    elif node.type != "string":
        return ""
    written = (node.text or b"").decode("utf-8", "replace")[1:-1]
    return _ESCAPE.sub(_unescaped, written) if "\\" in written else written


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is None:
        return _ESCAPED.get(match[4], match[4])
    number = int(code, 16)
    return chr(number) if number <= sys.maxunicode else "�"


def _searched(data: bytes) -> Iterator[Specifier]:
    """Yield what looks like an import, in comments and strings as well."""
    for match in _SEARCH.finditer(data.decode("utf-8", "replace")):
        yield Specifier(match[1] or match[2] or match[3], match[0].startswith("require"))


def _slashed(name: bytes) -> str:
    """Return the path of a reference as a relative specifier; it is relative even without ``./``."""
    written = name.decode("utf-8", "replace").replace("\\", "/")
    return written if written.startswith((".", "/")) else f"./{written}"
