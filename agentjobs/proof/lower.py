"""From a syntax tree to the normal form (pure). Anything not known to be meaningless is kept as it is.

Reads both grammars, JavaScript's and TypeScript's; if they name or nest the same thing differently, one name is used.
Types are left out, and layout: comments, grouping brackets, separators, spellings of literals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.proof import classes, jsx, modules
from agentjobs.proof.literals import decoded, module_name, number_value, string_value
from agentjobs.proof.normal_form import Form, Lowered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentjobs.source.syntax import Node


ERASED = frozenset(
    {
        "comment", "html_comment",
        "type_annotation", "type_parameters", "type_arguments", "omitting_type_annotation",
        "opting_type_annotation", "adding_type_annotation", "asserts_annotation", "type_predicate_annotation",
        "interface_declaration", "type_alias_declaration", "ambient_declaration",
        "function_signature", "method_signature", "abstract_method_signature", "index_signature",
        "implements_clause", "accessibility_modifier", "override_modifier",
    }
)  # fmt: skip
"""Nodes that vanish when types are erased, or never ran."""

SEPARATORS = frozenset({";", ",", "(", ")"})
"""Tokens whose meaning is in the shape of the tree. Holes in arrays and the parts of `for` are handled separately."""

WRAPPERS = frozenset(
    {"parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression",
     "instantiation_expression", "type_assertion"}
)  # fmt: skip

STATEMENT_LISTS = frozenset({"program", "statement_block"})

ONE_NAME = {
    "function_declaration": "function", "function_expression": "function",
    "generator_function_declaration": "function", "generator_function": "function",
    "class_declaration": "class", "abstract_class_declaration": "class",
    "lexical_declaration": "declaration", "variable_declaration": "declaration",
}  # fmt: skip

NAMES = frozenset({"identifier", "type_identifier", "undefined"})


class Lower:
    """One side of a comparison: makes forms of the nodes of one file."""

    def __init__(self) -> None:
        self.properties: set[str] = set()
        """The names of parameter properties; those in derived classes are in the next set as well."""
        self.derived_properties: set[str] = set()
        self.emitted_fields: set[str] = set()
        """Fields that the compiler may have made of parameter properties on the other side."""
        self.left_out: set[str] = set()
        """Those of them that were found and left out."""
        self._handlers: dict[str, Callable[[Node], Lowered]] = {
            **dict.fromkeys(WRAPPERS, self._unwrap),
            **dict.fromkeys(STATEMENT_LISTS, self._statement_list),
            **dict.fromkeys(("lexical_declaration", "variable_declaration"), self._declaration),
            **dict.fromkeys(("switch_case", "switch_default"), self._case),
            **dict.fromkeys(("member_expression", "subscript_expression", "call_expression"), self._access),
            **dict.fromkeys(("array", "array_pattern"), self._array),
            **dict.fromkeys(
                ("shorthand_property_identifier", "shorthand_property_identifier_pattern"), self._shorthand
            ),
            **dict.fromkeys(("pair", "pair_pattern"), self._pair),
            **dict.fromkeys(("function_signature", "ambient_declaration"), self._nothing),
            "expression_statement": self._expression_statement,
            "empty_statement": lambda node: Form("empty", node),
            "for_statement": self._for,
            "arrow_function": self._arrow,
            "new_expression": self._new,
            "sequence_expression": self._sequence,
            "object_assignment_pattern": self._object_default,
            "assignment_pattern": self._default,
            "template_string": self._template,
            "string": lambda node: Form("string", node, (), string_value(decoded(node.text or b""))),
            "number": lambda node: Form("number", node, (), number_value(decoded(node.text or b""))),
            "regex": lambda node: Form("regex", node, (), decoded(node.text or b"")),
            "optional_chain": lambda node: Form("?.", node),
            **modules.Statements(self).handlers(),
            **classes.Members(self).handlers(),
            **jsx.handlers(self),
        }

    # --- basics --------------------------------------------------------------------------------------------

    def lower(self, node: Node) -> Lowered:
        """Return the form of a node: one, several in a row, or None."""
        kind = node.type
        if kind in ERASED:
            return None
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(node)
        if node.child_count == 0:
            if not node.is_named:
                return None if kind in SEPARATORS else Form(kind, node)
            text = decoded(node.text or b"")
            return Form("name" if kind in NAMES else kind, node, (), text)
        return Form(ONE_NAME.get(kind, kind), node, self.kids(node.children))

    def kids(self, nodes: Iterable[Node]) -> list[Form]:
        """Return the forms of several nodes, without those that have none."""
        found: list[Form] = []
        for node in nodes:
            form = self.lower(node)
            if form is None:
                continue
            if isinstance(form, list):
                found += form
            else:
                found.append(form)
        return found

    def one(self, node: Node | None, around: Node) -> Form:
        """Return the form of an optional part; of kind ``none`` if it is missing."""
        found = self.kids([node]) if node is not None else []
        return found[0] if len(found) == 1 else Form("none", around, found)

    def statements(self, nodes: Iterable[Node]) -> list[Form]:
        """Return the statements of a list, without empty ones."""
        return [form for form in self.kids(nodes) if form.kind != "empty"]

    # --- statements ---------------------------------------------------------------------------------------

    def _nothing(self, _node: Node) -> Lowered:
        return None

    def _statement_list(self, node: Node) -> Form:
        kids = self.statements(child for child in node.children if child.type not in {"{", "}"})
        return Form(node.type, node, kids)

    def _case(self, node: Node) -> Form:
        value = node.child_by_field_name("value")
        body = node.children_by_field_name("body")
        kids = [self.one(value, node)] if value is not None else []
        return Form(node.type, node, [*kids, Form("statement_block", node, self.statements(body))])

    def _expression_statement(self, node: Node) -> Lowered:
        kids = self.kids(node.children)
        if not kids and node.named_children:
            return None  # a namespace that contains only types
        return Form("do", node, kids)

    def _declaration(self, node: Node) -> list[Form]:
        """Split `var a = 1, b` into `var a = 1; var b`."""
        kind = node.children[0].type
        return [
            Form(kind, child, [kid for kid in self.kids(child.children) if kid.kind not in {"=", "!"}])
            for child in node.named_children
            if child.type == "variable_declarator"
        ]

    def _for(self, node: Node) -> Form:
        parts = []
        for name in ("initializer", "condition", "increment", "body"):
            part = node.child_by_field_name(name)
            if part is not None and (part.type == ";" or (name != "body" and part.type == "empty_statement")):
                part = None
            if part is not None and name != "body" and part.type == "expression_statement":
                part = part.named_children[0]
            found = self.kids([part]) if part is not None else []
            parts.append(Form(name, part if part is not None else node, found))
        return Form("for_statement", node, parts)

    # --- expressions --------------------------------------------------------------------------------------

    def _unwrap(self, node: Node) -> Lowered:
        if node.type == "non_null_expression" and node.start_point[0] != node.end_point[0]:
            mark = node.children[-1]
            if node.children[-2].end_point[0] != mark.start_point[0]:  # then it is an operator of what follows
                return Form("!", node, self.kids(node.children))
        return self.lower(unwrapped(node, once=True))

    def _access(self, node: Node) -> Lowered:
        """Read `a.b`, `a[b]`, `a(b)`; brackets around an optional chain end it: `(a?.b).c` is not `a?.b.c`."""
        children = [child for child in node.children if child.type not in ERASED]
        target = children[0]
        if target.type in {"as_expression", "satisfies_expression"}:
            return self._unwrap(target)  # `x as A.B.C`: the grammar ends the type too early
        first = self.kids([target])
        if first and is_grouped_chain(target):
            first = [Form("group", target, first)]
        rest = children[1:]
        if node.type == "call_expression" and target.type in {"import", "identifier"}:
            module = modules.argument_of_require(node)
            if module is not None:
                name = module_name(string_value(decoded(module.text or b"")))
                return Form("call", node, [*first, Form("arguments", module, [Form("module", module, (), name)])])
        if target.text == b"await" and target.type == "identifier":  # one grammar reads `await (x)` as a call
            inner = self.kids(rest)
            if len(inner) == 1 and inner[0].kind == "arguments" and len(inner[0].kids) == 1:
                return Form("await_expression", node, [Form("await", target), *inner[0].kids])
        kind = {"member_expression": "member", "subscript_expression": "item"}.get(node.type, "call")
        return Form(kind, node, first + [form for form in self.kids(rest) if form.kind not in {".", "[", "]"}])

    def _new(self, node: Node) -> Form:
        kids = self.kids(node.children)
        if node.child_by_field_name("arguments") is None:
            kids.append(Form("arguments", node))
        return Form("new", node, kids)

    def _sequence(self, node: Node) -> Form:
        kids: list[Form] = []
        for form in self.kids(node.children):
            kids += form.kids if form.kind == "sequence_expression" else [form]
        return Form("sequence_expression", node, kids)

    def _array(self, node: Node) -> Form:
        kids: list[Form] = []
        hole = True  # whether a comma here leaves one out
        for child in node.children:
            if child.type == "," and hole:
                kids.append(Form("hole", child))
            if child.type == ",":
                hole = True
            elif child.type not in {"[", "]", "comment"}:
                kids += self.kids([child])
                hole = False
        return Form(node.type, node, kids)

    def _arrow(self, node: Node) -> Form:
        kids: list[Form] = []
        for child in node.children:
            found = self.kids([child])
            if node.child_by_field_name("parameter") == child:
                found = [Form("formal_parameters", child, found)]
            kids += found
        return Form("arrow_function", node, kids)

    def _template(self, node: Node) -> Form:
        """Keep the text between substitutions as written: a tag can see it."""
        source, start = node.text or b"", node.start_byte
        kids: list[Form] = []
        at = 1
        for child in node.named_children:
            if child.type != "template_substitution":
                continue
            kids.append(_piece(source[at : child.start_byte - start], node))
            kids.append(Form("substitution", child, self.kids(child.named_children)))
            at = child.end_byte - start
        kids.append(_piece(source[at:-1], node))
        return Form("template", node, kids)

    # --- objects and patterns -----------------------------------------------------------------------------

    def _shorthand(self, node: Node) -> Form:
        name = decoded(node.text or b"")
        if name == "__proto__":  # `{__proto__}` makes a property, `{__proto__: x}` sets the prototype
            return Form("shorthand", node, (), name)
        return Form("pair", node, [Form("property", node, (), name), Form("name", node, (), name)])

    def _pair(self, node: Node) -> Form:
        key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
        return Form("pair", node, [self.key(key, node), self.one(value, node)])

    def key(self, node: Node | None, around: Node) -> Form:
        """Return the form of a property's name; quotes around it are ignored."""
        if node is not None and node.type in {"string", "property_identifier"}:
            text = decoded(node.text or b"")
            return Form("property", node, (), string_value(text) if node.type == "string" else text)
        return self.one(node, around)

    def _object_default(self, node: Node) -> Form:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        pair = self.one(left, node)
        default = Form("default", node, [pair.kids[-1] if pair.kids else pair, self.one(right, node)])
        return Form("pair", node, [*pair.kids[:1], default])

    def _default(self, node: Node) -> Form:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        return Form("default", node, [self.one(left, node), self.one(right, node)])


def _piece(text: bytes, node: Node) -> Form:
    return Form("text", node, (), decoded(text).replace("\r\n", "\n").replace("\r", "\n"))


def unwrapped(node: Node, *, once: bool = False) -> Node:
    """Return the expression inside brackets, assertions and the like; with ``once``, without one layer of them."""
    while node.type in WRAPPERS:
        inner = [child for child in node.named_children if child.type not in {"comment", "type_arguments"}]
        if not inner:
            return node.children[0]
        node = inner[0]
        if once:
            break
    return node


def is_grouped_chain(node: Node) -> bool:
    """Return whether a node is an optional chain in brackets."""
    grouped = False
    while node.type in WRAPPERS:
        grouped = grouped or node.type == "parenthesized_expression"
        inner = unwrapped(node, once=True)
        if inner == node:
            return False
        node = inner
    links = {"member_expression", "subscript_expression", "call_expression", "non_null_expression"}
    while grouped and node.type in links:
        if any(child.type in {"optional_chain", "?."} for child in node.children):
            return True
        node = node.children[0]
    return False
