"""How to go on after a halt, or when all accounts that have work are stuck. Pure."""

from __future__ import annotations

from agentjobs.core.board import UNSERVED

_ADVICE = {
    "limit": "`agentjobs dispatch` waits until it ends, and then tries again; `--force` tries now.",
    "overloaded": "It goes on refusing: look at its service, then `agentjobs dispatch`.",
    "unreachable": "See that the agent works (network, proxy, login), then `agentjobs dispatch`.",
    "auth": "Fix what the agent says (log in, pay, change the plan), then `agentjobs dispatch`.",
    "infra": "Put right what the message names, then `agentjobs dispatch`.",
    "landing": "Put right what the message names, then `agentjobs dispatch`: the work is done and waits.",
    "unknown_cost": 'Give the model a price ([[agents.NAME.prices]]) or set limits.unknown_cost = "allow", then '
    "`agentjobs dispatch`.",
    "plan": "Put right what the message names, then `agentjobs dispatch`: the phase is planned again.",
    "breaker": "Look at one with `agentjobs show ID`, mend the prompt or the checks, "
    "then `agentjobs retry --failed` or `agentjobs dispatch`.",
    "diagnose": "`agentjobs status --failures` groups them; tune the prompt first, then "
    "`agentjobs retry --failed`, or accept them with `agentjobs dispatch`.",
}


def advice(why: str) -> str:
    """Return how to go on; ``why`` begins with the kind of the trouble."""
    if why.endswith("(limits.min_free_memory)"):
        return "It goes on by itself when there is more; or lower the limit in agentjobs.toml."
    if why.endswith("`agentjobs approve`"):
        return "`agentjobs approve --all` lets all of them land, `agentjobs approve ID` one."
    if why.startswith("reviewers gave no verdict"):
        return "What is verified waits as it is."
    if why.startswith("phase ") or " waits for phase " in why or " waits: phase " in why:
        return "It goes on by itself then: `agentjobs poll`."
    if why.endswith(("(crashed)", UNSERVED)):  # neither the prompt nor a check is the reason
        return (
            "The agent fails before it does any work: `agentjobs show ID` has its message, `agentjobs agents try NAME` "
            "runs it alone. Fix that, then `agentjobs retry --failed`."
        )
    return _ADVICE.get(why.partition(":")[0], "Raise the limit in agentjobs.toml, then poll again.")
