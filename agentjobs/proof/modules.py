"""Imports, exports, enums and namespaces in the normal form (pure), without what is only about types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.literals import decoded, module_name, string_value
from agentjobs.proof.normal_form import Form

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.proof.normal_form import Lowered, Lowering
    from agentjobs.source.syntax import Node

_TYPES_ONLY = frozenset(
    {"interface_declaration", "type_alias_declaration", "ambient_declaration", "comment", "empty_statement"}
)


class Statements:
    """Makes forms of the statements of modules."""

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering

    def handlers(self) -> dict[str, Callable[[Node], Lowered]]:
        """Return the node types handled here, each with its function."""
        return {
            "import_statement": self._imported,
            "export_statement": self._exported,
            "enum_declaration": self._enum,
            "internal_module": self._namespace,
            "module": self._namespace,
        }

    def _imported(self, node: Node) -> Lowered:
        if _has(node, "type"):
            return None
        for child in node.children:
            if child.type == "import_require_clause":
                return Form("import=", node, [*self.lowering.kids(child.named_children[:1]), _required(child)])
        kids = []
        for child in node.children:
            if child.type == "import_clause":
                kids += _bindings(child)
            elif child.type == "import_attribute":
                kids += self.lowering.kids([child])
        return Form("import", node, [_module(node), *kids])

    def _exported(self, node: Node) -> Lowered:
        if _has(node, "type"):
            return None
        decorators = self.lowering.kids(child for child in node.children if child.type == "decorator")
        declaration, value = node.child_by_field_name("declaration"), node.child_by_field_name("value")
        if _has(node, "=") and not _has(node, "default"):
            return Form("export=", node, self.lowering.kids(c for c in node.named_children if c.type != "comment"))
        if declaration is not None or value is not None:
            found = self.lowering.kids([part for part in (declaration, value) if part is not None])
            kind = "export-default" if _has(node, "default") else "export"
            return [Form(kind, form.at, [*decorators, form]) for form in found] or None
        if _has(node, "namespace"):
            return None  # `export as namespace X` matters only to the type checker
        kids = []
        for child in node.children:
            if child.type == "export_clause":
                kids += [_export(part) for part in child.named_children if _is_value(part)]
            elif child.type == "namespace_export":
                name = _name(child.named_children[-1])
                kids.append(Form("bind", child, [Form("all", child)], name))
            elif child.type == "*":
                kids.append(Form("all", child))
            elif child.type == "import_attribute":
                kids += self.lowering.kids([child])
        if node.child_by_field_name("source") is not None:
            return Form("export-from", node, [_module(node), *kids])
        return Form("export-names", node, kids)

    def _enum(self, node: Node) -> Form:
        kind = "const-enum" if _has(node, "const") else "enum"
        members = []
        body = node.child_by_field_name("body")
        for child in body.named_children if body is not None else ():
            if child.type == "comment":
                continue
            name = child.child_by_field_name("name") if child.type == "enum_assignment" else child
            value = child.child_by_field_name("value")
            kids = self.lowering.kids([value]) if value is not None else []
            members.append(Form("member", child, [self.lowering.key(name, child), *kids]))
        return Form(kind, node, [*self.lowering.kids([node.child_by_field_name("name") or node]), *members])

    def _namespace(self, node: Node) -> Lowered:
        return None if _types_only(node) else Form("namespace", node, self.lowering.kids(node.children))


def argument_of_require(call: Node) -> Node | None:
    """Return the string of `require("…")` or `import("…")`; None for any other call."""
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    if function is None or arguments is None or (function.type != "import" and function.text != b"require"):
        return None
    found = [child for child in arguments.named_children if child.type != "comment"]
    return found[0] if len(found) == 1 and found[0].type == "string" else None


def _has(node: Node, token: str) -> bool:
    return any(child.type == token for child in node.children)


def _module(node: Node) -> Form:
    source = node.child_by_field_name("source")
    return Form("module", source or node, (), module_name(_text(source)))


def _required(clause: Node) -> Form:
    source = clause.child_by_field_name("source") or clause.named_children[-1]
    return Form("module", source, (), module_name(_text(source)))


def _text(string: Node | None) -> str:
    return string_value(decoded(string.text or b"")) if string is not None else ""


def _name(node: Node) -> str:
    return _text(node) if node.type == "string" else decoded(node.text or b"")


def _is_value(specifier: Node) -> bool:
    return specifier.type in {"import_specifier", "export_specifier"} and not _has(specifier, "type")


def _bindings(clause: Node) -> list[Form]:
    """Return the names of an import: the name there as text, the name here as the only child."""
    found = []
    for child in clause.named_children:
        if child.type == "identifier":
            found.append(_bind(child, "default", child))
        elif child.type == "namespace_import":
            found.append(_bind(child, "*", child.named_children[-1]))
        elif child.type == "named_imports":
            for part in child.named_children:
                name = part.child_by_field_name("name")
                if _is_value(part) and name is not None:
                    found.append(_bind(part, _name(name), part.child_by_field_name("alias") or name))
    return found


def _bind(at: Node, there: str, here: Node) -> Form:
    return Form("bind", at, [Form("name", here, (), _name(here))], there)


def _export(specifier: Node) -> Form:
    """Return one exported name: the name for others as text, the name here as the only child."""
    name = specifier.child_by_field_name("name") or specifier.children[0]
    alias = specifier.child_by_field_name("alias") or name
    return Form("bind", specifier, [Form("name", name, (), _name(name))], _name(alias))


def _types_only(namespace: Node) -> bool:
    """Return whether a namespace contains nothing that runs."""
    body = namespace.child_by_field_name("body")
    for child in body.named_children if body is not None else ():
        inner = child.child_by_field_name("declaration") if child.type == "export_statement" else child
        if inner is not None and inner.type == "expression_statement" and inner.named_children:
            inner = inner.named_children[0]
        if inner is None or not (inner.type in _TYPES_ONLY or (inner.type == "internal_module" and _types_only(inner))):
            return False
    return True
