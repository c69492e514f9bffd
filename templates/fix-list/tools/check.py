"""Check that a task has fixed its finding and made no new one. Runs in the task's tree, as `verify` of agentjobs.toml.

It runs the linter again on the row's file. The linter must not report the finding any more, nor anything that was not
known when the list was made, nor what another task has fixed there since then. Prints what is wrong and exits 1 then.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter

from findings import KNOWN, ROOT, Finding, key, parse

FINDINGS = (0, 1)
"""Exit codes of a linter that ran; with any other, its output proves nothing about the file."""


def lint(*names: str) -> list[Finding]:
    """Return what the linter reports now. SystemExit if it did not run, or its output cannot be understood."""
    command = ["sh", str(ROOT / "tools/lint.sh"), *names]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    found, _ = parse(done.stdout, os.getcwd())
    if done.returncode not in FINDINGS or (done.returncode and not found):
        sys.exit(f"{done.stdout}check: the linter ended with exit {done.returncode} and reported nothing readable")
    return found


def mended_before(file: str) -> set[tuple[str, str, str]]:
    """Return the findings of a file that other tasks have fixed."""
    with (ROOT / "tasks.tsv").open(encoding="utf-8", newline="") as table:
        lines = (line for line in table if line.strip() and not line.startswith("#"))
        rows = [row for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row["file"] == file]
    done = [row for row in rows if row["status"] == "DONE" and row["id"] != os.environ["AGENTJOBS_TASK"]]
    return {(file, row["rule"], plain(row["message"]) if row["line"] else "") for row in done if row["rule"]}


def plain(cell: str) -> str:
    """Return the text of a cell, without its escapes."""
    return re.sub(r"\\([tnr\\])", lambda match: {"t": "\t", "n": "\n", "r": "\r"}.get(match[1], match[1]), cell)


def known_findings() -> Counter[tuple[str, str, str]]:
    """Return what was reported when the list was made. SystemExit if there is no list."""
    try:
        return Counter({tuple(name): count for *name, count in json.loads(KNOWN.read_text(encoding="utf-8"))})
    except FileNotFoundError:
        sys.exit(f"check: no {KNOWN.name}: make the list with tools/findings.py")


def main() -> int:
    """Compare what is reported now with what was known before; return the exit code."""
    file, rule = os.environ["AGENTJOBS_ROW_FILE"], os.environ.get("AGENTJOBS_ROW_RULE", "")
    placed = os.environ.get("AGENTJOBS_ROW_LINE", "")
    own = (file, rule, os.environ.get("AGENTJOBS_ROW_MESSAGE", "") if placed else "")
    known = known_findings()
    whole_file = not rule and own not in known
    mended = mended_before(file)
    seen: Counter[tuple[str, str, str]] = Counter()
    wrong = 0
    for finding in lint(file):
        name = key(finding)
        seen[name] += 1
        if finding.file != file:
            continue
        if name == own or (whole_file and name in known):
            why = "still there"
        elif seen[name] > known[name]:
            why = "new"
        elif name in mended:
            why = "back again: another task had fixed it"
        else:
            continue
        wrong += 1
        print(f"{finding.file}:{finding.line}: error: {why}: {finding.rule} {finding.message}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
