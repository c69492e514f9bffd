"""pi: OpenAI Chat, as a provider of its own configuration; its session is a file of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.realagents import Real

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["-p", "--mode", "json", "--provider", "mock", "--model", "mock", "--session", "{dir}/pi-{session}.jsonl"]


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """One retry of the agent, none of the client below it."""
    settings = home / ".pi" / "agent"
    settings.mkdir(parents=True, exist_ok=True)
    model = {"id": "mock", "contextWindow": 100_000, "maxTokens": 8_000}
    provider = {"baseUrl": f"{address}/v1", "api": "openai-completions", "apiKey": "dummy", "models": [model]}
    (settings / "models.json").write_text(json.dumps({"providers": {"mock": provider}}))
    retry = {"enabled": True, "maxRetries": 1, "baseDelayMs": 10, "provider": {"maxRetries": 0}}
    (settings / "settings.json").write_text(json.dumps({"retry": retry}))
    return {
        "PI_CODING_AGENT_DIR": str(settings),
        "PI_OFFLINE": "1",
        "PI_SKIP_VERSION_CHECK": "1",
        "PI_TELEMETRY": "0",
    }


REAL = Real(
    name="pi",
    version="0.73.1",
    packages=("@mariozechner/pi-coding-agent@0.73.1",),
    program="node_modules/.bin/pi",
    start=COMMAND,
    resume=COMMAND,
    prepare=prepare,
    transcripts=("pi-*.jsonl",),
    classes={"no_session": "ok"},
    notes={"no_session": "it makes the file that it does not find"},
)
