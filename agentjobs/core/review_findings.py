"""What verdicts come to: severities, the pass rule, findings that are raised again and again. Pure.

A verdict passes when none of its findings blocks; the reviewer's own word for it is not asked.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from agentjobs.policy.severities import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agentjobs.model.facts import Attempt, Result
    from agentjobs.model.reviews import Finding, ReviewEnd

REPEATS_MAX: Final = 2
"""A finding that was raised so often before, was answered, and whose file nobody has touched since, blocks no more."""

ERRORS_MAX: Final = 6000
"""Most characters of errors and findings that the next attempt gets."""


class Standing(Enum):
    """How the reviews of an attempt stand."""

    OPEN = "open"
    """A reviewer is still to be asked."""
    PASSED = "passed"
    REJECTED = "rejected"
    ABSENT = "absent"
    """Too few verdicts were to be had to say so either way."""


# --- one verdict ------------------------------------------------------------------------------------------


def blocking(findings: Iterable[Finding], blocks: str) -> tuple[Finding, ...]:
    """Return those at or above the severity that blocks, but the disputed ones."""
    least = SEVERITIES.index(blocks)
    return tuple(f for f in findings if not f.disputed and SEVERITIES.index(f.severity) >= least)


def weighed(findings: Iterable[Finding], earlier: Sequence[ReviewEnd]) -> tuple[Finding, ...]:
    """Return the findings of a verdict, marked where they are disputed.

    ``earlier``: the verdicts of the same reviewer in this round, oldest first. What was raised in two of them, was
    answered by a change of its file, and is raised again while that is as it was the last time, is a difference of
    opinion. A task that never changed the file has not answered, and does not get past a reviewer by waiting.
    """
    found = []
    for finding in findings:
        before = [same for end in earlier if (same := _same(finding, end.findings)) is not None]
        answered = any(one.blob != finding.blob for one in before)
        disputed = len(before) >= REPEATS_MAX and answered and before[-1].blob == finding.blob
        found.append(replace(finding, disputed=disputed))
    return tuple(found)


def _same(finding: Finding, others: Iterable[Finding]) -> Finding | None:
    return next((other for other in others if alike(finding, other)), None)


def alike(one: Finding, other: Finding) -> bool:
    """Whether two findings say the same: of one file, with the same trigger or title in other numbers and signs."""
    if one.file != other.file:
        return False
    trigger, title = _words(one.trigger), _words(one.title)
    return trigger == _words(other.trigger) or (bool(title) and title == _words(other.title))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", text.casefold()))


# --- all of them ------------------------------------------------------------------------------------------


def needed(rule: str, reviewers: int) -> int:
    """Return how many verdicts must pass."""
    return {"all": reviewers, "any": 1}.get(rule, reviewers // 2 + 1)


def combined(rule: str, reviewers: int, passed: int, rejected: int, absent: int) -> Standing:
    """Return the state of a review: how many reviewers passed, rejected and were absent.

    A pass can be certain early. A rejection waits for all reviewers, so that the next attempt gets every finding.
    """
    need = needed(rule, reviewers)
    if passed >= need:
        return Standing.PASSED
    if passed + rejected + absent < reviewers:
        return Standing.OPEN
    return Standing.REJECTED if passed + absent < need else Standing.ABSENT


# --- what the next attempt gets --------------------------------------------------------------------------


def verdicts(attempt: Attempt) -> Iterator[tuple[str, ReviewEnd]]:
    """Yield every verdict that an attempt was given, with the reviewer's name."""
    for step in attempt.steps:
        if step.review is not None and step.verdict is not None and step.verdict.valid:
            yield step.review.reviewer, step.verdict


def rejection(result: Result, attempt: Attempt) -> Result:
    """Return what ``result.json`` says of an attempt that its reviewers rejected."""
    blocks, given = attempt.intent.review_blocks, list(verdicts(attempt))
    held = [(name, finding) for name, end in given for finding in blocking(end.findings, blocks)]
    others = [(name, f) for name, end in given for f in end.findings if (name, f) not in held]
    names = ", ".join(dict.fromkeys(name for name, _ in held))
    first = held[0][1] if held else None
    what = f": {place(first)} ({first.severity}) {first.title or first.trigger}" if first else ""
    more = f" and {len(held) - 1} more" if len(held) > 1 else ""
    must = "This must be put right:" if len(held) == 1 else f"These {len(held)} things must be put right:"
    lines = [f"Reviewers looked at the change. {must}", ""]
    lines += [line for name, finding in held for line in _told(name, finding)]
    if others:
        lines += ["", "They also noted, without asking for it:", ""]
        lines += [f"- {place(f)} ({f.severity}, {name}) {_line(f.title or f.trigger)}" for name, f in others]
    keys = sorted({f"{finding.file} {_words(finding.trigger)}" for _, finding in held})
    return replace(
        result,
        tree="",  # leaving a file alone because the finding is wrong is not going in circles
        detail=_cut(f"by {names}{what}{more}", 240),
        signature=hashlib.blake2b("\n".join(keys).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
        errors=_cut("\n".join(lines), ERRORS_MAX, keep=True),
    )


def _told(name: str, finding: Finding) -> list[str]:
    head = f"- {place(finding)}: {finding.severity}, found by {name}"
    return [
        f"{head}: {_line(finding.title)}" if finding.title else head,
        f"  What triggers it: {_line(finding.trigger)}",
        f"  Impact: {_line(finding.impact)}",
    ]


def place(finding: Finding) -> str:
    """Return where a finding is, as ``file:line``."""
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def disputes(attempt: Attempt) -> str:
    """Return one line on the findings that were passed over because they are disputed; empty where none is."""
    found = [
        f"{place(finding)} ({finding.severity}, {name})"
        for name, end in verdicts(attempt)
        for finding in end.findings
        if finding.disputed and blocking([replace(finding, disputed=False)], attempt.intent.review_blocks)
    ]
    return f"disputed: {', '.join(found)}" if found else ""


def answered(attempts: Iterable[Attempt], now: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what reviewers found in earlier attempts, each once, and what became of it.

    ``now``: the id of each of these files' content that the reviewer will judge.
    """
    found: list[tuple[str, Finding]] = []
    for attempt in attempts:
        for name, end in verdicts(attempt):
            for finding in end.findings:
                found = [item for item in found if not (item[0] == name and alike(item[1], finding))]
                found.append((name, finding))
    return [
        {
            "file": finding.file,
            "line": str(finding.line or ""),
            "severity": finding.severity,
            "title": finding.title,
            "trigger": finding.trigger,
            "impact": finding.impact,
            "reviewer": name,
            "answer": "the file is as it was" if now.get(finding.file, "") == finding.blob else "the file was changed",
        }
        for name, finding in found
    ]


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int, *, keep: bool = False) -> str:
    line = text if keep else _line(text)
    return line if len(line) <= most else f"{line[:most]}{chr(10) if keep else ''}…"
