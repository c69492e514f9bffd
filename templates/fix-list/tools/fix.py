"""The agent of this job without a model: mends what tools/lint.py finds, in the row's file, and nothing else.

It goes by the row alone (AGENTJOBS_ROW_FILE, _RULE, _MESSAGE) and by where the linter reports it now. A finding of
another linter, or one whose line it does not understand, it leaves as it is and says so: exit 1.
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
    """W291: take off what the line ends in."""
    lines[finding.line - 1] = lines[finding.line - 1].rstrip()


def none_by_identity(lines: Lines, finding: Finding) -> None:
    """E711: `== None` to `is None`, `!= None` to `is not None`, where both stand in one line."""
    at = finding.line - 1
    word = {"==": "is", "!=": "is not"}
    changed = re.sub(r"\s*(==|!=)\s*None\b", lambda match: f" {word[match[1]]} None", lines[at])
    if changed == lines[at]:
        sys.exit(f"fix: no comparison with None to be seen in {finding.file}:{finding.line}")
    lines[at] = changed


def unused_import(lines: Lines, finding: Finding) -> None:
    """F401: take one name out of its import, and the import with the last one."""
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


MENDS = {"W291": blanks, "E711": none_by_identity, "F401": unused_import}


def main() -> int:
    """Mend one finding after the other until none of the row's is left; return the exit code."""
    file = os.environ["AGENTJOBS_ROW_FILE"]
    rule, message = os.environ.get("AGENTJOBS_ROW_RULE", ""), os.environ.get("AGENTJOBS_ROW_MESSAGE", "")
    path = Path(file)
    count = 0
    while found := [f for f in lint(file) if not rule or (f.rule, f.message) == (rule, message)]:
        finding = found[-1]  # from below, or the lines above would move
        mend = MENDS.get(finding.rule)
        if mend is None:
            sys.exit(f"fix: no script mends {finding.rule} ({finding.message}): name a real agent in agentjobs.toml")
        with path.open(encoding="utf-8", newline="") as source:
            lines = source.read().split("\n")
        before = list(lines)
        mend(lines, finding)
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
    print(f"mended {count} × {rule or 'any rule'} in {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
