"""Whose trouble a failure is, by the agent's own words: as people reported them, and for any agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentjobs.model import Exited, Kill
from agentjobs.outcome import Verdict, classify
from agentjobs.policy import parse_policy
from agentjobs.presets import preset

WORDS = Path(__file__).parent / "fixtures" / "words"
NOW = 1_780_000_000.0
OWN = '[agents.mine]\ncommand = ["sh", "agent.sh"]\n'


def rules_of(agent: str) -> Any:
    text = f'[profiles.default]\nagent = "{agent}"\n' + (OWN if agent == "mine" else "")
    return parse_policy(text.encode(), preset=preset).agents[agent].rules


def printed(agent: str, words: str) -> list[dict[str, Any] | str]:
    """Return what an agent prints that fails with these words: only the fields that all of its versions have."""
    events: dict[str, list[dict[str, Any] | str]] = {
        "claude": [{"type": "result", "subtype": "success", "is_error": True, "result": words}],
        "codex": [{"type": "error", "message": words}, {"type": "turn.failed", "error": {"message": words}}],
        "gemini": [
            {"type": "result", "status": "error", "error": {"type": "unknown", "message": f"[API Error: {words}]"}}
        ],
        "opencode": [{"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": {"message": words}}}],
        "copilot": [
            {"type": "session.error", "data": {"errorType": "query", "message": words}},
            {"type": "assistant.idle", "data": {}},
            {"type": "result", "exitCode": 1},
        ],
        "qwen": [
            {"type": "result", "subtype": "error_during_execution", "is_error": True, "error": {"message": words}}
        ],
        "pi": [
            {"type": "turn_end", "message": {"role": "assistant", "stopReason": "error", "errorMessage": words}},
            {"type": "agent_end", "messages": []},
        ],
        "amp": [{"type": "result", "subtype": "error_during_execution", "is_error": True, "error": words}],
    }
    return events.get(agent, words.split("\n"))  # type: ignore[return-value]


def ended(agent: str, lines: list[dict[str, Any] | str], *, code: int = 1, kill: Kill | None = None) -> Verdict:
    output = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
    return classify(
        phase=Exited(code, NOW), kill=kill, output=output, output_bytes=len(output), rules=rules_of(agent), now=NOW
    )


def reported(name: str) -> list[Any]:
    rows = [line.split("\t") for line in (WORDS / name).read_text("utf-8").splitlines()[1:]]
    return [
        pytest.param(agent, classes.split(","), words.replace("\\n", "\n"), id=f"{agent}-{words[:40]}")
        for agent, classes, _source, words in rows
    ]


@pytest.mark.parametrize(("agent", "classes", "words"), reported("known.tsv"))
def test_as_people_reported_it(agent: str, classes: list[str], words: str) -> None:
    verdict = ended(agent, printed(agent, words))
    assert verdict.outcome.value in classes, verdict


@pytest.mark.parametrize(("agent", "classes", "words"), reported("heldout.tsv"))
def test_as_other_people_reported_it(agent: str, classes: list[str], words: str) -> None:
    """Written down before the table was: what it does not know here it would not have known in the field."""
    verdict = ended(agent, printed(agent, words))
    assert verdict.outcome.value in classes, verdict
