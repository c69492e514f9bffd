"""From CommonJS to ECMAScript modules (pure), in the cases where load order and bindings are kept.

Imports run before everything else, so only leading `require`s become imports. The exports must have the same names:
`module.exports = { a, b }` is `export { a, b }`; a single `module.exports = X` only equals `export =`, because `export
default` is one name among others (lenient tiers accept it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentjobs.proof.commonjs import ELIDED, is_esm, uses_commonjs
from agentjobs.proof.normal_form import Form, inside
from agentjobs.proof.shapes import (
    assigned,
    assignment_chain,
    declared_names,
    deleted,
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


class _Imported(NamedTuple):
    """An import of the new side: the place in the file's imports and the name there."""

    module: str
    there: str


def settled(old: list[Form], new: list[Form], tier: str) -> tuple[list[Form], list[Form]]:
    """Return both sides as ECMAScript modules if the old one is CommonJS and the new one is not."""
    if not uses_commonjs(old):
        return [form for form in old if not _is_mark(form)], [form for form in new if not _is_mark(form)]
    if not is_esm(new) or all(_is_mark(form) for form in new if is_esm([form])):
        return old, new
    bare = [form for form in new if form.kind != "import" and not _is_mark(form)]
    used = names_used(form for form in new if form.kind != "import")
    imports = [_kept(form, used) for form in new if form.kind == "import"]
    new_rest, new_exports = split_exports(bare, default=tier != "strict")
    old_imports, old_rest = _imports(old, _bound(imports), new_rest)
    old_rest, old_exports = _exports(old_rest, default=tier != "strict")
    return (
        [*old_imports, *old_rest, *_ordered(old_exports)],
        [*imports, *new_rest, *_ordered(new_exports)],
    )


def _kept(form: Form, used: set[str]) -> Form:
    """Return an import, marked as elided if it names something but no value of it is used: compilers drop it."""
    names = [bind.kids[0].text for bind in form.kids[1:] if bind.kind == "bind"]
    return Form(ELIDED, form.at, form.kids) if names and not used.intersection(names) else form


def _is_mark(form: Form) -> bool:
    """Return whether a statement is `export {}`, which only marks the file as a module."""
    return form.kind == "export-names" and not form.kids


def _ordered(exports: list[Form]) -> list[Form]:
    return sorted(exports, key=lambda form: form.text)


def split_exports(statements: Sequence[Form], *, default: bool) -> tuple[list[Form], list[Form]]:
    """Return the statements with plain declarations in place of exported ones, and one form for each exported name."""
    rest: list[Form] = []
    exports: list[Form] = []
    for form in statements:
        inner = form.kids[-1] if form.kids else None
        names = declared_names([inner]) if inner is not None else set()
        if form.kind == "export" and inner is not None and names and inner.kind != "enum":
            rest.append(inner)
            exports += [_export(name, Form("name", form.at, (), name)) for name in names]
        elif form.kind == "export-names":
            exports += [_export(bind.text, bind.kids[0]) for bind in form.kids]
        elif form.kind == "export-default" and default and inner is not None:
            if inner.kind in {"function", "class"} and names:
                rest.append(inner)
                exports.append(_export("default", Form("name", form.at, (), names.pop())))
            elif inner.kind == "name":
                exports.append(_export("default", inner))
            else:
                rest.append(form)
        else:
            rest.append(form)
    return rest, exports


def _export(name: str, value: Form) -> Form:
    return Form("exported", value.at, [value], name)


# --- imports ----------------------------------------------------------------------------------------------


def _bound(imports: Sequence[Form]) -> dict[str, _Imported]:
    return {
        bind.kids[0].text: _Imported(form.kids[0].text, bind.text)
        for form in imports
        for bind in form.kids[1:]
        if bind.kind == "bind"
    }


def _imports(old: list[Form], bound: dict[str, _Imported], new_rest: Sequence[Form]) -> tuple[list[Form], list[Form]]:
    """Return the old side's leading requires as imports, where the new side has the same, and all the rest."""
    found: list[Form] = []
    rest: list[Form] = []
    leading = True
    for form in old:
        made = _import(form, bound, new_rest) if leading else None
        if made is not None:
            found.append(made)
        else:
            rest.append(form)
            leading = leading and (runs_nothing(form) or form.kind == "hash_bang_line")
    return _merged(found), rest


def _merged(imports: list[Form]) -> list[Form]:
    """Join consecutive imports of one module."""
    found: list[Form] = []
    for form in imports:
        if found and found[-1].kids[0].text == form.kids[0].text:
            found[-1] = found[-1].like([*found[-1].kids, *form.kids[1:]])
        else:
            found.append(form)
    return found


