"""The imports of a Python file, and the files of the repository they lead to."""

from __future__ import annotations

import ast
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.source import python_syntax

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDINGS = (".py", ".pyi")
_PROJECT_FILES = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})


class PythonImport(NamedTuple):
    """``from <level dots><module> import <names>``; an ``import a.b`` is one without names."""

    level: int
    module: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "." * self.level + self.module


def imports(data: bytes) -> tuple[PythonImport, ...]:
    """Return what a file imports, each once: including functions and ``if TYPE_CHECKING``.

    ``importlib.import_module`` and ``__import__`` count if the name is a literal. A file that is not Python 3 imports
    nothing.
    """
    tree = python_syntax.parse(data)
    if tree is None:
        return ()
    found: dict[PythonImport, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update((PythonImport(0, alias.name), None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found[PythonImport(node.level, node.module or "", tuple(alias.name for alias in node.names))] = None
        elif isinstance(node, ast.Call) and (called := _called(node)) is not None:
            found[called] = None
    return tuple(found)


def _called(call: ast.Call) -> PythonImport | None:
    named = call.func
    name = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
    if name not in ("import_module", "__import__") or not call.args:
        return None
    first = call.args[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return None
    module = first.value.lstrip(".")
    return PythonImport(len(first.value) - len(module), module)


class PythonResolver:
    """Finds imports among ``files`` (relative to the top of the repository, with ``/``)."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = frozenset(path for path in files if path.endswith(ENDINGS))
        self._directories = _directories(self.files)
        self._tops = self._find_tops(files)

    def resolve(self, importer: str, found: PythonImport) -> Iterator[str]:
        """Yield the files that an import means, as far as they are among the files.

        Importing ``a.b`` means that file alone, though Python runs ``a/__init__.py`` first. ``from a import b`` is the
        module ``a.b`` if there is one, else ``a``.
        """
        start = self._start(importer, found)
        if start is None:
            return
        if not found.names:
            module = self._module(start)
            if module:
                yield module
            return
        itself = self._module(start)
        for name in found.names:
            part = self._module(posixpath.join(start, name)) if name != "*" else None
            if part or itself:
                yield part or itself or ""

    def _start(self, importer: str, found: PythonImport) -> str | None:
        """Return the path, without an ending, of the imported module."""
        path = found.module.replace(".", "/")
        directory = posixpath.dirname(importer)
        if found.level:
            for _ in range(found.level - 1):
                if not directory:
                    return None
                directory = posixpath.dirname(directory)
            return posixpath.join(directory, path) if path else directory
        for top in self._searched(directory):
            start = posixpath.join(top, path)
            if self._module(start) or (found.names and start in self._directories):
                return start
        return None

    def _module(self, path: str) -> str | None:
        for ending in ENDINGS:
            for candidate in (path + ending, posixpath.join(path, "__init__" + ending)):
                if candidate in self.files:
                    return candidate
        return None

    def _searched(self, directory: str) -> Iterator[str]:
        """Yield where absolute imports of a file in ``directory`` are looked for, nearest first."""
        above = directory
        passed: set[str] = set()
        while self._is_package(above):
            above = posixpath.dirname(above)  # Python does not search inside a package
        while True:
            for top in (above, posixpath.join(above, "src")):
                if top in self._directories or not top:
                    passed.add(top)
                    yield top
            if not above:
                break
            above = posixpath.dirname(above)
        yield from (top for top in self._tops if top not in passed)

    def _is_package(self, directory: str) -> bool:
        return bool(directory) and any(posixpath.join(directory, "__init__" + e) in self.files for e in ENDINGS)

    def _find_tops(self, files: Sequence[str]) -> tuple[str, ...]:
        """Return every directory that is likely to be on a path: it contains a project, or a top-level package."""
        tops = {""}
        for path in files:
            directory, _, name = path.rpartition("/")
            if name in _PROJECT_FILES:
                tops |= {directory, posixpath.join(directory, "src")}
            elif name in ("__init__.py", "__init__.pyi"):
                above = posixpath.dirname(directory)
                if not self._is_package(above):
                    tops.add(above)
        return tuple(sorted(tops & (self._directories | {""})))


def _directories(files: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    for path in files:
        directory = posixpath.dirname(path)
        while directory not in found:
            found.add(directory)
            directory = posixpath.dirname(directory)
    return frozenset(found)
