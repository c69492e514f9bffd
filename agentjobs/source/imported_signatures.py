"""What some files import from others of the same tree, one level deep, with the signatures of just that."""

from __future__ import annotations

import ast
import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from agentjobs.source import python_signatures, python_syntax, signatures
from agentjobs.source.declarations import string_of, text_of
from agentjobs.source.javascript import PARSED_MAX, Specifier, specifiers
from agentjobs.source.manifests import Manifests
from agentjobs.source.python import ENDINGS, PythonImport, PythonResolver, imports
from agentjobs.source.resolve import Resolver
from agentjobs.source.syntax import captures, language_of, parse_either

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agentjobs.source.signatures import Offer, Signature
    from agentjobs.source.syntax import Node
    from agentjobs.source.tree import SourceTree

HOPS_MAX: Final = 5
"""How often a name is followed through files that re-export it: an index, an ``__init__``."""

_MANIFEST: Final = re.compile(
    r"(?:.*/)?(?:package\.json|lerna\.json|pnpm-workspace\.yaml|[^/]*[tj]sconfig[^/]*\.json)", re.DOTALL
)

_NODES: Final = """
(identifier) @name
(import_statement) @import
(export_statement source: (string)) @export
(call_expression function: (identifier) @_called arguments: (arguments . (string)) (#eq? @_called "require")) @call
(call_expression function: (import) arguments: (arguments . (string))) @call
"""
_TYPES: Final = """
(type_identifier) @name
"""

Names = frozenset[str] | None
"""Names that are asked for; None: all."""


class Want(NamedTuple):
    """What one import asks for."""

    what: Specifier | PythonImport
    names: Names


class Imported(NamedTuple):
    """What is imported from one file."""

    path: str
    signatures: tuple[Signature, ...]


class Found(NamedTuple):
    """What some files import; ``left_out`` lists what is missing, with the reason."""

    imported: tuple[Imported, ...]
    left_out: tuple[tuple[str, str], ...]


