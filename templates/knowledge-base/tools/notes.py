"""Read and write the files of this job: notes on documents, clusters of documents, outlines."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Note:
    """The notes on one document, or on one part of it (`path:FIRST-LAST`, lines)."""

    source: str
    title: str = ""
    topics: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def document(self) -> str:
        """The path of the document."""
        return re.sub(r":\d+-\d+$", "", self.source)


def words(cell: str) -> list[str]:
    """Return the shell words in a cell of this task (`AGENTJOBS_ROW_DOCS` for the cell `docs`)."""
    return shlex.split(os.environ.get(f"AGENTJOBS_ROW_{cell.upper()}", ""))


def output() -> Path:
    """Return the path of the file that this task writes."""
    return Path(os.environ["AGENTJOBS_ROW_OUTPUT"])


def read(source: str) -> str:
    """Return the text of a document, or of a part of it."""
    part = re.fullmatch(r"(.*):(\d+)-(\d+)", source)
    if part is None:
        return Path(source).read_text(encoding="utf-8", errors="replace")
    lines = Path(part[1]).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return "".join(lines[int(part[2]) - 1 : int(part[3])])


def as_markdown(notes: list[Note]) -> str:
    """Write notes as an analysis."""
    texts = []
    for note in notes:
        facts = "\n".join(f"- {fact}" for fact in note.facts)
        texts.append(f"## {note.source}\n\nTitle: {note.title}\n\nTopics: {', '.join(note.topics)}\n\n{facts}\n")
    return "\n".join(texts)


def from_markdown(text: str) -> list[Note]:
    """Read an analysis. Text before the first `## ` heading is not part of it."""
    notes: list[Note] = []
    for line in text.splitlines():
        if line.startswith("## "):
            notes.append(Note(line[3:].strip().strip("`")))
        elif notes and line.startswith("Title:"):
            notes[-1].title = line[6:].strip()
        elif notes and line.startswith("Topics:"):
            notes[-1].topics = [topic.strip().lower() for topic in line[7:].split(",") if topic.strip()]
        elif notes and line.startswith(("- ", "* ")):
            notes[-1].facts.append(line[2:].strip())
    return notes


def normalised(paths: list[str]) -> list[Note]:
    """Return the notes of normalised files, by document; the parts of a document are joined."""
    found: dict[str, Note] = {}
    for path in paths:
        for one in json.loads(Path(path).read_text(encoding="utf-8"))["documents"]:
            note = found.setdefault(one["document"], Note(one["document"], one["title"]))
            note.topics += [topic for topic in one["topics"] if topic not in note.topics]
            note.facts += [fact for fact in one["facts"] if fact not in note.facts]
    return [found[name] for name in sorted(found)]


def every_note() -> list[Note]:
    """Return all notes that the phase `normalise` has written."""
    return normalised(sorted(map(str, Path("normalised").glob("*.json"))))


def clusters(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file of clusters."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def headings(text: str) -> list[tuple[str, str]]:
    """Return the sections of an outline as (title, id of the digest): `## Title {#id}`."""
    return re.findall(r"^## (.+?) \{#([A-Za-z0-9._-]+)\}$", text, re.MULTILINE)


def cited(text: str) -> set[str]:
    """Return the documents that a text cites: `[documents/a.md]`."""
    return set(re.findall(r"\[([^\[\]\n]+)\]", text))
