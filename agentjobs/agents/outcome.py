"""What an agent step came to, from facts first and from its output last. Pure; no output makes it raise."""

from __future__ import annotations

import re
import signal
from functools import cache, cached_property
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.agents.last_events import LastWord, filter_for, in_background, last_word
from agentjobs.agents.resets import parse_reset
from agentjobs.agents.stream import event_words, last_text, last_words, line_words
from agentjobs.agents.trouble_words import CORRECTED, RESET, failure_words, is_failure, plain_trouble, trouble
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Kill, Lost
from agentjobs.model.trouble import SAME_ERROR, TROUBLE, TROUBLES
from agentjobs.policy.agent_output import Rule
from agentjobs.text.excerpt import clean_lines, error_excerpt, signature
from agentjobs.text.json_lines import Event, events_of, is_json, is_whole, lookup, matches, read_events, scalar_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentjobs.policy.agent_output import Reading, Watch

__all__ = [
    "Knowledge",
    "Verdict",
    "classify",
    "error_excerpt",
    "event_words",
    "finished",
    "last_text",
    "parse_reset",
    "signature",
]

TAIL_LINES = 50
"""Text rules look at so many of the last lines that are not blank."""
LONGEST_DETAIL = 240
SIGNAL_BASE = 128
HARMLESS = frozenset({"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH", "IO"})
DEADLY = {one.value: one.name for one in signal.Signals if one.name.removeprefix("SIG") not in HARMLESS}
"""Signals that end a program. Another exit code above 128 may be what is left of an HTTP status: 144 is 400."""

NOT_STARTED = {
    126: "agent command cannot be executed (exit 126)",
    127: "agent command not found (exit 127)",
}

KILLED = {
    "timeout": (Outcome.TIMEOUT, "ended at its time limit"),
    "stalled": (Outcome.STALLED, "ended: no output for too long"),
    "runaway": (Outcome.RUNAWAY, "ended: too much output"),
    SAME_ERROR: (Outcome.RUNAWAY, "ended: the same error again and again"),
    "context": (Outcome.CONTEXT_FULL, "stopped: its context is full"),
    "over_budget": (Outcome.STOPPED, "stopped: the budget of the run is exceeded"),
}
PLAIN = frozenset({Outcome.TIMEOUT, Outcome.STALLED, Outcome.CRASHED, Outcome.LOST, Outcome.RUNAWAY})
"""What says how a step ended but not why; any other class that a rule finds is the cause and is preferred."""

LAST_EVENTS = 5
"""An error that more events follow is past: the program went on."""


class Verdict(Struct, frozen=True):
    """What an agent step came to."""

    outcome: Outcome
    detail: str = ""
    """One line for people."""
    signature: str = ""
    """Of the errors in the output; the same failure has the same one. Empty for a success."""
    reset_at: float = 0.0
    """When a limit ends, as far as the output says: always after ``now``, or 0 for unknown."""


class Knowledge(Struct, frozen=True):
    """What else is known of an agent's output, besides its tail and the rules."""

    watch: Watch | None = None
    text_after: str | None = None
    """A line after which only the program itself speaks."""
    earlier: Callable[[Callable[[bytes], bool] | None], Iterator[bytes]] | None = None
    """The lines before the tail, the newest first, as far as they are asked for and the given test wants them."""
    reading: Sequence[Reading] = ()
    """Where the words for people are."""


class _Match(Struct, frozen=True):
    rule: Rule
    line: str
    detail: str
    event: Event | None = None