class Imports:
    """The imports of files of one tree."""

    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree

    @cached_property
    def _javascript(self) -> Resolver:
        names = sorted(self.tree.names)
        wanted = [path for path in names if _MANIFEST.fullmatch(path) and "node_modules/" not in path]
        known = self.tree.read(wanted)

        def content(path: str) -> str:
            path = posixpath.normpath(path)
            if path not in known and self.tree.holds(path):
                known.update(self.tree.read([path]))
            return known.get(path, b"").decode("utf-8-sig", "replace")

        return Resolver("", names, Manifests("", content))

    @cached_property
    def _python(self) -> PythonResolver:
        return PythonResolver(sorted(self.tree.names))

    def of(self, contents: Mapping[str, bytes]) -> Found:
        """Return what the files ``contents`` import from others of the tree, by path."""
        asked: dict[str, Names] = {}
        left: dict[tuple[str, str], None] = {}
        for path in sorted(contents):
            if not path.endswith(ENDINGS) and language_of(path) is None:
                left[path, "imports of this kind of file are not supported"] = None
                continue
            for want in self._wants(path, contents[path]):
                for target, names in self._targets(path, want):
                    if target not in contents:
                        _ask(asked, target, names)
        return self._told(asked, left, contents)

    def targets(self, path: str, data: bytes) -> set[str]:
        """Return the files of the tree that one file imports."""
        said = imports(data) if path.endswith(ENDINGS) else specifiers(path, data)
        return {target for one in said for target, _ in self._targets(path, Want(one, None))}

    def _told(
        self, asked: dict[str, Names], left: dict[tuple[str, str], None], own: Mapping[str, bytes]
    ) -> Found:
        offers: dict[str, Offer] = {}
        every: dict[str, Names] = {}
        done: set[tuple[str, Names]] = set()
        for hop in range(HOPS_MAX):
            contents = self.tree.read(path for path, names in asked.items() if names is None or names)
            follow: dict[str, Names] = {}
            for path, names in sorted(asked.items()):
                if (path, names) in done or (names is not None and not names):
                    continue
                done.add((path, names))
                offered = _offer(path, contents.get(path, b""))
                if offered is None:
                    left[path, "signatures of this kind of file are not supported"] = None
                    continue
                offers[path] = offered
                _ask(every, path, names)
                for target, more in self._passed(path, offered, names):
                    if target not in own and hop + 1 < HOPS_MAX:
                        _ask(follow, target, more)
                for name in sorted(_unknown(offered, names)):
                    left[f"{path}: {name}", "no such export was found"] = None
            asked = follow
        told = (Imported(path, offered.only(every[path])) for path, offered in sorted(offers.items()))
        return Found(tuple(one for one in told if one.signatures), tuple(left))

    def _passed(self, path: str, offered: Offer, names: Names) -> Iterator[tuple[str, Names]]:
        """Yield where a file gets the names that it re-exports, limited to ``names``."""
        python = path.endswith(ENDINGS)
        whole = names is None or (offered.commonjs and "default" in names)
        for one in offered.passed:
            if one.names is None:
                there: Names = None if whole else (names or frozenset()) - {s.name for s in offered.signatures}
            else:
                there = frozenset(
                    name
                    for name, here in one.names
                    if (here in names if names is not None and not whole else _goes_on(path, offered, here))
                )
            if there is not None and not there:
                continue
            yield from self._targets(path, _want(one.module, there, python=python))

    def _targets(self, path: str, want: Want) -> Iterator[tuple[str, Names]]:
        if isinstance(want.what, Specifier):
            found = self._javascript.resolve(path, want.what)
            if found is not None and found != path:
                yield found, want.names
            return
        asked = want.what
        whole = next(self._python.resolve(path, PythonImport(asked.level, asked.module)), None)
        if not asked.names:
            if whole is not None and whole != path:
                yield whole, want.names
            return
        for name in asked.names:
            target = next(self._python.resolve(path, PythonImport(asked.level, asked.module, (name,))), None)
            if target is None or target == path:
                continue
            if target != whole:
                yield target, want.names  # a module of the package
            else:
                yield target, None if name == "*" else frozenset({name})

    def _wants(self, path: str, data: bytes) -> Iterable[Want]:
        return _python_wants(data) if path.endswith(ENDINGS) else _javascript_wants(path, data)


def _goes_on(path: str, offered: Offer, name: str) -> bool:
    """Return whether a file re-exports this import to an import of everything."""
    if not path.endswith(ENDINGS):
        return True
    return offered.is_public(name) and (offered.public is not None or posixpath.basename(path).startswith("__init__."))


def _want(module: str, names: Names, *, python: bool) -> Want:
    if not python:
        return Want(Specifier(module, require=False), names)
    bare = module.lstrip(".")
    return Want(PythonImport(len(module) - len(bare), bare, tuple(sorted(names)) if names else ("*",)), None)


def _ask(asked: dict[str, Names], path: str, names: Names) -> None:
    before = asked.get(path, frozenset())
    asked[path] = None if names is None or before is None else before | names


def _unknown(offered: Offer, names: Names) -> set[str]:
    """Return the names that are neither defined nor re-exported."""
    if names is None or (offered.commonjs and "default" in names):
        return set()
    passed = {here for one in offered.passed for _, here in one.names or ()}
    open_ended = any(one.names is None for one in offered.passed)
    return set() if open_ended else set(names) - {one.name for one in offered.signatures} - passed


def _offer(path: str, data: bytes) -> Offer | None:
    if len(data) > PARSED_MAX or b"\0" in data[:8000]:
        return None
    try:
        return python_signatures.offer(data) if path.endswith(ENDINGS) else signatures.offer(path, data)
    except RecursionError:  # a sum of a thousand terms
        return None


# --- JavaScript and TypeScript ----------------------------------------------------------------------------


