"""How large the prompt of a task is, what of it comes from where, and what to do where it does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.policy.policy import window_of
from agentjobs.prompts import briefing
from agentjobs.prompts.context import MEMORIES, room_of
from agentjobs.prompts.handoffs import handoffs
from agentjobs.source.tree import DiskTree, commit_tree
from agentjobs.tokens.count import count, fits
from agentjobs.tokens.fit import Scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.model.tasks import Row
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project
    from agentjobs.prompts.context import Room
    from agentjobs.prompts.sections import LeftOut
    from agentjobs.source.tree import SourceTree

MEMORY_MAX: Final = 500
"""Tokens of a project's AGENTS.md or CLAUDE.md above which ``check`` warns."""

LARGEST: Final = 3
"""So many of the columns that fill a prompt are named."""

FEW: Final = 100
"""Tokens of a cell that is not worth naming."""


class Part(Struct, frozen=True):
    """One section of a prompt."""

    name: str
    tokens: int
    """What it adds to the prompt; 0 where the template does not print it."""
    budget: int | None
    left_out: LeftOut


class Explained(Struct, frozen=True):
    """What a prompt is made of; tokens are those that the profile's agent counts."""

    id: str
    attempt: int
    """The attempt that it is of: the first, as ``prompt ID`` prints it."""
    made: int
    """Attempts that the task has had."""
    profile: str
    agent: str
    factor: float
    sections: tuple[Part, ...]
    rest: int
    """All that is in none of the sections."""
    total: int
    limit: int
    window: int
    fit: float
    overhead: int


def explain(project: Project, row: Row, profile: Profile, base: str) -> Explained:
    """Return what the prompt of a first attempt is made of."""
    composed = briefing.composed(project, row, profile, base)
    room = room_of(project, profile)
    found = []
    for section in composed.sections.values():
        times = composed.text.count(section.text) if section.text else 0
        left = section.left_out
        if section.text and not times:
            left = ((f"all of it, {section.tokens:,} tokens", f"{profile.prompt} does not print it"), *left)
        found.append(Part(section.name, times * section.tokens, section.budget, left))
    total = room.tokens(composed.text)
    return Explained(
        id=row.id,
        attempt=1,
        made=len(project.store.numbers(row.id)),
        profile=row.profile or "default",
        agent=profile.agent,
        factor=room.scale.factor,
        sections=tuple(found),
        rest=total - sum(part.tokens for part in found),
        total=total,
        limit=room.limit,
        window=window_of(project.policy, profile),
        fit=profile.fit,
        overhead=room.scale.overhead,
    )


def refused(project: Project, row: Row, profile: Profile, least: str, base: str) -> str:
    """Say that a prompt does not fit even with its context cut back (``least``), and how to split it; or nothing."""
    room = room_of(project, profile)
    if room.over(least) <= 0:
        return ""
    size, own = f"{room.tokens(least):,} tokens", ""
    if room.scale != Scale():
        size += f" as {profile.agent} counts them"
    if room.scale.overhead:
        own = f", without the {room.scale.overhead:,} of the agent's own"
    message = f"the prompt of {row.id} has {size}; {room.limit:,} fit (fit × window of its profile{own})"
    return f"{message}; {_parts(project, row, profile, base, room)}; {_how_to_split(row, profile, room)}"


def _parts(project: Project, row: Row, profile: Profile, base: str, room: Room) -> str:
    """Name what fills a prompt: sections, what was handed over, the largest cells."""
    sections = briefing.composed(project, row, profile, base, least=True).sections
    parts = {f"section {name}": section.tokens for name, section in sections.items()}
    for handoff in handoffs(project, row) if profile.context is None else ():
        parts["handoffs"] = parts.get("handoffs", 0) + room.tokens(str(handoff.get("text", "")))
    cells = {f"column {name!r}": room.tokens(cell) for name, cell in row.cells.items() if len(cell) > FEW}
    known = [(name, tokens) for name, tokens in {**parts, **cells}.items() if tokens >= FEW]
    largest = sorted(known, key=lambda item: (-item[1], item[0]))
    if not largest:
        return f"it is {profile.prompt} itself that is so long"
    return "in it " + ", ".join(f"{name} {tokens:,}" for name, tokens in largest[:LARGEST])


def _how_to_split(row: Row, profile: Profile, room: Room) -> str:
    """Say which command makes smaller tasks of one that is too large."""
    half = max(1, room.scale.budget(room.limit) // 2)
    if row.cells.get("docs", "").strip():
        return (
            f"spread the documents over more tasks: `agentjobs plan pack DOCS --budget {half}`, with --split where one "
            "is too large by itself"
        )
    if len(row.files) > 1 or any(entry.endswith("/") or "*" in entry for entry in row.files):
        return f"spread the files over more tasks: `agentjobs plan files --max-tokens {half}`"
    if row.after and profile.context is None:
        return f"bound what tasks hand over: handoffs_tokens of [profiles.{row.profile or 'default'}.context]"
    return f"shorten {profile.prompt} or the cells that it prints, or make several rows of this one"


def long_memory(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the files with what every agent reads for every task that are too long for that, and a warning."""
    tree: SourceTree
    if project.uses_trees:
        try:
            tree = commit_tree(project.root, project.tip())
        except UserError:  # no repository, no commit: said elsewhere
            return
    else:
        tree = DiskTree(project.root)
    contents = tree.read(MEMORIES)
    seen: set[bytes] = set()
    for path in MEMORIES:
        data = contents.get(path, b"")
        text = data.decode("utf-8", "replace")
        if data in seen or fits(text, MEMORY_MAX):
            continue
        seen.add(data)
        yield path, (
            f"{count(text):,} tokens that every agent pays for in every task; keep what all tasks need, "
            f"within {MEMORY_MAX}"
        )
