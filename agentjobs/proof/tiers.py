"""What the lenient and the review tier accept beyond the strict one (pure); docs/proof.md has the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.esm import split_exports
from agentjobs.proof.normal_form import Form, inside
from agentjobs.proof.renaming import renamed
from agentjobs.proof.shapes import DECLARED, names_used

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def relaxed(old: list[Form], new: list[Form], tier: str) -> tuple[list[Form], list[Form]]:
    """Return both sides with the differences removed that the tier accepts."""
    rewrite = _reviewed if tier == "review" else _lenient
    a, b = ([_rewritten(form, rewrite) for form in side] for side in (old, new))
    if tier == "review":
        a, b = _drop_bare_fields(a), _drop_bare_fields(b)
    a, b = _module(a), _module(b)
    return a, renamed(a, b)


# --- the whole module -------------------------------------------------------------------------------------


def _module(statements: list[Form]) -> list[Form]:
    """Move imports to the beginning in one order, without unused names, and exports to the end."""
    imports = [form for form in statements if form.kind == "import"]
    rest = [form for form in statements if form.kind != "import"]
    rest, exports = split_exports(rest, default=True)
    used = names_used([*rest, *exports])
    kept = [form for form in (_elided(form, used) for form in imports) if form is not None]
    kept.sort(key=lambda form: [form.kids[0].text, *(bind.text for bind in form.kids[1:])])
    exports += [form for form in rest if form.kind == "exported"]
    rest = [form for form in rest if form.kind != "exported"]
    return [*kept, *rest, *sorted(exports, key=lambda form: form.text)]


def _elided(form: Form, used: set[str]) -> Form | None:
    binds = [bind for bind in form.kids[1:] if bind.kind == "bind"]
    kept = sorted((bind for bind in binds if bind.kids[0].text in used), key=lambda bind: bind.text)
    others = [kid for kid in form.kids[1:] if kid.kind != "bind"]
    return None if binds and not kept else form.like([form.kids[0], *kept, *others])


# --- inside statements ------------------------------------------------------------------------------------


def _rewritten(form: Form, rewrite: Callable[[Form], Form]) -> Form:
    """Return a form with every part of it rewritten, innermost first."""
    return rewrite(form.like([_rewritten(kid, rewrite) for kid in form.kids]))


def _lenient(form: Form) -> Form:
    """Replace `var`, `let` and `const` by one word."""
    if form.kind in DECLARED:
        return Form("let", form.at, form.kids)
    return form


def _reviewed(form: Form) -> Form:
    form = _lenient(form)
    kind = form.kind
    if not form.kids:
        return form  # a token may have the same name as a node
    if kind in _BODIES:
        return _braced(form)
    if kind == "arrow_function":
        return _with_block(form)
    if kind == "function" and _is_plain(form):
        return _as_arrow(form)
    if kind == "item" and len(form.kids) == 2 and form.kids[1].kind == "string":  # noqa: PLR2004
        key = form.kids[1]
        return Form("member", form.at, [form.kids[0], Form("property_identifier", key.at, (), key.text)])
    if kind == "template" and len(form.kids) == 1 and "\\" not in form.kids[0].text:
        return Form("string", form.at, (), form.kids[0].text)
    if kind == "catch_clause" and len(form.kids) == 3:  # noqa: PLR2004 - the word, the variable, the block
        word, variable, block = form.kids
        if variable.kind == "name" and variable.text not in names_used([block]):
            return form.like([word, block])
    return form


_BODIES = {"if_statement", "else_clause", "while_statement", "do_statement", "for_in_statement", "body"}
"""Where a single statement may be without braces."""

_STATEMENTS = {
    "do", "return_statement", "throw_statement", "break_statement", "continue_statement", "if_statement",
    "for_statement", "for_in_statement", "while_statement", "do_statement", "switch_statement", "try_statement",
    "empty",
}  # fmt: skip


def _braced(form: Form) -> Form:
    """Put a single statement into braces."""
    return form.like(
        [
            Form("statement_block", kid.at, [] if kid.kind == "empty" else [kid]) if kid.kind in _STATEMENTS else kid
            for kid in form.kids
        ]
    )


def _with_block(form: Form) -> Form:
    """Write `x => y` as `x => { return y }`."""
    body = form.kids[-1]
    if body.kind == "statement_block":
        return form
    given = Form("return_statement", body.at, [Form("return", body.at), body])
    return form.like([*form.kids[:-1], Form("statement_block", body.at, [given])])


def _is_plain(form: Form) -> bool:
    """Return whether an anonymous function could be an arrow function: it does not use its own `this`."""
    if any(kid.kind in {"name", "*"} for kid in form.kids):
        return False
    return not any(
        found.kind in {"this", "super", "meta_property"} or (found.kind == "name" and found.text == "arguments")
        for found in inside(form)
    )


def _as_arrow(form: Form) -> Form:
    kids = [kid for kid in form.kids if kid.kind != "function"]
    return Form("arrow_function", form.at, [*kids[:-1], Form("=>", form.at), kids[-1]])


def _drop_bare_fields(statements: Sequence[Form]) -> list[Form]:
    """Leave out fields without a value: a person must decide whether their existence matters."""
    return [
        _rewritten(
            form,
            lambda part: part.like([kid for kid in part.kids if kid.kind != "field" or len(kid.kids) > 1])
            if part.kind == "class_body"
            else part,
        )
        for form in statements
    ]
