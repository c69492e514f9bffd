"""Plants changes of behaviour into programs: for each place where one fits, the whole text with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentjobs.source.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.source.syntax import Language, Node


class Mutant(NamedTuple):
    """One planted change."""

    kind: str
    line: int
    text: bytes


_OPERATORS = {
    "===": "!==", "!==": "===", "==": "===", "!=": "!==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "+": "-",
    "-": "+", "*": "/", "/": "*", "&&": "||", "||": "??", "??": "||", "%": "*", "&": "|", "|": "&",
    "instanceof": "in",
}  # fmt: skip

_TYPES = frozenset(
    {
        "type_annotation", "type_arguments", "type_parameters", "interface_declaration", "type_alias_declaration",
        "ambient_declaration", "function_signature", "method_signature", "index_signature", "as_expression",
    }
)  # fmt: skip


def mutants(source: bytes, language: Language) -> Iterator[Mutant]:
    """Yield every change that is known here, in code that runs."""
    for node in _running(parse(source, language)):
        for kind, start, end, text in _edits(node):
            yield Mutant(kind, node.start_point[0] + 1, source[:start] + text + source[end:])


def _running(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type == "as_expression":
            waiting.append(node.children[0])
            continue
        if node.type in _TYPES or (node.type in {"import_statement", "export_statement"} and _has(node, "type")):
            continue
        yield node
        waiting += reversed(node.children)


def _has(node: Node, token: str) -> bool:
    return any(child.type == token for child in node.children)


def _edits(node: Node) -> Iterator[tuple[str, int, int, bytes]]:
    kind = node.type
    whole = (node.start_byte, node.end_byte)
    text = node.text or b""
    if kind in {"binary_expression", "augmented_assignment_expression"}:
        operator = node.child_by_field_name("operator")
        if operator is not None and (operator.type in _OPERATORS or operator.type[:-1] in _OPERATORS):
            new = _OPERATORS.get(operator.type) or _OPERATORS[operator.type[:-1]] + "="
            yield "operator", operator.start_byte, operator.end_byte, f" {new} ".encode()
    if kind == "number":
        yield "off by one", *whole, b"(" + text + b" + 1)" if text.endswith(b"n") else text + b"1"
    if kind == "string" and node.parent is not None and node.parent.type != "import_statement":
        yield "string", *whole, text[:-1] + b"x" + text[-1:]
    if kind in {"true", "false"}:
        yield "constant", *whole, b"false" if kind == "true" else b"true"
    if kind == "if_statement":
        condition = node.child_by_field_name("condition")
        alternative = node.child_by_field_name("alternative")
        body = node.child_by_field_name("consequence")
        if condition is not None:
            yield "negated condition", condition.start_byte, condition.end_byte, b"(!" + (condition.text or b"") + b")"
        if alternative is not None:
            yield "deleted branch", alternative.start_byte, alternative.end_byte, b""
        if body is not None and any(child.type not in {"comment", "empty_statement"} for child in body.named_children):
            yield "emptied branch", body.start_byte, body.end_byte, b"{}"
    if kind == "catch_clause":
        body = node.child_by_field_name("body")
        if body is not None and any(child.type != "comment" for child in body.named_children):
            yield "swallowed error", body.start_byte, body.end_byte, b"{}"
    if kind == "return_statement" and node.named_children:
        yield "removed return", node.start_byte, node.start_byte + 6, b";"
    if kind == "throw_statement":
        yield "removed throw", node.start_byte, node.start_byte + 5, b";"
    if kind == "await_expression":
        yield "removed await", node.start_byte, node.start_byte + 5, b""
    if kind == "unary_expression" and node.children[0].type == "!":
        yield "removed negation", node.start_byte, node.start_byte + 1, b""
    if kind == "arguments":
        given = [child for child in node.named_children if child.type != "comment"]
        if len(given) > 1 and given[0].text != given[1].text:
            swapped = (given[1].text or b"") + b", " + (given[0].text or b"")
            yield "swapped arguments", given[0].start_byte, given[1].end_byte, swapped
        if len(given) > 1:
            yield "dropped argument", given[-2].end_byte, given[-1].end_byte, b""
    if kind == "expression_statement" and node.named_children:
        if node.named_children[0].type == "call_expression":
            yield "removed call", *whole, b";"
        following = node.next_named_sibling
        if (
            following is not None and following.type == "expression_statement"
            and (following.text or b"").rstrip(b"; \n") != text.rstrip(b"; \n") and b"use strict" not in text
        ):  # fmt: skip
            swapped = (following.text or b"").rstrip(b";") + b";\n" + text.rstrip(b";") + b";"
            yield "reordered statements", node.start_byte, following.end_byte, swapped
    if kind == "member_expression" and not any(c.type in {"optional_chain", "?."} for c in node.children):
        dot = next((child for child in node.children if child.type == "."), None)
        assigned = node.parent is not None and node.parent.type in {
            "assignment_expression", "augmented_assignment_expression", "update_expression",
        } and node.parent.named_children[0] == node  # fmt: skip
        if dot is not None and not assigned and node.children[0].type == "identifier":
            yield "optional chain added", dot.start_byte, dot.end_byte, b"?."
    if kind in {"required_parameter", "assignment_pattern", "object_assignment_pattern", "optional_parameter"}:
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is not None:
            yield "default value", value.start_byte, value.end_byte, b"null" if value.text != b"null" else b"0"
    if kind == "variable_declaration" and node.parent is not None and node.parent.type == "statement_block":
        names = node.named_children
        if len(names) == 1 and names[0].child_by_field_name("value") is not None:
            yield "var to let", node.start_byte, node.start_byte + 3, b"let"
    if kind in {"spread_element", "rest_pattern"}:
        yield "removed spread", node.start_byte, node.start_byte + 3, b""
    if kind in {"public_field_definition", "field_definition"} and not _has(node, "declare"):
        value = node.child_by_field_name("value")
        if value is not None:
            yield "class field", value.start_byte, value.end_byte, b"undefined" if value.text != b"undefined" else b"1"
    if kind == "method_definition" and any(child.type in {"get", "set"} for child in node.children):
        body = node.parent
        if body is not None and body.type == "class_body":
            yield "removed accessor", *whole, b""
    if kind == "export_statement" and _has(node, "default"):
        word = next(child for child in node.children if child.type == "default")
        if node.child_by_field_name("declaration") is not None:
            yield "changed export", word.start_byte, word.end_byte, b""
    if kind in {"export_specifier", "import_specifier"}:
        name = node.child_by_field_name("name")
        if name is not None and not _has(node, "type"):
            yield "changed name of a module", name.start_byte, name.end_byte, (name.text or b"") + b"X"
    if kind == "for_statement":
        body = node.child_by_field_name("initializer")
        if body is not None and body.type != "empty_statement":
            yield "loop start", body.start_byte, body.end_byte, b";" if body.text.endswith(b";") else b""  # type: ignore[union-attr]
    if kind == "update_expression":
        for child in node.children:
            if child.type in {"++", "--"}:
                yield "update", child.start_byte, child.end_byte, b"--" if child.type == "++" else b"++"
    if kind in {"break_statement", "continue_statement"} and not node.named_children:
        yield "loop jump", *whole, b"continue;" if kind == "break_statement" else b"break;"
    if kind == "yield_expression" and _has(node, "*"):
        star = next(child for child in node.children if child.type == "*")
        yield "yield", star.start_byte, star.end_byte, b""
    if kind == "array" and len(node.named_children) > 0 and node.children[1].type != ",":
        yield "hole in an array", node.start_byte, node.start_byte + 1, b"[,"
    if kind == "regex":
        flags = node.child_by_field_name("flags")
        sticky = flags is not None and b"y" in (flags.text or b"")
        yield "regex flag", node.end_byte, node.end_byte, b"" if sticky else b"y"
    if kind == "template_string" and len(text) > 2:
        yield "template text", node.end_byte - 1, node.end_byte - 1, b"x"
    if kind == "ternary_expression":
        yes, no = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
        if yes is not None and no is not None and yes.text != no.text:
            swapped = b"(" + (no.text or b"") + b") : (" + (yes.text or b"") + b")"
            yield "swapped branches", yes.start_byte, no.end_byte, swapped
    if kind == "pair":
        yield "removed property", *whole, b"z: 0" if text != b"z: 0" else b"y: 0"


