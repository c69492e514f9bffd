"""Classify how an agent step ended, from facts first and from its output last. Pure; no output makes it raise."""

from __future__ import annotations

import re
import signal
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.agents.output import SIGNAL_BASE, Knowledge, Match, Output
from agentjobs.agents.reset_time import LIMIT_ENDS, parse_reset
from agentjobs.agents.stream import event_words, last_text, line_words
from agentjobs.agents.trouble_words import CORRECTED, failure_words, is_failure, plain_trouble, trouble
from agentjobs.model.outcomes import Outcome, rules_of
from agentjobs.model.steps import Exited, Kill, KillReason, Lost
from agentjobs.policy.agent_output import Rule
from agentjobs.text.excerpt import error_excerpt, signature
from agentjobs.text.json_lines import lookup, scalar_text

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "Ending",
    "classify",
    "error_excerpt",
    "event_words",
    "finished",
    "last_text",
    "parse_reset",
    "signature",
]

LONGEST_DETAIL = 240
HARMLESS = frozenset({"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH", "IO"})
DEADLY = {one.value: one.name for one in signal.Signals if one.name.removeprefix("SIG") not in HARMLESS}
"""Signals that end a program. Another exit code above 128 may be the rest of an HTTP status: 144 is 400."""

NOT_STARTED = {
    126: "agent command cannot be executed (exit 126)",
    127: "agent command not found (exit 127)",
}

KILLED = {
    KillReason.TIMEOUT: (Outcome.TIMEOUT, "ended at its time limit"),
    KillReason.SILENT: (Outcome.STALLED, "ended: no output for too long"),
    KillReason.RUNAWAY: (Outcome.RUNAWAY, "ended: too much output"),
    KillReason.SAME_ERROR: (Outcome.RUNAWAY, "ended: the same error again and again"),
    KillReason.CONTEXT_FULL: (Outcome.CONTEXT_FULL, "stopped: its context is full"),
    KillReason.OVER_BUDGET: (Outcome.STOPPED, "stopped: the budget of the run is exceeded"),
}
LAST_EVENTS = 5
"""An error followed by more events than this is past: the program went on."""


class Ending(Struct, frozen=True):
    """How an agent step ended."""

    outcome: Outcome
    detail: str = ""
    """One line for people."""
    signature: str = ""
    """Hash of the errors in the output; equal for the same failure. Empty for a success."""
    reset_at: float = 0.0
    """When a limit ends, according to the output: always after ``now``, or 0 for unknown."""


def classify(
    *,
    state: Exited | Lost,
    kill: Kill | None,
    output: bytes,
    output_bytes: int,
    rules: Sequence[Rule],
    now: float,
    tree_dir: str = "",
    knowledge: Knowledge | None = None,
) -> Ending:
    """Return how an agent step ended.

    ``output`` is the tail of its log (256 KiB are enough) and ``output_bytes`` the size of the whole log. Facts come
    first: a stop, a command that could not be started. Then the rules; the first match wins. ``event`` rules read every
    JSON line, ``text`` rules only the last lines of an agent that failed (an ``ok`` rule may be either). A cause found
    by a rule (a limit, a full context, a lost login …) wins over "crashed", "lost", "timeout" and "stalled". Then the
    kill, the lock, the exit code.

    The agent's last event decides (see ``last_events``). If an ``ok`` rule exists, exit 0 is not a success when the
    final event is missing, or is older than an error or more work. If that event is the last word, another exit code is
    not a failure, unless we killed the agent, a rule finds a cause, or work in the background was not done. An agent
    that finished just before it was killed (exit 0, and its final event) has finished.

    ``tree_dir`` is left out of the signature, so that the same failure in two trees has the same one.
    """
    if kill is not None and kill.why is KillReason.STOPPED:
        return Ending(outcome=Outcome.STOPPED, detail="stopped by a person")
    code = state.code if isinstance(state, Exited) else None
    seen = Output(output, code, rules, knowledge or Knowledge(), cut=output_bytes > len(output))
    hung = kill is not None and kill.why is KillReason.NOT_EXITING
    in_time = code == 0 and seen.finished()
    killed = _killed(kill, seen) if kill and not hung and not in_time else None
    if kill is None and code in NOT_STARTED and not seen.over:
        last = seen.last_words
        detail = _one_line(f"{NOT_STARTED[code]}: {last}" if last else NOT_STARTED[code])
        return Ending(outcome=Outcome.INFRA, detail=detail, signature=signature(output, tree_dir))

    ending = killed or _ending(state, seen, output_bytes, hung=hung)
    found = _by_words(seen, _first_match(seen, failed=ending[0] is not Outcome.OK), ending[0])
    if found is None and killed is not None and killed[0].rules.retries_max:
        found = Match(rule=_shared(killed[0]), line=kill.detail if kill else "", detail=killed[1])
    if ending[0] is Outcome.OK and code != 0 and not hung and (found is None or found.rule.class_ is Outcome.OK):
        found = _cause_after(seen) or found
    outcome, detail = ending
    repeats = kill is not None and kill.why is KillReason.SAME_ERROR
    if found is not None and _prefers(found.rule.class_, Outcome.STALLED if repeats else outcome):
        outcome, detail = found.rule.class_, found.detail
    if outcome is Outcome.OK:
        return Ending(outcome=outcome, detail=_one_line(detail))
    return Ending(
        outcome=outcome,
        detail=_one_line(detail),
        signature=signature(output, tree_dir),
        reset_at=_reset_at(found, seen, state.at, now) if found and outcome is found.rule.class_ else 0.0,
    )


