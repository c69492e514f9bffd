"""Decide from the newest events of an agent whether it has finished, and successfully. Pure.

A final event of success (an ``ok`` rule) counts unless something newer contradicts it: another answer of the model, any
error, another final event without success, or a line in ``[watch] goes_on``. Several events of success in one run are
not a contradiction; the newest decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.agents.trouble_words import is_failure
from agentjobs.model.outcomes import Outcome
from agentjobs.text.json_lines import REGEX_PREFIX, Event, lookup, matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agentjobs.policy.agent_output import Rule, Watch

UNNAMED: Final = "a task"
"""Name of a background task that the agent does not describe."""

_PLAIN: Final = re.compile(r"[\w.-]+", re.ASCII)
"""Text that every program writes in the same way into JSON."""


class LastWord(Struct, frozen=True):
    """Result of reading the newest events."""

    final: Event | None = None
    """The final event of success, if no newer event contradicts it."""
    against: bool = False
    """No such event came, and the newest that counts shows work or a failure."""
    doubt: bool = False
    """After the final event came a retry, or news of work in the background: only exit 0 proves that it is over."""


def last_word(events: Iterable[Event], rules: Sequence[Rule], watch: Watch | None, code: int | None) -> LastWord:
    """Read events, newest first, until they decide. ``code``: the exit code, if the agent exited by itself."""
    doubt = False
    own = [rule for rule in rules if rule.event is not None and (rule.code is None or rule.code == code)]
    finals = {(rule.event or {}).get("type") for rule in own if rule.class_ is Outcome.OK} - {None}
    if not any(rule.class_ is Outcome.OK for rule in own):
        return LastWord()
    for event in events:
        rule = next((rule for rule in own if matches(event.fields, rule.event or {})), None)
        if rule is not None and rule.class_ is Outcome.OK:
            return LastWord(event, doubt=doubt)
        if rule is not None or (watch is not None and works_on(event.fields, watch)):
            return LastWord(against=True)
        may_go_on = watch is not None and doubtful(event.fields, watch)
        if not may_go_on and (event.fields.get("type") in finals or is_failure(event.fields)):
            return LastWord(against=True)
        doubt = doubt or may_go_on
    return LastWord()


def works_on(fields: Mapping[str, object], watch: Watch) -> bool:
    """Return whether an event shows that the agent has not ended with the final event before it."""
    return any(matches(fields, wanted) for wanted in (watch.request, *watch.goes_on) if wanted is not None)


def doubtful(fields: Mapping[str, object], watch: Watch) -> bool:
    """Return whether an event may be the beginning of more work: a retry, or a change of the background work."""
    return any(matches(fields, wanted) for wanted in (watch.error, watch.background) if wanted is not None)


def in_background(events: Iterable[Event], watch: Watch | None) -> tuple[str, ...]:
    """Return what runs in the background according to the newest event that lists it; events come newest first."""
    if watch is None or watch.background is None or watch.tasks is None:
        return ()
    for event in events:
        if matches(event.fields, watch.background):
            return tasks_in(event.fields, watch.tasks)
    return ()


def tasks_in(fields: Mapping[str, object], path: str) -> tuple[str, ...]:
    """Return the descriptions of the tasks that an event lists."""
    found = lookup(fields, path)
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list):
        return (UNNAMED,) if found else ()
    words = (lookup(task, "description") if isinstance(task, dict) else task for task in found)
    return tuple(word if isinstance(word, str) and word else UNNAMED for word in words)


def filter_for(wanted: Iterable[Mapping[str, object]]) -> Callable[[bytes], bool] | None:
    """Return a quick test whether a line can contain one of these events; None if any line can."""
    needed = [_needles(one) for one in wanted]
    if not needed or not all(needed):
        return None
    # Each needle has a quote. Most lines of noise have none, and there may be half a million of them.
    return lambda line: b'"' in line and any(all(needle in line for needle in needles) for needles in needed)


def _needles(wanted: Mapping[str, object]) -> list[bytes]:
    """Return texts that every line with such an event contains."""
    found = []
    for path, value in wanted.items():
        if not isinstance(value, str):
            continue
        if not value.startswith(REGEX_PREFIX):
            if _PLAIN.fullmatch(value):
                found.append(b'"%s"' % value.encode())
            continue
        name = path.partition(".")[0]  # an expression that matches the empty text also matches a missing value
        if _PLAIN.fullmatch(name) and not re.search(value[len(REGEX_PREFIX) :], ""):
            found.append(b'"%s"' % name.encode())
    return found
