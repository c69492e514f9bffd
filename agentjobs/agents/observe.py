"""Follow a running agent's lines as they arrive: how full is its window, is it stuck? Pure.

``observe`` takes the previous state and the new lines; no bytes make it raise. The state stays small whatever the agent
prints, so that it can be kept in a file from one poll to the next.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.agents.classify import event_words
from agentjobs.agents.last_events import doubtful, works_on
from agentjobs.agents.trouble_words import failure_words, trouble
from agentjobs.agents.usage import Meter, amount, measured_by, metered
from agentjobs.model.outcomes import Outcome
from agentjobs.text.excerpt import clean_lines
from agentjobs.text.json_lines import every, lookup, matches, read_events, scalar_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.agents.usage import Measured
    from agentjobs.policy.agent_output import Context, Session, Usage, Watch
    from agentjobs.policy.agent_output import Event as Wanted
    from agentjobs.policy.agents import Agent
    from agentjobs.text.json_lines import Event

KEYS: Final = 64
"""Most ids that are remembered of lines that count once per id: a later line with the same id replaces the earlier."""

WORDS: Final = 200
"""Characters of an error that are kept for people."""

DEEPEST: Final = 6
"""Levels of a line that are compared with those of another."""

EVENTS: Final = 20_000
"""Most events read from the new lines, the newest ones: one line may be an array of a million."""

_VOLATILE = re.compile(r"[\w./:+-]*\d[\w./:+-]*")
"""Words with a digit: counts, delays, ids, instants, addresses."""

_TELLING = re.compile(r"status|code", re.IGNORECASE)
"""Names of numbers that distinguish errors."""


class Seen(Struct, frozen=True, omit_defaults=True):
    """What the lines of one source (the output of a step, or a transcript) have shown so far."""

    used: int = 0
    """Tokens in the window."""
    window: int = 0
    """Size of the window in tokens, if reported."""
    mark: str = ""
    """Likeness of the last error; empty if something came after it."""
    errors: int = 0
    """How many like it came in a row."""
    error: str = ""
    """Its message."""
    requests: int = 0
    """Answers of the model since the tree last changed; the caller sets it to 0 when the tree changes."""
    answer: str = ""
    """The id of the last answer."""
    final: bool = False
    """The final event of success has come, and no sign of work after it."""
    session: str = ""
    """The conversation's id, if the agent reports it."""
    trouble: str = ""
    """The trouble (a class) because of which it retries, with no answer since."""
    troubles: int = 0
    """How often it reported that in a row."""
    told: str = ""
    """Its words; the first line is the message."""
    meter: Meter = Meter()


class Sight(Struct, frozen=True):
    """What to look for in one source."""

    context: Context | None = None
    watch: Watch | None = None
    usage: Usage | None = None
    session: Session | None = None
    final: tuple[Wanted, ...] = ()
    known: tuple[tuple[Outcome, str], ...] = ()
    """Texts of rules for such trouble, each with its class."""

    def __bool__(self) -> bool:
        watch = self.watch
        return bool(self.context or self.usage or (watch and (watch.error or watch.request or watch.retry)))


def sights(agent: Agent) -> tuple[Sight, Sight]:
    """Return what to look for in an agent's output, and in its transcript."""
    context, where = agent.context, agent.transcript
    inside = context is not None and context.source == "transcript"
    final = tuple(rule.event for rule in agent.rules if rule.class_ is Outcome.OK and rule.event is not None)
    known = tuple((rule.class_, rule.text) for rule in agent.rules if rule.text and rule.class_.rules.retries_max)
    output = Sight(None if inside else context, agent.watch, agent.usage, agent.session, final, known)
    if where is None or not where.files:
        return output, Sight()
    return output, Sight(context if inside else None, usage=agent.transcript_usage)


def observe(seen: Seen, lines: bytes, sight: Sight) -> Seen:
    """Return the state after the lines that follow those in ``seen``."""
    meter = seen.meter
    seen = replace(seen, meter=replace(meter, recent=dict(meter.recent)))  # a copy that may be changed in place
    for event in reversed(list(islice(read_events(lines), EVENTS))):
        seen = _one(seen, event, sight)
    return _retried(seen, lines, sight) if sight.watch is not None and sight.watch.retry else seen


