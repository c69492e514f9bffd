"""CommonJS in TypeScript's syntax (pure): `import x = require(…)` and `export =`, as the compiler emits them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof.normal_form import Form, inside
from agentjobs.proof.shapes import (
    DECLARED,
    assigned,
    assignment_chain,
    declared_names,
    exported_member,
    is_assigned,
    is_module_exports,
    is_name,
    names_used,
    required_module,
    runs_nothing,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.source.syntax import Node

ELIDED = "elided-import"
"""An `import x =` whose name is never used as a value: compilers drop it or keep it, depending on settings."""


def uses_commonjs(statements: Sequence[Form]) -> bool:
    """Return whether a file without imports and exports uses `require`, `module` or `exports`."""
    return not is_esm(statements) and bool(names_used(statements) & {"require", "module", "exports"})


def is_esm(statements: Sequence[Form]) -> bool:
    """Return whether a file has statements that only an ECMAScript module can have."""
    kinds = {"import", "export", "export-default", "export-names", "export-from"}
    return any(form.kind in kinds for form in statements)


def module_mark(before: Node, after: Node, new: Sequence[Form]) -> Node | None:
    """Return syntax that makes an ECMAScript module of a file which still exports through `exports`.

    esbuild and tsx take any `export`, of types too, for one, and give such a file other exports; tsc adds
    `__esModule`, after any import as well. With `export =` the file is CommonJS for all of them.
    """
    if any(form.kind == "export=" for form in new) or not names_used(new) & {"exports", "module"}:
        return None
    kinds = {"export_statement"}
    chains = [assignment_chain(form.kids[0])[0] for form in new if form.kind == "do"]
    if any(exported_member(target) for targets in chains for target in targets):
        kinds.add("import_statement")
    had = {child.type for child in before.children if _is_mark(child)}
    return next((child for child in after.children if _is_mark(child) and child.type in kinds - had), None)


def _is_mark(node: Node) -> bool:
    """Return whether a statement has syntax of modules that may leave nothing behind."""
    parts = {child.type for child in node.children}
    if node.type == "import_statement":
        return bool(parts & {"type", "import_require_clause"})
    return node.type == "export_statement" and "namespace" not in parts


def settled(old: list[Form], new: list[Form]) -> tuple[list[Form], list[Form]]:
    """Return both sides with `import =` and `export =` replaced by what they compile to."""
    imported = {form.kids[0].text for form in new if form.kind == "import="}
    old = [_constant(form) if _requires(form, imported) else form for form in old]
    old, new = _imports_emitted(old), _imports_emitted(new)
    if any(form.kind == "export=" for form in (*old, *new)):
        old, new = _recognised(_exported_last(old)), _recognised(_exported_last(new))
    return old, new


def _imports_emitted(statements: list[Form]) -> list[Form]:
    if not any(form.kind == "import=" for form in statements):
        return statements
    used = names_used(form for form in statements if form.kind != "import=")
    return [_emitted(form, used) if form.kind == "import=" else form for form in statements]


def _requires(form: Form, names: set[str]) -> bool:
    return (
        form.kind in DECLARED
        and form.kids[0].kind == "name"
        and form.kids[0].text in names
        and required_module(value_of(form)) is not None
    )


def _constant(form: Form) -> Form:
    return Form("const", form.at, form.kids)


def _emitted(form: Form, used: set[str]) -> Form:
    name, module = form.kids
    if name.text not in used:
        return Form(ELIDED, form.at, form.kids)
    call = Form("call", form.at, [Form("name", form.at, (), "require"), Form("arguments", form.at, [module])])
    return Form("const", form.at, [name, call])


def _exported_last(statements: list[Form]) -> list[Form]:
    """Move `export =` to the end, where compilers emit it."""
    exports = [form for form in statements if form.kind == "export="]
    rest = [form for form in statements if form.kind != "export="]
    if len(exports) == 1 and exports[0].kids:
        value = exports[0].kids[0]
        if _said_before(value, rest) or _is_exported_anyway(value, rest):
            return rest
    return rest + exports


def _is_exported_anyway(value: Form, statements: list[Form]) -> bool:
    """Return whether `module.exports = value` at the end changes nothing: it is `exports` or `module.exports` itself.

    Both must exist for certain (a file that asks `typeof exports` also runs elsewhere), and be the same object still.
    """
    if not is_name(value, "exports") and not is_module_exports(value):
        return False
    if declared_names(statements) & {"exports", "module"} or not any(map(_uses_exports, statements)):
        return False
    uses = [found for form in statements for found in inside(form)]
    if any(form.kind == "unary_expression" and form.kids[0].kind == "typeof" and _uses_exports(form) for form in uses):
        return False
    if is_module_exports(value):
        return not is_assigned("module", statements)
    if any(is_name(target, "exports") or is_module_exports(target) for target in assigned(statements)):
        return False
    # a function that receives `module` may assign to its `exports`
    bare = sum(is_name(form, "module") for form in uses)
    return bare == sum(form.kind in {"member", "binary_expression"} and _has(form, "module") for form in uses)


def _uses_exports(form: Form) -> bool:
    """Return whether a statement fails where neither `exports` nor `module` exists."""
    if form.kind in _ALWAYS_RUN:
        return any(map(_uses_exports, form.kids))
    return form.kind == "name" and form.text in {"exports", "module"}


_ALWAYS_RUN = DECLARED | {"do", "arguments", "assignment_expression", "call", "item", "member", "unary_expression"}


def _has(form: Form, name: str) -> bool:
    return any(is_name(kid, name) for kid in form.kids)


def _said_before(value: Form, statements: list[Form]) -> bool:
    """Return whether the file itself assigns this variable to `module.exports`, once and for good."""
    if value.kind != "name":
        return False
    assigning = [
        found
        for form in statements
        for found in inside(form)
        if found.kind == "assignment_expression" and is_module_exports(found.kids[0])
    ]
    if len(assigning) != 1:
        return False
    for form in statements:
        expression = form.kids[0] if form.kind == "do" else value_of(form)
        targets, last = assignment_chain(expression)
        if not any(is_module_exports(target) for target in targets):
            continue
        holders = [last, *targets, *(form.kids[:1] if form.kind in DECLARED else ())]
        others = [other for other in statements if other is not form]
        return any(h is not None and is_name(h, value.text) for h in holders) and not is_assigned(value.text, others)
    return False


def _recognised(old: list[Form]) -> list[Form]:
    """Rewrite `module.exports = X` as `export =`, at the end, if nothing that runs follows it."""
    if any(form.kind == "export=" for form in old):
        return old
    for place in range(len(old) - 1, -1, -1):
        form = old[place]
        if runs_nothing(form):
            continue
        targets, value = assignment_chain(form.kids[0] if form.kind == "do" else None)
        if len(targets) == 1 and value is not None and is_module_exports(targets[0]):
            return [*old[:place], *old[place + 1 :], Form("export=", form.at, [value])]
        break
    return old
