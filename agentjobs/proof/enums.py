"""Enums (pure): equal only to the object, or the immediately called function, that the compiler makes of them."""

from __future__ import annotations

from agentjobs.proof.normal_form import Form, equal, first_difference
from agentjobs.proof.shapes import DECLARED, is_name, value_of

_Member = tuple[str, Form]


def settled(old: list[Form], new: list[Form]) -> tuple[list[Form], list[Form]]:
    """Return both sides with a new enum in place of the old code that is the same."""
    for place, form in enumerate(new):
        enum = form.kids[-1] if form.kind == "export" and form.kids else form
        if enum.kind != "enum" or not enum.kids:
            continue
        members = _members(enum)
        found = _original(old, enum.kids[0].text, members) if members is not None else None
        if found is not None:
            first, last, exported = found
            made = form if exported == (form.kind == "export") else enum
            old = [*old[:first], made, *old[last:]]
        new = [*new[:place], form, *new[place + 1 :]]
    return old, new


def _members(enum: Form) -> list[_Member] | None:
    """Return names and values; None if a value is not a plain constant."""
    found: list[_Member] = []
    following: float | None = 0
    for member in enum.kids[1:]:
        name = member.kids[0]
        if name.kind != "property":
            return None
        if len(member.kids) == 1:
            if following is None:
                return None
            value = Form("number", member.at, (), repr(float(following)))
        else:
            value = member.kids[1]
        number = _number(value)
        if number is None and value.kind != "string":
            return None
        following = number + 1 if number is not None else None
        found.append((name.text, value))
    return found


def _number(form: Form) -> float | None:
    negative = form.kind == "unary_expression" and len(form.kids) == 2 and form.kids[0].kind == "-"  # noqa: PLR2004
    leaf = form.kids[1] if negative else form
    if leaf.kind != "number" or leaf.text.endswith("n"):
        return None
    return -float(leaf.text) if negative else float(leaf.text)


def _original(old: list[Form], name: str, members: list[_Member]) -> tuple[int, int, bool] | None:
    """Return the place of the same enum in the old code (from, to) and whether it is exported there."""
    for place, form in enumerate(old):
        exported = form.kind == "export"
        declared = form.kids[-1] if exported and form.kids else form
        if declared.kind not in DECLARED or not is_name(declared.kids[0], name):
            continue
        value = value_of(declared)
        if value is None:
            after = old[place + 1] if place + 1 < len(old) else None
            return (place, place + 2, exported) if after is not None and _is_function(after, name, members) else None
        return (place, place + 1, exported) if _is_object(value, members) else None
    return None


def _is_object(value: Form, members: list[_Member]) -> bool:
    """Return whether a literal has the same members; numbers would need reverse names, so only strings do."""
    pairs = [kid for kid in value.kids if kid.kind not in {"{", "}"}]
    return (
        value.kind == "object"
        and len(pairs) == len(members)
        and all(
            pair.kind == "pair" and pair.kids[0].kind == "property" and pair.kids[0].text == name
            and constant.kind == "string" and equal(pair.kids[1], constant)
            for pair, (name, constant) in zip(pairs, members, strict=True)
        )
    )  # fmt: skip


def _is_function(statement: Form, name: str, members: list[_Member]) -> bool:
    """Return whether a statement is `(function (E) { E[E["A"] = 0] = "A"; … })(E || (E = {}))`."""
    return first_difference(_function(statement, name, members), statement) is None


def _function(like: Form, name: str, members: list[_Member]) -> Form:
    """Return the compiler's output."""
    at = like.at

    def leaf(kind: str, text: str = "") -> Form:
        return Form(kind, at, (), text)

    def assign(target: Form, value: Form) -> Form:
        return Form("assignment_expression", at, [target, leaf("="), value])

    body = []
    for member, value in members:
        item = Form("item", at, [leaf("name", name), leaf("string", member)])
        inner = assign(item, value)
        if value.kind != "string":
            inner = assign(Form("item", at, [leaf("name", name), inner]), leaf("string", member))
        body.append(Form("do", at, [inner]))
    empty = Form("object", at, [leaf("{"), leaf("}")])
    function = Form(
        "function", at,
        [leaf("function"), Form("formal_parameters", at, [leaf("name", name)]), Form("statement_block", at, body)],
    )  # fmt: skip
    given = Form("binary_expression", at, [leaf("name", name), leaf("||"), assign(leaf("name", name), empty)])
    return Form("do", at, [Form("call", at, [function, Form("arguments", at, [given])])])
