"""The agent of this job without a model: carries out the recipe of its row (AGENTJOBS_ROW_DO) on Python files.

    move NAMES FROM.py TO.py          top-level definitions, with the imports they need; FROM imports them from there
    repoint NAMES OLD.module NEW.module    in the row's files: from OLD import NAME -> from NEW import NAME
    rename OLD NEW                    a name, everywhere in the row's files
    drop NAMES FILE.py                imports in FILE that nothing in it uses any more

NAMES are separated by commas. If it cannot carry out all of a recipe, it changes nothing, says why and exits 1.
"""

from __future__ import annotations

import ast
import io
import os
import shlex
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Import = ast.Import | ast.ImportFrom


def move(names: str, source: str, target: str) -> str:
    """Cut definitions out of one file and put them at the end of another."""
    text = read(source)
    tree = ast.parse(text)
    wanted = names.split(",")
    found = {
        node.name: node for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name in wanted
    }  # fmt: skip
    if missing := [name for name in wanted if name not in found]:
        sys.exit(f"refactor: {source} does not define {', '.join(missing)}")
    lines = text.split("\n")
    moved = []
    for name in wanted:
        node = found[name]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        moved.append("\n".join(lines[first - 1 : node.end_lineno]))
    used = {name.id for node in found.values() for name in ast.walk(node) if isinstance(name, ast.Name)}
    kept = {node.name for node in tree.body if hasattr(node, "name")} - set(wanted)
    if entangled := used & kept:
        sys.exit(f"refactor: the moved code uses {', '.join(sorted(entangled))}, which stays in {source}")
    there = read(target) if Path(target).exists() else f'"""Moved out of {source}."""\n'
    needed = [line for node in imports(tree) if (line := only(node, used)) and line not in there.split("\n")]
    body = there.rstrip("\n") + "\n\n\n" + "\n\n\n".join(moved) + "\n"
    for node in sorted(found.values(), key=lambda node: -node.lineno):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        del lines[first - 1 : node.end_lineno]
        while first - 1 < len(lines) and not lines[first - 1].strip() and not lines[first - 2].strip():
            del lines[first - 1]  # leave no gap
    left = with_imports("\n".join(lines).rstrip("\n") + "\n", [f"from {module(target)} import {', '.join(wanted)}"])
    write(target, with_imports(body, needed))
    write(source, left)
    return f"{', '.join(wanted)}: now defined in {target}; {source} still offers them."


def repoint(names: str, old: str, new: str) -> str:
    """Import names from another module, in all files of the row."""
    wanted = set(names.split(","))
    changed = []
    for path in files():
        text = read(path)
        lines = text.split("\n")
        taken: list[str] = []
        for node in sorted(imports(ast.parse(text)), key=lambda node: -node.lineno):
            if isinstance(node, ast.ImportFrom) and node.module == old:
                taken += [ast.unparse(alias) for alias in node.names if alias.name in wanted]
                node.names = [alias for alias in node.names if alias.name not in wanted]
                lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(node)] if node.names else []
        if taken:
            write(path, with_imports("\n".join(lines), [f"from {new} import {', '.join(sorted(taken))}"]))
            changed.append(path)
    if not changed:
        sys.exit(f"refactor: no file of this step imports {names} from {old}")
    return f"{', '.join(changed)}: {names} now comes from {new}."


def rename(old: str, new: str) -> str:
    """Replace one name by another in code, not in strings and comments."""
    changed = 0
    for path in files():
        text = read(path)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        if any(token.type == tokenize.NAME and token.string == new for token in tokens):
            sys.exit(f"refactor: {path} already contains the name {new}")
        lines = text.split("\n")
        for token in reversed(tokens):
            if token.type == tokenize.NAME and token.string == old:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column] + new + lines[row - 1][column + len(old) :]
                changed += 1
        write(path, "\n".join(lines))
    if not changed:
        sys.exit(f"refactor: found no {old} in {', '.join(files())}")
    return f"{old} is now called {new}."


def drop(names: str, path: str) -> str:
    """Remove imports that nothing in the file uses."""
    text = read(path)
    tree = ast.parse(text)
    wanted = set(names.split(","))
    if used := wanted & {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}:
        sys.exit(f"refactor: {path} still uses {', '.join(sorted(used))}")
    lines = text.split("\n")
    dropped = 0
    for node in sorted(imports(tree), key=lambda node: -node.lineno):
        left = [alias for alias in node.names if (alias.asname or alias.name) not in wanted]
        dropped += len(node.names) - len(left)
        if len(left) < len(node.names):
            node.names = left
            lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(node)] if left else []
    if dropped < len(wanted):
        sys.exit(f"refactor: {path} does not import all of {names}")
    write(path, "\n".join(lines))
    return f"{path} no longer offers {names}."


def imports(tree: ast.Module) -> list[Import]:
    """Return the imports at the top level."""
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def only(node: Import, used: set[str]) -> str:
    """Return an import with only the names that are used; empty if none is used."""
    names = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in used]
    if isinstance(node, ast.ImportFrom):
        return ast.unparse(ast.ImportFrom(node.module, names, node.level)) if names else ""
    return ast.unparse(ast.Import(names)) if names else ""


def with_imports(text: str, lines: Iterable[str]) -> str:
    """Insert imports after the existing ones, or after the docstring."""
    tree = ast.parse(text)
    last = imports(tree)
    doc = tree.body[0] if tree.body and isinstance(tree.body[0], ast.Expr) else None
    at = last[-1].end_lineno if last else doc.end_lineno if doc else 0
    there = text.split("\n")
    new = list(lines)
    if new and not last:
        new = ["", *new] if doc else [*new, "", ""]
    return "\n".join([*there[:at], *new, *there[at:]])


def module(path: str) -> str:
    """Return the name by which a file is imported from the top of the tree."""
    return path.removesuffix(".py").replace("/", ".")


def files() -> list[str]:
    """Return the Python files of the row that exist."""
    lines = os.environ.get("AGENTJOBS_FILES", "").split("\n")
    return [line for line in lines if line.endswith(".py") and Path(line).exists()]


def read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        sys.exit(f"refactor: {path} does not exist")


def write(path: str, text: str) -> None:
    compile(text, path, "exec")
    Path(path).write_text(text, encoding="utf-8")


RECIPES = {"move": (move, 3), "repoint": (repoint, 3), "rename": (rename, 2), "drop": (drop, 2)}


def carried_out() -> bool:
    """Return whether an earlier attempt has left work here."""
    base = os.environ["AGENTJOBS_BASE_COMMIT"]
    return subprocess.run(["git", "diff", "--quiet", base, "--"], check=False).returncode == 1


def main() -> int:
    """Carry out the recipe; return the exit code."""
    words = shlex.split(os.environ.get("AGENTJOBS_ROW_DO", ""))
    recipe, count = RECIPES.get(words[0] if words else "", (None, 0))
    if recipe is None or len(words) != count + 1:
        sys.exit(f"refactor: no recipe {' '.join(words) or 'in the column `do`'}; a real agent needs none")
    if os.environ.get("AGENTJOBS_MODE") == "repair" and carried_out():
        print("An earlier attempt has carried out the recipe, and a script cannot improve it.")
        return 0
    done = recipe(*words[1:])
    handoff = os.environ.get("AGENTJOBS_HANDOFF")
    if handoff:
        Path(handoff).write_text(done + "\n", encoding="utf-8")
    print(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
