"""Find simple mistakes of Python in the syntax tree: line, severity, title, trigger, impact."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Mistake = tuple[int, str, str, str, str]

LONG = 80
"""A function with more lines than this is called long."""

TODO = re.compile(r"\b(TODO|FIXME|XXX)\b")


def mistakes(text: str) -> Iterator[Mistake]:
    """Find mistakes in a module. SyntaxError if it is not valid Python."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            yield from handler(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from function(node)
        elif isinstance(node, ast.Compare):
            yield from comparison(node)
        elif isinstance(node, ast.Call):
            yield from call(node)
        elif isinstance(node, ast.Try):
            yield from ending(node)
        elif isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            yield (node.lineno, "high", "an assertion that cannot fail", "always: a tuple is true",
                   "its condition is never checked")  # fmt: skip
    for number, line in enumerate(text.splitlines(), 1):
        if (found := TODO.search(line)) and "#" in line[: found.start()]:
            yield (number, "low", f"{found[1]} left in the code", "a user of what is not finished",
                   "unfinished work that no issue tracker has")  # fmt: skip


def handler(node: ast.ExceptHandler) -> Iterator[Mistake]:
    """Find handlers that catch too much."""
    silent = all(isinstance(inner, ast.Pass) for inner in node.body)
    raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    if node.type is None and not raises:
        yield (node.lineno, "medium", "bare except", "^C or sys.exit() while the block runs",
               "the program continues instead of ending")  # fmt: skip
    elif silent and isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}:
        yield (node.lineno, "medium", "every error is swallowed", "any error in the block, also a typing mistake",
               "the failure is seen later, elsewhere, without its cause")  # fmt: skip


def function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Mistake]:
    """Find mutable defaults, and functions of many lines."""
    arguments = node.args
    for default in [*arguments.defaults, *(one for one in arguments.kw_defaults if one)]:
        named = isinstance(default, ast.Call) and isinstance(default.func, ast.Name) and not default.args
        empty = named and default.func.id in {"list", "dict", "set"}
        if isinstance(default, (ast.List, ast.Dict, ast.Set)) or empty:
            yield (default.lineno, "high", f"mutable default of {node.name}()", "a second call that leaves it out",
                   "the default still contains what the first call put in")  # fmt: skip
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if length > LONG:
        yield (node.lineno, "low", f"{node.name}() has {length} lines", "any change to it",
               "nobody sees all of it at once, and its parts cannot be tested alone")  # fmt: skip


def comparison(node: ast.Compare) -> Iterator[Mistake]:
    """Find == None, and `is` with a literal."""
    for op, value in zip(node.ops, node.comparators):  # noqa: B905 - Python 3.9 has no strict
        if not isinstance(value, ast.Constant):
            continue
        if isinstance(op, (ast.Eq, ast.NotEq)) and value.value is None:
            yield (value.lineno, "low", "comparison with None by == or !=", "an operand that defines __eq__, as arrays",
                   "__eq__ decides the result, which may not be a bool")  # fmt: skip
        if isinstance(op, (ast.Is, ast.IsNot)) and type(value.value) in {str, bytes, int, float}:
            yield (value.lineno, "high", "`is` with a literal", "an equal value that was computed",
                   "equal values may count as different, depending on the interpreter")  # fmt: skip


def call(node: ast.Call) -> Iterator[Mistake]:
    """Find code and commands made from text."""
    name = ast.unparse(node.func)
    constant = bool(node.args) and isinstance(node.args[0], ast.Constant)
    if name in {"eval", "exec"} and not constant:
        yield (node.lineno, "high", f"{name}() of a value", "a value that others can influence",
               "they run code here")  # fmt: skip
    values = {word.arg: word.value for word in node.keywords}
    shell = isinstance(values.get("shell"), ast.Constant) and values["shell"].value
    if (shell or name in {"os.system", "os.popen"}) and not constant:
        yield (node.lineno, "high", "a shell command made from values", "a value with a quote or a semicolon in it",
               "another command is run")  # fmt: skip
    if name in {"pickle.load", "pickle.loads", "marshal.loads"} or (name == "yaml.load" and len(node.args) < 2):
        yield (node.lineno, "medium", f"{name}() of data from elsewhere", "data that others can influence",
               "reading it runs their code")  # fmt: skip
    if name == "tempfile.mktemp":
        yield (node.lineno, "medium", "a temporary name without a file", "somebody else creates the file first",
               "they read or choose what is in it")  # fmt: skip


def ending(node: ast.Try) -> Iterator[Mistake]:
    """Find `finally` blocks that swallow what was raised."""
    for inner in node.finalbody:
        if isinstance(inner, ast.Return):
            yield (inner.lineno, "high", "return in finally", "any error in the block above",
                   "it is swallowed, and the caller gets a value")  # fmt: skip


def quoted(text: str) -> set[int]:
    """Return the lines inside string literals of several lines, without the first line of each."""
    found: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                found.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):
        pass
    return found