class _Output:
    """The output as rules see it, each view made once and only when asked for."""

    def __init__(
        self, output: bytes, code: int | None, rules: Sequence[Rule], knowledge: Knowledge, *, cut: bool = False
    ) -> None:
        self.output = output.partition(b"\n")[2] if cut else output  # a line without its beginning says anything
        self.code = code  # if it ended by itself
        self.rules = rules
        self.knowledge = knowledge
        self.reading = knowledge.reading

    @cached_property
    def events(self) -> list[Event]:
        """Those in the tail, the newest first."""
        return list(read_events(self.output))

    def back_to(self, *wanted: Mapping[str, object]) -> Iterator[Event]:
        """Yield the events of the tail, then those before it that may be as one of ``wanted``, if any; newest first."""
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
        """The newest event of each kind that rules look for, from before the tail."""
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
        """What the newest events say, however far back they are."""
        watch = self.knowledge.watch
        marks = (watch.request, *watch.goes_on, watch.error, watch.background) if watch is not None else ()
        return last_word(self.back_to(*self.wanted, *filter(None, marks)), self.rules, watch, self.code)

    @cached_property
    def background(self) -> tuple[str, ...]:
        """What ran in the background when the agent last said so."""
        watch = self.knowledge.watch
        if watch is None or watch.background is None:
            return ()
        return in_background(self.back_to(watch.background), watch)

    @property
    def over(self) -> bool:
        """The final event of success is the last word, also without exit 0."""
        return self.word.final is not None and not self.word.doubt and not self.background and not self.cut_off

    @cached_property
    def cut_off(self) -> bool:
        """It was ended while it wrote one more event."""
        last = self.output.rstrip().rpartition(b"\n")[2]
        return last.startswith(b'{"') and not is_whole(last)

    @property
    def went_on(self) -> bool:
        """The agent was at work again after its final event, or still in the background."""
        return self.word.against or (self.word.final is not None and not self.over)

    @cached_property
    def tail(self) -> str:
        return "\n".join([line for line in clean_lines(self.output) if line.strip()][-TAIL_LINES:])

    @cached_property
    def plain(self) -> str:
        """The last lines that are no JSON and stand where only the program speaks, not its model."""
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

    def match(self, rule: Rule, plain: str | None = None) -> _Match | None:
        """Return where ``rule`` matches last; ``plain``: what a ``text`` rule looks at."""
        if rule.code is not None and rule.code != self.code:
            return None
        if rule.event is not None:
            event = self.newest(rule.event, deep=not self.decided)
            words = event_words(event, self.reading) if event else ""
            return _Match(rule=rule, line=event.line, detail=words, event=event) if event else None
        if rule.text is None:
            return _Match(rule=rule, line="", detail=f"exit {rule.code}: {self.last_words}".rstrip(": "))
        plain = self.plain if plain is None else plain
        found = list(re.finditer(rule.text, plain, re.MULTILINE))
        if not found:
            return None
        start = plain.rfind("\n", 0, found[-1].start()) + 1
        line = plain[start:].split("\n", 1)[0]
        return _Match(rule=rule, line=plain[start:], detail=line_words(line, self.reading))

    def newest(self, wanted: Mapping[str, object], *, deep: bool = True) -> Event | None:
        """Return the last JSON object that is as ``wanted``; ``deep``: also from before the tail."""
        found = next((event for event in self.events if matches(event.fields, wanted)), None)
        if found is None and deep:
            found = next((event for kind, event in self.older if kind == wanted), None)
        return found

    def finished(self) -> bool:
        """Whether it reported success, and neither works nor fails after that."""
        by_text = [rule for rule in self.rules if rule.class_ is Outcome.OK and rule.event is None]
        return self.word.final is not None or any(self.match(rule) is not None for rule in by_text)

    @cached_property
    def last_words(self) -> str:
        """What the program most likely says went wrong, in one line."""
        after, by_signal = self.knowledge.text_after, self.code is not None and self.code > SIGNAL_BASE
        unknown = by_signal and after is not None and re.search(after, self.plain, re.MULTILINE) is None
        return last_words(self.events, [] if unknown else self.plain.split("\n"), self.reading)

    def told(self, outcome: Outcome, words: str) -> str:
        """Return the last words where they hold ``words`` or tell of the same trouble, else ``words``."""
        last = self.last_words
        return last if last and (words in last or trouble(last) is outcome) else words


