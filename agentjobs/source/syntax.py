"""Syntax trees of JavaScript and TypeScript (pure): one parser for each language, made on first use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Parser, QueryCursor  # noqa: TC004 - others use the type in annotations

__all__ = [
    "Language", "Node", "captures", "errors", "holds_jsx", "language_of", "parse", "parse_either", "parser", "walk",
]  # fmt: skip

Language = Literal["javascript", "typescript", "tsx"]

_LANGUAGES: dict[str, Language] = {
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
}  # fmt: skip


def language_of(path: str) -> Language | None:
    """Return the language for a file's ending; None for other files."""
    name = path.rpartition("/")[2]
    return _LANGUAGES.get(name[name.rfind(".") :].lower()) if "." in name else None


@cache
def parser(language: Language) -> Parser:
    """Return the parser of ``language``; the same one each time, and not for two threads at once."""
    from tree_sitter import Language as Grammar  # heavy, and most commands parse nothing
    from tree_sitter import Parser

    if language == "javascript":
        import tree_sitter_javascript

        return Parser(Grammar(tree_sitter_javascript.language()))
    import tree_sitter_typescript

    grammar = (
        tree_sitter_typescript.language_tsx()
        if language == "tsx"
        else tree_sitter_typescript.language_typescript()
    )
    return Parser(Grammar(grammar))


def parse(source: bytes, language: Language) -> Node:
    """Return the root of a file's syntax tree; the parser never fails, it leaves ERROR and MISSING nodes."""
    return parser(language).parse(source).root_node


def parse_either(source: bytes, language: Language) -> tuple[Node, Language]:
    """Return the root of a file's tree, and the language it was read as.

    JavaScript with types in it (Flow, or a half-converted file) is read as TSX if that parses all of it.
    """
    root = parse(source, language)
    if root.has_error and language == "javascript":
        typed = parse(source, "tsx")
        if not typed.has_error:
            return typed, "tsx"
    return root, language


def errors(root: Node) -> Iterator[Node]:
    """Yield the ERROR and MISSING nodes of a tree, outermost first."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            yield node
        elif node.has_error:
            waiting += reversed(node.children)


def walk(root: Node) -> Iterator[Node]:
    """Yield every node of a tree, parents before children, in the order of the text."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def holds_jsx(source: bytes) -> bool:
    """Return whether JavaScript contains JSX."""
    if b"</" not in source and b"/>" not in source:
        return False
    return any(node.type in {"jsx_element", "jsx_self_closing_element"} for node in walk(parse(source, "javascript")))


def captures(language: Language, query: str, root: Node) -> dict[str, list[Node]]:
    """Return the nodes beneath ``root`` that the captures of a tree-sitter query name, by name, unordered.

    Fast on sound files; on a tree with one ERROR node of n children it takes n² time.
    """
    return _cursor(language, query).captures(root)


@cache
def _cursor(language: Language, query: str) -> QueryCursor:
    from tree_sitter import Query, QueryCursor

    grammar = parser(language).language
    assert grammar is not None, "a parser is made with its grammar"
    return QueryCursor(Query(grammar, query))
