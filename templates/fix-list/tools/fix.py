"""The agent of this job without a model: fixes what tools/lint.py finds, in the row's file, and nothing else.

It uses only the row (AGENTJOBS_ROW_FILE, _RULE, _MESSAGE) and the place where the linter reports the finding now. If a
finding comes from another linter, or it does not understand the line, it changes nothing, says so and exits 1.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from check import lint

if TYPE_CHECKING:
    from findings import Finding

Lines = list[str]


def blanks(lines: Lines, finding: Finding) -> None:
    """W291: remove whitespace at the end of the line."""
    lines[finding.line - 1] = lines[finding.line - 1].rstrip()


def none_by_identity(lines: Lines, finding: Finding) -> None:
    """E711: change `== None` to `is None`, and `!= None` to `is not None`, if both parts are on one line."""
    at = finding.line - 1
    word = {"==": "is", "!=": "is not"}
    changed = re.sub(r"\s*(==|!=)\s*None\b", lambda match: f" {word[match[1]]} None", lines[at])
    if changed == lines[at]:
        sys.exit(f"fix: found no comparison with None in {finding.file}:{finding.line}")
    lines[at] = changed


def unused_import(lines: Lines, finding: Finding) -> None:
    """F401: remove one name from its import, and the whole import if it was the only name."""
    name = re.match(r"`(.+?)`", finding.message)
    node = next(
        (node for node in ast.walk(ast.parse("\n".join(lines)))
         if isinstance(node, (ast.Import, ast.ImportFrom)) and node.lineno <= finding.line <= (node.end_lineno or 0)),
        None,
    )  # fmt: skip
    if name is None or node is None:
        sys.exit(f"fix: no such import in {finding.file}:{finding.line}: {finding.message}")
    module = f"{getattr(node, 'module', None) or ''}."
    node.names = [alias for alias in node.names if name[1] not in {alias.name, module + alias.name}]
    indent = lines[node.lineno - 1][: node.col_offset]
    lines[node.lineno - 1 : node.end_lineno] = [indent + ast.unparse(node)] if node.names else []


FIXES = {"W291": blanks, "E711": none_by_identity, "F401": unused_import}


def main() -> int:
    """Fix the row's findings one after the other; return the exit code."""
    file = os.environ["AGENTJOBS_ROW_FILE"]
    rule, message = os.environ.get("AGENTJOBS_ROW_RULE", ""), os.environ.get("AGENTJOBS_ROW_MESSAGE", "")
    path = Path(file)
    count = 0
    while found := [f for f in lint(file) if not rule or (f.rule, f.message) == (rule, message)]:
        finding = found[-1]  # from the bottom, because a fix moves the lines below it
        fix = FIXES.get(finding.rule)
        if fix is None:
            sys.exit(f"fix: no script for {finding.rule} ({finding.message}): name a real agent in agentjobs.toml")
        with path.open(encoding="utf-8", newline="") as source:
            lines = source.read().split("\n")
        before = list(lines)
        fix(lines, finding)
        if lines == before:
            sys.exit(f"fix: {finding.file}:{finding.line} stays as it is: {finding.rule} {finding.message}")
        try:
            compile("\n".join(lines), file, "exec")
        except SyntaxError as error:
            sys.exit(f"fix: that would break {file}: {error}")
        with path.open("w", encoding="utf-8", newline="") as source:
            source.write("\n".join(lines))
        count += 1
    if not count:
        sys.exit(f"fix: nothing to do: {file} has no {rule or 'finding'} {message}")
    print(f"fixed {count} × {rule or 'any rule'} in {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
