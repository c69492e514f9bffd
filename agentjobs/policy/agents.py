"""How to start, resume, stop and read an agent program: ``[agents]`` of agentjobs.toml. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from agentjobs.policy.agent_output import (
    Context,
    Reading,
    Reset,
    Rule,
    Session,
    Tariff,
    Transcript,
    Usage,
    Watch,
    check_pattern,
)
from agentjobs.text.toml import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLACEHOLDERS: Final = ("session", "prompt", "task", "attempt", "root", "tree", "dir")
"""What ``{…}`` may name in a command; ``prompt`` is the path of the prompt, ``root`` that of the project, ``tree`` that
of the task's tree, ``dir`` a directory that the task keeps over all its attempts.
"""

FLAGS: Final = "{flags}"
"""An argument of a command; it is replaced by the flags for the keys of the profile (none, one or several)."""

NO_PRESET: Final = "none"
"""``preset`` of a section that starts from no preset."""

WINDOW: Final = 200_000
"""Tokens of a model's context window if nothing else is configured."""

Signal = Literal["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "KILL"]

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def check_writable(path: str) -> None:
    """Raise ``FieldError`` for a path that steps must not write."""
    parts = path.split("/")
    if not path.strip("/") or "\0" in path or ".." in parts or ".agentjobs" in parts:
        raise FieldError("writable", f"{path!r} cannot be writable for steps")


class Flags(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments that replace `{flags}` if the profile sets the key; `{value}` is the key's value."""

    model: tuple[str, ...] = ()
    """For key `model` of a profile: choose the model."""
    turns: tuple[str, ...] = ()
    """For key `turns` of a profile: limit the turns."""
    budget: tuple[str, ...] = ()
    """For key `budget_usd` of a profile: limit the cost."""


class Agent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent program. A section with the name of a preset starts from that preset."""

    preset: str | None = None
    """The preset this section starts from, if not the one of the same name; `"none"` for none."""
    about: str = ""
    """The program's name, for people."""
    install: str = ""
    """The usual command to install it, for people."""
    version: tuple[str, ...] = ()
    """The command that prints its version."""
    version_pattern: str | None = None
    """A regular expression for the version in the output of that command: its first group. By default the first version
    in it."""
    requires: dict[str, str] = field(default_factory=dict)
    """Programs it needs, each with its minimum version, as in `{ node = "22.19" }`."""
    tested: tuple[str, ...] = ()
    """The versions that these settings were tested with, oldest first."""
    account: str | None = None
    """Agents with the same account share limits and logins; by default the name of the preset, or of the section."""
    command: tuple[str, ...]
    """The program and its arguments, without a shell. Placeholders: `{session}`, `{prompt}` (its path), `{task}`,
    `{attempt}`, `{root}` (the project), `{tree}`, `{dir}` (a private directory of the task), and as a separate argument
    `{flags}`; write `{{` and `}}` for braces."""
    resume: tuple[str, ...] | None = None
    """The command that resumes conversation `{session}`; without it every attempt is a new conversation."""
    prompt: Literal["stdin", "file"] = "stdin"
    """How the prompt arrives: on stdin, or only as the file `{prompt}`, which the command names."""
    flags: Flags = field(default_factory=Flags)
    """Replacements for `{flags}`; see below."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables added to the environment."""
    inherit: tuple[str, ...] = ()
    """Variables of the environment of agentjobs that this agent gets in addition to the usual ones: names or globs, as
    in `["ANTHROPIC_API_KEY", "AWS_*"]`."""
    writable: tuple[str, ...] = ()
    """Paths outside its tree where it keeps its settings and conversations: a sandbox lets it write there. Same format
    as `workspace.writable`."""
    window: Annotated[int, Meta(ge=1)] | None = None
    """Context window of its usual model, in tokens; 200,000 if neither this nor the profile sets it."""
    tokens_factor: Annotated[float, Meta(gt=0, le=10)] | None = None
    """How many tokens its model counts for one token of o200k_base, which agentjobs uses to count: 1 if left out. A
    value learned by `agentjobs tokens --calibrate` takes precedence."""
    session: Session | None = None
    """Where it reports the id of its conversation; without this key agentjobs chooses the id. See below."""
    rules: tuple[Rule, ...] = ()
    """How to distinguish a limit, a full context, a lost login … from a crash; see below."""
    text_after: str | None = None
    """For an agent that prints the text of its model as plain lines: a regular expression for a line after which all
    lines come from the program itself. `text` rules read only what follows the last such line; without one, all of the
    output."""
    reading: tuple[Reading, ...] = ()
    """How its output is shown to people; see below."""
    usage: Usage | None = None
    """Where it reports tokens and cost; see below."""
    transcript: Transcript | None = None
    """Where it keeps its conversations; see below."""
    transcript_usage: Usage | None = None
    """Where tokens and cost are in its transcript, for an attempt that was killed; keys as in `usage`."""
    transcript_resets: tuple[Reset, ...] = ()
    """Where its transcript says exactly when a limit ends; of several that match in one line, the last one counts."""
    context: Context | None = None
    """Where it reports how full its window is; see below."""
    watch: Watch | None = None
    """Signs that it is stuck or still working; see below."""
    prices: tuple[Tariff, ...] = ()
    """Prices of its models, if it reports no cost; see below."""
    stop: tuple[Signal, ...] = ("TERM",)
    """Signals that stop the agent, in this order, `stop_grace_s` apart; `KILL` always follows."""
    finish_grace_s: Annotated[float, Meta(ge=0)] | None = None
    """Seconds it may go on running after its final event, instead of `limits.finish_grace_s`."""

    def __post_init__(self) -> None:
        for key, command in (("command", self.command), ("resume", self.resume)):
            if command is not None and (command or key == "command"):
                _check_command(key, command)
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise FieldError("env", f"{name!r} cannot be a variable of the environment")
            if name.startswith("AGENTJOBS_"):
                raise FieldError("env", f"{name!r} is set by agentjobs; choose another name")
        for key in ("text_after", "version_pattern"):
            check_pattern(key, getattr(self, key) or "")
        for name, least in self.requires.items():
            if not re.fullmatch(r"\d+(\.\d+)*", least):
                raise FieldError("requires", f'{least!r} is not a version of {name}; write it as "22.19"')
        for path in self.writable:
            check_writable(path)
        if self.transcript is None or self.transcript.database:
            self._refuse_what_needs_a_transcript()

    def _refuse_what_needs_a_transcript(self) -> None:
        keys = {"transcript_usage": self.transcript_usage, "transcript_resets": self.transcript_resets}
        for key, value in keys.items():
            if value:
                raise FieldError(key, "needs a transcript with files")
        if self.context is not None and self.context.source == "transcript":
            raise FieldError("context", 'from = "transcript" needs a transcript with files')

    @property
    def observable(self) -> bool:
        """True if its state can be observed while it runs."""
        return bool(self.context or self.watch or self.usage or self.transcript_usage)

    @property
    def reports_tokens(self) -> bool:
        """True if it reports, or keeps on disk, the tokens it used: then no number means that it used none."""
        return self.usage is not None or self.transcript_usage is not None or self._has_database

    @property
    def reports_tokens_at_once(self) -> bool:
        """True if it reports tokens with each answer, not only at a normal end."""
        return (self.usage is not None and self.usage.scope == "event") or (
            self.transcript is not None and (self.transcript_usage is not None or self._has_database)
        )

    @property
    def _has_database(self) -> bool:
        return self.transcript is not None and self.transcript.database is not None

    @property
    def reports_cost(self) -> bool:
        """True if it reports their cost, for models whose price it knows."""
        return any(where is not None and where.cost is not None for where in (self.usage, self.transcript_usage))

    @property
    def chooses_session(self) -> bool:
        """True if the agent chooses the id of a conversation; else agentjobs does."""
        if any("{session}" in part for part in self.command):
            return False
        return self.session is not None or (
            self.transcript is not None and (self.transcript.id is not None or self.transcript.database is not None)
        )


def flags_of(agent: Agent, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments for the settings of a profile that are not empty (``model``, ``turns``, ``budget``).

    KeyError names the first one that the agent has no flag for.
    """
    found: list[str] = []
    for key, value in wanted.items():
        template: tuple[str, ...] = getattr(agent.flags, key)
        if not template or not (takes_flags(agent.command) and (not agent.resume or takes_flags(agent.resume))):
            raise KeyError(key)
        found += [part.replace("{value}", value) for part in template]
    return tuple(found)


def takes_flags(command: Sequence[str]) -> bool:
    """Return whether a command has ``{flags}``."""
    return FLAGS in command


def expand(command: Sequence[str], values: Mapping[str, str], flags: Sequence[str] = ()) -> tuple[str, ...]:
    """Fill the placeholders of a command: one argument stays one argument, whatever the value contains.

    ``values`` has a text for each of ``PLACEHOLDERS``; ``flags`` replace the argument ``{flags}``.
    """

    def replace(found: re.Match[str]) -> str:
        return found[0][0] if found[0] in ("{{", "}}") else values[found[1]]

    expanded: list[str] = []
    for part in command:
        expanded += flags if part == FLAGS else [_BRACES.sub(replace, part)]
    return tuple(expanded)


MERGED: Final = ("env", "flags")
"""Tables that are merged with those of the preset."""

JOINED: Final = ("rules", "reading")
"""Lists to which the preset's entries are appended."""


def with_preset(section: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of an agent: the preset's keys, replaced by those of the user's section.

    `env` and `flags` are merged name by name, and the user's `rules` and `reading` are tried before the preset's.
    """
    merged = {**preset, **section}
    for key in MERGED:
        if isinstance(preset.get(key), dict) and isinstance(section.get(key), dict):
            merged[key] = {**preset[key], **section[key]}
    for key in JOINED:
        if isinstance(section.get(key), list):
            merged[key] = [*section[key], *preset.get(key, ())]
    return merged


def preset_of(name: str, section: Mapping[str, Any] | None) -> str:
    """Return the name of the preset that agent ``name`` starts from, even if it does not exist; empty for none."""
    named = section.get("preset") if section else None
    chosen = named if isinstance(named, str) else name
    return "" if chosen == NO_PRESET else chosen


def table_of(
    name: str, section: Mapping[str, Any] | None, preset: Callable[[str], Mapping[str, Any] | None]
) -> dict[str, Any] | None:
    """Return the whole table of an agent, from its preset and its section; None if there is neither.

    ``preset`` returns the table of a preset, or None.
    """
    chosen = preset_of(name, section)
    found = preset(chosen) if chosen else None
    if found is not None:
        return with_preset(section or {}, {"preset": chosen, "account": chosen, **found})
    return None if section is None else dict(section)


def _check_command(key: str, command: tuple[str, ...]) -> None:
    if not command or not command[0]:
        raise FieldError(key, "needs the program to start")
    for part in command:
        if "\0" in part:
            raise FieldError(key, "an argument cannot hold a NUL character")
        if part == FLAGS:
            continue
        for found in _BRACES.finditer(part):
            if found[0] in ("{", "}"):
                raise FieldError(key, f"a lone {found[0]!r} in {part!r}; write {found[0] * 2!r} for a literal brace")
            if found[0] == FLAGS:
                raise FieldError(key, f"{FLAGS} in {part!r} must be a separate argument")
            if found[1] is not None and found[1] not in PLACEHOLDERS:
                names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                raise FieldError(key, f"unknown placeholder {found[0]}; known: {names}, {FLAGS}, {{{{ and }}}}")