def _javascript_wants(path: str, data: bytes) -> list[Want]:
    """Return what each import of a file asks for; for unusual forms, all."""
    said = specifiers(path, data)
    language = language_of(path)
    if not said or language is None or len(data) > PARSED_MAX:
        return [Want(one, None) for one in said]
    root, language = parse_either(data, language)
    if root.has_error:
        return [Want(one, None) for one in said]
    found = captures(language, _NODES if language == "javascript" else _NODES + _TYPES, root)
    uses = _uses(found.get("name", []))
    asked: dict[str, Names] = {}
    for node in found.get("import", []):
        clause = next((child for child in node.named_children if child.type == "import_require_clause"), None)
        source = (clause or node).child_by_field_name("source")
        if source is not None:
            whole = clause is not None
            local = text_of(clause.named_children[0]) if clause is not None else ""
            _ask(asked, string_of(source), uses.get(local, frozenset()) if whole else _imported_names(node, uses))
    for node in found.get("export", []):
        source = node.child_by_field_name("source")
        clause = next((child for child in node.named_children if child.type == "export_clause"), None)
        if source is not None:
            there = None if clause is None else frozenset(name for name, _ in signatures.pairs(clause))
            _ask(asked, string_of(source), there)
    for node in found.get("call", []):
        if (module := signatures.required(node, ("require", "import"))) is not None:
            _ask(asked, module, _used_of_call(node, uses))
    return [Want(one, asked.get(one.text)) for one in sorted(said)]


def _imported_names(node: Node, uses: Mapping[str, Names]) -> Names:
    names: set[str] = set()
    for there, here in signatures.bindings(node):
        if there == "*":
            used = uses.get(here, frozenset())
            if used is None:
                return None
            names |= used
        else:
            names.add(there)
    return frozenset(names)


def _used_of_call(node: Node, uses: Mapping[str, Names]) -> Names:
    """Return which names of a call's result are used: ``{ a } = require(…)``, ``require(…).a``."""
    above = node.parent
    if above is not None and above.type == "await_expression":
        above = above.parent
    if above is None:
        return None
    if above.type == "member_expression":
        return frozenset({text_of(above.child_by_field_name("property"))})
    if above.type == "expression_statement":
        return frozenset()
    name = above.child_by_field_name("name") if above.type == "variable_declarator" else None
    if name is not None and name.type == "identifier":
        return uses.get(text_of(name), frozenset())
    if name is None or name.type != "object_pattern":
        return None
    names = set()
    for child in name.named_children:
        if child.type == "rest_pattern":
            return None
        key = child.child_by_field_name("key") or child.child_by_field_name("left") or child
        names.add(text_of(key))
    return frozenset(names)


def _uses(names: Iterable[Node]) -> dict[str, Names]:
    """Return, for each name, its members that are used; None if it is also used in another way."""
    found: dict[str, Names] = {}
    for node in names:
        above = node.parent
        if above is None or above.type in ("namespace_import", "import_require_clause", "import_clause"):
            continue
        if above.type == "variable_declarator" and above.child_by_field_name("name") == node:
            continue
        name = text_of(node)
        member = None
        if above.type == "member_expression" and above.child_by_field_name("object") == node:
            member = above.child_by_field_name("property")
        elif above.type in ("nested_type_identifier", "nested_identifier") and above.named_children[0] == node:
            member = above.named_children[-1]
        _ask(found, name, None if member is None else frozenset({text_of(member)}))
    return found


# --- Python -----------------------------------------------------------------------------------------------


def _python_wants(data: bytes) -> list[Want]:
    """Return what each import of a file asks for; for a module used only by its members, those."""
    tree = python_syntax.parse(data)
    try:
        return _asked_by(tree) if tree is not None else []
    except RecursionError:  # a name of a thousand parts
        return []


def _asked_by(tree: ast.Module) -> list[Want]:
    members: dict[str, Names] = {}
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _dotted(node.value)):
            _ask(members, name, frozenset({node.attr}))
            inner.add(id(node.value))
        elif isinstance(node, ast.Name) and id(node) not in inner:
            _ask(members, node.id, None)
    found: list[Want] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names = members.get(alias.asname or alias.name, frozenset())
                found.append(Want(PythonImport(0, alias.name), names))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names = members.get(alias.asname or alias.name, frozenset())
                found.append(Want(PythonImport(node.level, node.module or "", (alias.name,)), names))
    return found


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    above = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{above}.{node.attr}" if above and isinstance(node, ast.Attribute) else ""
