"""Check what a schema cannot: python3 tools/check.py review|evaluate|report. Prints what is wrong; exit 1 then."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from merge import judged
from modules import digest

if TYPE_CHECKING:
    from collections.abc import Iterator


def review() -> Iterator[str]:
    """Report findings in files of other modules, and a module that has changed since it was listed."""
    output, docs = os.environ["AGENTJOBS_ROW_OUTPUT"], shlex.split(os.environ["AGENTJOBS_ROW_DOCS"])
    if digest(docs) != os.environ["AGENTJOBS_ROW_SHA"]:
        yield f"{docs[0]}: changed since it was listed: a review must not change files (restore it, or plan again)"
    for at, finding in enumerate(json.loads(Path(output).read_text(encoding="utf-8"))["findings"]):
        if finding["file"] not in docs:
            yield f"{output}: findings[{at}] is about {finding['file']}, which is not in this module"


def evaluate() -> Iterator[str]:
    """Report findings that are not judged exactly once, and kept ones that do not quote the line they name."""
    output, segment = os.environ["AGENTJOBS_ROW_OUTPUT"], os.environ["AGENTJOBS_ROW_SEGMENT"]
    verdict = json.loads(Path(output).read_text(encoding="utf-8"))
    findings = json.loads(Path(segment).read_text(encoding="utf-8"))["findings"]
    if verdict["segment"] != segment:
        yield f"{output}: is about {verdict['segment']}, not about {segment}"
    named = [one["finding"] for one in [*verdict["kept"], *verdict["dropped"]]]
    for at in range(max([len(findings), *(at + 1 for at in named)])):
        if at >= len(findings):
            yield f"{output}: finding {at} does not exist: {segment} has {len(findings)}, counted from 0"
        elif named.count(at) != 1:
            yield f"{output}: finding {at} ({findings[at]['title']}) appears {named.count(at)} times, not once"
    for one in verdict["kept"]:
        if one["finding"] < len(findings) and (why := misquoted(findings[one["finding"]])):
            yield f"{output}: finding {one['finding']} is kept, but {why}"


def misquoted(finding: dict) -> str:
    """Return why the place that a finding names is wrong; empty if it is right."""
    path = Path(finding["file"])
    if not path.is_file():
        return f"{path} does not exist"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if finding["line"] > len(lines):
        return f"{path} has only {len(lines)} lines"
    if finding["code"].strip() != lines[finding["line"] - 1].strip():
        return f"{path}:{finding['line']} reads: {lines[finding['line'] - 1].strip()}"
    return ""


def report() -> Iterator[str]:
    """Report kept findings without a heading, and headings without a finding."""
    output = os.environ["AGENTJOBS_ROW_OUTPUT"]
    there = [line[4:] for line in Path(output).read_text(encoding="utf-8").splitlines() if line.startswith("### ")]
    wanted = [f"{one['file']}:{one['line']}: {one['title']}" for one in judged()[0]]
    yield from (f"{output}: missing: {name}" for name in wanted if name not in there)
    yield from (f"{output}: not a kept finding: {name}" for name in there if name not in wanted)


CHECKS = {"review": review, "evaluate": evaluate, "report": report}

if __name__ == "__main__":
    faults = list(CHECKS[sys.argv[1]]())
    print("\n".join(faults))
    sys.exit(bool(faults))
