"""How an agent counts tokens: from ``.agentjobs/tokens.json``, its settings or its preset."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.disk.files import read_json
from agentjobs.policy.presets import preset
from agentjobs.tokens.fit import Scale

if TYPE_CHECKING:
    from agentjobs.project.project import Project

STATE: Final = "tokens.json"


class Learnt(Struct, frozen=True, omit_defaults=True):
    """What ``tokens --calibrate`` learned about one agent."""

    factor: float
    overhead: int
    attempts: int
    at: float


class State(Struct, frozen=True):
    """State ``.agentjobs/tokens.json``."""

    agents: dict[str, Learnt] = {}


def scale_of(project: Project, name: str) -> Scale:
    """Return how an agent counts: as learned here, else by its settings, else as agentjobs does."""
    state = read_json(project.store.dir / STATE, State)
    if state is not None and name in state.agents and _sound(state.agents[name]):
        learnt = state.agents[name]
        return Scale(learnt.factor, learnt.overhead)
    agent = project.policy.agents.get(name)
    return Scale((agent.tokens_factor if agent else preset_factor(name)) or 1.0)


def preset_factor(name: str) -> float | None:
    """Return the factor of a preset; None if it has none."""
    factor = (preset(name) or {}).get("tokens_factor")
    return float(factor) if factor else None


def _sound(learnt: Learnt) -> bool:
    """Check values that a person may have edited."""
    return math.isfinite(learnt.factor) and learnt.factor > 0 and learnt.overhead >= 0
