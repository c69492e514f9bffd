"""The result of a comparison (pure): the first place where two programs differ, for people and for agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agentjobs.proof.literals import decoded

if TYPE_CHECKING:
    from agentjobs.source.syntax import Node

SHOWN_MAX = 110
"""Most characters of code that are shown of one side."""


class Difference(msgspec.Struct, frozen=True):
    """The first difference between a file and its conversion; lines count from 1."""

    kind: str
    """In a word or two: syntax, changed, added, missing, export order, class field, import …"""
    function: str
    """The functions and classes around it, outermost first; empty at the top level."""
    old_line: int
    new_line: int
    expected: str
    """The old code there, on one line; empty if the new side has more."""
    got: str
    hint: str = ""
    """What to do about it, if known."""

    def render(self, old_path: str, new_path: str) -> str:
        """Return the difference as a line that editors and agents understand, and a small diff below it."""
        where = f" in `{self.function}`" if self.function else ""
        lines = [f"agentjobs: {new_path}:{self.new_line}: {self.kind}{where} (was {old_path}:{self.old_line})"]
        if self.expected:
            lines.append(f"  - {self.expected}")
        if self.got:
            lines.append(f"  + {self.got}")
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


def shown(node: Node | None) -> str:
    """Return the code of a node on one line, cut if it is long."""
    if node is None:
        return ""
    text = " ".join(decoded(node.text or b"").encode("utf-8", "replace").decode().split())
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


_NAMED = frozenset(
    {
        "function_declaration", "generator_function_declaration", "function_expression", "generator_function",
        "class_declaration", "abstract_class_declaration", "class", "method_definition",
    }
)  # fmt: skip


def enclosing(node: Node) -> str:
    """Return the names of the functions and classes around a node, as `Outer > inner`."""
    names: list[str] = []
    at: Node | None = node.parent
    while at is not None:
        name = _own_name(at)
        if name:
            names.append(shown(name)[:40])
        at = at.parent
    return " > ".join(reversed(names))


def _own_name(node: Node) -> Node | None:
    if node.type in _NAMED:
        return node.child_by_field_name("name")
    field = {
        "variable_declarator": ("value", "name"),
        "pair": ("value", "key"),
        "assignment_expression": ("right", "left"),
    }.get(node.type)
    if field is None:
        return None
    value = node.child_by_field_name(field[0])
    if value is None or not (value.type in _NAMED or value.type == "arrow_function"):
        return None
    return None if value.child_by_field_name("name") else node.child_by_field_name(field[1])
