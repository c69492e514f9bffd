"""opencode: OpenAI Chat, as a custom provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import RESET, TROUBLE_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    "run", "--format", "json", "--auto", "--print-logs", "--log-level", "WARN", "--title", "agentjobs", "-m",
    "mock/mock",
]  # fmt: skip

ENDS = {"limit": 3, "overload": 3, "cut": 3, "context": 6, "proxy": 9, "free": 3, "context_sum": 3, "portal": 9}


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """The mock is a custom provider; nothing is fetched, updated or shared."""
    settings = home / ".config" / "opencode"
    settings.mkdir(parents=True, exist_ok=True)
    model = {"name": "mock", "tool_call": True, "limit": {"context": 100_000, "output": 8_000}}
    options = {"baseURL": f"{address}/v1", "apiKey": "dummy"}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "mock", "options": options, "models": {"mock": model}}
    text = json.dumps({"provider": {"mock": provider}, "autoupdate": False, "share": "disabled"})
    (settings / "opencode.json").write_text(text)
    return {
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }


REAL = Real(
    name="opencode",
    version="1.18.33",
    packages=("opencode-ai@1.18.33",),
    program="node_modules/.bin/opencode",
    start=COMMAND,
    resume=[*COMMAND, "--session", "{session}"],
    prepare=prepare,
    after_install=(("node", "node_modules/opencode-ai/postinstall.mjs"),),
    learns=r"(ses_[0-9A-Za-z]+)",
    model="mock/mock",
    transcripts=(".local/share/opencode/opencode.db",),
    tables=("session",),
    classes={**TROUBLE_CLASSES, "zen": "auth", "free": "limit", "context_sum": "context_full"},
    ends=ENDS,
    notes=dict.fromkeys(ENDS, "ended by SIGTERM: it would try six times, or for ever"),
    scripts={
        "zen": [
            {
                "plain": True,
                "status": 401,
                "error": "CreditsError",
                "message": "Insufficient balance. Manage your billing here: "
                "https://opencode.ai/workspace/wrk_01KZPYWCQQZEKXB8EBS6G76TET/billing",
            }
        ],
        "free": [
            {
                "plain": True,
                "status": 429,
                "error": "FreeUsageLimitError",
                "message": "Free usage exceeded, subscribe to Go https://opencode.ai/go",
                "headers": {"retry-after": "3600"},
            }
        ],
        "context_sum": [
            {
                "plain": True,
                "status": 400,
                "error": "invalid_request_error",
                "message": "This model's maximum context length is 100000 tokens. However, your messages resulted in "
                "110000 tokens. Please reduce the length of the messages.",
            }
        ],
        "limit": [
            {
                "status": 429,
                "error": "GoUsageLimitError",
                "message": "5 hour usage limit reached. Resets in {left} seconds. To continue using this model now, "
                "enable usage from your available balance",
                "until": RESET,
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
)
