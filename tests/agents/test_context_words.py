"""A request that does not fit the window is a full context, in the words of any service behind any agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentjobs.agents.classify import classify
from agentjobs.agents.observe import Seen, Sight, observe
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited
from agentjobs.policy.parse import parse_policy
from tests.kit.examples import preset

WORDS = Path(__file__).parents[1] / "fixtures" / "words" / "context.tsv"
TABLE = [line.split("\t") for line in WORDS.read_text().splitlines()[1:]]

SAYS: dict[str, dict[str, Any] | str] = {
    "amp": {"type": "result", "is_error": True, "error": "{words}"},
    "claude": {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 400, "result": "{words}"},
    "codex": {"type": "turn.failed", "error": {"message": "{words}"}},
    "copilot": {"type": "session.error", "data": {"errorType": "query", "statusCode": 400, "message": "{words}"}},
    "crush": "ERROR agent error: {words}",
    "gemini": {"type": "result", "status": "error", "error": {"type": "Error", "message": "[API Error: {words}]"}},
    "goose": {"type": "error", "error": "{words}"},
    "kimi": "error: failed to run prompt: provider.api_error: 400 {words}",
    "opencode": {"type": "error", "error": {"name": "APIError", "data": {"message": "{words}", "statusCode": 400}}},
    "pi": {"type": "turn_end", "message": {"role": "assistant", "stopReason": "error", "errorMessage": "{words}"}},
    "qwen": {"type": "result", "is_error": True, "error": {"message": "[API Error: 400 {words}]"}},
}
"""How each agent says that a request failed."""


def outcome_of(name: str, words: str) -> Outcome:
    policy = parse_policy(f'[profiles.default]\nagent = "{name}"\n'.encode(), preset=preset)
    said = SAYS[name]
    shape = said if isinstance(said, str) else json.dumps(said)
    output = shape.replace("{words}", words if isinstance(said, str) else json.dumps(words)[1:-1]).encode() + b"\n"
    return classify(
        state=Exited(1, 0.0), kill=None, output=output, output_bytes=len(output), rules=policy.agents[name].rules,
        now=1e9
    ).outcome


@pytest.mark.parametrize("name", SAYS)
def test_a_request_that_does_not_fit_is_a_full_context(name: str) -> None:
    table = [line for line in TABLE if line[0] != "Qwen Code" or name == "qwen"]
    full = {words for _, _, _, words in table if outcome_of(name, words) is Outcome.CONTEXT_FULL}
    assert full == {words for _, class_, _, words in table if class_ == "context_full"}


def test_what_copilot_was_served_says_how_full_its_window_is() -> None:
    policy = parse_policy(b'[profiles.default]\nagent = "copilot"\n', preset=preset)
    context = policy.agents["copilot"].context
    assert context is not None
    usage = {"interactionType": "conversation-agent", "inputTokens": 191_000, "outputTokens": 99,
    "maxPromptTokens": 128_000}
    line = json.dumps({"type": "session.usage_record", "data": {"usage": usage}}).encode() + b"\n"
    seen = observe(Seen(), line, Sight(context))
    assert (seen.used, seen.window) == (191_099, 128_000)
