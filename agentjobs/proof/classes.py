"""Classes and parameters in the normal form (pure): syntax that TypeScript has and JavaScript does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.literals import decoded
from agentjobs.proof.normal_form import Form
from agentjobs.source.syntax import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.proof.normal_form import Lowered, Lowering
    from agentjobs.source.syntax import Node

_MARKS = frozenset({"?", "!", "readonly", "abstract", "class"})
"""Tokens of a class or a member that matter only to the type checker, or repeat what the node says."""

_OF_PROPERTY = frozenset({"accessibility_modifier", "override_modifier", "readonly"})
"""What makes a constructor's parameter a property."""


class Members:
    """Makes forms of classes, their members and parameters."""

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering

    def handlers(self) -> dict[str, Callable[[Node], Lowered]]:
        """Return the node types handled here, each with its function."""
        return {
            "class": self._a_class,
            "class_declaration": self._a_class,
            "abstract_class_declaration": self._a_class,
            "class_heritage": self._heritage,
            "class_body": self._body,
            "field_definition": self._field,
            "public_field_definition": self._field,
            "method_definition": self._method,
            "required_parameter": self._parameter,
            "optional_parameter": self._parameter,
        }

    def _parts(self, node: Node) -> list[Form]:
        return self.lowering.kids(child for child in node.children if child.type not in _MARKS)

    def _a_class(self, node: Node) -> Form:
        return Form("class", node, self._parts(node))

    def _heritage(self, node: Node) -> Lowered:
        """Read `extends`, which the two grammars nest differently; `implements` alone is nothing."""
        kids = []
        for child in node.children:
            kids += self.lowering.kids(child.children if child.type == "extends_clause" else [child])
        return Form("extends", node, [kid for kid in kids if kid.kind != "extends"]) if kids else None

    def _body(self, node: Node) -> Form:
        return Form("class_body", node, self.lowering.kids(c for c in node.children if c.type not in {"{", "}"}))

    def _field(self, node: Node) -> Lowered:
        """Leave out a field that is only declared; any other is created with the object, with or without a value."""
        if any(child.type in {"declare", "abstract"} for child in node.children):
            return None
        name = node.child_by_field_name("name") or node.child_by_field_name("property")
        kids: list[Form] = []
        for child in node.children:
            if child == name:
                kids.append(self.lowering.key(child, node))
            elif child.type not in _MARKS and child.type != "=":
                kids += self.lowering.kids([child])
        if len(kids) == 1 and kids[0].text in self.lowering.emitted_fields and _is_set_first(node, kids[0].text):
            self.lowering.left_out.add(kids[0].text)
            return None
        return Form("field", node, kids)

    def _method(self, node: Node) -> Form:
        kids: list[Form] = []
        name = node.child_by_field_name("name")
        for child in node.children:
            if child == name:
                kids.append(self.lowering.key(child, node))
            elif child.type not in _MARKS:
                kids += self.lowering.kids([child])
        properties = _properties(node)
        if properties:
            names = {decoded(name.text or b"") for name in properties}
            self.lowering.properties |= names
            self.lowering.derived_properties |= names if _extends(node) or _fields_read_this(node) else set()
            kids[-1] = _with_properties(kids[-1], properties)
        return Form("method", node, kids)

    def _parameter(self, node: Node) -> Lowered:
        pattern = node.child_by_field_name("pattern")
        if pattern is not None and pattern.type == "this":
            return None
        decorators = [child for child in node.children if child.type == "decorator"]
        value = node.child_by_field_name("value")
        found = self.lowering.one(pattern, node)
        if value is not None:
            found = Form("default", node, [found, self.lowering.one(value, node)])
        return Form("decorated", node, [*self.lowering.kids(decorators), found]) if decorators else found


def _properties(method: Node) -> list[Node]:
    """Return the names of a constructor's parameters that are properties too."""
    parameters = method.child_by_field_name("parameters")
    found = []
    for parameter in parameters.named_children if parameters is not None else ():
        pattern = parameter.child_by_field_name("pattern")
        if pattern is not None and any(child.type in _OF_PROPERTY for child in parameter.children):
            found.append(pattern)
    return found


def _fields_read_this(method: Node) -> bool:
    """Return whether a field's value uses `this`: whether it runs before the property is set depends on settings."""
    members = method.parent.named_children if method.parent is not None else ()
    values = [member.child_by_field_name("value") for member in members if member.type.endswith("field_definition")]
    return any(part.type == "this" for value in values if value is not None for part in walk(value))


def _extends(method: Node) -> bool:
    body = method.parent
    found = body.parent if body is not None else None
    return found is not None and any(
        part.type in {"extends_clause", "extends"}
        for child in found.children
        if child.type == "class_heritage"
        for part in child.children
    )


def _is_set_first(field: Node, name: str) -> bool:
    """Return whether the constructor of a field's class sets it from a parameter of the same name."""
    body = field.parent
    wanted = f"this.{name}={name}".encode()
    for member in body.named_children if body is not None else ():
        found = member.child_by_field_name("name")
        block = member.child_by_field_name("body")
        if member.type == "method_definition" and found is not None and found.text == b"constructor" and block:
            return any(b"".join((s.text or b"").split()).rstrip(b";") == wanted for s in block.named_children)
    return False


def _with_properties(body: Form, properties: list[Node]) -> Form:
    """Return a constructor's body with what the compiler adds: after `super(…)`, else at its beginning."""
    first = 1 if body.kids and _is_super_call(body.kids[0]) else 0
    made = [_assignment(name) for name in properties]
    return body.like([*body.kids[:first], *made, *body.kids[first:]])


def _is_super_call(statement: Form) -> bool:
    call = statement.kids[0] if statement.kind == "do" and statement.kids else None
    return call is not None and call.kind == "call" and bool(call.kids) and call.kids[0].kind == "super"


def _assignment(name: Node) -> Form:
    text = decoded(name.text or b"")
    member = Form("member", name, [Form("this", name, (), "this"), Form("property_identifier", name, (), text)])
    value = Form("name", name, (), text)
    return Form("do", name, [Form("assignment_expression", name, [member, Form("=", name), value])])
