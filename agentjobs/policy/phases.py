"""``phases`` of agentjobs.toml: their faults and their order. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agentjobs.text.nearest import unknown
from agentjobs.text.toml import section, spot
from agentjobs.text.tsv import ID_RULE, is_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.policy.policy import Policy
    from agentjobs.text.toml import Path


def faults(policy: Policy) -> Iterator[tuple[Path, str]]:
    """Yield phases without a profile, and keys of profiles that do nothing without phases."""
    for at, name in enumerate(policy.phases):
        if name not in policy.profiles:
            yield ("phases",), f"phases: {unknown('profile', name, policy.profiles)}"
        elif name in policy.phases[:at]:
            yield ("phases",), f'phases: "{name}" appears twice'
        elif not is_id(name):
            yield ("phases",), f'phases: "{name}" cannot be a phase: {ID_RULE}'
    for name, profile in policy.profiles.items():
        here: Path = ("profiles", name)
        if profile.plan is not None and name not in policy.phases:
            yield (*here, "plan"), f"{spot((*here, 'plan'))} never runs: {name} is not in phases"
        if profile.min_done < 1 and name not in policy.phases[1:]:
            why = "is the first phase" if name in policy.phases else "is not in phases"
            yield (*here, "min_done"), f"{spot((*here, 'min_done'))} means nothing: {name} {why} ({section(here)})"


def unknown_phase(name: str, known: list[str]) -> str:
    """Return the error for a phase that does not exist."""
    if not known:
        return f'there is no phase "{name}": agentjobs.toml has no key phases'
    return unknown("phase", name, known)


def phase_before(policy: Policy, name: str) -> str:
    """Return the phase before a profile; empty for the first, and for a profile that is not a phase."""
    at = policy.phases.index(name) if name in policy.phases else 0
    return policy.phases[at - 1] if at else ""


def filled(row: Mapping[str, str], profile: str, output: str | None) -> dict[str, str]:
    """Return a row with its defaults filled in: its profile, its output, and the output as one of its files."""
    found = dict(row)
    if not found.get("profile", "").strip():
        found["profile"] = profile
    if output is not None and found["profile"] == profile and not found.get("output", "").strip():
        found["output"] = output.replace("{id}", found["id"])
    if found.get("output", "").strip() and not found.get("files", "").strip():
        found["files"] = shlex.quote(found["output"])
    return found


def plans_first(policy: Policy) -> bool:
    """Return whether all tasks come from plans, so that the table may be missing at first."""
    return bool(policy.phases) and policy.profiles[policy.phases[0]].plan is not None
