"""``agents`` as text: the agents, their settings, the result of a trial. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agentjobs.text.for_people import columns, duration, one_line
from agentjobs.text.toml_write import table_text
from agentjobs.text.versions import Standing, range_of
from agentjobs.views.story_text import spent_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentjobs.agents.installed import Choice, Installed
    from agentjobs.commands.tryout import Told, Tried

LOG_LINES = 20
"""Last lines of a log that are shown."""


def agents_lines(found: Sequence[Installed]) -> Iterator[str]:
    """Yield what ``agents`` prints: a line for each agent."""
    rows = [("NAME", "AGENT", "VERSION", "TESTED", "", "HERE")]
    rows += [
        (one.name, one.about, _version(one), range_of(one.tested), _standing(one), _here(one)) for one in found
    ]
    yield from columns(rows)


def _version(one: Installed) -> str:
    return (one.version or "?") if one.program else "not installed"


def _standing(one: Installed) -> str:
    if not one.tested and not one.preset:
        return ""
    if one.standing is Standing.UNTESTED or one.program:
        return one.standing.value
    return ""


def _here(one: Installed) -> str:
    """Describe how agentjobs.toml uses an agent."""
    parts = []
    if one.profiles:
        parts.append(f"{'profile' if len(one.profiles) == 1 else 'profiles'} {', '.join(one.profiles)}")
    if one.section and one.preset:
        based = f"is {one.preset}, and " if one.preset != one.name else ""
        changed = [key for key in one.section if key != "preset"]
        if changed or based:
            parts.append(f"{based}changes {', '.join(changed)}" if changed else f"is {one.preset}")
    elif one.section:
        parts.append("has a section")
    return "; ".join(parts)


def problem_lines(found: Sequence[Installed]) -> Iterator[str]:
    """Yield a line for each agent that does not answer as it should."""
    yield from (f"{one.name}: {one.problem}" for one in found if one.problem)


def settings_text(choice: Choice) -> str:
    """Return all settings of an agent as a section of agentjobs.toml, with a comment on where they come from."""
    changed = [key for key in choice.section if key != "preset"]
    if not choice.preset:
        said = "# all of it is in agentjobs.toml"
    elif changed:
        said = f"# preset {choice.preset}; agentjobs.toml changes {', '.join(changed)}"
    else:
        said = f"# preset {choice.preset}; a section [agents.{choice.name}] can override it"
    return f"{said}\n{table_text(choice.table, ('agents', choice.name))}"


# --- a trial ----------------------------------------------------------------------------------------------


def told_lines(told: Told) -> Iterator[str]:
    """Yield the lines about one turn of the agent."""
    outcome, spent = told.outcome.value if told.outcome else "it did not start", told.spent
    rows = [
        ("command", shlex.join(told.argv)),
        ("class", outcome + (f": {one_line(told.detail, 300)}" if told.detail else "")),
        ("session", told.session or "unknown"),
        ("spent", spent_text(spent, spent.tokens, spent.cost or 0.0) if spent.tokens or spent.cost else "not told"),
        ("took", duration(told.took_s)),
        ("edit", told.edit),
    ]
    yield from columns(rows, "  ")


def verdict_line(tried: Tried) -> str:
    """Return the result of a trial in one line."""
    if tried.failure:
        return f"{tried.name} does not work here: {tried.failure}"
    if tried.resumed is not None:
        return f"{tried.name} works, and can continue a conversation"
    return f"{tried.name} works" + (f" ({tried.unresumed})" if tried.unresumed else "")


def log_lines(log: str) -> Iterator[str]:
    """Yield the end of a log."""
    lines = [line for line in log.splitlines() if line.strip()]
    yield from (f"  | {one_line(line, 200)}" for line in lines[-LOG_LINES:])
