"""GitHub Copilot CLI with a custom provider (BYOK): OpenAI Chat Completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import CACHED, RESET, TROUBLE_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    "--output-format", "json", "--allow-all", "--no-ask-user", "--no-auto-update", "--no-color",
    "--disable-builtin-mcps",
]  # fmt: skip


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """Offline, so that it asks nobody but the mock."""
    return {
        "COPILOT_HOME": str(home / ".copilot"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "COPILOT_OFFLINE": "true",
        "COPILOT_AUTO_UPDATE": "false",
        "COPILOT_MODEL": "gpt-5.4",
        "COPILOT_PROVIDER_BASE_URL": f"{address}/v1",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_API_KEY": "dummy",
    }


REAL = Real(
    name="copilot",
    version="1.0.102",
    packages=("@github/copilot@1.0.102",),
    program="node_modules/.bin/copilot",
    start=[*COMMAND, "--session-id", "{session}"],
    resume=[*COMMAND, "--resume={session}"],
    prepare=prepare,
    transcripts=(".copilot/session-state/*/events.jsonl",),
    noise=r'^\{"type":"(session\.(background_tasks_changed|skills_loaded|mcp_servers_loaded|tools_updated)|system\.message)"',
    classes={
        "rate": "overloaded",
        "model": "infra",
        **TROUBLE_CLASSES,
        "no_quota": "auth",
        "context_sum": "context_full",
    },
    settle_s=3.0,
    notes={"limit": "the server said to wait hours; else it tries six times in a minute"},
    scripts={
        "ok": CACHED,
        "resume": CACHED,
        "no_quota": [{"status": 402, "code": "quota_exceeded", "message": "You have no quota"}],
        "context_sum": [
            {
                "status": 400,
                "error": "invalid_request_error",
                "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in "
                "210000 tokens. Please reduce the length of the messages.",
            }
        ],
        "model": [{"status": 404, "code": "model_not_found", "message": "The model `gpt-5.4` does not exist."}],
        "rate": [
            {
                "status": 429,
                "error": "rate_limit_exceeded",
                "message": "Rate limit reached for requests per minute.",
                "headers": {"retry-after": "1"},
            }
        ],
        "limit": [
            {
                "status": 429,
                "error": "rate_limit_exceeded",
                "headers": {"retry-after": "{left}"},
                "message": "Sorry, you've exceeded your 5 hour session limits. Please retry after {left} seconds.",
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
