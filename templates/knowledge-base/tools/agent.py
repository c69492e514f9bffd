"""A stand-in for an agent that needs no model: it does each phase of this job by counting words.

Its texts are dull but true, and pass the checks of a real agent. The same documents give the same texts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections import Counter, defaultdict
from pathlib import Path

import notes
from notes import Note

TOPICS, FACTS = 5, 8
SMALLEST, LARGEST = 3, 12
"""How many documents a cluster may have."""

COMMON = frozenset(
    """
    about above across after again against all also always among and another any are because been before being below
    between both but can cannot case cases could current default defaults different does done down during each either
    else even every example examples first following for from full further get given gives goes had has have having here
    how however if into its itself just kind know last later least less like line list look made make makes many may
    means might more most much must name names need needs never new next none not note notes now number of often old
    once one only onto option options other others our out over own page part please point possible provide provided
    provides rather read required same second section see set several shall should show shows simple since single
    some such take than that the their them then there these they thing things this those three through time to too
    two type under until up upon use used useful user users uses using value values version versions very want was way
    well were what when where whether which while who whole why will with within without work works would yet you your
    class code data file files function method object page python text true false none self return django
    """.split()  # noqa: SIM905 - a list of 300 literals is not easier to read
)


def sentences(text: str) -> list[str]:
    """Return the first sentence of each paragraph of prose, not of headings, lists, tables and code."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        marked = re.match(r"\s|[.#|>=*+\-~^:`<\[{\d]", paragraph)
        if marked or re.search(r"^[=\-~^#*]{3,}\s*$", paragraph, re.MULTILINE):
            continue
        plain = " ".join(plainly(paragraph).split())
        sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", plain)[0].rstrip(":")
        if 30 <= len(sentence) <= 400 and sentence not in found:
            found.append(sentence)
    return found


def plainly(text: str) -> str:
    """Remove markup from a text, and brackets, because they mark citations."""
    text = re.sub(r":[\w:]+:`~?\.?([^`<]*?)\s*(<[^`]*>)?`", r"\1", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`([^`<]*?)\s*<[^`]*>`_*", r"\1", text)
    return re.sub(r"[`*\[\]|]|__?\b", "", text)


def title_of(text: str, otherwise: str) -> str:
    """Return the first heading: marked by `#`, or underlined."""
    lines = text.splitlines()
    for line, under in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("# "):
            return plainly(line[2:]).strip()
        if line.strip() and re.fullmatch(r"([=\-~^#*])\1{2,}", under.strip()) and not line.startswith(("=", "-", "*")):
            return plainly(line).strip()
    return otherwise


def topics_of(text: str, title: str) -> list[str]:
    """Return the topics of a document: its most frequent words; words of its title count more."""
    counts = Counter(re.findall(r"[a-z]{4,}", plainly(text).lower()))
    for word in re.findall(r"[a-z]{4,}", title.lower()):
        counts[word] += 20
    for word in [word for word in counts if word.endswith("s") and word[:-1] in counts]:
        counts[word[:-1]] += counts.pop(word)  # one word for the singular and the plural
    ranked = sorted((-count, word) for word, count in counts.items() if word not in COMMON)
    return [word for _, word in ranked[:TOPICS]] or ["miscellaneous"]


def analyse(source: str) -> Note:
    """Take notes on one document."""
    text = notes.read(source)
    title = title_of(text, Path(source).stem)
    found, topics = sentences(text), topics_of(text, title)
    scores = {fact: sum(topic in fact.lower() for topic in topics) for fact in found}
    best = sorted(found, key=lambda fact: (-scores[fact], found.index(fact)))[:FACTS]
    facts = [fact for fact in found if fact in best] or [f"It has {len(text.split())} words on {topics[0]}."]
    return Note(source, title, topics, facts)


def cluster(found: list[Note]) -> list[dict[str, str]]:
    """Group documents that share a topic, starting with the most common topic; no group is too small or too large."""
    left = {note.source: note for note in found}
    rows: list[dict[str, str]] = []
    while left:
        members = defaultdict(list)
        for note in left.values():
            for topic in note.topics:
                members[topic].append(note.source)
        size, topic = max(((min(len(one), LARGEST), name) for name, one in members.items()), default=(0, ""))
        if size < SMALLEST:
            break
        chosen = members[topic][:LARGEST]
        rows.append(row(topic, chosen, rows))
        for source in chosen:
            del left[source]
    rest = list(left)
    for at in range(0, len(rest), LARGEST):
        rows.append(row("other subjects", rest[at : at + LARGEST], rows))
    return rows


def row(topic: str, documents: list[str], before: list[dict[str, str]]) -> dict[str, str]:
    """Return a cluster as a task of the next phase."""
    name = topic.replace(" ", "-")
    times = sum(re.fullmatch(rf"digest-{re.escape(name)}(-\d+)?", one["id"]) is not None for one in before)
    more = f"-{times + 1}" if times else ""
    title = topic.capitalize() + (f" ({times + 1})" if times else "")
    return {"id": f"digest-{name}{more}", "title": title, "documents": shlex.join(documents)}


def digest(title: str, documents: list[str]) -> str:
    """Write what is known about a cluster, each fact with its source."""
    chosen = [note for note in notes.every_note() if note.source in documents]
    parts = [f"# {title}\n"]
    for note in chosen:
        facts = "\n".join(f"- {fact} [{note.source}]" for fact in note.facts)
        parts.append(f"## {note.title}\n\n{facts}\n")
    return "\n".join(parts)


def merge(paths: list[str]) -> str:
    """Merge digests and outlines into one outline, in the order they came in."""
    found = []
    for path in paths:
        text = Path(path).read_text(encoding="utf-8")
        if notes.headings(text):
            found += re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
            continue
        first = next((line[2:] for line in text.splitlines() if line.startswith("- ")), "")
        title = text.partition("\n")[0].removeprefix("# ")
        found.append(f"## {title} {{#{Path(path).stem}}}\n\n{first}\n")
    return "# Outline\n\n" + "\n".join(one.strip() + "\n" for one in found)


def write(title: str, source: str) -> str:
    """Turn a digest into a section."""
    lines = Path(source).read_text(encoding="utf-8").splitlines()[1:]
    text = "\n".join(f"#{line}" if line.startswith("## ") else line for line in lines).strip()
    return f"## {title}\n\n{text}\n"


def assemble(paths: list[str]) -> str:
    """Put the sections under one title, with a table of contents."""
    texts = [Path(path).read_text(encoding="utf-8").strip() for path in paths]
    contents = "\n".join(f"{number}. {text.partition(chr(10))[0][3:]}" for number, text in enumerate(texts, 1))
    return f"# Knowledge base\n\n{contents}\n\n" + "\n\n".join(texts) + "\n"


def work(phase: str) -> str:
    """Return the text of the task's output file."""
    docs = notes.words("docs")
    if phase == "analyse":
        return notes.as_markdown([analyse(source) for source in docs])
    if phase == "normalise":
        found = notes.from_markdown(Path(docs[0]).read_text(encoding="utf-8"))
        documents: dict[str, dict[str, object]] = {}
        for note in found:
            one = documents.setdefault(
                note.document, {"document": note.document, "title": note.title, "topics": [], "facts": []}
            )
            one["topics"] = list(dict.fromkeys([*one["topics"], *note.topics]))  # type: ignore[misc]
            one["facts"] = [*one["facts"], *note.facts]  # type: ignore[misc]
        return json.dumps({"documents": list(documents.values())}, indent=1, ensure_ascii=False) + "\n"
    if phase == "cluster":
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in cluster(notes.normalised(docs)))
    title = os.environ.get("AGENTJOBS_ROW_TITLE", "")
    if phase == "digest":
        return digest(title, notes.words("documents"))
    if phase == "merge":
        return merge(docs)
    return write(title, docs[0]) if phase == "write" else assemble(docs)


def main() -> None:
    """Do the task that the environment names."""
    sys.stdin.read()  # a real agent reads its prompt; this one does not need it
    text = work(os.environ["AGENTJOBS_ROW_PROFILE"])
    notes.output().parent.mkdir(parents=True, exist_ok=True)
    notes.output().write_text(text, encoding="utf-8")
    print(f"wrote {notes.output()}")


if __name__ == "__main__":
    main()
