"""Compare a SKILL.md with the program: commands, options, files, and what every SKILL.md must contain."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tests.command_reference import commands
from tests.kit.harness import LOOP

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

LINES_MAX = 120
DESCRIPTION_MAX = 1024
TOLD = ("check", "dispatch", "show", "status", "retry")
"""What every skill makes use of."""


def front_matter(text: str) -> dict[str, str]:
    """Return the keys above a skill's text."""
    assert text.startswith("---\n")
    above = text.split("---\n")[1].replace(">-\n", "").replace("\n  ", " ")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in above.splitlines())}


def code(text: str) -> Iterator[str]:
    """Yield the code: lines of blocks, and texts between single backticks."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from (line.strip() for line in block.splitlines())
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose)


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words of each call of agentjobs."""
    for line in code(text):
        for found in re.finditer(r"(?:^|[|;&(] *|do )agentjobs (?=[a-z-])([^|;&)]*)", " ".join(line.split())):
            yield shlex.split(found[1])


def faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with a skill."""
    text = path.read_text(encoding="utf-8")
    known = dict(commands())
    if len(text.splitlines()) >= LINES_MAX:
        yield f"{len(text.splitlines())} lines"
    seen = []
    for words in calls(text):
        seen.append(" ".join(words))
        yield from misused(words, known)
    if not seen:
        yield "no command"
    yield from (f"nothing of `agentjobs {one}`" for one in TOLD if not any(call.startswith(one) for call in seen))
    if not any(call.startswith(("dispatch --only", "dispatch --phase")) for call in seen):
        yield "no pilot"
    if LOOP.strip() not in text:
        yield "the loop is not there"
    for number in (2, 3):
        if not re.search(rf"(?s)\b[Ee]xit (codes of `poll`:.*\b)?{number}\b", text):
            yield f"exit code {number} is missing"
    never = text.partition("\n## Never\n")[2]
    if ".agentjobs/" not in never or "an agent's word for" not in never:
        yield "the section Never is incomplete"
    for named in code(text):
        if re.fullmatch(r"(tools|prompts)/[\w./-]+|[\w-]+\.(toml|tsv|j2|json)", named):
            made = named in {"report.md", "found.txt", "package.json", "findings.json"}
            if not made and not (path.parent / named).exists():
                yield f"there is no {named}"


def misused(words: list[str], known: dict[str, click.Command]) -> Iterator[str]:
    """Yield what a call says that its command does not know."""
    name = f"agentjobs {words[0]}"
    if name not in known:
        yield f"no command {words[0]}"
        return
    rest = words[1:]
    if rest and f"{name} {rest[0]}" in known:
        name, rest = f"{name} {rest[0]}", rest[1:]
    options = {flag for parameter in known[name].params for flag in (*parameter.opts, *parameter.secondary_opts)}
    yield from (f"{name} has no option {word}" for word in rest if word.startswith("-") and word not in options)
