"""Claude Code: Anthropic Messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import RESET

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    "-p", "--output-format", "stream-json", "--verbose", "--model", "claude-sonnet-4-5",
    "--dangerously-skip-permissions",
]  # fmt: skip


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """Only with a subscription's token, and not with a key, does it read a subscription's limits."""
    return {
        "ANTHROPIC_BASE_URL": address,
        "CLAUDE_CODE_OAUTH_TOKEN" if case == "limit" else "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "IS_SANDBOX": "1",
    }


REAL = Real(
    name="claude",
    version="2.1.332",
    packages=("@anthropic-ai/claude-code@2.1.332",),
    program="node_modules/.bin/claude",
    start=[*COMMAND, "--session-id", "{session}"],
    resume=[*COMMAND, "--resume", "{session}"],
    prepare=prepare,
    after_install=(("node", "node_modules/@anthropic-ai/claude-code/install.cjs"),),
    model="claude-sonnet-4-5",
    classes={"cut": "ok"},  # it takes what has come for the answer
    transcripts=(".claude/projects/*/*.jsonl",),
    scripts={
        "limit": [
            {
                "status": 429,
                "message": "usage limit",
                "headers": {
                    "anthropic-ratelimit-unified-status": "rejected",
                    "anthropic-ratelimit-unified-reset": str(RESET),
                    "anthropic-ratelimit-unified-representative-claim": "five_hour",
                    "anthropic-ratelimit-unified-5h-status": "rejected",
                    "anthropic-ratelimit-unified-5h-reset": str(RESET),
                    "anthropic-ratelimit-unified-5h-utilization": "1.0",
                },
                "error": "rate_limit_error",
            }
        ],
        "overload": [{"status": 529, "error": "overloaded_error", "message": "Overloaded"}],
        "context": [
            {
                "status": 400,
                "error": "invalid_request_error",
                "message": "prompt is too long: 250000 tokens > 200000 maximum",
            }
        ],
    },
)
