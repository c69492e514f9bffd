"""The output of an agent as rules see it. Pure; no output makes it raise."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.agents.last_events import LastWord, filter_for, in_background, last_word
from agentjobs.agents.stream import event_words, last_words, line_words
from agentjobs.agents.trouble_words import trouble
from agentjobs.model.outcomes import Outcome
from agentjobs.text.excerpt import clean_lines
from agentjobs.text.json_lines import Event, events_of, is_json, is_whole, matches, read_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentjobs.policy.agent_output import Reading, Rule, Watch

SIGNAL_BASE = 128
"""Exit codes above it name the signal that killed a program."""

TAIL_LINES = 50
"""Number of last lines, without blank ones, that text rules read."""

class Knowledge(Struct, frozen=True):
    """How to read an agent's output, apart from its tail and the rules."""

    watch: Watch | None = None
    text_after: str | None = None
    """A line after which only the program itself writes."""
    earlier: Callable[[Callable[[bytes], bool] | None], Iterator[bytes]] | None = None
    """Returns the lines before the tail, newest first; reads only as far as asked, and only lines that pass the
    test."""
    reading: Sequence[Reading] = ()
    """How to get messages for people."""


class Match(Struct, frozen=True):
    """A rule that matches, and where: the line, its message for people, its event if it is one."""

    rule: Rule
    line: str
    detail: str
    event: Event | None = None


class Output:
    """The output as rules see it; each view is computed once, on demand."""

    def __init__(
        self, output: bytes, code: int | None, rules: Sequence[Rule], knowledge: Knowledge, *, cut: bool = False
    ) -> None:
        self.output = output.partition(b"\n")[2] if cut else output  # a line without its beginning could mean anything
        self.code = code  # if it ended by itself
        self.rules = rules
        self.knowledge = knowledge
        self.reading = knowledge.reading

    @cached_property
    def events(self) -> list[Event]:
        """The events in the tail, newest first."""
        return list(read_events(self.output))

    def back_to(self, *wanted: Mapping[str, object]) -> Iterator[Event]:
        """Yield the events of the tail, then earlier ones that may match ``wanted``, if any; newest first."""
        yield from self.events
        if self.knowledge.earlier is not None:
            test = filter_for(wanted) if wanted else lambda line: b"{" in line
            yield from events_of(self.knowledge.earlier(test))

    @cached_property
    def wanted(self) -> list[Mapping[str, object]]:
        """The events that rules look for."""
        found = [(rule.event, rule.reset_event) for rule in self.rules]
        return [event for pair in found for event in pair if event is not None]

    @cached_property
    def older(self) -> list[tuple[Mapping[str, object], Event]]:
        """The newest event before the tail of each kind that rules look for."""
        left, found = list(self.wanted), []
        lines = self.knowledge.earlier(filter_for(left)) if self.knowledge.earlier is not None else ()
        for event in events_of(lines):
            met = [wanted for wanted in left if matches(event.fields, wanted)]
            found += [(wanted, event) for wanted in met]
            left = [wanted for wanted in left if wanted not in met]
            if not left:
                break
        return found

    @cached_property
    def decided(self) -> bool:
        """An event of the tail matches a rule: older ones do not count."""
        kinds = [rule.event for rule in self.rules if rule.event is not None]
        return any(matches(event.fields, kind) for event in self.events for kind in kinds)

    @cached_property
    def word(self) -> LastWord:
        """What the newest events show, however far back they are."""
        watch = self.knowledge.watch
        marks = (watch.request, *watch.goes_on, watch.error, watch.background) if watch is not None else ()
        return last_word(self.back_to(*self.wanted, *filter(None, marks)), self.rules, watch, self.code)

    @cached_property
    def background(self) -> tuple[str, ...]:
        """What runs in the background, according to the newest event that lists it."""
        watch = self.knowledge.watch
        if watch is None or watch.background is None:
            return ()
        return in_background(self.back_to(watch.background), watch)

    @property
    def over(self) -> bool:
        """The final event of success is the last word, even without exit 0."""
        return self.word.final is not None and not self.word.doubt and not self.background and not self.cut_off

    @cached_property
    def cut_off(self) -> bool:
        """It was killed while it wrote another event."""
        last = self.output.rstrip().rpartition(b"\n")[2]
        return last.startswith(b'{"') and not is_whole(last)

    @property
    def went_on(self) -> bool:
        """The agent worked again after its final event, or still in the background."""
        return self.word.against or (self.word.final is not None and not self.over)

    @cached_property
    def tail(self) -> str:
        """The last lines that are not blank."""
        return "\n".join([line for line in clean_lines(self.output) if line.strip()][-TAIL_LINES:])

    @cached_property
    def plain(self) -> str:
        """The last lines that are not JSON and were written by the program, not its model."""
        return self._plain(self.output)

    @cached_property
    def after_final(self) -> str:
        """Those after the final event of success."""
        final = self.word.final
        _, found, after = self.output.rpartition(final.line.encode("utf-8", "replace") if final else b"\0")
        return self._plain(after) if found else self.plain

    def _plain(self, output: bytes) -> str:
        lines = [line for line in clean_lines(output) if line.strip() and not is_json(line)]
        if self.knowledge.text_after is not None:
            text = "\n".join(lines)
            marks = list(re.finditer(self.knowledge.text_after, text, re.MULTILINE))
            if marks:
                lines = text[text.rfind("\n", 0, marks[-1].start()) + 1 :].split("\n")
        return "\n".join(lines[-TAIL_LINES:])

    def match(self, rule: Rule, plain: str | None = None) -> Match | None:
        """Return the last match of ``rule``; ``plain``: the text for a ``text`` rule."""
        if rule.code is not None and rule.code != self.code:
            return None
        if rule.event is not None:
            event = self.newest(rule.event, deep=not self.decided)
            words = event_words(event, self.reading) if event else ""
            return Match(rule=rule, line=event.line, detail=words, event=event) if event else None
        if rule.text is None:
            return Match(rule=rule, line="", detail=f"exit {rule.code}: {self.last_words}".rstrip(": "))
        plain = self.plain if plain is None else plain
        found = list(re.finditer(rule.text, plain, re.MULTILINE))
        if not found:
            return None
        start = plain.rfind("\n", 0, found[-1].start()) + 1
        line = plain[start:].split("\n", 1)[0]
        return Match(rule=rule, line=plain[start:], detail=line_words(line, self.reading))

    def newest(self, wanted: Mapping[str, object], *, deep: bool = True) -> Event | None:
        """Return the last JSON object that matches ``wanted``; ``deep``: also from before the tail."""
        found = next((event for event in self.events if matches(event.fields, wanted)), None)
        if found is None and deep:
            found = next((event for kind, event in self.older if kind == wanted), None)
        return found

    def finished(self) -> bool:
        """Return whether it reported success, and neither works nor fails after that."""
        by_text = [rule for rule in self.rules if rule.class_ is Outcome.OK and rule.event is None]
        return self.word.final is not None or any(self.match(rule) is not None for rule in by_text)

    @cached_property
    def last_words(self) -> str:
        """The most likely error message of the program, in one line."""
        after, by_signal = self.knowledge.text_after, self.code is not None and self.code > SIGNAL_BASE
        unknown = by_signal and after is not None and re.search(after, self.plain, re.MULTILINE) is None
        return last_words(self.events, [] if unknown else self.plain.split("\n"), self.reading)

    def told(self, outcome: Outcome, words: str) -> str:
        """Return the last words if they contain ``words`` or are about the same trouble, else ``words``."""
        last = self.last_words
        return last if last and (words in last or trouble(last) is outcome) else words
