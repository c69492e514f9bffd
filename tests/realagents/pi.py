"""pi: OpenAI Chat, as a custom provider; its session is a file of ours."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import RESET

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["-p", "--mode", "json", "--provider", "mock", "--model", "mock", "--session", "{dir}/pi-{session}.jsonl"]
CLAIMS = {"https://api.openai.com/auth": {"chatgpt_account_id": "mock"}}
TOKEN = f"e30.{base64.b64encode(json.dumps(CLAIMS).encode()).decode()}.none"


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """One retry of the agent, none of the client below it. Only a subscription has a limit with an end."""
    settings = home / ".pi" / "agent"
    settings.mkdir(parents=True, exist_ok=True)
    model = {"id": "mock", "contextWindow": 100_000, "maxTokens": 8_000}
    provider = {"baseUrl": f"{address}/v1", "api": "openai-completions", "apiKey": "dummy", "models": [model]}
    if case == "limit":
        provider |= {"baseUrl": address, "api": "openai-codex-responses", "apiKey": TOKEN}
    (settings / "models.json").write_text(json.dumps({"providers": {"mock": provider}}))
    retry = {"enabled": True, "maxRetries": 1, "baseDelayMs": 10, "provider": {"maxRetries": 0}}
    (settings / "settings.json").write_text(json.dumps({"retry": retry, "transport": "sse"}))
    return {
        "PI_CODING_AGENT_DIR": str(settings),
        "PI_OFFLINE": "1",
        "PI_SKIP_VERSION_CHECK": "1",
        "PI_TELEMETRY": "0",
    }


REAL = Real(
    name="pi",
    version="1.6.0",
    packages=("@earendil-works/pi-coding-agent@1.6.0",),
    program="node_modules/.bin/pi",
    node=22,
    start=COMMAND,
    resume=COMMAND,
    prepare=prepare,
    model="mock/mock",
    transcripts=("pi-*.jsonl",),
    classes={"no_session": "ok"},
    scripts={
        "limit": [
            {
                "status": 429,
                "error": "usage_limit_reached",
                "message": "The usage limit has been reached",
                "more": {"plan_type": "plus", "resets_at": RESET},
            }
        ],
        "context": [
            {
                "status": 400,
                "error": "invalid_request_error",
                "code": "context_length_exceeded",
                "message": "Your input exceeds the context window of this model.",
            }
        ],
    },
    notes={"no_session": "it makes the file that it does not find"},
)
