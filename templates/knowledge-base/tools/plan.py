"""Print the tasks of a phase as JSON lines: `plan.py PHASE`. Stdin has the rows of the phase before.

`agentjobs plan pack` plans `analyse`, and `agentjobs plan tree` plans `merge`. The phase `digest` needs no plan: each
cluster is already a row.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import notes

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = list[dict[str, str]]


def normalise(before: Rows) -> Iterator[dict[str, str]]:
    """Make one task for each analysis."""
    for row in before:
        yield {"id": re.sub(r"^analyse", "normalise", row["id"]), "docs": shlex.quote(row["output"])}


def cluster(before: Rows) -> Iterator[dict[str, str]]:
    """Make one task that reads all titles and topics."""
    yield {"id": "clusters", "docs": shlex.join(row["output"] for row in before)}


def write(before: Rows) -> Iterator[dict[str, str]]:
    """Make one task for each section of the final outline, in its order. With a single cluster there is no outline."""
    rows = {row["id"]: row for path in sorted(Path("clusters").glob("*.jsonl")) for row in notes.clusters(path)}
    outlines = [row["output"] for row in before if row.get("final")]
    sections = [(row["title"], task) for task, row in rows.items()]
    if outlines:
        sections = notes.headings(Path(outlines[-1]).read_text(encoding="utf-8"))
    for number, (title, task) in enumerate(sections, 1):
        yield {
            "id": re.sub(r"^digest", "section", task),
            "number": str(number),
            "title": title,
            "documents": rows[task]["documents"],
            "docs": shlex.join([f"digests/{task}.md", *outlines[-1:]]),
        }


def assemble(before: Rows) -> Iterator[dict[str, str]]:
    """Make one task that gets the sections in their order."""
    in_order = sorted(before, key=lambda row: int(row["number"]))
    yield {"id": "knowledge-base", "docs": shlex.join(row["output"] for row in in_order)}


def main() -> None:
    """Print the rows. Tasks that are not DONE are left out; the prompts name them."""
    before = [row for line in sys.stdin if line.strip() and (row := json.loads(line))["status"] == "DONE"]
    make = {"normalise": normalise, "cluster": cluster, "write": write, "assemble": assemble}[sys.argv[1]]
    for row in make(before):
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
