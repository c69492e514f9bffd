"""Count what hides problems instead of solving them (pure): `any`, suppressions, weakened tests and settings."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from agentjobs.source.syntax import language_of, parse, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.source.syntax import Node

TEST_NAME = re.compile(r"(?:^|/)(?:tests?|__tests__|spec)/|[._-](?:test|spec)\.[cm]?[jt]sx?$")
"""Paths of test files, as most runners find them."""

_WORDS = {
    "ignore": re.compile(r"@ts-ignore\b"),
    "expect_error": re.compile(r"@ts-expect-error\b"),
    "nocheck": re.compile(r"@ts-nocheck\b"),
    "eslint_disable": re.compile(r"\beslint-disable(?:-next-line|-line)?\b"),
}
_HIDING = re.compile(r"@ts-expect-error\b[^\n]*?\bTS((?!1192\b)1\d{3}|2304|2307|2552|8\d{3})\b")
"""Suppressions of syntax errors and of missing names: the file does not run, or only by luck. TS1192 is not one of
them: a default import of a CommonJS module runs, and not every such module can declare a default."""

_SKIPPED = re.compile(
    r"\b(?:it|test|describe|context|suite|specify)\s*\.\s*(?:skip|only|todo|fixme)\b"
    r"|\b(?:xit|xtest|xdescribe|xcontext|xspecify|fit|fdescribe)\s*\("
    r"|\bthis\s*\.\s*skip\s*\(|\b(?:skip|only|todo)\s*:\s*(?:true\b|['\"])"
)
_TEST_CALLS = frozenset({"it", "test", "specify"})
_ASSERTS = re.compile(r"^(?:assert|expect|should|t|chai|sinon)\b|\.(?:should|expect)\b")


class Debt(msgspec.Struct, frozen=True):
    """Counts of one file or of many."""

    any: int = 0
    """`any` used as a type, including `as any`."""
    as_any: int = 0
    non_null: int = 0
    ignore: int = 0
    expect_error: int = 0
    hiding: int = 0
    """Suppressions of syntax errors and of missing names; these are also counted in `expect_error`."""
    nocheck: int = 0
    eslint_disable: int = 0

    def __add__(self, other: Debt) -> Debt:
        return Debt(*(a + b for a, b in zip(self.counts().values(), other.counts().values(), strict=True)))

    def __sub__(self, other: Debt) -> Debt:
        return Debt(*(a - b for a, b in zip(self.counts().values(), other.counts().values(), strict=True)))

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}

    def total(self) -> int:
        """Return one number: `as any` and hiding suppressions are in other counts already."""
        return self.any + self.non_null + self.ignore + self.expect_error + self.nocheck + self.eslint_disable

    def over(self, allowed: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Return, by name, the count and the allowance of each count that is above it."""
        counts = self.counts()
        return {name: (counts[name], most) for name, most in allowed.items() if counts[name] > most}


NAMES = Debt.__struct_fields__


def debt_of(source: bytes, path: str) -> Debt:
    """Return the debt of one file; the syntax tree distinguishes comments and types from strings."""
    language = language_of(path)
    if language is None:
        return Debt()
    found = dict.fromkeys(NAMES, 0)
    for node in walk(parse(source, language)):
        kind = node.type
        if kind == "predefined_type" and node.text == b"any":
            found["any"] += 1
            around = node.parent
            found["as_any"] += around is not None and (around.type == "as_expression" or _asserts(around))
        elif kind == "non_null_expression":
            found["non_null"] += 1
        elif kind == "comment":
            text = (node.text or b"").decode("utf-8", "replace")
            for name, word in _WORDS.items():
                found[name] += len(word.findall(text))
            found["hiding"] += len(_HIDING.findall(text))
    return Debt(**found)


def _asserts(arguments: Node) -> bool:
    return arguments.parent is not None and arguments.parent.type == "type_assertion"


# --- tests ------------------------------------------------------------------------------------------------


class Coverage(msgspec.Struct, frozen=True):
    """How much a test file tests."""

    tests: int = 0
    asserts: int = 0
    skipped: int = 0


def coverage_of(source: bytes, path: str) -> Coverage:
    """Return the number of calls in a test file that define tests, that assert, and that skip tests."""
    language = language_of(path)
    if language is None:
        return Coverage()
    tests = asserts = 0
    root = parse(source, language)
    code = bytearray(source)
    for node in walk(root):
        if node.type == "comment":
            code[node.start_byte : node.end_byte] = b" " * (node.end_byte - node.start_byte)
        if node.type != "call_expression":
            continue
        function = node.child_by_field_name("function")
        name = (function.text or b"").decode("utf-8", "replace") if function is not None else ""
        if re.split(r"[.(\s]", name, maxsplit=1)[0] in _TEST_CALLS:
            tests += 1
        elif _ASSERTS.search(name[:40]) and function is not None and not _in_chain(node):
            asserts += 1
    return Coverage(tests, asserts, len(_SKIPPED.findall(code.decode("utf-8", "replace"))))


def _in_chain(call: Node) -> bool:
    """Return whether a call is the head of a longer one: `expect(x)` in `expect(x).toBe(1)`."""
    parent = call.parent
    return parent is not None and parent.type == "member_expression"


