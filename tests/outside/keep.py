"""``python -m tests.outside.keep RAW [AGENT/SCENARIO ...]``: make recordings of what ``drive --raw RAW`` kept.

They go to tests/fixtures/agents/AGENT/CASE as ``tests.realagents.record`` writes them: true outputs of the real CLI,
without what names this machine. The class is the one that agentjobs is to give, whatever it gives today.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.outside import clis
from tests.realagents import real
from tests.realagents.record import FIXTURES, LONGEST_TRANSCRIPT, scrub, shortened

CASES: dict[str, tuple[str, str]] = {
    "net": ("network", "unreachable"),
    "drop": ("dropped", "unreachable"),
    "cut": ("cut_always", "unreachable"),
    "proxy": ("proxy", "overloaded"),
    "portal": ("portal", "unreachable"),
    "midlogin": ("login_lost", "auth"),
    "money": ("money", "auth"),
    "money2": ("money", "auth"),
    "money402": ("money402", "auth"),
    "plan": ("plan", "auth"),
    "ctxmid": ("overflow", "context_full"),
    "sub": ("subagent", "ok"),
    "bgshort": ("background", "ok"),
    "budget": ("budget", "runaway"),
    "ctx1": ("compaction", "ok"),
    "unknown": ("unknown", "crashed"),
}
"""Scenario → the case it is a recording of, and its class."""
OTHERS: dict[tuple[str, str], str] = {}
"""Agent and scenario → the class, where it is another one."""
ALONE = {"ctx1": "claude"}
"""Scenarios that are another one's case with other agents."""
TOLD = {("claude", "cut")}
"""Where the CLI counts the input of answers that were cut: then what it says stands for what was served."""


def keep(raw: Path, agent: str, scenario: str) -> None:
    """Make one recording."""
    one, source = real(agent), raw / agent / scenario
    meta: dict[str, Any] = json.loads((source / "meta.json").read_text())
    if not isinstance(meta["exit"], int):
        print(f"{agent}/{scenario}: left out, it does not end by itself", file=sys.stderr)
        return
    case, kind = CASES[scenario]
    out, err = (source / "stdout").read_text(), (source / "stderr").read_text()
    scratch = meta["scratch"]
    places = {f"{scratch}/tree": "/work/tree", f"{scratch}/home": "/home/user", scratch: "/scratch"}
    places |= {re.sub(r"[/._]", "-", old): new.replace("/", "-") for old, new in places.items()}
    places[str(clis.directory(agent).resolve())] = places[str(clis.directory(agent))] = f"/opt/agents/{agent}"
    places |= {str(clis.node().resolve()): "/opt/node", "/$bunfs/root": "/$bunfs"}
    session, copies = meta["session"], {}
    for path in sorted((source / "home").rglob("*")) if (source / "home").exists() else ():
        if path.is_file():
            where = Path(scrub(str(path.relative_to(source / "home")), places).strip())
            copies[where] = shortened(path.read_text(errors="replace"))
    told = (re.search(one.learns, text) for text in (out, *copies.values()) if one.learns)
    session = next((found[1] for found in told if found), session)
    served = meta["served"]
    run = [served["fresh"] + served["read"] + served["written"], served["output"]]
    if (agent, scenario) in TOLD:
        last = next(event for event in map(json.loads, reversed(out.splitlines())) if event.get("type") == "result")
        (used,) = last["model_usage_since_last_result"].values()
        run = [sum(used[f"{name}InputTokens"] for name in ("cacheRead", "cacheCreation")), used["outputTokens"]]
        run[0] += used["inputTokens"]
    facts = {
        "agent": agent,
        "version": meta["version"],
        "argv": [Path(one.program).name, *one.start],
        "exit": meta["exit"] if meta["exit"] >= 0 else None,
        "signal": -meta["exit"] if meta["exit"] < 0 else None,
        "class": OTHERS.get((agent, scenario), kind),
        "session": session,
        "usage": {"tokens": sum(run), "session_tokens": sum(run), "runs": [run], "cost": None},
        "note": f"the scenario {scenario!r} of tests/outside",
    }
    into = FIXTURES / agent / case
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    (into / "stdout").write_text(scrub(out, places, one.noise))
    (into / "stderr").write_text(scrub(err, places))
    (into / "meta.json").write_text(json.dumps(facts, indent=1) + "\n")
    for where, text in copies.items():
        if len(text) < LONGEST_TRANSCRIPT:
            copy = into / "home" / where
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(scrub(text, places, one.noise))
    print(f"{agent}/{case}")


def main() -> None:
    """Keep what was named, or everything that is a case."""
    parser = argparse.ArgumentParser(prog="python -m tests.outside.keep")
    parser.add_argument("raw", type=Path)
    parser.add_argument("names", nargs="*", metavar="AGENT/SCENARIO")
    options = parser.parse_args()
    every = [f"{path.parent.parent.name}/{path.parent.name}" for path in options.raw.glob("*/*/meta.json")]
    for name in options.names or sorted(name for name in every if name.split("/")[1] in CASES):
        agent, scenario = name.split("/")
        if ALONE.get(scenario, agent) != agent:
            continue
        keep(options.raw, agent, scenario)


if __name__ == "__main__":
    main()