def classify(
    *,
    phase: Exited | Lost,
    kill: Kill | None,
    output: bytes,
    output_bytes: int,
    rules: Sequence[Rule],
    now: float,
    tree_dir: str = "",
    knowledge: Knowledge | None = None,
) -> Verdict:
    """Say what an agent step came to.

    ``output`` is the tail of its log (256 KiB are plenty) and ``output_bytes`` the size of all of it. Facts
    come first: a stop, a command that could not be started. Then the rules, of which the first that matches
    wins: ``event`` rules look at every JSON line, ``text`` rules only at the last lines of an agent that
    failed (an ``ok`` rule may be either). A cause that a rule finds (a limit, a full context, a lost login …)
    wins over "crashed", "lost", "timeout" and "stalled". Then the kill, the lock, the exit code.

    The agent's last event decides (see ``lastword``). Exit 0 is no success where an ``ok`` rule exists and the
    final event is missing, or is older than an error or more work. Where that event is the last word, another exit
    code is no failure, unless we ended the agent, a rule finds a cause, or work in the background was not done.
    An agent that finished just as it was to be ended (exit 0, and its final event) has finished.

    ``tree_dir`` is left out of the signature, so that the same failure in two trees is recognised.
    """
    if kill is not None and kill.why == "stopped":
        return Verdict(outcome=Outcome.STOPPED, detail="stopped by a person")
    code = phase.code if isinstance(phase, Exited) else None
    seen = _Output(output, code, rules, knowledge or Knowledge(), cut=output_bytes > len(output))
    hung = kill is not None and kill.why == "hung"
    in_time = code == 0 and seen.finished()
    killed = _killed(kill, seen) if kill and not hung and not in_time else None
    if kill is None and code in NOT_STARTED and not seen.over:
        last = seen.last_words
        detail = _one_line(f"{NOT_STARTED[code]}: {last}" if last else NOT_STARTED[code])
        return Verdict(outcome=Outcome.INFRA, detail=detail, signature=signature(output, tree_dir))

    ending = killed or _ending(phase, seen, output_bytes, hung=hung)
    found = _by_words(seen, _first_match(seen, failed=ending[0] is not Outcome.OK), ending[0])
    if found is None and killed is not None and killed[0] in TROUBLES:
        found = _Match(rule=_shared(killed[0]), line=kill.detail if kill else "", detail=killed[1])
    if ending[0] is Outcome.OK and code != 0 and not hung and (found is None or found.rule.class_ is Outcome.OK):
        found = _cause_after(seen) or found
    outcome, detail = ending
    repeats = kill is not None and kill.why == SAME_ERROR
    if found is not None and _prefers(found.rule.class_, Outcome.STALLED if repeats else outcome):
        outcome, detail = found.rule.class_, found.detail
    if outcome is Outcome.OK:
        return Verdict(outcome=outcome, detail=_one_line(detail))
    return Verdict(
        outcome=outcome,
        detail=_one_line(detail),
        signature=signature(output, tree_dir),
        reset_at=_reset_at(found, seen, phase.at, now) if found and outcome is found.rule.class_ else 0.0,
    )


def finished(
    output: bytes, rules: Sequence[Rule], knowledge: Knowledge | None = None, *, cut: bool = False
) -> bool:
    """Tell whether a running agent has said its last word: it reported success, and nothing speaks against that.

    Not one that works in the background, as it says itself, nor one whose ``ok`` rule wants an exit code.
    """
    seen = _Output(output, None, rules, knowledge or Knowledge(), cut=cut)
    return seen.over or (seen.word.final is None and seen.finished())


def _killed(kill: Kill, seen: _Output) -> tuple[Outcome, str]:
    if kill.why == TROUBLE:
        name, _, said = kill.detail.partition(": ")
        words = line_words(said.partition("\n")[0], seen.reading)
        return (Outcome(name), words) if name in TROUBLES else (Outcome.STALLED, f"ended: {kill.detail}")
    outcome, words = KILLED.get(kill.why, (Outcome.CRASHED, f"ended: {kill.why}"))
    words = f"{words.partition(':')[0]}: {kill.detail}" if kill.detail else words
    tasks = ", ".join(seen.background)
    return outcome, f"{words}, while work in the background was not done: {tasks}" if tasks else words


def _ending(phase: Exited | Lost, seen: _Output, output_bytes: int, *, hung: bool) -> tuple[Outcome, str]:
    """Say how a step ended that we did not have to kill, or killed only because it would not go."""
    if hung:
        if seen.went_on:
            return Outcome.STALLED, "ended after its final event, but by then it was at work again"
        return Outcome.OK, "finished, but its process had to be ended"
    if isinstance(phase, Lost):
        if seen.over:
            return Outcome.OK, "reported success; its process is gone and left no exit code"
        return Outcome.LOST, "its process is gone and left no exit code"
    if phase.code == 0:
        if any(rule.class_ is Outcome.OK for rule in seen.rules) and not seen.finished():
            last = seen.last_words
            return Outcome.CRASHED, "exit 0, but no final event of success" + (f": {last}" if last else "")
        return Outcome.OK, ""
    what = f"exit {phase.code}{_signal_name(phase.code)}"
    if seen.over:
        return Outcome.OK, f"reported success, then {what}"
    last = seen.last_words
    if last:
        return Outcome.CRASHED, f"{what}: {last}"
    return Outcome.CRASHED, what if output_bytes else f"{what}, no output"


