"""Write the report: all judged segments, the worst first. With --plan: print the row for it (phase `report`)."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from pathlib import Path

SEVERITIES = ("critical", "high", "medium", "low")


def table() -> list[dict[str, str]]:
    """Return the rows of tasks.tsv."""
    with Path("tasks.tsv").open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if line.strip() and not line.startswith("#"))
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def outputs(profile: str) -> list[str]:
    """Return the paths of the files that the tasks of a phase have written."""
    return [row["output"] for row in table() if row["profile"] == profile and row["status"] == "DONE"]


def judged() -> tuple[list[dict], list[dict]]:
    """Return kept findings, the worst first, and dropped ones with their reasons."""
    kept, dropped = [], []
    for output in outputs("evaluate"):
        verdict = json.loads(Path(output).read_text(encoding="utf-8"))
        findings = json.loads(Path(verdict["segment"]).read_text(encoding="utf-8"))["findings"]
        kept += [{**findings[one["finding"]], **one} for one in verdict["kept"]]
        dropped += [{**findings[one["finding"]], **one} for one in verdict["dropped"]]
    return sorted(kept, key=by_severity), sorted(dropped, key=by_severity)


def by_severity(finding: dict) -> tuple[int, str, int, str]:
    return SEVERITIES.index(finding["severity"]), finding["file"], finding["line"], finding["title"]


def report() -> str:
    """Return the report as Markdown."""
    kept, dropped = judged()
    missing = [f"{row['module']} ({row['profile']}: {row['status']})" for row in table() if not_there(row)]
    counts = Counter(finding["severity"] for finding in kept)
    told = f"{len(outputs('review'))} modules, {len(kept)} findings; {len(dropped)} more were dropped."
    lines = ["# Review", "", told, ""]
    lines += ["| severity | findings |", "|---|---|", *(f"| {name} | {counts[name]} |" for name in SEVERITIES), ""]
    for name in SEVERITIES:
        found = [finding for finding in kept if finding["severity"] == name]
        lines += [f"## {name.capitalize()}", ""] if found else []
        for finding in found:
            lines += [f"### {finding['file']}:{finding['line']}: {finding['title']}", ""]
            lines += ["````text", finding["code"], "````", ""]
            lines += [f"- When: {finding['trigger']}", f"- Then: {finding['impact']}"]
            lines += [f"- Note: {finding['note']}"] if finding.get("note") else []
            lines.append("")
    if dropped:
        lines += ["## Dropped", ""]
        lines += [f"- {f['file']}:{f['line']}: {f['title']}: {f['reason']}" for f in dropped] + [""]
    if missing:
        lines += ["## Not reviewed, or not judged", "", *(f"- {name}" for name in missing), ""]
    return "\n".join(lines)


def not_there(row: dict[str, str]) -> bool:
    """Return whether a module was not reviewed, or its findings were not judged."""
    return row["profile"] in {"review", "evaluate"} and row["status"] not in {"DONE", "SKIPPED"}


def main() -> int:
    """Write the report, or print the row that asks for it; return the exit code."""
    if "--plan" in sys.argv[1:]:
        print(json.dumps({"id": "report"}))
        return 0
    output = Path(os.environ["AGENTJOBS_ROW_OUTPUT"])
    output.write_text(report(), encoding="utf-8")
    print(f"wrote {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
