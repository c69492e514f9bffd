"""Signatures of what a JavaScript or TypeScript file declares (pure): heads without bodies."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.source.syntax import Node

SMALL_LINES: Final = 40
SMALL_CHARS: Final = 2_000
"""Of a larger type only the head is shown."""

SHORT: Final = 80
"""Most characters of a value that is shown as it is."""

FUNCTIONS: Final = frozenset({
    "function_declaration", "generator_function_declaration", "function_signature", "function_expression", "function",
    "generator_function",
})  # fmt: skip
CLASSES: Final = frozenset({"class_declaration", "abstract_class_declaration", "class"})
TYPES: Final = frozenset({
    "interface_declaration", "type_alias_declaration", "enum_declaration", "internal_module", "module",
})  # fmt: skip
VARIABLES: Final = frozenset({"lexical_declaration", "variable_declaration"})


def text_of(node: Node | None) -> str:
    """Return the text of a node; empty for None."""
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def string_of(node: Node | None) -> str:
    """Return the text between the quotes of a literal."""
    return text_of(node)[1:-1]


def _between(start: Node, end: Node) -> str:
    """Return the text from the start of one node to that of another inside or after it."""
    top = start
    while end.start_byte > top.end_byte and top.parent is not None:
        top = top.parent
    raw = top.text or b""
    return raw[start.start_byte - top.start_byte : end.start_byte - top.start_byte].decode("utf-8", "replace")


def dedented(text: str, column: int) -> str:
    """Return a text that started at a column as if it started at column 0."""
    first, _, rest = text.strip().partition("\n")
    if not rest:
        return first.rstrip()
    lines = [line[column:] if not line[:column].strip() else line for line in rest.split("\n")]
    return "\n".join(line.rstrip() for line in (first, *lines))


def declaration_in(node: Node) -> Node | None:
    """Return the declaration inside an ``export`` or ``declare`` statement."""
    found = node.child_by_field_name("declaration")
    if found is None:
        known = FUNCTIONS | CLASSES | TYPES | VARIABLES
        found = next((child for child in node.named_children if child.type in known), None)
    if found is not None and found.type == "ambient_declaration":
        return declaration_in(found)
    return found


def names_of(node: Node) -> tuple[str, ...]:
    """Return the names that a declaration binds."""
    if node.type in VARIABLES:
        return tuple(
            text_of(name)
            for one in node.named_children
            if one.type == "variable_declarator"
            for name in bound_in(one.child_by_field_name("name"))
        )
    if node.type in FUNCTIONS | CLASSES | TYPES:
        name = text_of(node.child_by_field_name("name"))
        return (name,) if name else ()
    if node.type == "expression_statement":  # `namespace X {}`
        return names_of(node.named_children[0]) if node.named_children and node.named_children[0].type in TYPES else ()
    return ()


def bound_in(pattern: Node | None) -> Iterator[Node]:
    """Yield the names that a pattern binds."""
    if pattern is None:
        return
    if pattern.type in ("identifier", "shorthand_property_identifier_pattern"):
        yield pattern
        return
    for child in pattern.named_children:
        if pattern.type == "pair_pattern" and child == pattern.child_by_field_name("key"):
            continue
        yield from bound_in(child)


def words_before(outer: Node, inner: Node) -> str:
    """Return the words before a declaration: ``export default``, ``export declare``; without decorators."""
    words = []
    node: Node | None = outer
    while node is not None and node.start_byte <= inner.start_byte and node != inner:
        follow = None
        for child in node.children:
            if child == inner or (child.start_byte <= inner.start_byte and child.end_byte >= inner.end_byte):
                follow = child
                break
            if child.type not in ("decorator", "comment"):
                words.append(text_of(child))
        node = follow
    return "".join(f"{word} " for word in words)


def _start(node: Node) -> Node:
    """Return the first part of a declaration that is not a decorator."""
    return next((child for child in node.children if child.type not in ("decorator", "comment")), node)


def head_of(node: Node, lead: str, name: str) -> str:
    """Return the signature of a declaration; ``name`` selects one of several variables."""
    if node.type == "expression_statement" and node.named_children:
        node = node.named_children[0]
    column = node.start_point.column - len(lead.encode())
    if node.type in FUNCTIONS:
        return lead + _function(node)
    if node.type in CLASSES:
        return lead + _class(node)
    if node.type in VARIABLES:
        kind = text_of(node.children[0])
        for one in node.named_children:
            bound = bound_in(one.child_by_field_name("name")) if one.type == "variable_declarator" else ()
            if name in map(text_of, bound):
                return _variable(f"{lead}{kind} ", one)
        return ""
    text = dedented(text_of(node), max(0, column))
    if len(text) <= SMALL_CHARS and text.count("\n") < SMALL_LINES:
        return lead + text
    body = node.child_by_field_name("body") or node.child_by_field_name("value")
    if body is None:
        return lead + text.partition("\n")[0]
    members = len([child for child in body.named_children if child.type != "comment"])
    return f"{lead}{dedented(_between(node, body), 0)} {{ /* {members} members */ }}"


def _function(node: Node) -> str:
    body = node.child_by_field_name("body")
    text = text_of(node) if body is None else _between(_start(node), body)
    return f"{dedented(text, node.start_point.column).rstrip(';')};"


def _class(node: Node) -> str:
    body = node.child_by_field_name("body")
    if body is None:
        return dedented(text_of(node), 0)
    head = dedented(_between(_start(node), body), node.start_point.column)
    members = [text for child in body.named_children if (text := member_of(child))]
    if not members:
        return f"{head} {{}}"
    return f"{head} {{\n{textwrap.indent(chr(10).join(members), '  ')}\n}}"


def member_of(node: Node) -> str:
    """Return the signature of a public member of a class; empty for other members."""
    if node.type not in (
        "method_definition", "public_field_definition", "field_definition", "abstract_method_signature",
        "method_signature", "index_signature", "property_signature",
    ):  # fmt: skip
        return ""
    name = node.child_by_field_name("name") or node.child_by_field_name("property")
    hidden = any(child.type == "accessibility_modifier" and text_of(child) != "public" for child in node.children)
    if hidden or (name is not None and (name.type == "private_property_identifier" or text_of(name).startswith("_"))):
        return ""
    column = node.start_point.column
    body = node.child_by_field_name("body")
    if body is not None:
        return f"{dedented(_between(_start(node), body), column)};"
    value = node.child_by_field_name("value")
    if value is None:
        start = _start(node)
        raw = (node.text or b"")[start.start_byte - node.start_byte :].decode("utf-8", "replace")
        return f"{dedented(raw, column).rstrip(';,')};"
    head = dedented(_between(_start(node), value), column).rstrip().removesuffix("=").rstrip()
    if node.child_by_field_name("type") is not None:
        return f"{head};"
    return value_of(f"{head} = ", value)


def _variable(lead: str, node: Node) -> str:
    name, kind = node.child_by_field_name("name"), node.child_by_field_name("type")
    value = node.child_by_field_name("value")
    if kind is not None:
        return f"{lead}{text_of(name)}{dedented(text_of(kind), 0)};"
    if value is None:
        return f"{lead}{text_of(name)};"
    return value_of(f"{lead}{text_of(name)} = ", value)


def value_of(lead: str, node: Node) -> str:
    """Return ``lead`` and the kind of the value, without its expression."""
    column = node.start_point.column
    kind = node.type
    if kind in ("as_expression", "satisfies_expression") and len(node.named_children) > 1:
        return f"{lead}… {text_of(node.children[1])} {dedented(text_of(node.named_children[-1]), column)};"
    if kind == "parenthesized_expression" and node.named_children:
        return value_of(lead, node.named_children[0])
    body = node.child_by_field_name("body")
    if kind == "arrow_function" and body is not None:
        return f"{lead}{dedented(_between(node, body), column)} …;"
    if kind in FUNCTIONS:
        return lead + _function(node)
    if kind in CLASSES:
        return lead + _class(node)
    text = text_of(node)
    if len(text) <= SHORT and "\n" not in text and kind not in ("object", "array", "call_expression"):
        return f"{lead}{text};"
    if kind == "object":
        keys = [key for child in node.named_children if (key := _key(child))]
        listed = ", ".join(keys)
        return f"{lead}{{ {listed} }};" if len(listed) <= 4 * SHORT else f"{lead}{{ /* {len(keys)} keys */ }};"
    if kind == "array":
        return f"{lead}[ /* {len(node.named_children)} items */ ];"
    if kind in ("call_expression", "new_expression"):
        function = node.child_by_field_name("function") or node.child_by_field_name("constructor")
        called = text_of(function)
        new = "new " if kind == "new_expression" else ""
        return f"{lead}{new}{called}(…);" if len(called) <= SHORT and "\n" not in called else f"{lead}…;"
    return f"{lead}… /* {kind.replace('_', ' ')} */;"


def _key(node: Node) -> str:
    if node.type in ("shorthand_property_identifier", "spread_element"):
        return text_of(node).partition("\n")[0]
    return text_of(node.child_by_field_name("key") or node.child_by_field_name("name"))