def weakened_tests(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Yield a line for each test file that tests less than before; names are matched without their endings."""
    there = {_plain(path): (path, text) for path, text in after.items()}
    for path, text in sorted(before.items()):
        if not TEST_NAME.search(path) or language_of(path) is None:
            continue
        new = there.get(_plain(path))
        if new is None:
            yield f"{path}:1: this test file was removed"
            continue
        was, now = coverage_of(text, path), coverage_of(new[1], new[0])
        for what, a, b in (("tests", was.tests, now.tests), ("assertions", was.asserts, now.asserts)):
            if b < a:
                yield f"{new[0]}:1: {b} {what}, there were {a}"
        if now.skipped > was.skipped:
            yield f"{new[0]}:1: {now.skipped} tests skipped or singled out (before: {was.skipped})"


def _plain(path: str) -> str:
    return re.sub(r"\.[cm]?[jt]sx?$", "", path)


# --- exports ----------------------------------------------------------------------------------------------


def exports_of(source: bytes, path: str) -> frozenset[str]:
    """Return the names that a file exports, as an ECMAScript or CommonJS module; the whole of it is `*`."""
    language = language_of(path)
    return frozenset(_exports(parse(source, language))) if language is not None else frozenset()


def removed_exports(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Yield a line for each name that a file no longer exports."""
    there = {_plain(path): (path, text) for path, text in after.items()}
    for path, text in sorted(before.items()):
        new = there.get(_plain(path))
        if new is None or TEST_NAME.search(path):
            continue
        for name in sorted(exports_of(text, path) - exports_of(new[1], new[0])):
            yield f"{new[0]}:1: no longer exports {'a value as a whole' if name == '*' else f'`{name}`'}"


def _exports(root: Node) -> Iterator[str]:
    for node in walk(root):
        if node.type == "export_statement" and node.parent == root:
            yield from _exported(node)
        elif node.type == "assignment_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            target = b"".join((left.text or b"").split()) if left is not None else b""
            if target == b"module.exports":
                yield from _object_keys(right)
            elif found := re.fullmatch(rb"(?:module\.)?exports\.([\w$]+)", target):
                yield found[1].decode("utf-8", "replace")


def _object_keys(value: Node | None) -> Iterator[str]:
    yield "*"
    for pair in value.named_children if value is not None and value.type == "object" else ():
        key = pair.child_by_field_name("key") or pair.child_by_field_name("name") or pair
        if key.type in {"property_identifier", "shorthand_property_identifier", "string"}:
            yield (key.text or b"").decode("utf-8", "replace").strip("'\"")


def _exported(node: Node) -> Iterator[str]:
    tokens = {child.type for child in node.children}
    if "default" in tokens:
        yield "default"
        return
    if "=" in tokens:
        yield from _object_keys(node.named_children[-1] if node.named_children else None)
        return
    declaration = node.child_by_field_name("declaration")
    for part in walk(declaration) if declaration is not None else ():
        if part.type == "variable_declarator" or part == declaration:
            name = part.child_by_field_name("name")
            if name is not None and name.type.endswith("identifier"):
                yield (name.text or b"").decode("utf-8", "replace")
    for clause in node.children:
        for part in clause.named_children if clause.type == "export_clause" else ():
            shown = part.child_by_field_name("alias") or part.child_by_field_name("name") or part
            yield (shown.text or b"").decode("utf-8", "replace")


# --- settings ---------------------------------------------------------------------------------------------

_STRICT = (
    "strict", "noImplicitAny", "strictNullChecks", "strictFunctionTypes", "strictBindCallApply", "noImplicitThis",
    "strictPropertyInitialization", "useUnknownInCatchVariables", "alwaysStrict", "noUncheckedIndexedAccess",
    "exactOptionalPropertyTypes", "noImplicitReturns", "noUnusedLocals", "noUnusedParameters", "checkJs",
    "noImplicitOverride", "noFallthroughCasesInSwitch", "isolatedModules", "verbatimModuleSyntax",
    "useDefineForClassFields", "forceConsistentCasingInFileNames",
)  # fmt: skip
_LAX = ("skipLibCheck", "skipDefaultLibCheck", "allowJs", "noCheck", "suppressImplicitAnyIndexErrors", "noResolve")


def weakened_settings(before: bytes, after: bytes, path: str) -> Iterator[str]:
    """Yield a line for each way in which a tsconfig checks less than before."""
    was, now = _json(before), _json(after)
    if was is None or now is None:
        if before != after:
            yield f"{path}:1: changed, and cannot be parsed"
        return
    a, b = ({**(x.get("compilerOptions") or {})} for x in (was, now))
    for name in _STRICT:
        if a.get(name) is True and b.get(name) is not True:
            yield f"{path}:1: `{name}` was turned off"
        elif b.get(name) is False and a.get(name) is not False:
            yield f"{path}:1: `{name}` is off"
    for name in _LAX:
        if b.get(name) is True and a.get(name) is not True:
            yield f"{path}:1: `{name}` is on"
    for name in ("exclude", "include", "files", "extends", "references"):
        if was.get(name) != now.get(name):
            yield f"{path}:1: `{name}` was changed"
    if a.get("types") != b.get("types") or a.get("paths") != b.get("paths"):
        yield f"{path}:1: `types` or `paths` were changed"


def _json(text: bytes) -> dict[str, Any] | None:
    """Return a tsconfig, which may contain comments and trailing commas; None if it is not an object."""
    plain = _COMMENTS.sub(lambda found: found[1] or "", text.decode("utf-8", "replace").removeprefix("\ufeff"))
    plain = re.sub(r"(\"(?:\\.|[^\"\\])*\")|,(?=\s*[}\]])", lambda found: found[1] or "", plain)
    try:
        found = json.loads(plain or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*[\s\S]*?\*/')
