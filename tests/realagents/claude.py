"""Claude Code: Anthropic Messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.realagents import Real
from tests.realagents.cases import RESET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.realagents import Script

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


TOO_LONG: dict[str, Any] = {
    "status": 400,
    "error": "invalid_request_error",
    "message": "prompt is too long: 250000 tokens > 200000 maximum",
}
SUBTASK = "Do the part that is yours."
PART = {"description": "a part", "prompt": SUBTASK, "subagent_type": "general-purpose"}
SUBAGENT: Script = [{"call": ["Agent", PART], "usage": [1001, 11]}, {"text": "I wait for it.", "usage": [1103, 23]}]
ITS_OWN: Script = [{"to": SUBTASK, "run": "true", "usage": [601, 7]}]
SLOW = {"command": "sleep 1; echo slow", "description": "wait", "run_in_background": True}
BACKGROUND: Script = [{"call": ["Bash", SLOW], "usage": [1001, 11]}, {"text": "I wait for it.", "usage": [1103, 23]}]
LAST: Script = [
    {"write": {"path": "out.txt", "text": "ok\n"}, "usage": [1207, 31]},
    {"text": "Done.", "usage": [1309, 41, 1000]},
]

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
    classes={
        "cut": "ok",  # it takes what has come for the answer
        "subagent": "ok",
        "background": "ok",
        "compact": "ok",
        "budget": "runaway",
        "sigkill_subagent": "crashed",
        "sigkill_background": "crashed",
    },
    more={"budget": ["--max-budget-usd", "0.7"]},
    transcripts=(".claude/projects/*/*.jsonl", ".claude/projects/*/*/subagents/*.jsonl"),
    scripts={
        "subagent": [*SUBAGENT, *LAST, *ITS_OWN, {"to": SUBTASK, "text": "That is done.", "usage": [703, 9]}],
        "sigkill_subagent": [*SUBAGENT, *ITS_OWN, {"to": SUBTASK, "fault": "hang", "delay_s": 0.3}],
        "background": [*BACKGROUND, *LAST],
        "sigkill_background": [*BACKGROUND, LAST[0], {"fault": "hang"}],
        "compact": [
            {"run": "true", "usage": [1001, 11]},
            TOO_LONG,
            {"text": "<summary>Write ok into out.txt.</summary>", "plain": True, "usage": [703, 57]},
            *LAST,
        ],
        "budget": [{"run": "true", "usage": [100_000, 1000]}],
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
        "context": [TOO_LONG],
    },
)
