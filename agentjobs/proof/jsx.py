"""JSX in the normal form (pure): layout between tags is ignored, text is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.literals import decoded, jsx_text
from agentjobs.proof.normal_form import Form

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.proof.normal_form import Lowered, Lowering
    from agentjobs.source.syntax import Node


def handlers(lowering: Lowering) -> dict[str, Callable[[Node], Lowered]]:
    """Return the JSX node types, each with its function."""

    def element(node: Node) -> Form:
        kids: list[Form] = []
        text = ""
        for child in node.children:
            if child.type in {"jsx_text", "html_character_reference"}:
                text += decoded(child.text or b"")
                continue
            if child.type == "jsx_expression" and all(part.type == "comment" for part in child.named_children):
                kids, text = _with_text(kids, text, node), ""
                continue
            kids, text = _with_text(kids, text, node), ""
            kids += lowering.kids([child])
        return Form("jsx_element", node, kids)

    def attribute(node: Node) -> Form:
        """Take strings as they are written: backslashes are ordinary characters."""
        kids = []
        for child in node.children:
            if child.type == "string":
                text = decoded(child.text or b"")
                kids.append(Form("jsx_string", child, (), text[1:-1].replace("\r\n", "\n")))
            else:
                kids += lowering.kids([child])
        return Form("jsx_attribute", node, kids)

    return {"jsx_element": element, "jsx_attribute": attribute}


def _with_text(kids: list[Form], text: str, node: Node) -> list[Form]:
    kept = jsx_text(text)
    return [*kids, Form("jsx_text", node, (), kept)] if kept else kids
