"""Small questions about forms (pure) that several passes ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.normal_form import Form, inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DECLARED = frozenset({"var", "let", "const"})

_ASSIGNED = frozenset({"assignment_expression", "augmented_assignment_expression"})


def is_name(form: Form, text: str) -> bool:
    """Return whether a form is the variable of that name."""
    return form.kind == "name" and form.text == text


def is_member(form: Form, of: str, name: str) -> bool:
    """Return whether a form is `of.name`."""
    return (
        form.kind == "member"
        and len(form.kids) == 2  # noqa: PLR2004 - the object, and the member
        and is_name(form.kids[0], of)
        and form.kids[1].text == name
    )


def is_module_exports(form: Form) -> bool:
    """Return whether a form is `module.exports`."""
    return is_member(form, "module", "exports")


def exported_member(form: Form) -> str | None:
    """Return the `x` of `exports.x` and `module.exports.x`."""
    if form.kind != "member" or len(form.kids) != 2:  # noqa: PLR2004
        return None
    owner = form.kids[0]
    return form.kids[1].text if is_name(owner, "exports") or is_module_exports(owner) else None


def required_module(form: Form | None) -> Form | None:
    """Return the module of `require("…")`."""
    if form is None or form.kind != "call" or not is_name(form.kids[0], "require"):
        return None
    arguments = form.kids[-1]
    found = arguments.kids[0] if arguments.kids else None
    return found if found is not None and found.kind == "module" else None


def value_of(declaration: Form) -> Form | None:
    """Return the initial value in a declaration."""
    return declaration.kids[1] if declaration.kind in DECLARED and len(declaration.kids) > 1 else None


def assignment_chain(form: Form | None) -> tuple[list[Form], Form | None]:
    """Return the targets of `a = b = … = value`, and the value."""
    targets = []
    while form is not None and form.kind == "assignment_expression":
        targets.append(form.kids[0])
        form = form.kids[-1]
    return targets, form


def assigned(forms: Iterable[Form]) -> Iterator[Form]:
    """Yield every target of an assignment or an update, anywhere; patterns as a whole."""
    for form in forms:
        for found in inside(form):
            if found.kind in _ASSIGNED:
                yield found.kids[0]
            elif found.kind == "update_expression":
                yield from (kid for kid in found.kids if kid.kind not in {"++", "--"})
            elif found.kind == "for_in_statement" and found.kids[1].kind not in DECLARED:
                yield found.kids[1]


def deleted(forms: Iterable[Form]) -> Iterator[Form]:
    """Yield what `delete` is applied to, anywhere."""
    for form in forms:
        for found in inside(form):
            if found.kind == "unary_expression" and found.kids[0].kind == "delete":
                yield found.kids[-1]


def is_assigned(name: str, forms: Iterable[Form]) -> bool:
    """Return whether a variable gets a value anywhere outside its declaration."""
    for target in assigned(forms):
        if is_name(target, name):
            return True
        if target.kind in {"object_pattern", "array_pattern", "object", "array"} and any(
            is_name(found, name) for found in inside(target)
        ):
            return True
    return False


def names_used(forms: Iterable[Form]) -> set[str]:
    """Return the names of all variables that are used as values."""
    return {found.text for form in forms for found in inside(form) if found.kind == "name"}


def declared_names(forms: Sequence[Form]) -> set[str]:
    """Return the variables, functions and classes that statements declare."""
    found = set()
    for form in forms:
        if form.kind in DECLARED and form.kids:
            found |= {leaf.text for leaf in inside(form.kids[0]) if leaf.kind == "name"}
        elif form.kind in {"function", "class"}:
            found |= {kid.text for kid in form.kids if kid.kind == "name"}
    return found


def runs_nothing(form: Form) -> bool:
    """Return whether a statement is a function declaration, which exists before anything runs."""
    return form.kind == "function"
