"""Compare a file with its conversion: with types erased, the programs must be the same (pure)."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

from agentjobs.proof import commonjs, enums, esm, repair, tiers
from agentjobs.proof.difference import Difference, enclosing, shown
from agentjobs.proof.lower import Lower
from agentjobs.proof.normal_form import Form, first_difference
from agentjobs.source import syntax

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.source.syntax import Language, Node

Tier = Literal["strict", "lenient", "review"]
TIERS: tuple[Tier, ...] = get_args(Tier)

_DEPTH = 30_000
"""Most nested expressions. Each level takes two or three calls, none of them on the C stack."""


def compare(old: bytes, old_path: str, new: bytes, new_path: str, tier: Tier = "strict") -> Difference | None:
    """Return the first difference between an original and its conversion; None if they are the same program."""
    with _deep():
        before, after = _parsed(old, old_path), _parsed(new, new_path)
        broken = _broken(before, after)
        if broken is not None:
            return broken
        if _pragmas(before) != _pragmas(after):
            return _other_pragmas(before, after)
        one, other = Lower(), Lower()
        b = other.statements(after.children)
        one.emitted_fields = other.properties
        a = one.statements(before.children)
        if tier == "strict" and not other.derived_properties <= one.left_out | one.derived_properties:
            return _unsafe_property(before, after)
        mark = commonjs.module_mark(before, after, b)
        if mark is not None:
            return _made_a_module(before, mark)
        a, b = _without_strictness(a, b)
        a, b = enums.settled(a, b)
        a, b = commonjs.settled(a, b)
        a, b = esm.settled(a, b, tier)
        if tier != "strict":
            a, b = tiers.relaxed(a, b, tier)
        return _first(Form("program", before, a), Form("program", after, b))


@contextmanager
def _deep() -> Iterator[None]:
    """Allow deep recursion: a sum of a thousand strings is a tree a thousand levels deep."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _parsed(source: bytes, path: str) -> Node:
    """Return the tree of a file in the language of its name, or in one that can parse all of it."""
    source = source.removeprefix(b"\xef\xbb\xbf")
    first = syntax.language_of(path) or "typescript"
    others: dict[Language, tuple[Language, ...]] = {
        "javascript": ("tsx", "typescript"), "typescript": (), "tsx": (),
    }  # fmt: skip
    root = repair.read(source, first)
    for language in others[first] if root.has_error else ():
        found = repair.read(source, language)
        if not found.has_error:
            return found
    return root


def _broken(before: Node, after: Node) -> Difference | None:
    """Return a difference if the new file has syntax errors that the old one does not have."""
    if not after.has_error:
        return None
    known = [shown(error) for error in syntax.errors(before)] if before.has_error else []
    for error in syntax.errors(after):
        text = shown(error)
        if text in known:
            known.remove(text)
            continue
        what = f"missing {error.type}" if error.is_missing else text
        return Difference(
            "syntax", enclosing(error), 1, error.start_point[0] + 1, "", what or shown(error.parent),
            "cannot be parsed here; write it in a plainer way",
        )  # fmt: skip
    return None


def _unsafe_property(before: Node, after: Node) -> Difference:
    hint = (
        "write the assignment out: a parameter property may pass by a setter of the base class, "
        "and whether fields that use `this` run before it depends on settings"
    )
    return Difference("parameter property", "", before.start_point[0] + 1, after.start_point[0] + 1, "", "", hint)


def _made_a_module(before: Node, mark: Node) -> Difference:
    hint = "end the file with `declare const exports: { name: Type }` and `export = exports`, and export nothing else"
    return Difference("module syntax", "", before.start_point[0] + 1, mark.start_point[0] + 1, "", shown(mark), hint)


_PRAGMA = re.compile(rb"@jsx\w*\s+[^\s*]+|\bwebpack[A-Z]\w*\s*:\s*[^,*\s]+|@vite-ignore")
"""What compilers and bundlers obey in comments."""


def _pragmas(root: Node) -> list[bytes]:
    comments = (node for node in syntax.walk(root) if node.type == "comment")
    return sorted(b"".join(found.split()) for node in comments for found in _PRAGMA.findall(node.text or b""))


def _other_pragmas(before: Node, after: Node) -> Difference:
    was, now = (b", ".join(_pragmas(root)).decode("utf-8", "replace") for root in (before, after))
    hint = "keep this comment: compilers and bundlers obey it"
    return Difference("pragma", "", before.start_point[0] + 1, after.start_point[0] + 1, was, now, hint)


def _without_strictness(old: list[Form], new: list[Form]) -> tuple[list[Form], list[Form]]:
    """Leave out `"use strict"` at the top: modules and the compiler's output are strict anyway.

    Adding it to a script makes it strict, so there it stays a difference.
    """
    was, old = _split_directive(old)
    now, new = _split_directive(new)
    module = commonjs.is_esm(new) or any(form.kind in {"import=", "export="} for form in new)
    if now is not None and was is None and not module:
        new = [now, *new]
    return old, new


def _split_directive(statements: list[Form]) -> tuple[Form | None, list[Form]]:
    for place, form in enumerate(statements):
        if form.kind != "do" or form.kids[0].kind != "string":
            if form.kind == "hash_bang_line":
                continue
            break
        if form.kids[0].text == "use strict":
            return form, [*statements[:place], *statements[place + 1 :]]
    return None, statements


def _first(old: Form, new: Form) -> Difference | None:
    found = first_difference(old, new)
    if found is None:
        return None
    a, b, parent_a, parent_b = found
    at_a, at_b = (a or parent_a).at, (b or parent_b).at
    kind, hint = _explained(a, b)
    expected, got = _texts(a, b)
    return Difference(
        kind=kind,
        function=enclosing(at_b if b is not None else at_a),
        old_line=(at_a if a is not None else parent_a.at).start_point[0] + 1,
        new_line=(at_b if b is not None else parent_b.at).start_point[0] + 1,
        expected=expected,
        got=got,
        hint=hint,
    )


def _texts(old: Form | None, new: Form | None) -> tuple[str, str]:
    """Return the code of both sides; for a bare token, the code around it."""
    texts = [shown(form.at) if form is not None else "" for form in (old, new)]
    if old is not None and new is not None and (min(map(len, texts)) <= _TOKEN_LENGTH or texts[0] == texts[1]):
        around = [shown(form.at.parent) if form.at.parent is not None else "" for form in (old, new)]
        texts = [wide or text for wide, text in zip(around, texts, strict=True)]
    return texts[0], texts[1]


_TOKEN_LENGTH = 3


def _explained(old: Form | None, new: Form | None) -> tuple[str, str]:
    """Return the kind of a difference and a hint."""
    for form in (new, old):
        if form is not None and form.kind in _HINTS:
            return _HINTS[form.kind]
    if old is None:
        return "added", ""
    return ("missing", "") if new is None else ("changed", "")


_HINTS = {
    commonjs.ELIDED: (
        "import elided",
        "no value of it is used, so compilers may drop it: write `import type`, or keep the require",
    ),
    "export=": (
        "export order",
        "`export =` is emitted as the last statement: keep `module.exports =` if other code runs after it",
    ),
    "field": ("class field", "a field without `declare` is created at run time: write `declare name: Type;`"),
    "enum": ("enum", "an enum is code: keep the original object"),
    "const-enum": ("enum", "a const enum vanishes: keep the original object"),
    "namespace": ("namespace", "a namespace with values in it is code: keep the original"),
    "export-names": ("export", ""),
    "import": ("import", ""),
}
