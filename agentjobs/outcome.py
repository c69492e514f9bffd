"""What an agent step came to, from facts first and from its output last. Pure; no output makes it raise."""

from __future__ import annotations

import re
import signal
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.excerpt import clean_lines, error_excerpt, signature
from agentjobs.jsonlines import Event, every, is_json, lookup, matches, read_events, scalar_text
from agentjobs.model import Exited, Kill, Lost, Outcome
from agentjobs.resets import parse_reset
from agentjobs.stream import event_words, last_words, line_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentjobs.evidence import Reading, Rule

__all__ = ["Verdict", "classify", "error_excerpt", "event_words", "finished", "last_text", "parse_reset", "signature"]

TAIL_LINES = 50
"""Text rules look at so many of the last lines that are not blank."""
LONGEST_DETAIL = 240
SIGNAL_BASE = 128
NOT_STARTED = {
    126: "agent command cannot be executed (exit 126)",
    127: "agent command not found (exit 127)",
}
SAME_ERROR = "same_error"
"""Why a step was ended that met one error again and again; where a rule knows that error, it is the cause."""

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


SAID = ("result", "message.content.*.text", "item.text", "part.text", "content", "response", "text", "message")
"""Where the lines of agents hold what the model wrote."""

SHORT_TEXT = 20
"""Fewer characters are a word of the program, not a text."""


class Verdict(Struct, frozen=True):
    """What an agent step came to."""

    outcome: Outcome
    detail: str = ""
    """One line for people."""
    signature: str = ""
    """Of the errors in the output; the same failure has the same one. Empty for a success."""
    reset_at: float = 0.0
    """When a limit ends, as far as the output says: always after ``now``, or 0 for unknown."""


class _Match(Struct, frozen=True):
    rule: Rule
    line: str
    detail: str
    event: Event | None = None


class _Output:
    """The output as rules see it, each view made once and only when asked for."""

    def __init__(
        self, output: bytes, code: int | None, *, cut: bool = False, reading: Sequence[Reading] = ()
    ) -> None:
        self.output = output.partition(b"\n")[2] if cut else output  # a line without its beginning says anything
        self.code = code
        """The exit code, if it ended by itself."""
        self.reading = reading

    @cached_property
    def events(self) -> list[Event]:
        return list(read_events(self.output))

    @cached_property
    def tail(self) -> str:
        return "\n".join([line for line in clean_lines(self.output) if line.strip()][-TAIL_LINES:])

    @cached_property
    def plain(self) -> str:
        """The last lines that are no JSON: what the program itself says, not what its model wrote."""
        lines = [line for line in clean_lines(self.output) if line.strip() and not is_json(line)]
        return "\n".join(lines[-TAIL_LINES:])

    def match(self, rule: Rule) -> _Match | None:
        """Return where ``rule`` matches last."""
        if rule.code is not None and rule.code != self.code:
            return None
        if rule.event is not None:
            event = self.newest(rule.event)
            if event is None:
                return None
            return _Match(rule=rule, line=event.line, detail=event_words(event, self.reading), event=event)
        if rule.text is None:
            return _Match(rule=rule, line="", detail=f"exit {rule.code}: {self.last_words}".rstrip(": "))
        found = list(re.finditer(rule.text, self.plain, re.MULTILINE))
        if not found:
            return None
        start = self.plain.rfind("\n", 0, found[-1].start()) + 1
        line = self.plain[start:].split("\n", 1)[0]
        return _Match(rule=rule, line=self.plain[start:], detail=line_words(line, self.reading))

    def newest(self, wanted: Mapping[str, object]) -> Event | None:
        """Return the last line of JSON that is as ``wanted``."""
        return next((event for event in self.events if matches(event.fields, wanted)), None)

    def finished(self, rules: Sequence[Rule]) -> bool:
        return any(self.match(rule) is not None for rule in rules if rule.class_ is Outcome.OK)

    @cached_property
    def last_words(self) -> str:
        """What the program most likely says went wrong, in one line."""
        return last_words(self.events, self.plain.split("\n"), self.reading)



