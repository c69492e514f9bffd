"""How to continue after a halt, or when all accounts with work are stuck. Pure."""

from __future__ import annotations

from agentjobs.core.board import UNSERVED

_ADVICE = {
    "limit": "`agentjobs dispatch` waits until the limit is over and then tries again; with `--force` it tries now.",
    "overloaded": "The service still refuses: check its status page, then `agentjobs dispatch`.",
    "unreachable": "Make sure that the agent works (network, proxy, login), then `agentjobs dispatch`.",
    "auth": "Fix what the agent reports (log in, pay, change the plan), then `agentjobs dispatch`.",
    "infra": "Fix what the message names, then `agentjobs dispatch`.",
    "landing": "Fix what the message names, then `agentjobs dispatch`; the finished work waits.",
    "unknown_cost": 'Give the model a price ([[agents.NAME.prices]]) or set limits.unknown_cost = "allow", then '
    "`agentjobs dispatch`.",
    "plan": "Fix what the message names, then `agentjobs dispatch`, which plans the phase again.",
    "breaker": "Look at one with `agentjobs show ID`, fix the prompt or the checks, "
    "then `agentjobs retry --failed` or `agentjobs dispatch`.",
    "diagnose": "`agentjobs status --failures` groups them; improve the prompt first, then "
    "`agentjobs retry --failed`, or accept them with `agentjobs dispatch`.",
}


def advice(why: str) -> str:
    """Return how to continue; ``why`` begins with the kind of the trouble."""
    if why.endswith("(limits.min_free_memory)"):
        return "Work continues when there is more; or lower the limit in agentjobs.toml."
    if why.endswith("`agentjobs approve`"):
        return "Land all of them with `agentjobs approve --all`, or one with `agentjobs approve ID`."
    if why.startswith("reviewers gave no verdict"):
        return "Verified work is kept as it is."
    if why.startswith("phase ") or " waits for phase " in why or " waits: phase " in why:
        return "Then `agentjobs poll` continues."
    if "ended alike (crashed)" in why or why.endswith(UNSERVED):  # neither the prompt nor a check is the cause
        return (
            "The agent fails before it does any work: `agentjobs show ID` shows its message, "
            "`agentjobs agents try NAME` runs it alone. Fix that, then `agentjobs retry --failed`."
        )
    return _ADVICE.get(why.partition(":")[0], "Raise the limit in agentjobs.toml, then poll again.")
