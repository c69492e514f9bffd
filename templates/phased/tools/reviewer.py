"""A reviewer without a model: a refactoring may move a definition, but not change its code.

It compares the Python files of the commit before a step (AGENTJOBS_BASE_COMMIT) with those of the step
(AGENTJOBS_COMMIT). A function or class that is gone, or has other code, is a finding. If the row's recipe renames, the
new name counts as the old one. It writes the verdict to AGENTJOBS_VERDICT.
"""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Where something is defined, and its code without positions and comments."""

    file: str
    line: int
    code: str


def definitions(commit: str, renamed: dict[str, str]) -> dict[str, list[Place]]:
    """Return the functions and classes of all Python files of a commit, by name."""
    names = git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    found: dict[str, list[Place]] = {}
    for path in sorted(name for name in names if name.endswith(".py")):
        for node in ast.parse(git("show", f"{commit}:{path}")).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                rename(node, renamed)
                found.setdefault(node.name, []).append(Place(path, node.lineno, ast.unparse(node)))
    return found


def rename(tree: ast.AST, renamed: dict[str, str]) -> None:
    """Replace old names by new ones, in code and not in strings."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "name", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name in renamed:
                setattr(node, field, renamed[name])


def git(*args: str) -> str:
    return subprocess.run(["git", *args], capture_output=True, text=True, check=True).stdout


def findings(before: dict[str, list[Place]], after: dict[str, list[Place]]) -> list[dict]:
    """Return a finding for each definition that is gone or has changed."""
    found = []
    own = next(iter(os.environ.get("AGENTJOBS_FILES", "").split("\n")))
    for name, places in before.items():
        there = after.get(name, [])
        for place in places:
            if any(place.code == other.code for other in there):
                continue
            where = there[0] if there else place
            what = f"{name}() has changed" if there else f"{name}() is gone"
            found.append({
                "file": where.file if there else own or place.file,
                "line": where.line if there else 0,
                "severity": "high",
                "title": what,
                "trigger": f"a call of {name}() of {place.file}",
                "impact": "a refactoring must not change what the program does; this step does, or it is unclear",
            })
    return found


def main() -> int:
    """Write the verdict; return the exit code."""
    recipe = shlex.split(os.environ.get("AGENTJOBS_ROW_DO", ""))
    renamed = {recipe[1]: recipe[2]} if recipe[:1] == ["rename"] else {}
    before = definitions(os.environ["AGENTJOBS_BASE_COMMIT"], renamed)
    found = findings(before, definitions(os.environ["AGENTJOBS_COMMIT"], {}))
    verdict = {"findings": found, "summary": f"{len(before)} definitions compared, {len(found)} findings"}
    Path(os.environ["AGENTJOBS_VERDICT"]).write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
    print(verdict["summary"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
