"""The public interface of a Python file (pure): no bodies.

Heads with their annotations, and the first line of docstrings.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from agentjobs.source import python_syntax
from agentjobs.source.declarations import SHORT
from agentjobs.source.signatures import Offer, Passed, Signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INDENT: Final = "    "


def offer(data: bytes) -> Offer | None:
    """Return the public interface of a file; None if it is not Python 3.

    Public is what ``__all__`` names; without it, what does not start with an underscore.
    """
    tree = python_syntax.parse(data)
    if tree is None:
        return None
    found: list[Signature] = []
    passed: list[Passed] = []
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if any(alias.name == "*" for alias in node.names):
                passed.append(Passed(module))
            else:
                passed.append(Passed(module, tuple((alias.name, alias.asname or alias.name) for alias in node.names)))
        else:
            found += _of(node)
    return Offer(tuple(found), tuple(passed), public=python_syntax.listed(tree.body))


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements at the top of a module, including those in ``if`` and ``try``."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handlers = [inner for handler in node.handlers for inner in handler.body]
            yield from _statements([*node.body, *handlers, *node.orelse])
        else:
            yield node


def _of(node: ast.stmt) -> Iterator[Signature]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield Signature(node.name, _function(node, ""))
    elif isinstance(node, ast.ClassDef):
        yield Signature(node.name, _class(node))
    elif isinstance(node, ast.AnnAssign | ast.Assign) or type(node).__name__ == "TypeAlias":
        for name, text in _assigned(node):
            yield Signature(name, text)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, indent: str) -> str:
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    head = f"{indent}{word} {node.name}{_parameters(node)}({ast.unparse(node.args)}){returns}:"
    lines = [f"{indent}@{_short(decorator)}" for decorator in node.decorator_list]
    said = _said(node)
    return "\n".join([*lines, f"{head}\n{indent}{_INDENT}{said}" if said else f"{head} ..."])


def _class(node: ast.ClassDef) -> str:
    bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
    lines = [f"@{_short(decorator)}" for decorator in node.decorator_list]
    lines.append(f"class {node.name}{_parameters(node)}{f'({bases})' if bases else ''}:")
    said = _said(node)
    body = [_INDENT + said] if said else []
    for inner in _statements(node.body):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            if not inner.name.startswith("_") or (inner.name.startswith("__") and inner.name.endswith("__")):
                body.append(_function(inner, _INDENT))
        elif isinstance(inner, ast.AnnAssign | ast.Assign):
            body += [_INDENT + text for name, text in _assigned(inner) if not name.startswith("_")]
    return "\n".join([*lines, *(body or [f"{_INDENT}..."])])


def _parameters(node: ast.AST) -> str:
    """Return the type parameters of Python 3.12."""
    found = getattr(node, "type_params", [])
    return f"[{', '.join(ast.unparse(one) for one in found)}]" if found else ""


def _short(decorator: ast.expr) -> str:
    """Return a decorator; only its name if it is long."""
    text = ast.unparse(decorator)
    return text if len(text) <= SHORT or not isinstance(decorator, ast.Call) else f"{ast.unparse(decorator.func)}(...)"


def _said(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    """Return the first line of a docstring, as a docstring."""
    lines = (ast.get_docstring(node) or "").splitlines()
    first = lines[0].strip() if lines else ""
    return '"""' + first.replace("\\", "\\\\").replace('"""', "'''") + '"""' if first else ""


def _assigned(node: ast.stmt) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.AnnAssign):
        if isinstance(node.target, ast.Name):
            value = f" = {_value(node.value)}" if node.value is not None else ""
            yield node.target.id, f"{node.target.id}: {ast.unparse(node.annotation)}{value}"
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id != "__all__":
                yield target.id, f"{target.id} = {_value(node.value)}"
            elif isinstance(target, ast.Tuple):
                names = [one.id for one in target.elts if isinstance(one, ast.Name)]
                for name in names:
                    yield name, f"{', '.join(names)} = {_value(node.value)}"
    else:  # `type X = ...` of Python 3.12
        yield ast.unparse(getattr(node, "name", node)), ast.unparse(node)


def _value(node: ast.expr) -> str:
    """Return a short value as it is, and the kind of any other."""
    text = ast.unparse(node)
    if len(text) <= SHORT and "\n" not in text:
        return text
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return f"{called}(...)" if len(called) <= SHORT else "..."
    kinds = {
        ast.Dict: "{...}", ast.Set: "{...}", ast.List: "[...]", ast.Tuple: "(...)", ast.JoinedStr: "'...'",
        ast.DictComp: "{...}", ast.SetComp: "{...}", ast.ListComp: "[...]", ast.Constant: "'...'",
    }  # fmt: skip
    return kinds.get(type(node), "...")
