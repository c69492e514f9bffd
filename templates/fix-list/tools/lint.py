"""A linter with three rules, so that this job runs without anything installed: python3 lint.py [FILE...].

W291 trailing whitespace; F401 an unused import; E711 a comparison with None by == or !=. Without a FILE: all
Python files that git knows. Prints `file:line:column: RULE message`. Exit 0: clean; 1: findings; 2: a file could not be
read.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tokenize
from pathlib import Path


def main(names: list[str]) -> int:
    """Print what is found; return the exit code."""
    if not names:
        listed = subprocess.run(["git", "ls-files", "-z", "*.py"], capture_output=True, check=True, text=True)
        names = [name for name in listed.stdout.split("\0") if name]
    found = False
    for name in sorted(set(names)):
        try:
            with tokenize.open(name) as file:
                text = file.read()
            findings = sorted([*whitespace(text), *syntax(text, Path(name).name)])
        except FileNotFoundError:
            continue  # a file that is gone has no findings
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        for line, column, message in findings:
            print(f"{name}:{line}:{column}: {message}")
            found = True
    return int(found)


def whitespace(text: str) -> list[tuple[int, int, str]]:
    """Return lines that end in blanks."""
    lines = enumerate(text.split("\n"), 1)
    return [(n, len(line.rstrip()) + 1, "W291 trailing whitespace") for n, line in lines if line != line.rstrip()]


def syntax(text: str, name: str) -> list[tuple[int, int, str]]:
    """Return comparisons with None, and imports of names that the module does not use."""
    tree = ast.parse(text)
    lines = text.split("\n")
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for op, value in zip(node.ops, node.comparators):  # noqa: B905 - Python 3.9 has no strict
                if isinstance(op, (ast.Eq, ast.NotEq)) and isinstance(value, ast.Constant) and value.value is None:
                    sign, word = ("==", "is") if isinstance(op, ast.Eq) else ("!=", "is not")
                    message = f"E711 comparison with None: `{word}`, not `{sign}`"
                    found.append((value.lineno, value.col_offset + 1, message))
        if isinstance(node, (ast.Import, ast.ImportFrom)) and name != "__init__.py":
            if getattr(node, "module", "") == "__future__" or "noqa" in lines[node.lineno - 1]:
                continue
            for alias in node.names:
                bound = (alias.asname or alias.name).partition(".")[0]
                if bound not in {"*", *used(tree)} and alias.asname != alias.name:
                    message = f"F401 `{alias.name}` imported but unused"
                    found.append((node.lineno, node.col_offset + 1, message))
    return found


def used(tree: ast.Module) -> set[str]:
    """Return every name that is read, and every word of a string: `__all__`, and annotations in quotes."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(node.value.replace("[", " ").replace("]", " ").replace(".", " ").split())
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