def _prefers(by_rule: Outcome, ending: Outcome) -> bool:
    """Tell whether the class a rule found says more than the way the step ended."""
    if ending is Outcome.OK:
        return by_rule is not Outcome.OK
    if ending is Outcome.CRASHED:
        return True
    return ending is not Outcome.RUNAWAY and by_rule not in PLAIN


def _first_match(seen: _Output, *, failed: bool) -> _Match | None:
    """Return the first rule that matches; neither ``ok`` for a failure nor plain text for a success does."""
    for rule in seen.rules:
        if rule.class_ is Outcome.OK:
            if failed:
                continue
        elif rule.event is None and rule.text is not None and not failed:
            continue
        found = seen.match(rule)
        if found is not None:
            return found
    return None


def _by_words(seen: _Output, found: _Match | None, ending: Outcome) -> _Match | None:
    """Return what the words that all agents share say of a failure, where no rule says it, or only by a status."""
    if ending not in PLAIN:
        return found
    if found is not None:
        words = failure_words(found.event.fields) if found.event is not None else found.line.split("\n", 1)[0]
        outcome = trouble(words)
        if outcome is None or outcome not in CORRECTED.get(found.rule.class_, ()):
            return found
        return _Match(rule=_shared(outcome), line=words, detail=found.detail, event=found.event)
    for event in islice(seen.back_to(), LAST_EVENTS):
        if is_failure(event.fields):
            words = failure_words(event.fields)
            outcome = trouble(words)
            if outcome is not None:
                detail = seen.told(outcome, event_words(event, seen.reading))
                return _Match(rule=_shared(outcome), line=words, detail=detail, event=event)
    by_itself = ending is Outcome.CRASHED and seen.code is not None and seen.code <= SIGNAL_BASE
    told = plain_trouble(seen.plain.split("\n")) if by_itself else None
    if told is None:
        return None
    outcome, line = told
    return _Match(rule=_shared(outcome), line=line, detail=seen.told(outcome, line_words(line, seen.reading)))


@cache
def _shared(outcome: Outcome) -> Rule:
    return Rule(class_=outcome, text=".", reset=RESET if outcome is Outcome.LIMIT else None)


def _cause_after(seen: _Output) -> _Match | None:
    """Return the first rule without an event that finds a cause after the final event of success."""
    rules = [rule for rule in seen.rules if rule.class_ is not Outcome.OK and rule.event is None]
    return next((found for rule in rules if (found := seen.match(rule, seen.after_final))), None)


def _reset_at(found: _Match, seen: _Output, ended_at: float, now: float) -> float:
    """Return when the limit that ``found`` speaks of ends, or 0.

    Clock times and durations are meant from the moment the agent said so, which is not after its end; a poll
    may read them much later. A limit that has ended by now ends in a second.
    """
    rule = found.rule
    said_at = min(ended_at, now) if ended_at > 0 else now
    event = seen.newest(rule.reset_event) if rule.reset_event is not None else found.event
    told = [scalar_text(lookup(event.fields, rule.reset_path)) or ""] if event and rule.reset_path else []
    for text in (found.line, seen.plain) if rule.reset is not None else ():
        reset = re.search(rule.reset or "", text, re.MULTILINE)
        if reset is not None:
            told.append((reset[1] or "") if reset.re.groups else reset[0])
    instants = (parse_reset(words, said_at) for words in told if words)
    at = next((at for at in instants if at is not None), None)
    return 0.0 if at is None else max(at, now + 1.0)


def _signal_name(code: int) -> str:
    name = DEADLY.get(code - SIGNAL_BASE)
    return f" ({name})" if name else ""


def _one_line(text: str) -> str:
    """Return one line that any terminal, table and file can hold."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * LONGEST_DETAIL]).split())
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 2] + " …"