def classify(
    *,
    phase: Exited | Lost,
    kill: Kill | None,
    output: bytes,
    output_bytes: int,
    rules: Sequence[Rule],
    now: float,
    tree_dir: str = "",
    reading: Sequence[Reading] = (),
) -> Verdict:
    """Say what an agent step came to.

    ``output`` is the tail of its log (256 KiB are plenty) and ``output_bytes`` the size of all of it. Facts
    come first: a stop, a command that could not be started. Then the rules, of which the first that matches
    wins: ``event`` rules look at every JSON line, ``text`` rules only at the last lines of an agent that
    failed (an ``ok`` rule may be either, and needs exit 0). A cause that a rule finds (a limit, a full
    context, a lost login …) wins over "crashed", "lost", "timeout" and "stalled". Then the kill, the lock,
    the exit code. Exit 0 is no success where an ``ok`` rule exists and the agent's final event is missing.
    An agent that finished just as it was to be ended (exit 0, and its final event) has finished.

    ``reading`` says where the words for people are. ``tree_dir`` is left out of the signature, so that the same failure
    in two trees is recognised.
    """
    if kill is not None and kill.why == "stopped":
        return Verdict(outcome=Outcome.STOPPED, detail="stopped by a person")
    code = phase.code if isinstance(phase, Exited) else None
    seen = _Output(output, code, cut=output_bytes > len(output), reading=reading)
    hung = kill is not None and kill.why == "hung"
    in_time = isinstance(phase, Exited) and phase.code == 0 and seen.finished(rules)
    killed = _killed(kill) if kill and not hung and not in_time else None
    if kill is None and isinstance(phase, Exited) and phase.code in NOT_STARTED:
        last = seen.last_words
        detail = _one_line(f"{NOT_STARTED[phase.code]}: {last}" if last else NOT_STARTED[phase.code])
        return Verdict(outcome=Outcome.INFRA, detail=detail, signature=signature(output, tree_dir))

    ending = killed or _ending(phase, seen, output_bytes, rules, hung=hung)
    found = _first_match(seen, rules, failed=ending[0] is not Outcome.OK)
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


def finished(output: bytes, rules: Sequence[Rule]) -> bool:
    """Tell whether the agent's final event of success, its ``ok`` rule, is in the tail of its output."""
    return _Output(output, 0).finished(rules)


def _killed(kill: Kill) -> tuple[Outcome, str]:
    outcome, words = KILLED.get(kill.why, (Outcome.CRASHED, f"ended: {kill.why}"))
    return outcome, f"{words.partition(':')[0]}: {kill.detail}" if kill.detail else words


def _ending(
    phase: Exited | Lost, seen: _Output, output_bytes: int, rules: Sequence[Rule], *, hung: bool
) -> tuple[Outcome, str]:
    """Say how a step ended that we did not have to kill, or killed only because it would not go."""
    if hung:
        return Outcome.OK, "finished, but its process had to be ended"
    if isinstance(phase, Lost):
        return Outcome.LOST, "its process is gone and left no exit code"
    if phase.code == 0:
        if any(rule.class_ is Outcome.OK for rule in rules) and not seen.finished(rules):
            last = seen.last_words
            return Outcome.CRASHED, "exit 0, but no final event of success" + (f": {last}" if last else "")
        return Outcome.OK, ""
    what = f"exit {phase.code}{_signal_name(phase.code)}"
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


def _first_match(seen: _Output, rules: Sequence[Rule], *, failed: bool) -> _Match | None:
    """Return the first rule that matches; neither ``ok`` for a failure nor plain text for a success does."""
    for rule in rules:
        if rule.class_ is Outcome.OK:
            if failed:
                continue
        elif rule.event is None and rule.text is not None and not failed:
            continue
        found = seen.match(rule)
        if found is not None:
            return found
    return None


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


def last_text(output: bytes) -> str:
    """Return the last thing an agent said: all that is no JSON, or the text of the newest line that has one."""
    events = list(read_events(output))
    if not events:
        return "\n".join(clean_lines(output)).strip()
    for event in events:
        for path in SAID:
            words = "\n".join(value for value in every(event.fields, path) if isinstance(value, str)).strip()
            if len(words) >= SHORT_TEXT:
                return words
    return ""


def _signal_name(code: int) -> str:
    try:
        return f" ({signal.Signals(code - SIGNAL_BASE).name})" if code > SIGNAL_BASE else ""
    except ValueError:
        return ""


def _one_line(text: str) -> str:
    """Return one line that any terminal, table and file can hold."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * LONGEST_DETAIL]).split())
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 2] + " …"
