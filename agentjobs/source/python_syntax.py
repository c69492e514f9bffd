"""Python files as ``ast`` reads them (pure)."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def parse(data: bytes) -> ast.Module | None:
    """Return the tree of a file; None if it is not Python 3, or nested too deeply to parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in other people's strings
            return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def listed(body: Iterable[ast.stmt]) -> frozenset[str] | None:
    """Return what ``__all__`` names; None if it is missing, or computed at run time."""
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            if not isinstance(node.value, ast.List | ast.Tuple | ast.Set):
                return None
            words = [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
            return frozenset(map(str, words)) if len(words) == len(node.value.elts) else None
    return None
