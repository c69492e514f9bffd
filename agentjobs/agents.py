"""How an agent program is started, continued, stopped and read: ``[agents]`` of agentjobs.toml. Pure."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct, field

from agentjobs.model import Outcome
from agentjobs.tomlfile import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLACEHOLDERS: Final = ("session", "prompt", "task", "attempt", "root")
"""What ``{…}`` may name in a command; ``prompt`` is the path of the prompt, ``root`` that of the project."""

AGENT_CLASSES: Final = (
    Outcome.OK,
    Outcome.LIMIT,
    Outcome.OVERLOADED,
    Outcome.AUTH,
    Outcome.CONTEXT_FULL,
    Outcome.NO_SESSION,
    Outcome.SESSION_BUSY,
    Outcome.TIMEOUT,
    Outcome.RUNAWAY,
    Outcome.CRASHED,
    Outcome.INFRA,
)
"""The classes a rule may give; the others come from what agentjobs itself measured or checked."""

Scalar = str | int | float | bool
Signal = Literal["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "KILL"]

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SPECIAL: Final = frozenset(r"\.^$*+?{}[]()|")


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """One way to know what an attempt came to; of the ordered list the first match wins."""

    class_: Annotated[Outcome, Meta(extra={"choices": AGENT_CLASSES})]
    """The class this rule finds. `ok` is the agent's own final event of success: an agent that has an `ok`
    rule and exits 0 without that event has crashed."""
    text: str | None = None
    """A regular expression for the end of the output of an agent that failed."""
    event: dict[str, Scalar] | None = None
    """Dotted paths into a JSON line of the output, each with the value it must have there; a string that
    begins with `re:` is a regular expression."""
    reset: str | None = None
    """A regular expression for the moment a limit ends: its first group, or all of it. Epoch seconds, clock
    time, date or duration."""

    def __post_init__(self) -> None:
        if self.class_ not in AGENT_CLASSES:
            known = ", ".join(AGENT_CLASSES)
            raise FieldError("class", f"{self.class_.value!r} is not for a rule; use one of {known}")
        if (self.text is None) == (self.event is None):
            raise FieldError("class", 'a rule has either "text" or "event"')
        for key, pattern in (("text", self.text), ("reset", self.reset)):
            if pattern is not None:
                _check_pattern(key, pattern)
        if self.event is not None:
            _check_event(self.event)


class Usage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an agent says what it used: the last JSON line of its output that matches ``event``."""

    event: dict[str, Scalar]
    """Which JSON line: dotted paths and the values they must have, as in a rule."""
    tokens: tuple[str, ...] = ()
    """Dotted paths of the numbers that add up to the tokens."""
    cost: str | None = None
    """Dotted path of the cost in US dollars."""

    def __post_init__(self) -> None:
        _check_event(self.event)


class Agent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent program."""

    command: tuple[str, ...]
    """The program and its arguments, without a shell. The prompt arrives on stdin. Placeholders: `{session}`,
    `{prompt}` (its path), `{task}`, `{attempt}`, `{root}` (the project); write `{{` and `}}` for braces."""
    resume: tuple[str, ...] | None = None
    """The command that continues conversation `{session}`; without it every attempt is a new conversation."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables added to the environment."""
    inherit: tuple[str, ...] = ()
    """Variables of the environment of agentjobs that this agent gets besides the usual ones: names or globs, as in
    `["ANTHROPIC_API_KEY", "AWS_*"]`."""
    rules: tuple[Rule, ...] = ()
    """How to tell a limit, a full context, a lost login … from a crash; see below."""
    usage: Usage | None = None
    """Where the agent reports tokens and cost; see below."""
    stop: tuple[Signal, ...] = ("TERM",)
    """Signals that end the agent politely, in this order, `stop_grace_s` apart; `KILL` always follows."""

    def __post_init__(self) -> None:
        for key, command in (("command", self.command), ("resume", self.resume)):
            if command is not None:
                _check_command(key, command)
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise FieldError("env", f"{name!r} cannot be a variable of the environment")
            if name.startswith("AGENTJOBS_"):
                raise FieldError("env", f"{name!r} is set by agentjobs itself; choose another name")


def expand(command: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Fill the placeholders of a command: one argument stays one argument, whatever the value holds.

    ``values`` gives a text for each of ``PLACEHOLDERS``.
    """

    def replace(found: re.Match[str]) -> str:
        return found[0][0] if found[0] in ("{{", "}}") else values[found[1]]

    return tuple(_BRACES.sub(replace, part) for part in command)


def _check_pattern(key: str, pattern: str) -> None:
    if not _SPECIAL.intersection(pattern):
        return  # plain words need no compiler, which would cost each poll a millisecond or two
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise FieldError(key, f"not a regular expression: {error} (in {pattern!r})") from None


def _check_event(event: Mapping[str, Scalar]) -> None:
    if not event:
        raise FieldError("event", 'needs at least one path, as in { type = "result" }')
    for path, value in event.items():
        if not all(path.split(".")):
            raise FieldError("event", f"{path!r} is not a dotted path")
        if isinstance(value, str) and value.startswith("re:"):
            _check_pattern("event", value[3:])


def _check_command(key: str, command: tuple[str, ...]) -> None:
    if not command or not command[0]:
        raise FieldError(key, "needs a program to start")
    for part in command:
        if "\0" in part:
            raise FieldError(key, "an argument cannot hold a NUL character")
        for found in _BRACES.finditer(part):
            if found[0] in ("{", "}"):
                raise FieldError(key, f"a lone {found[0]!r} in {part!r}; write {found[0] * 2!r} for a brace")
            if found[1] is not None and found[1] not in PLACEHOLDERS:
                names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                raise FieldError(key, f"unknown placeholder {found[0]}; known: {names}, {{{{ and }}}}")
