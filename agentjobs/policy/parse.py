"""Read agentjobs.toml: bytes in, ``Policy`` out; errors have their line. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from agentjobs.model.errors import UserError
from agentjobs.policy.agents import flags_of, preset_of, table_of
from agentjobs.policy.policy import Policy, unknown_name, wishes_of
from agentjobs.text.nearest import did_you_mean
from agentjobs.text.toml import decode, line_of, load, section, spot
from agentjobs.text.variables import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agentjobs.policy.policy import Profile
    from agentjobs.text.toml import Path


def parse_policy(
    data: bytes,
    file: str = "agentjobs.toml",
    preset: Callable[[str], dict[str, Any] | None] = lambda _: None,
    presets: Callable[[], Iterable[str]] = tuple,
) -> Policy:
    """Read the bytes of agentjobs.toml. Raises UserError with the file and the line of whatever is wrong.

    ``preset`` returns the table of an agent that needs no section, or None; ``presets`` the names of all of them.
    """
    raw = _with_presets(load(data, file), preset, presets, data, file)
    for path in _unbounded(raw, ()):
        raise UserError(f"{spot(path)} must be a finite number", file=file, line=line_of(data, path))
    policy = decode(data, raw, Policy, file)
    for path, words in _loose_ends(policy, presets):
        raise UserError(words, file=file, line=line_of(data, path))
    return policy


def _with_presets(
    raw: dict[str, Any],
    preset: Callable[[str], dict[str, Any] | None],
    presets: Callable[[], Iterable[str]],
    data: bytes,
    file: str,
) -> dict[str, Any]:
    """Merge the presets into the agents that sections and profiles name."""
    sections, profiles = raw.get("agents", {}), raw.get("profiles", {})
    if not isinstance(sections, dict) or not isinstance(profiles, dict):
        return raw
    wanted = [p.get("agent") for p in profiles.values() if isinstance(p, dict)]
    names = dict.fromkeys([*sections, *(name for name in wanted if isinstance(name, str))])
    agents = {}
    for name in names:
        section = sections.get(name)
        if name in sections and not isinstance(section, dict):
            agents[name] = section
            continue
        chosen = preset_of(name, section)
        if section and isinstance(section.get("preset"), str) and chosen and preset(chosen) is None:
            hint = did_you_mean(chosen, presets(), "`agentjobs agents` lists them")
            line = line_of(data, ("agents", name, "preset"))
            raise UserError(f'no preset "{chosen}"; {hint}', file=file, line=line)
        found = table_of(name, section, preset)
        if found is not None:
            agents[name] = found
    return {**raw, "agents": agents} if agents or "agents" in raw else raw


def _loose_ends(policy: Policy, presets: Callable[[], Iterable[str]]) -> Iterator[tuple[Path, str]]:
    """Yield unknown names, and variables that cannot be passed on."""
    entries: list[tuple[Path, tuple[str, ...]]] = [(("inherit",), policy.inherit)]
    entries += [(("agents", name, "inherit"), agent.inherit) for name, agent in policy.agents.items()]
    for path, patterns in entries:
        for words in filter(None, map(fault, patterns)):
            yield path, f"{words} ({spot(path)})"
    yield from _loose_ends_of_profiles(policy, presets)
    if policy.phases or any(p.plan is not None or p.min_done < 1 for p in policy.profiles.values()):
        from agentjobs.policy.phases import faults  # only needed with phases

        yield from faults(policy)
    for name, reviewer, words in _misnamed(policy.profiles, trees=policy.workspace.kind != "none"):
        here = ("profiles", name, "review")
        yield here, f"{spot(here)} names {reviewer}: {words}"
    if policy.plan is not None and policy.plan.profile is not None and policy.plan.profile not in policy.profiles:
        yield ("plan", "profile"), f"{unknown_name('profile', policy.plan.profile, policy.profiles)} (in [plan])"


def _loose_ends_of_profiles(policy: Policy, presets: Callable[[], Iterable[str]]) -> Iterator[tuple[Path, str]]:
    for name, profile in policy.profiles.items():
        here: Path = ("profiles", name)
        if profile.agent not in policy.agents:
            known = {*policy.agents, *presets()}
            yield (*here, "agent"), f"{unknown_name('agent', profile.agent, known)} (in {section(here)})"
        if profile.escalate is not None and profile.escalate not in policy.profiles:
            words = unknown_name("profile", profile.escalate, policy.profiles)
            yield (*here, "escalate"), f"{words} (in {section(here)})"
        for reviewer in profile.review:
            if reviewer not in policy.profiles:
                words = unknown_name("profile", reviewer, policy.profiles)
                yield (*here, "review"), f"{words} (in {section(here)})"
        agent = policy.agents.get(profile.agent)
        if agent is not None:
            try:
                flags_of(agent, wishes_of(profile))
            except KeyError as error:
                key = {"budget": "budget_usd"}.get(error.args[0], error.args[0])
                used, flag = profile.agent, error.args[0]
                cure = f"add {{flags}} to its commands and {flag} = [...] to [agents.{used}.flags]"
                yield (*here, key), f"{spot((*here, key))}: agent {used} does not support it; {cure}"


def _unbounded(value: Any, path: Path) -> Iterator[Path]:
    """Yield ``inf`` and ``nan``, which TOML allows but limits and comparisons do not."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _unbounded(item, (*path, key))


def _misnamed(profiles: Mapping[str, Profile], *, trees: bool) -> Iterator[tuple[str, str, str]]:
    """Yield each wrong entry of a ``review``: the profile, the reviewer, the fault.

    The caller reports a reviewer that is not defined. ``trees``: tasks have trees, and so commits.
    """
    for name, profile in profiles.items():
        for at, reviewer in enumerate(profile.review):
            other = profiles.get(reviewer)
            if not trees:
                yield name, reviewer, 'there is no commit to review if workspace.kind is "none"'
            elif reviewer == name:
                yield name, reviewer, "a profile cannot review itself"
            elif reviewer in profile.review[:at]:
                yield name, reviewer, f"{reviewer} is named twice"
            elif other is not None and other.review:
                yield name, reviewer, f"{reviewer} has reviewers itself; a reviewer must not have any"
