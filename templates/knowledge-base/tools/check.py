"""Check the output of a task: `check.py PHASE`. Prints what is wrong, and exits 1 then."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from pathlib import Path

import notes

LARGEST_CLUSTER = 15
"""Documents of a cluster: the notes on them must fit into the context window of the agent that writes the digest."""


def analyse() -> list[str]:
    """Check that each document of the task has notes, and no other document."""
    wanted = notes.words("docs")
    found = {note.source: note for note in notes.from_markdown(notes.output().read_text(encoding="utf-8"))}
    faults = [f"no section `## {source}`" for source in wanted if source not in found]
    faults += [f"`## {source}` is not a document of this task" for source in found if source not in wanted]
    for note in found.values():
        if not note.title:
            faults.append(f"{note.source}: no line `Title: …`")
        if not note.topics:
            faults.append(f"{note.source}: no line `Topics: a, b`")
        if not note.facts:
            faults.append(f"{note.source}: no fact (`- …`)")
    return faults


def normalise() -> list[str]:
    """Check that all notes of the analyses are there, fact for fact. The schema checks their form."""
    (source,) = notes.words("docs")
    analysis = notes.from_markdown(Path(source).read_text(encoding="utf-8"))
    wanted = Counter({note.document: 0 for note in analysis})
    for note in analysis:
        wanted[note.document] += len(note.facts)
    written = json.loads(notes.output().read_text(encoding="utf-8"))["documents"]
    found = Counter({one["document"]: 0 for one in written})
    for one in written:
        found[one["document"]] += len(one["facts"])
    faults = [f"{name} is missing" for name in wanted if name not in found]
    faults += [f"{name} is in no analysis of this task" for name in found if name not in wanted]
    faults += [
        f"{name}: {found[name]} facts, the analysis has {count}"
        for name, count in wanted.items()
        if name in found and found[name] != count
    ]
    return faults


def cluster() -> list[str]:
    """Check that each document is in exactly one cluster, and no cluster is too large."""
    rows = notes.clusters(notes.output())
    wanted = {note.source for note in notes.every_note()}
    times = Counter(name for row in rows for name in shlex.split(row["documents"]))
    faults = [f"{name} is in no cluster" for name in sorted(wanted - times.keys())]
    faults += [f"{name} is not a document" for name in sorted(times.keys() - wanted)]
    faults += [f"{name} is in {count} clusters" for name, count in sorted(times.items()) if count > 1]
    faults += [
        f"{row['id']} has {size} documents; at most {LARGEST_CLUSTER} are allowed"
        for row in rows
        if (size := len(shlex.split(row["documents"]))) > LARGEST_CLUSTER
    ]
    return faults


def digest() -> list[str]:
    """Check that the digest cites all documents of its cluster, and no other."""
    return _cites(set(notes.words("documents")))


def write() -> list[str]:
    """Check that the section has a title, and cites all documents of its cluster, and no other."""
    text = notes.output().read_text(encoding="utf-8")
    faults = [] if text.startswith("## ") else ["the first line is not a heading `## …`"]
    return faults + _cites(set(notes.words("documents")))


def merge() -> list[str]:
    """Check that each section of the merged outlines is there exactly once, and no other."""
    wanted = [task for path in notes.words("docs") for task in _outlined(path)]
    found = [task for _, task in notes.headings(notes.output().read_text(encoding="utf-8"))]
    faults = [f"{task} has no section `## Title {{#{task}}}`" for task in wanted if task not in found]
    faults += [f"{task} does not belong into this merge" for task in found if task not in wanted]
    return faults + [f"{task} appears twice" for task, count in Counter(found).items() if count > 1]


def assemble() -> list[str]:
    """Check that the document contains each section unchanged, and cites each document."""
    text = notes.output().read_text(encoding="utf-8")
    faults = [
        f"{path} is missing, or was changed"
        for path in notes.words("docs")
        if Path(path).read_text(encoding="utf-8").strip() not in text
    ]
    known = {note.source for note in notes.every_note()}
    return faults + [f"[{name}] is never cited" for name in sorted(known - notes.cited(text))]


def _cites(wanted: set[str]) -> list[str]:
    known = {note.source for note in notes.every_note()}
    found = notes.cited(notes.output().read_text(encoding="utf-8")) & known
    faults = [f"[{name}] is not cited" for name in sorted(wanted - found)]
    return faults + [f"[{name}] belongs to another cluster" for name in sorted(found - wanted)]


def _outlined(path: str) -> list[str]:
    """Return the ids of the digests in an outline; for a digest, only its own id."""
    return [task for _, task in notes.headings(Path(path).read_text(encoding="utf-8"))] or [Path(path).stem]


PHASES = {
    "analyse": analyse, "normalise": normalise, "cluster": cluster, "digest": digest, "merge": merge, "write": write,
    "assemble": assemble,
}  # fmt: skip


def main() -> int:
    """Print what is wrong with the output of this task; return the exit code."""
    faults = PHASES[sys.argv[1]]()
    for fault in faults:
        print(f"{notes.output()}: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