def _import(form: Form, bound: dict[str, _Imported], new_rest: Sequence[Form]) -> Form | None:
    """Return one statement as an import; None if it is not one, or differs from the new side."""
    if form.kind == "do":
        module = required_module(form.kids[0])
        return Form("import", form.at, [module]) if module is not None else None
    value = value_of(form)
    if value is None:
        return None
    there = None
    if value.kind == "member" and len(value.kids) == 2:  # noqa: PLR2004
        there, value = value.kids[1].text, value.kids[0]
    module = required_module(value)
    if module is None:
        return None
    target = form.kids[0]
    if target.kind == "name":
        pairs = _single(target, module.text, there, bound, new_rest)
    else:
        pairs = _pattern(target) if there is None else []
    if not pairs or any(is_assigned(name.text, new_rest) for _, name in pairs):
        return None
    return Form("import", form.at, [module, *(Form("bind", name.at, [name], over) for over, name in pairs)])


def _single(
    target: Form, module: str, there: str | None, bound: dict[str, _Imported], new_rest: Sequence[Form]
) -> list[tuple[str, Form]]:
    """Return the one name that `x = require("…")` or `x = require("…").y` binds, as the new side binds it."""
    wanted = bound.get(target.text)
    if wanted is None or wanted.module != module:
        return []
    if there is not None:
        return [(there, target)]
    # whether another module has a default export is not known here; Node's own have one, `module.exports` itself
    if wanted.there == "default" and module.removeprefix("node:").partition("/")[0] in _OF_NODE:
        return [("default", target)]
    if wanted.there == "*" and _only_looked_into(target.text, new_rest):
        return [(wanted.there, target)]
    return []


def _pattern(target: Form) -> list[tuple[str, Form]]:
    """Return the names that `{ a, b: c } = require("…")` binds; none if it contains more than names."""
    pairs = []
    for pair in target.kids if target.kind == "object_pattern" else ():
        if pair.kind in {"{", "}"}:
            continue
        if pair.kind != "pair" or pair.kids[0].kind != "property" or pair.kids[1].kind != "name":
            return []
        pairs.append((pair.kids[0].text, pair.kids[1]))
    return pairs


def _only_looked_into(name: str, statements: Sequence[Form]) -> bool:
    """Return whether a variable is only used as `name.something`: then a namespace can replace the module.

    Its members cannot be assigned or deleted then.
    """
    changed = [*assigned(statements), *deleted(statements)]
    if any(is_name(part, name) for target in changed for part in inside(target)):
        return False
    looked = sum(
        1
        for form in statements
        for found in inside(form)
        if found.kind in {"member", "item"} and is_name(found.kids[0], name)
    )
    return looked == sum(1 for form in statements for found in inside(form) if is_name(found, name))


_OF_NODE = frozenset(
    {
        "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto",
        "dgram", "diagnostics_channel", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector",
        "module", "net", "os", "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl",
        "stream", "string_decoder", "sys", "test", "timers", "tls", "tty", "url", "util", "v8", "vm", "wasi",
        "worker_threads", "zlib",
    }
)  # fmt: skip
"""The modules of Node."""


# --- exports ----------------------------------------------------------------------------------------------


def _exports(old: list[Form], *, default: bool) -> tuple[list[Form], list[Form]]:
    """Return the old side without the statements that export, and one form for each exported name."""
    names = declared_names(old)
    rest: list[Form] = []
    exports: list[Form] = []
    for place, form in enumerate(old):
        targets, value = assignment_chain(form.kids[0] if form.kind == "do" else None)
        if len(targets) != 1 or value is None:
            rest.append(form)
            continue
        others = [*old[:place], *old[place + 1 :]]
        member = exported_member(targets[0])
        if member is not None and value.kind == "name" and value.text in names and not is_assigned(value.text, others):
            exports.append(_export(member, value))
        elif member is not None and member not in names and not _mentions(member, others):
            rest.append(_declared(form, member, value))
            exports.append(_export(member, Form("name", form.at, (), member)))
        elif is_module_exports(targets[0]) and all(map(runs_nothing, old[place + 1 :])):
            found = _object(value, names, old)
            if found is None and default:
                kept, given = split_exports([Form("export-default", form.at, [value])], default=True)
                rest, exports = rest + kept, exports + given
            elif found is None:
                rest.append(form)
            else:
                exports += found
        else:
            rest.append(form)
    return rest, exports


def _declared(form: Form, name: str, value: Form) -> Form:
    """Return `exports.name = value` as the declaration of `name`."""
    return Form("const", form.at, [Form("name", form.at, (), name), value])


def _mentions(name: str, statements: Sequence[Form]) -> bool:
    return any(
        is_name(found, name) or exported_member(found) == name for form in statements for found in inside(form)
    )


def _object(value: Form, names: set[str], statements: Sequence[Form]) -> list[Form] | None:
    """Return the exports of `module.exports = { a, b: c }`; None if it contains more than fixed variables."""
    if value.kind != "object":
        return None
    found = []
    for pair in value.kids:
        if pair.kind in {"{", "}"}:
            continue
        if pair.kind != "pair" or pair.kids[0].kind != "property" or pair.kids[1].kind != "name":
            return None
        name = pair.kids[1].text
        if name not in names or is_assigned(name, statements):
            return None
        found.append(_export(pair.kids[0].text, pair.kids[1]))
    return found


