"""How to read an agent's output and what it keeps on disk: the tables below ``[agents.NAME]``. Pure."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

from agentjobs.model.outcomes import Outcome
from agentjobs.text.toml import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AGENT_CLASSES: Final = tuple(outcome for outcome in Outcome if outcome.rules.by_rule)
"""The classes a rule may give; the others come from what agentjobs measures or checks."""

Scalar = str | int | float | bool
Event = dict[str, Scalar]
Paths = tuple[str, ...]
Price = Annotated[float, Meta(ge=0)]

SPECIAL: Final = frozenset(r"\.^$*+?{}[]()|")
"""Characters that make a text a regular expression."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """One way to classify how an attempt ended. Rules are tried in order; the first match wins."""

    class_: Annotated[Outcome, Meta(extra={"choices": AGENT_CLASSES})]
    """The class that this rule gives. `ok` is the agent's own final event of success: an agent that has an `ok` rule
    and exits 0 without that event has crashed."""
    text: str | None = None
    """A regular expression for the last lines of the output that are not JSON, of an agent that failed."""
    event: Event | None = None
    """Dotted paths into a JSON line of the output, each with the value it must have there; a string that starts with
    `re:` is a regular expression."""
    code: int | None = None
    """The exit code, alone or in addition to `text` or `event`. Such a rule matches only after the agent has exited by
    itself."""
    reset_path: str | None = None
    """Dotted path of the time when a limit ends, in the line that matched."""
    reset_event: Event | None = None
    """The line for `reset_path`, if it is not the one that matched."""
    reset: str | None = None
    """A regular expression for the time when a limit ends, if no path leads to it: its first group, or all of it. Epoch
    seconds, clock time, date or duration."""

    def __post_init__(self) -> None:
        if self.class_ not in AGENT_CLASSES:
            known = ", ".join(AGENT_CLASSES)
            raise FieldError("class", f"{self.class_.value!r} is not a class for rules; use one of {known}")
        if self.text is not None and self.event is not None:
            raise FieldError("class", 'a rule has either "text" or "event"')
        if self.text is None and self.event is None and self.code is None:
            raise FieldError("class", 'a rule has "text", "event" or "code"')
        if self.reset_event is not None and self.reset_path is None:
            raise FieldError("reset_event", 'needs "reset_path", the path in that line')
        for key, pattern in (("text", self.text), ("reset", self.reset)):
            if pattern is not None:
                check_pattern(key, pattern)
        for key, event in (("event", self.event), ("reset_event", self.reset_event)):
            check_event(key, event)


class Usage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an agent reports its usage: in JSON lines that match ``event``."""

    event: Event
    """Which JSON lines: dotted paths and the values they must have, as in a rule."""
    scope: Literal["run", "session", "event"] = "run"
    """What the figures count. `run`: this process, in the last such line; `session`: the whole conversation so far, in
    the last such line; `event`: one step, and all such lines are added up."""
    key: str | None = None
    """With scope `event`: dotted path of an id; of several lines with the same id only the last counts."""
    tokens: Paths = ()
    """Dotted paths of the numbers that add up to the tokens; the next five keys count them separately instead. In a
    path `*` stands for every entry of a table or a list; of several paths with `|` between them the first that finds a
    value counts."""
    input: Paths = ()
    """Dotted paths of the input tokens."""
    cache_read: Paths = ()
    """Dotted paths of the tokens read from a cache."""
    cache_write: Paths = ()
    """Dotted paths of the tokens written to a cache."""
    output: Paths = ()
    """Dotted paths of the output tokens."""
    total: Paths = ()
    """Dotted paths of all tokens, for an agent whose `output` leaves some out, such as its thoughts: what the other
    keys do not contain counts as output."""
    inclusive: bool = False
    """`input` includes the tokens of the cache."""
    cost: str | None = None
    """Dotted path of the cost in US dollars. A cost of 0 for more than 0 tokens counts as unknown: the agent does not
    know the price."""
    guess: Event | None = None
    """Marks a line (with `models`: an entry) with a cost that the agent itself only guesses: that cost is not
    counted."""
    cost_scope: Literal["run", "session", "event"] | None = None
    """What the cost counts, if not the same as `scope`."""
    model: str | None = None
    """Dotted path of the model's name, for `prices`."""
    model_event: Event | None = None
    """The line that contains `model`, if it is another one: the lines after it were used by that model."""
    models: str | None = None
    """Dotted path of a table with models as names: all other paths start in its entries, or, in a line without the
    table, in the line itself."""

    @property
    def paths(self) -> Paths:
        """All paths that lead to tokens."""
        return self.tokens + self.input + self.cache_read + self.cache_write + self.output + self.total

    def __post_init__(self) -> None:
        check_event("event", self.event)
        check_event("model_event", self.model_event)
        check_event("guess", self.guess)
        if self.model_event is not None and self.model is None:
            raise FieldError("model_event", 'needs "model", the path in that line')
        if self.tokens and self.paths != self.tokens:
            raise FieldError("tokens", "either tokens, or input, cache_read, cache_write, output and total")
        for path in (*self.paths, *filter(None, (self.cost, self.key, self.model, self.models))):
            for one in path.split("|"):
                check_path("event", one)


