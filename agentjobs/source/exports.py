"""The names a source file exports, each with its declaration. Pure.

JavaScript and TypeScript by their syntax trees, Python by ``ast``; nothing for other languages.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from agentjobs.source import python_syntax
from agentjobs.source.declarations import text_of
from agentjobs.source.signatures import pairs
from agentjobs.source.syntax import language_of, parse_either

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.source.syntax import Node

PARSED_MAX: Final = 1_000_000
"""Bytes. A larger file was not written by hand."""

DECLARED_MAX: Final = 160
"""Characters of a declaration; a longer one is cut."""

_PYTHON: Final = (".py", ".pyi")
_COMMONJS: Final = re.compile(r"(?:module\.)?exports\.([A-Za-z_$][\w$]*)")


def understood(path: str) -> bool:
    """Return whether the exports of such a file can be read."""
    return path.endswith(_PYTHON) or language_of(path) is not None


def exported(path: str, data: bytes) -> dict[str, str]:
    """Return what ``path`` with content ``data`` exports: by name, its declaration on one line, without its body.

    For Python that is what ``__all__`` names, or all at the top without a leading underscore, with the methods of
    classes. Never fails: a file that cannot be parsed exports nothing.
    """
    if len(data) > PARSED_MAX or b"\0" in data:
        return {}
    if path.endswith(_PYTHON):
        return dict(_python(data))
    language = language_of(path)
    if language is None:
        return {}
    root, _ = parse_either(data, language)
    return {} if root.has_error else dict(_javascript(root))


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= DECLARED_MAX else f"{line[: DECLARED_MAX - 2]} …"


# --- Python -----------------------------------------------------------------------------------------------


def _python(data: bytes) -> Iterator[tuple[str, str]]:
    tree = python_syntax.parse(data)
    if tree is None:
        return
    listed = python_syntax.listed(tree.body)
    try:
        for node in tree.body:
            for name, declared in _declared(node):
                top = name.partition(".")[0]
                if (top in listed) if listed is not None else not top.startswith("_"):
                    yield name, _line(declared)
    except RecursionError:  # a default of a thousand terms
        return


def _declared(node: ast.stmt) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name, _function(node)
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
        yield node.name, f"class {node.name}({bases})" if bases else f"class {node.name}"
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                yield f"{node.name}.{inner.name}", f"{node.name}: {_function(inner)}"
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, f"{node.target.id}: {ast.unparse(node.annotation)}"
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id != "__all__":
                yield target.id, target.id


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{word} {node.name}({ast.unparse(node.args)}){returns}"


# --- JavaScript and TypeScript ----------------------------------------------------------------------------


def _javascript(root: Node) -> Iterator[tuple[str, str]]:
    declared: dict[str, str] = {}
    for node in root.named_children:
        if node.type != "export_statement":
            declared.update(_declarations(node))
    for node in root.named_children:
        if node.type == "export_statement":
            yield from _exports(node, declared)
        elif node.type == "expression_statement":
            yield from _commonjs(node)


def _exports(node: Node, declared: dict[str, str]) -> Iterator[tuple[str, str]]:
    source = text_of(node.child_by_field_name("source"))
    declaration = node.child_by_field_name("declaration")
    default = any(child.type == "default" for child in node.children)
    if default:
        value = declaration or node.child_by_field_name("value")
        head = _head(value) if value is not None else ""
        yield "default", _line(f"default {declared.get(head, head)}")
        return
    if declaration is not None:
        yield from _declarations(declaration)
        return
    for child in node.named_children:
        if child.type == "export_clause":
            for name, alias in pairs(child):
                from_there = f"{alias} from {source}" if source else declared.get(name, name)
                yield alias, _line(from_there if alias == name or source else f"{alias} = {from_there}")
    if not any(child.type == "export_clause" for child in node.named_children):
        text = text_of(node).removeprefix("export").strip().rstrip(";")
        name = text.removeprefix("=").strip()
        yield ("export =", _line(f"export = {declared.get(name, name)}")) if name != text else (text, _line(text))


def _declarations(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the names that a declaration defines."""
    if node.type == "ambient_declaration" and node.named_children:
        node = node.named_children[0]
    if node.type in ("lexical_declaration", "variable_declaration"):
        for one in node.named_children:
            if one.type == "variable_declarator":
                name = text_of(one.child_by_field_name("name"))
                yield name, _line(_variable(one, name))
        return
    name = text_of(node.child_by_field_name("name"))
    if name:
        yield name, _line(_head(node))
    if node.type in ("class_declaration", "abstract_class_declaration"):
        body = node.child_by_field_name("body")
        for member in body.named_children if body is not None else ():
            method = text_of(member.child_by_field_name("name"))
            head = _head(member)
            if member.type == "method_definition" and not re.match(r"#|private\b|protected\b", head):
                yield f"{name}.{method}", _line(f"{name}: {head}")


def _variable(node: Node, name: str) -> str:
    annotation = text_of(node.child_by_field_name("type"))
    value = node.child_by_field_name("value")
    if value is not None and value.type in ("arrow_function", "function_expression", "function"):
        return f"{name}{annotation} = {_head(value)}".removesuffix(" =>")
    return f"{name}{annotation}"


_WHOLE: Final = frozenset({"type_alias_declaration", "interface_declaration", "enum_declaration"})


def _head(node: Node) -> str:
    """Return a declaration without its body; a type as a whole, because all of it matters."""
    body = node.child_by_field_name("body")
    if body is None or node.type in _WHOLE:
        return text_of(node).rstrip(";")
    data = node.text or b""
    return data[: body.start_byte - node.start_byte].decode("utf-8", "replace").strip().removesuffix("=>").strip()


def _commonjs(statement: Node) -> Iterator[tuple[str, str]]:
    """Yield what ``module.exports = …`` and ``exports.name = …`` export."""
    node = statement.named_children[0] if statement.named_children else None
    if node is None or node.type != "assignment_expression":
        return
    left, right = text_of(node.child_by_field_name("left")), node.child_by_field_name("right")
    if right is None:
        return
    if named := _COMMONJS.fullmatch(left):
        yield named[1], _line(f"{named[1]} = {_head(right)}")
    elif left == "module.exports":
        if right.type == "object":
            for one in right.named_children:
                name = text_of(one.child_by_field_name("key") or one.child_by_field_name("name")) or text_of(one)
                yield name, name
        else:
            yield "module.exports", _line(f"module.exports = {_head(right)}")
