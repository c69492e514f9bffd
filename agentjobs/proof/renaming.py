"""Accept two programs that differ only in the names of local variables (pure).

Names pair off over the whole file, one to one: if `a` became `b` anywhere it did so everywhere, and nothing else became
`b`. Only names that both sides declare, and do not export or import, may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.normal_form import Form, inside
from agentjobs.proof.shapes import DECLARED

if TYPE_CHECKING:
    from collections.abc import Sequence


def renamed(old: Sequence[Form], new: Sequence[Form]) -> list[Form]:
    """Return the new side with the old side's names if they pair off; else the new side as it is."""
    pairs: dict[str, str] = {}
    back: dict[str, str] = {}
    if len(old) != len(new):
        return list(new)
    waiting = list(zip(old, new, strict=True))
    while waiting:
        a, b = waiting.pop()
        if a.kind != b.kind or len(a.kids) != len(b.kids):
            return list(new)
        if a.kind == "name" and (
            pairs.setdefault(a.text, b.text) != b.text or back.setdefault(b.text, a.text) != a.text
        ):
            return list(new)
        waiting += zip(a.kids, b.kids, strict=True)
    changed = {b: a for a, b in pairs.items() if a != b}
    if not changed:
        return list(new)
    if not (set(changed.values()) <= _locals(old) and set(changed) <= _locals(new)):
        return list(new)
    return [_with_names(form, changed) for form in new]


def _with_names(form: Form, names: dict[str, str]) -> Form:
    if form.kind == "name":
        return Form("name", form.at, (), names.get(form.text, form.text))
    return form.like([_with_names(kid, names) for kid in form.kids])


def _locals(statements: Sequence[Form]) -> set[str]:
    """Return the names that a file declares locally: variables, functions, classes, parameters."""
    found: set[str] = set()
    for statement in statements:
        for form in inside(statement):
            if form.kind in DECLARED and form.kids:
                found |= _bound(form.kids[0])
            elif form.kind in {"function", "class"}:
                found |= {kid.text for kid in form.kids if kid.kind == "name"}
            elif form.kind == "formal_parameters":
                found |= {name for kid in form.kids for name in _bound(kid)}
            elif form.kind == "catch_clause" and len(form.kids) > 2:  # noqa: PLR2004
                found |= _bound(form.kids[1])
            elif form.kind == "for_in_statement":
                at = next((n for n, kid in enumerate(form.kids) if kid.kind in DECLARED), None)
                if at is not None:
                    found |= _bound(form.kids[at + 1])
    exported = {leaf.text for form in statements if form.kind.startswith("export") for leaf in inside(form)}
    return found - exported


def _bound(pattern: Form) -> set[str]:
    """Return the names in a pattern; includes too many from default values, which only refuses more."""
    if pattern.kind == "default":
        return _bound(pattern.kids[0])
    if pattern.kind == "name":
        return {pattern.text}
    if pattern.kind == "pair":
        return _bound(pattern.kids[1])
    return {name for kid in pattern.kids for name in _bound(kid)}
