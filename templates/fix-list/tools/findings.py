"""Turn the output of a linter, a type checker or a test runner into rows for `agentjobs plan rows`.

    sh tools/lint.sh | python3 tools/findings.py [--by file] [--no-files] | agentjobs plan rows

A row is one message of a rule in a file, at all lines where it was reported; with `--by file`, all findings of a file.
`--no-files` lets a task change any file: for failing tests, because their cause is in other files. All findings are
also written to findings.json, next to agentjobs.toml: check.py calls everything else new.

It reads `file:line[:column]: [severity:] RULE message` and `... message  [rule]` (ruff, flake8, pylint, mypy, gcc and
many others), `file(line,column): error TS1: message` (tsc), eslint's blocks of a file name and its lines, and
`FAILED file::test - message` (pytest -rfE). Other lines are skipped, and counted on stderr. So are findings in files
that git does not track: no task would have them in its tree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(os.environ.get("AGENTJOBS_ROOT") or Path(__file__).resolve().parent.parent)
KNOWN = ROOT / "findings.json"

PLACED = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+)(?::\d+)?:\s+(?P<text>\S.*)")
TSC = re.compile(r"(?P<file>[^\s(][^(]*)\((?P<line>\d+),\d+\): error (?P<rule>TS\d+): (?P<text>.*)")
TEST = re.compile(r"(?:FAILED|ERROR) (?P<file>[^\s:]+)(?:::(?P<rule>.+?))?(?: - (?P<text>.*))?")
BLOCK = re.compile(r"\s+(?P<line>\d+):\d+\s+(?:error|warning)\s+(?P<text>.*?)(?:\s{2,}(?P<rule>\S+))?\s*")
SEVERITY = re.compile(r"(?:fatal error|error|warning|note|info)(?: |:)\s*")
CODE = re.compile(r"(?P<rule>[A-Z]+\d+):?\s+(?:\[\*\] )?(?P<text>.*)")
NAMED = re.compile(r"(?P<text>.*\S)\s+[\[(](?P<rule>[a-z][\w./-]*)[\])]")


class Finding(NamedTuple):
    """One thing that was reported; ``line`` is 0 for a test."""

    file: str
    line: int
    rule: str
    message: str


def parse(output: str, top: str) -> tuple[list[Finding], int]:
    """Return the findings, and the number of other lines. Absolute paths become relative to `top`."""
    found, passed, block = [], 0, ""
    for line in output.splitlines():
        match = TSC.fullmatch(line) or TEST.fullmatch(line)
        if match:
            rule, text = match["rule"] or "", match["text"] or ""
            found.append(Finding(path_of(match["file"], top), int(match.groupdict().get("line") or 0), rule, text))
        elif match := PLACED.fullmatch(line):
            if not match["text"].startswith("note:"):
                rule, text = rule_and_text(SEVERITY.sub("", match["text"], count=1))
                found.append(Finding(path_of(match["file"], top), int(match["line"]), rule, text))
        elif block and (match := BLOCK.fullmatch(line)):
            found.append(Finding(block, int(match["line"]), match["rule"] or "", match["text"]))
        elif re.fullmatch(r"\S.*\.\w+", line):
            block = path_of(line, top)
        elif line.strip():
            passed += 1
    return found, passed


def rule_and_text(text: str) -> tuple[str, str]:
    """Split the rule from the front or the end of a message."""
    match = CODE.fullmatch(text) or NAMED.fullmatch(text)
    return (match["rule"], match["text"]) if match else ("", text)


def path_of(name: str, top: str) -> str:
    """Return a path as git writes it."""
    return os.path.relpath(name, top) if os.path.isabs(name) else os.path.normpath(name)


def tracked() -> set[str] | None:
    """Return the files that git tracks below this directory; None outside a repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=False)
    return set(listed.stdout.split("\0")) if listed.returncode == 0 else None


def key(finding: Finding) -> tuple[str, str, str]:
    """Return what identifies a finding: without its line, which moves, and without the message of a failed test."""
    test = finding.line == 0
    return finding.file, finding.rule, "" if test else finding.message


def rows(findings: list[Finding], by: str, *, own_files: bool) -> list[dict[str, object]]:
    """Return one row for each finding, or each file, in the order of the output."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.file,) if by == "file" else key(finding), []).append(finding)
    made = []
    for name, group in groups.items():
        first = group[0]
        mark = hashlib.sha256("\0".join(name).encode()).hexdigest()[:6]
        words = (first.file, "all" if by == "file" else first.rule, mark)
        lines = [f"{f.line}: {f.rule} {f.message}" for f in group]
        made.append({
            "id": re.sub(r"[^A-Za-z0-9]+", "-", "-".join(word for word in words if word))[-90:].strip("-"),
            "files": [first.file] if own_files else [],
            "file": first.file,
            "line": " ".join(dict.fromkeys(str(f.line) for f in group)) if first.line else "",
            "rule": "" if by == "file" else first.rule,
            "message": "\n".join(lines) if by == "file" else first.message,
        })
    return made


def main() -> int:
    """Read stdin, write rows; return the exit code."""
    parser = argparse.ArgumentParser(description="Findings on stdin, rows on stdout.")
    parser.add_argument("--by", choices=["finding", "file"], default="finding", help="what is one task")
    parser.add_argument("--no-files", action="store_true", help="a task may change any file")
    options = parser.parse_args()
    everything, passed = parse(sys.stdin.read(), os.getcwd())
    files = tracked()
    findings = [finding for finding in everything if files is None or finding.file in files]
    known = Counter(key(finding) for finding in findings)
    KNOWN.write_text(json.dumps([[*name, count] for name, count in known.items()], indent=0) + "\n", encoding="utf-8")
    for row in rows(findings, options.by, own_files=not options.no_files):
        print(json.dumps(row))
    summary = f"{len(findings)} findings in {len({finding.file for finding in findings})} files"
    summary += f"; {passed} other lines" if passed else ""
    summary += f"; {len(everything) - len(findings)} left out: not in git" if len(everything) > len(findings) else ""
    print(f"findings: {summary}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ended quietly by `| head`
    sys.exit(main())