def measured(seen: Seen, where: Usage | None, *, conversation: bool = False) -> Measured | None:
    """Return the usage so far as ``usage.measure`` would; ``conversation``: the source is a transcript."""
    return measured_by(seen.meter, where, conversation=conversation)


def likeness(fields: Mapping[str, object]) -> str:
    """Return a short hash of the words of an error, without the parts that vary: equal for errors that are alike."""
    words = "\n".join(_words(fields, "", DEEPEST))
    return blake2b(words.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _one(seen: Seen, event: Event, sight: Sight) -> Seen:
    fields, watch = event.fields, sight.watch
    if watch is not None and watch.error is not None and matches(fields, watch.error):
        mark = likeness(fields)
        words = " ".join(event_words(event).split())[:WORDS]
        seen = replace(seen, mark=mark, error=words, errors=seen.errors + 1 if mark == seen.mark else 1)
        told = failure_words(fields)
        outcome = trouble(told)
        if outcome is not None and outcome.rules.seen_in_events:
            seen = _troubled(seen, outcome, told)
    elif seen.mark:
        seen = replace(seen, mark="", error="", errors=0)
    if watch is not None and watch.request is not None and matches(fields, watch.request):
        if seen.trouble:
            seen = replace(seen, trouble="", troubles=0, told="")
        answer = (scalar_text(lookup(fields, watch.key)) or "") if watch.key else ""
        if not answer or answer != seen.answer:
            seen = replace(seen, requests=seen.requests + 1, answer=answer, final=False)
    if any(matches(fields, wanted) for wanted in sight.final):
        seen = replace(seen, final=True)
    elif seen.final and watch is not None and (works_on(fields, watch) or doubtful(fields, watch)):
        seen = replace(seen, final=False)
    if sight.context is not None and matches(fields, sight.context.event):
        seen = _filled(seen, fields, sight.context)
    if sight.usage is not None and (meter := metered(seen.meter, fields, sight.usage, most=KEYS)) is not seen.meter:
        seen = replace(seen, meter=meter)
    if sight.session is not None and not seen.session and matches(fields, sight.session.event):
        seen = replace(seen, session=scalar_text(lookup(fields, sight.session.id)) or "")
    return seen


def _retried(seen: Seen, lines: bytes, sight: Sight) -> Seen:
    """Take in plain lines in which the program reports a retry and its reason: those since the last answer."""
    assert sight.watch is not None
    assert sight.watch.retry is not None
    found: list[tuple[Outcome, str]] = []
    answered = False
    for line in reversed(clean_lines(lines)):
        if line[:1] in ("{", "["):
            wanted = sight.watch.request
            answered = wanted is not None and any(matches(e.fields, wanted) for e in read_events(line.encode()))
            if answered:
                break
        elif re.search(sight.watch.retry, line):
            by_rule = (outcome for outcome, text in sight.known if re.search(text, line, re.MULTILINE))
            outcome = next(by_rule, None) or trouble(line)
            if outcome is not None and outcome.rules.retries_max:
                found.append((outcome, line))
    for outcome, line in reversed(found):
        seen = _troubled(seen, outcome, line)
    return seen


def _troubled(seen: Seen, outcome: Outcome, words: str) -> Seen:
    again = seen.troubles + 1 if seen.trouble == outcome.value else 1
    told = "\n".join(" ".join(line.split()) for line in words.split("\n"))
    return replace(seen, trouble=outcome.value, troubles=again, told=told[: 4 * WORDS])


def _filled(seen: Seen, fields: Mapping[str, object], where: Context) -> Seen:
    """Take the newest figures; an event without any (a message of the program itself) leaves the older ones."""
    used = int(sum(amount(value) for path in where.used for value in every(fields, path)))
    window = int(amount(lookup(fields, where.window))) if where.window else 0
    return replace(seen, used=used or seen.used, window=window or seen.window)


def _words(value: object, name: str, depth: int) -> Iterator[str]:
    """Yield the texts of a line, and the numbers that distinguish errors."""
    if isinstance(value, str):
        yield f"{name}={_VOLATILE.sub('#', value[:4000])}"
    elif isinstance(value, bool) or (isinstance(value, int | float) and _TELLING.search(name)):
        yield f"{name}={value}"
    elif depth and isinstance(value, dict):
        for key in sorted(value):
            yield from _words(value[key], str(key), depth - 1)
    elif depth and isinstance(value, list):
        for item in value:
            yield from _words(item, name, depth - 1)
