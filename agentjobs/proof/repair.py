"""Parse TypeScript that the grammar cannot (pure): its known gaps are blanked out, and the file is parsed again.

Each repair keeps every position, touches types only, and is undone if the new tree does not confirm it: what cannot be
parsed for any other reason stays an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.source.syntax import errors, parse, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentjobs.source.syntax import Language, Node

_STAR = re.compile(
    rb"""^(?:import|export)\s+type\s+\*\s*(?:as\s+[\w$]+\s+)?from\s*(?:"[^"\n]*"|'[^'\n]*')[ \t]*;?""", re.MULTILINE
)
"""`import type * as x from "y"`, `export type * from "y"`."""

_VARIANCE = re.compile(rb"(?<=[<,])((?:\s|//[^\n]*\n|/\*.*?\*/)*)(in\s+out|in|out|const)(?=\s+[A-Za-z_$])", re.DOTALL)
_MEMBER = re.compile(rb"\n[ \t]*?[ \t](?=[<(\[])")
_GENERIC_MEMBER = re.compile(rb"\n[ \t]*?[ \t](?=<)")
"""A member of an object type that starts a line with `<`: only a semicolon separates it from the line before."""

_GOES_ON = (b"{", b",", b";", b"(", b"[", b"<", b"|", b"&", b"=", b":", b"?", b"=>", b"extends")
"""Ends of a line after which the next one is not a new member."""

_OBJECT_TYPES = frozenset({"interface_body", "object_type"})

_REGIONS = _OBJECT_TYPES | {"interface_declaration", "type_alias_declaration", "program", "ERROR"}
"""Where members of object types may be; an error may have cut the type off, so that its rest is elsewhere."""

_TIGHT = frozenset(
    {
        "identifier", "member_expression", "subscript_expression", "call_expression", "parenthesized_expression",
        "this", "super", "non_null_expression", "array", "object", "template_string", "string", "undefined",
        "instantiation_expression",
    }
)  # fmt: skip
"""Nodes that a `!` after them is known to belong to; the grammar also attaches it to `a && b` and `-a`."""


class _Edit(NamedTuple):
    start: int
    text: bytes
    within: frozenset[str]
    """The kinds of which one must be around the place afterwards; empty: it must be between statements."""


def read(source: bytes, language: Language) -> Node:
    """Return the tree of a file, repaired if the repair makes it valid."""
    root = parse(source, language)
    if language == "javascript":
        return root
    source, root = _without_tag_types(source, root, language)
    if root.has_error:
        fixed = _repaired(source, root, language)
        if fixed is not None:
            source, root = fixed
    loose = [node for node in walk(root) if node.type == "non_null_expression"] if b"!" in source else []
    if any(node.children[0].type not in _TIGHT for node in loose):
        root = parse(_without_marks(source, loose), language)
    return root


_TAG_TYPES = re.compile(rb"(?<=[\w$])<(?:[^<>`;(){}]|\{[^{}<>`]*\}|<[^<>`;(){}]*>)*>(?=`)")
"""The type arguments of a tagged template: in TypeScript `tag<string>` before a backtick is never a comparison."""


def _without_tag_types(source: bytes, root: Node, language: Language) -> tuple[bytes, Node]:
    for found in _TAG_TYPES.finditer(source):
        edit = _Edit(found.start(), b" " * len(found[0]), frozenset())
        text = _applied(source, [edit])
        tree = parse(text, language)
        place = tree.descendant_for_byte_range(found.start(), found.end())
        if place is not None and place.type == "call_expression":
            source, root = text, tree
    return source, root


def _repaired(source: bytes, root: Node, language: Language) -> tuple[bytes, Node] | None:
    """Return the source and tree without errors, or None: a repair that leaves an error does not count."""
    for _ in range(_ROUNDS):
        edits = list(_edits(source, root))
        if not edits:
            return None
        source = _applied(source, edits)
        root = parse(source, language)
        if not root.has_error:
            return (source, root) if all(_is_borne_out(edit, root) for edit in edits) else None
    return None


_ROUNDS = 3


def _edits(source: bytes, root: Node) -> Iterator[_Edit]:
    for found in _STAR.finditer(source):
        yield _Edit(found.start(), re.sub(rb"[^\n]", b" ", found[0]), frozenset())
    seen: set[int] = set()
    for error in errors(root):
        for node in _around(error):
            if node.id in seen:
                continue
            seen.add(node.id)
            text = source[node.start_byte : node.end_byte]
            if node.type in {"type_parameters", "type_parameter"}:
                for found in _VARIANCE.finditer(text if node.type == "type_parameters" else b"," + text):
                    shift = 0 if node.type == "type_parameters" else 1
                    start = node.start_byte + found.start(2) - shift
                    yield _Edit(start, b" " * len(found[2]), frozenset({"type_parameters"}))
            elif node.type in _REGIONS:
                for found in (_GENERIC_MEMBER if node.type in {"program", "ERROR"} else _MEMBER).finditer(text):
                    if _code_before(text, found.start()).endswith(_GOES_ON):
                        continue
                    yield _Edit(node.start_byte + found.end() - 1, b";", _OBJECT_TYPES)


def _code_before(text: bytes, end: int) -> bytes:
    """Return the code before a place, without the white space and comments in between."""
    before = text[:end].rstrip()
    while before.endswith(b"*/"):
        before = before[: max(before.rfind(b"/*"), 0)].rstrip()
    return before


def _around(node: Node) -> Iterator[Node]:
    at: Node | None = node
    while at is not None:
        yield at
        at = at.parent


def _applied(source: bytes, edits: Iterable[_Edit]) -> bytes:
    text = bytearray(source)
    for edit in edits:
        text[edit.start : edit.start + len(edit.text)] = edit.text
    return bytes(text)


def _is_borne_out(edit: _Edit, root: Node) -> bool:
    """Return whether the change is, in the new tree, in the expected kind of place."""
    node = root.descendant_for_byte_range(edit.start, edit.start + len(edit.text))
    if node is None:
        return False
    if not edit.within:
        return node.type == "program"
    return any(found.type in edit.within for found in _around(node))


def _without_marks(source: bytes, marks: Iterable[Node]) -> bytes:
    """Blank the `!` of non-null assertions; one alone on a line may be an operator and stays."""
    text = bytearray(source)
    for node in marks:
        mark = node.children[-1]
        if mark.type == "!" and node.children[-2].end_point[0] == mark.start_point[0]:
            text[mark.start_byte : mark.end_byte] = b" "
    return bytes(text)
