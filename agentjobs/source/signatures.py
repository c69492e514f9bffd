"""The public interface of a JavaScript or TypeScript file (pure): no bodies.

For functions their heads, for classes their heads and public members, small types as a whole, for constants their type
or the kind of their value; the same for CommonJS. What a file re-exports (``export … from``) is reported as such, so
that it can be looked up in its own file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.source.declarations import (
    VARIABLES,
    declaration_in,
    dedented,
    head_of,
    member_of,
    names_of,
    string_of,
    text_of,
    value_of,
    words_before,
)
from agentjobs.source.syntax import language_of, parse_either

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agentjobs.source.syntax import Node

class Signature(Struct, frozen=True):
    """One exported item, under its exported name."""

    name: str
    text: str


class Passed(Struct, frozen=True):
    """What a file re-exports from another: ``names`` are pairs of the name there and here; None: all of it."""

    module: str
    names: tuple[tuple[str, str], ...] | None = None


class Offer(Struct, frozen=True):
    """All exports of one file."""

    signatures: tuple[Signature, ...] = ()
    passed: tuple[Passed, ...] = ()
    commonjs: bool = False
    public: frozenset[str] | None = None
    """The names that "everything" includes; None: all without a leading underscore."""

    def only(self, names: frozenset[str] | None) -> tuple[Signature, ...]:
        """Return the signatures that were asked for, each text once; None: everything.

        Asking CommonJS for a default returns everything.
        """
        whole = names is None or (self.commonjs and "default" in names)
        texts: dict[str, Signature] = {}
        for one in self.signatures:
            if self.is_public(one.name) if whole else one.name in (names or ()):
                texts.setdefault(one.text, one)
        return tuple(texts.values())

    def is_public(self, name: str) -> bool:
        """Return whether "everything" includes this name."""
        return name in self.public if self.public is not None else not name.startswith("_")


def offer(path: str, data: bytes) -> Offer | None:
    """Return the exports of a file; None if its language is not supported."""
    language = language_of(path)
    if language is None:
        return None
    root, _ = parse_either(data, language)
    return _File(root, declared=path.endswith((".d.ts", ".d.mts", ".d.cts"))).offer()


class _File:
    def __init__(self, root: Node, *, declared: bool) -> None:
        self.root = root
        self.declared = declared
        self.local: dict[str, list[Node]] = {}
        """Declarations at the top, by name: overloads are several."""
        for node in root.named_children:
            inner = declaration_in(node) if node.type in ("export_statement", "ambient_declaration") else node
            for name in names_of(inner) if inner is not None else ():
                self.local.setdefault(name, []).append(node)
        self.found: list[tuple[int, Signature]] = []
        self.passed: list[Passed] = []
        self.roots: set[str] = set()
        """Local names of what CommonJS exports as a whole."""
        self.commonjs = False

    def offer(self) -> Offer:
        exports = [node for node in self.root.named_children if node.type == "export_statement"]
        for node in exports:
            self._export(node)
        self._find_roots()
        for node in self.root.named_children:
            if node.type == "expression_statement":
                self._assigned(node)
            elif node.type in VARIABLES:
                for one in node.named_children:  # const app = module.exports = {}
                    value = one.child_by_field_name("value")
                    if value is not None and value.type == "assignment_expression":
                        self._chain(value, [text_of(one.child_by_field_name("name"))], value)
        if self.declared and not exports and not self.found:
            for node in self.root.named_children:
                self._declared(node)
        seen: dict[tuple[str, str], None] = {}
        for _, signature in sorted(self.found, key=lambda pair: pair[0]):
            seen.setdefault((signature.name, signature.text))
        kept = tuple(Signature(name, text) for name, text in seen)
        return Offer(kept, tuple(self.passed), self.commonjs)

    def _add(self, name: str, node: Node, text: str) -> None:
        if text:
            self.found.append((node.start_byte, Signature(name, text)))

    # --- modules of ECMAScript

    def _export(self, node: Node) -> None:
        source = node.child_by_field_name("source")
        value = node.child_by_field_name("value")
        clause = next((child for child in node.named_children if child.type == "export_clause"), None)
        if source is not None:
            self._passed_on(node, string_of(source), clause)
        elif clause is not None:
            for there, here in pairs(clause):
                self._of_local(there, here, node)
        elif declaration_in(node) is not None:
            self._declaration(node)
        elif value is not None:
            self._as_default(value, "export default ", node)
        elif any(child.type == "=" for child in node.children):
            self.commonjs = True
            self._as_default(node.named_children[-1], "export = ", node)
        elif node.named_children:  # export as namespace X
            self._add(text_of(node.named_children[-1]), node, dedented(text_of(node), 0))

    def _passed_on(self, node: Node, source: str, clause: Node | None) -> None:
        space = next((child for child in node.named_children if child.type == "namespace_export"), None)
        if space is not None:
            self._add(text_of(space.named_children[0]), node, dedented(text_of(node), 0))
        else:
            self.passed.append(Passed(source, None if clause is None else tuple(pairs(clause))))

    def _declaration(self, node: Node) -> None:
        inner = declaration_in(node)
        assert inner is not None
        default = any(child.type == "default" for child in node.children)
        for name in names_of(inner) or ("default",):
            if not self._is_body_of_overloads(inner, name):
                text = head_of(inner, words_before(node, inner), name)
                self._add("default" if default else name, node, text)

    def _as_default(self, value: Node, lead: str, node: Node) -> None:
        if value.type == "identifier":
            self._of_local(text_of(value), "default", node, f"{lead}{text_of(value)};")
        else:
            self._add("default", node, value_of(lead, value))

    def _of_local(self, there: str, here: str, node: Node, said: str = "") -> None:
        """Add the declaration behind a local name, and a note about the name it is exported under."""
        said = said or ("" if here == there else f"export {{ {there} as {here} }};")
        declared = self.local.get(there, [])
        for one in declared:
            inner = (declaration_in(one) if one.type in ("export_statement", "ambient_declaration") else one) or one
            if not self._is_body_of_overloads(inner, there):
                self._add(here, one, head_of(inner, "", there))
        if declared or (imported := self._imported(there)) is None:
            self._add(here, node, said if declared else said or f"export {{ {there} }};")
        else:
            self.passed.append(Passed(imported[0], ((imported[1], here),)))

    def _is_body_of_overloads(self, node: Node, name: str) -> bool:
        """Return whether a function has overloads before it, so that its own head is only an implementation."""
        if node.type != "function_declaration":
            return False
        kinds = ((declaration_in(one) or one).type for one in self.local.get(name, ()))
        return "function_signature" in kinds

    def _imported(self, name: str) -> tuple[str, str] | None:
        """Return from where, and under which name, a local name is imported."""
        for node in self.root.named_children:
            if node.type != "import_statement":
                continue
            source = node.child_by_field_name("source")
            for there, here in bindings(node):
                if here == name and there != "*":
                    return string_of(source), there
        return None

    def _declared(self, node: Node) -> None:
        inner = declaration_in(node) if node.type == "ambient_declaration" else node
        for name in names_of(inner) if inner is not None else ():
            assert inner is not None
            self._add(name, node, head_of(inner, words_before(node, inner), name))

    # --- CommonJS

    def _find_roots(self) -> None:
        """Collect all names that stand for the whole export, wherever they are assigned."""
        for node in self.root.named_children:
            value = node.named_children[0] if node.type == "expression_statement" and node.named_children else None
            if value is not None and value.type == "assignment_expression":
                right = value.child_by_field_name("right")
                if text_of(value.child_by_field_name("left")) == "module.exports" and right is not None:
                    self.roots |= {text_of(right)} if right.type == "identifier" else set()

    def _assigned(self, statement: Node) -> None:
        node = statement.named_children[0] if statement.named_children else None
        if node is not None and node.type == "assignment_expression":
            self._chain(node, [], statement)

    def _chain(self, node: Node, before: list[str], at: Node) -> None:
        """Read ``a = b = module.exports = value``."""
        targets = list(before)
        value: Node | None = node
        while value is not None and value.type == "assignment_expression":
            targets.append(text_of(value.child_by_field_name("left")))
            value = value.child_by_field_name("right")
        if value is None:
            return
        if "module.exports" in targets:
            self.commonjs = True
            self.roots |= {target for target in targets if target.isidentifier() and target != "exports"}
            self._whole(value, at)
            return
        for target in targets:
            name = _attached(target, {"exports", "module.exports", *self.roots})
            if name:
                self.commonjs = True
                if value.type == "identifier" and text_of(value) in self.local:
                    said = "" if text_of(value) == name else f"{target} = {text_of(value)};"
                    self._of_local(text_of(value), name, at, said)
                else:
                    self._add(name, at, value_of(f"{target} = ", value))
                return

    def _whole(self, value: Node, at: Node) -> None:
        """Add ``module.exports = value``."""
        if value.type == "identifier":
            self._of_local(text_of(value), "default", at, f"module.exports = {text_of(value)};")
        elif value.type == "object":
            for member in value.named_children:
                self._property(member, at)
        elif (module := required(value)) is not None:
            self.passed.append(Passed(module))
        else:
            self._add("default", at, value_of("module.exports = ", value))

    def _property(self, member: Node, at: Node) -> None:
        if member.type == "shorthand_property_identifier":
            self._of_local(text_of(member), text_of(member), at)
        elif member.type == "method_definition":
            self._add(text_of(member.child_by_field_name("name")), member, member_of(member))
        elif member.type == "pair":
            name, value = text_of(member.child_by_field_name("key")).strip("'\""), member.child_by_field_name("value")
            if value is None:
                return
            if value.type == "identifier" and text_of(value) in self.local:
                said = "" if text_of(value) == name else f"exports.{name} = {text_of(value)};"
                self._of_local(text_of(value), name, at, said)
            elif (module := required(value)) is not None:
                self._add(name, member, f'exports.{name} = require("{module}");')
            else:
                self._add(name, member, value_of(f"exports.{name} = ", value))
        elif member.type == "spread_element" and member.named_children:
            module = required(member.named_children[0])
            if module is not None:
                self.passed.append(Passed(module))


def _attached(target: str, roots: Iterable[str]) -> str:
    """Return the name of a member that an assignment adds to an export, or an empty text."""
    for root in roots:
        for start in (f"{root}.prototype.", f"{root}."):
            if target.startswith(start):
                name = target.removeprefix(start)
                return name if name.replace("$", "_").isidentifier() and not name.startswith("_") else ""
    return ""


def required(node: Node, by: Collection[str] = ("require",)) -> str | None:
    """Return the module in ``require("x")``, or in a call of another of these functions."""
    if node.type != "call_expression" or text_of(node.child_by_field_name("function")) not in by:
        return None
    arguments = node.child_by_field_name("arguments")
    first = arguments.named_children[0] if arguments is not None and arguments.named_children else None
    return string_of(first) if first is not None and first.type == "string" else None


def bindings(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the names there and here of an ``import`` statement; ``*`` is all of it."""
    clause = next((child for child in node.named_children if child.type == "import_clause"), None)
    for part in clause.named_children if clause is not None else ():
        if part.type == "identifier":
            yield "default", text_of(part)
        elif part.type == "namespace_import":
            yield "*", text_of(part.named_children[-1])
        elif part.type == "named_imports":
            yield from pairs(part)


def pairs(clause: Node) -> Iterator[tuple[str, str]]:
    """Yield the names there and here of ``{ a, b as c }``."""
    for one in clause.named_children:
        if one.type in ("export_specifier", "import_specifier"):
            name = text_of(one.child_by_field_name("name"))
            yield name, text_of(one.child_by_field_name("alias")) or name