def finished(
    output: bytes, rules: Sequence[Rule], knowledge: Knowledge | None = None, *, cut: bool = False
) -> bool:
    """Return whether a running agent has finished: it reported success, and nothing contradicts that.

    False if it reports work in the background, or if its ``ok`` rule needs an exit code.
    """
    seen = Output(output, None, rules, knowledge or Knowledge(), cut=cut)
    return seen.over or (seen.word.final is None and seen.finished())


def _killed(kill: Kill, seen: Output) -> tuple[Outcome, str]:
    if kill.why is KillReason.ACCOUNT_TROUBLE:
        name, _, said = kill.detail.partition(": ")
        words = line_words(said.partition("\n")[0], seen.reading)
        return (Outcome(name), words) if rules_of(name).retries_max else (Outcome.STALLED, f"ended: {kill.detail}")
    outcome, words = KILLED.get(kill.why, (Outcome.CRASHED, f"ended: {kill.why}"))
    words = f"{words.partition(':')[0]}: {kill.detail}" if kill.detail else words
    tasks = ", ".join(seen.background)
    return outcome, f"{words}, while work in the background was not done: {tasks}" if tasks else words


def _ending(state: Exited | Lost, seen: Output, output_bytes: int, *, hung: bool) -> tuple[Outcome, str]:
    """Return how a step ended that was not killed, or only because it did not exit after its final event."""
    if hung:
        if seen.went_on:
            return Outcome.STALLED, "ended after its final event, but it was working again by then"
        return Outcome.OK, "finished, but its process had to be killed"
    if isinstance(state, Lost):
        if seen.over:
            return Outcome.OK, "reported success; its process is gone and left no exit code"
        return Outcome.LOST, "its process is gone and left no exit code"
    if state.code == 0:
        if any(rule.class_ is Outcome.OK for rule in seen.rules) and not seen.finished():
            last = seen.last_words
            return Outcome.CRASHED, "exit 0, but no final event of success" + (f": {last}" if last else "")
        return Outcome.OK, ""
    what = f"exit {state.code}{_signal_name(state.code)}"
    if seen.over:
        return Outcome.OK, f"reported success, then {what}"
    last = seen.last_words
    if last:
        return Outcome.CRASHED, f"{what}: {last}"
    return Outcome.CRASHED, what if output_bytes else f"{what}, no output"


def _prefers(by_rule: Outcome, ending: Outcome) -> bool:
    """Return whether the class from a rule says more than the way the step ended."""
    if ending is Outcome.OK:
        return by_rule is not Outcome.OK
    if ending is Outcome.CRASHED:
        return True
    return ending is not Outcome.RUNAWAY and not by_rule.rules.how_only


def _first_match(seen: Output, *, failed: bool) -> Match | None:
    """Return the first rule that matches; ``ok`` does not match a failure, plain text not a success."""
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


def _by_words(seen: Output, found: Match | None, ending: Outcome) -> Match | None:
    """Return a match of the words that all agents share, for a failure without a rule or with only a status."""
    if not ending.rules.how_only:
        return found
    if found is not None:
        words = failure_words(found.event.fields) if found.event is not None else found.line.split("\n", 1)[0]
        outcome = trouble(words)
        if outcome is None or outcome not in CORRECTED.get(found.rule.class_, ()):
            return found
        return Match(rule=_shared(outcome), line=words, detail=found.detail, event=found.event)
    for event in islice(seen.back_to(), LAST_EVENTS):
        if is_failure(event.fields):
            words = failure_words(event.fields)
            outcome = trouble(words)
            if outcome is not None:
                detail = seen.told(outcome, event_words(event, seen.reading))
                return Match(rule=_shared(outcome), line=words, detail=detail, event=event)
    by_itself = ending is Outcome.CRASHED and seen.code is not None and seen.code <= SIGNAL_BASE
    told = plain_trouble(seen.plain.split("\n")) if by_itself else None
    if told is None:
        return None
    outcome, line = told
    return Match(rule=_shared(outcome), line=line, detail=seen.told(outcome, line_words(line, seen.reading)))


@cache
def _shared(outcome: Outcome) -> Rule:
    return Rule(class_=outcome, text=".", reset=LIMIT_ENDS if outcome is Outcome.LIMIT else None)


def _cause_after(seen: Output) -> Match | None:
    """Return the first rule without an event that finds a cause after the final event of success."""
    rules = [rule for rule in seen.rules if rule.class_ is not Outcome.OK and rule.event is None]
    return next((found for rule in rules if (found := seen.match(rule, seen.after_final))), None)


def _reset_at(found: Match, seen: Output, ended_at: float, now: float) -> float:
    """Return when the limit in ``found`` ends, or 0.

    Clock times and durations count from the moment the agent printed them, at the latest its end; a poll may read them
    much later. A limit that has ended by now ends in a second.
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
