"""How to go on after a halt. Pure."""

from __future__ import annotations

_ADVICE = {
    "auth": "Log the agent in again, then `agentjobs dispatch`.",
    "infra": "Put right what the message names, then `agentjobs dispatch`.",
    "landing": "Put right what the message names, then `agentjobs dispatch`: the work is done and waits.",
    "breaker": "Look at one with `agentjobs show ID`, mend the prompt or the checks, "
    "then `agentjobs retry --failed` or `agentjobs dispatch`.",
    "diagnose": "`agentjobs status --failures` groups them; tune the prompt first, then "
    "`agentjobs retry --failed`, or accept them with `agentjobs dispatch`.",
}


def advice(why: str) -> str:
    """Return how to go on after a halt; ``why`` begins with its kind."""
    if why.endswith("(limits.min_free_memory)"):
        return "It goes on by itself when there is more; or lower the limit in agentjobs.toml."
    if why.endswith("`agentjobs approve`"):
        return "`agentjobs approve --all` lets all of them land, `agentjobs approve ID` one."
    return _ADVICE.get(why.partition(":")[0], "Raise the limit in agentjobs.toml, then poll again.")