class Session(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an agent that chooses the id of its conversation reports it: in the first JSON line that matches."""

    event: Event
    """Which JSON line: dotted paths and the values they must have, as in a rule."""
    id: str
    """Dotted path of the id."""

    def __post_init__(self) -> None:
        check_event("event", self.event)
        check_path("id", self.id)


class Transcript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an agent keeps its conversations on disk, for the usage of a killed attempt and its conversation's id."""

    files: Paths = ()
    """Globs of files of JSON lines, or of one JSON value each; `~` is the agent's home, `${NAME:-default}` a variable
    of its environment, and `{session}`, `{tree}`, `{dir}` as in a command.
    """
    owner: Event | None = None
    """A JSON line that only the attempt's own file has; `{tree}` and `{session}` are filled in."""
    id: str | None = None
    """Dotted path of the conversation's id in that line; without it the id is the part of the file's path that matches
    `{session}`."""
    also: Paths = ()
    """Globs of more files of the conversation `{session}`, such as those of sub-agents: their usage is added."""
    resumable: Event | None = None
    """A JSON line, such as an answer of the model, without which the agent cannot resume the conversation in the
    file."""
    database: str | None = None
    """Instead of files: an SQLite database."""
    query: str | None = None
    """One SELECT of one row; its columns may be named session, input, cache_read, cache_write, output and cost. It may
    use `:session`, `:tree` and `:since_ms`, the start of the attempt."""

    def __post_init__(self) -> None:
        if bool(self.files) == bool(self.database):
            raise FieldError("files", 'either "files" or "database"')
        if bool(self.database) != bool(self.query):
            raise FieldError("query", 'a "database" needs a "query", and a "query" needs a "database"')
        if self.also and not self.files:
            raise FieldError("also", 'needs "files"')
        if self.id is not None and self.owner is None:
            raise FieldError("id", 'needs "owner", the line that contains it')
        check_event("owner", self.owner)
        check_event("resumable", self.resumable)


class Reset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the transcript says exactly when a limit ends, for an agent that rounds it in its message."""

    event: Event
    """Which JSON lines: dotted paths and the values they must have, as in a rule; the newest match counts."""
    at: str
    """Dotted path of the time: epoch seconds, a date with a time, or a duration."""

    def __post_init__(self) -> None:
        check_event("event", self.event)
        check_path("at", self.at)


class Context(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """How full the context window is: the newest JSON line that matches counts, while the agent runs."""

    event: Event
    """Which JSON lines: dotted paths and the values they must have, as in a rule."""
    used: Paths
    """Dotted paths of the numbers that add up to the tokens in the window."""
    source: Literal["output", "transcript"] = "output"
    """Where those lines are."""
    window: str | None = None
    """Dotted path of the window's size; otherwise `window` of the profile or of the agent is used."""

    def __post_init__(self) -> None:
        check_event("event", self.event)
        for path in (*self.used, *filter(None, (self.window,))):
            check_path("used", path)


class Watch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines of the output that show that an agent is stuck or still working."""

    error: Event | None = None
    """A line that reports an error; `limits.same_errors` equal ones in a row are a runaway."""
    request: Event | None = None
    """A line for one answer of the model; `limits.idle_requests` without a change in the tree are a runaway."""
    key: str | None = None
    """Dotted path of an id of the answer: consecutive lines with the same id are one answer."""
    calls: Event | None = None
    """A line after which a tool of the agent runs, so that no request to the model is open; `request` lines if left
    out. An agent that is killed after any other line is assumed to have had one open."""
    retry: str | None = None
    """A regular expression for the lines that are not JSON in which a program that retries for ever names the reason. A
    limit or a login problem that appears twice, or an overload or a dead network that appears six times with no answer
    between, ends the agent with that class."""
    goes_on: tuple[Event, ...] = ()
    """Lines that show that the agent still works: an earlier final event was not the last. `request` lines show it as
    well."""
    background: Event | None = None
    """A line that lists the work running in the background; the newest one counts. While the list is not empty the
    agent is not over, whatever its final event says."""
    tasks: str | None = None
    """Dotted path of that list."""

    def __post_init__(self) -> None:
        check_event("error", self.error)
        if self.retry is not None:
            check_pattern("retry", self.retry)
        check_event("request", self.request)
        check_event("calls", self.calls)
        check_event("background", self.background)
        for event in self.goes_on:
            check_event("goes_on", event)
        if (self.background is None) != (self.tasks is None):
            raise FieldError("background", '"background" needs "tasks", and "tasks" needs "background"')
        if self.tasks is not None:
            check_path("tasks", self.tasks)
        if self.key is not None:
            check_path("key", self.key)


class Reading(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people see one kind of line of the output; entries are tried in order, the first match wins.

    Of several errors the one whose entry comes first is the message.
    """

    kind: Literal[
        "error", "says", "thinks", "runs", "edits", "reads", "searches", "uses", "gives", "asks", "done", "note"
    ]
    """`error`: what went wrong; `says`, `thinks`: the model's text and its thoughts; `runs`: a shell command; `edits`,
    `reads`: a file; `searches`: a search; `uses`: another tool; `gives`: what a tool returned; `asks`: a question to a
    person; `done`: the end; `note`: what nobody needs to read, such as start-up messages."""
    event: Event | None = None
    """Which JSON lines: dotted paths and the values they must have, as in a rule."""
    line: str | None = None
    """Instead of `event`: a regular expression for lines that are not JSON; its first group, or all of it, is the
    text.
    """
    parts: str | None = None
    """Dotted path, with `*`, of parts of the JSON line that are read one by one, such as the blocks of a message."""
    part: Event | None = None
    """What such a part must contain."""
    text: Paths = ()
    """Dotted paths of the text, in the line or in the part; a path may lead into JSON inside a string. Without a text
    at any of them the entry does not match."""
    pieces: bool = False
    """Consecutive lines of this kind are pieces of one text."""

    def __post_init__(self) -> None:
        if (self.event is None) == (self.line is None):
            raise FieldError("kind", 'needs either "event" or "line"')
        if self.part is not None and self.parts is None:
            raise FieldError("part", 'needs "parts", the path of the parts')
        if self.line is not None:
            if self.parts is not None or self.text:
                raise FieldError("line", 'cannot have "parts" or "text" next to "line": its first group is the text')
            check_pattern("line", self.line)
        check_event("event", self.event)
        check_event("part", self.part)
        for path in (*self.text, *filter(None, (self.parts,))):
            check_path("text", path)


class Tariff(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a model, for agents that report no cost; the sums are marked as estimates."""

    model: str
    """A regular expression for the whole name of the model."""
    as_of: str
    """The month of the price, as in `2026-11`."""
    input: Price
    """US dollars per million input tokens."""
    output: Price
    """US dollars per million output tokens."""
    cache_read: Price | None = None
    """US dollars per million tokens read from the cache; the price of `input` if left out."""
    cache_write: Price | None = None
    """US dollars per million tokens written to the cache; the price of `input` if left out."""

    def __post_init__(self) -> None:
        check_pattern("model", self.model)
        if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", self.as_of):
            raise FieldError("as_of", f'{self.as_of!r} is not a month; write it as "2026-11"')


def check_pattern(key: str, pattern: str) -> None:
    """Raise FieldError unless the text is a valid regular expression."""
    if not SPECIAL.intersection(pattern):
        return  # plain words: the compiler would cost each poll a millisecond or two
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise FieldError(key, f"not a regular expression: {error} (in {pattern!r})") from None


def check_event(key: str, event: Mapping[str, Scalar] | None) -> None:
    """Raise FieldError unless the table names at least one path, and all are well formed."""
    if event is None:
        return
    if not event:
        raise FieldError(key, 'needs at least one path, as in { type = "result" }')
    for path, value in event.items():
        check_path(key, path)
        if isinstance(value, str) and value.startswith("re:"):
            check_pattern(key, value[3:])


def check_path(key: str, path: str) -> None:
    """Raise FieldError unless the text is a dotted path."""
    if not all(path.split(".")):
        raise FieldError(key, f"{path!r} is not a dotted path")


def tariff_of(model: str, prices: Sequence[Tariff]) -> Tariff | None:
    """Return the price of a model; None if unknown."""
    return next((one for one in prices if re.fullmatch(one.model, model)), None)
