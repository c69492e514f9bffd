"""aider: OpenAI Chat without tools, through litellm; edits are in the text of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realagents import Real

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    "--message-file", "{prompt}", "--yes-always", "--no-auto-commits", "--no-pretty", "--no-stream", "--no-gitignore",
    "--map-tokens", "0", "--no-check-update", "--no-analytics", "--no-show-model-warnings", "--no-show-release-notes",
    "--analytics-log", "{dir}/aider-{session}.jsonl", "--chat-history-file", "{dir}/aider-{session}.md",
    "--input-history-file", "/dev/null", "--model", "openai/mock", "--edit-format", "whole",
]  # fmt: skip
EDIT = [{"plain": True, "text": "out.txt\n```\nok\n```\n", "usage": [203, 23]}]
HANG = [{"plain": True, "fault": "hang"}]


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """litellm's own list of prices is fetched at every start unless it is told to use the one it came with."""
    return {
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": "dummy",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


REAL = Real(
    name="aider",
    version="0.86.2",
    packages=("aider-chat==0.86.2",),
    program="bin/aider",
    node=0,
    start=COMMAND,
    resume=[*COMMAND, "--restore-chat-history"],
    prepare=prepare,
    argument=True,
    transcripts=("aider-*.jsonl",),
    scripts={
        "ok": EDIT,
        "limit": [{"plain": True, "status": 429, "error": "usage_limit_reached", "message": "usage limit"}],
        "overload": [{"plain": True, "status": 503, "error": "overloaded_error", "message": "Overloaded"}],
        "auth": [{"plain": True, "status": 401, "error": "authentication_error", "message": "invalid x-api-key"}],
        "context": [
            {
                "plain": True,
                "status": 400,
                "error": "invalid_request_error",
                "code": "context_length_exceeded",
                "message": "This model's maximum context length is 100000 tokens.",
            }
        ],
        "cut": [{"plain": True, "text": "Half of", "fault": "broken"}],
        "hang": HANG,
        "sigkill": HANG,
        "resume": EDIT,
        "no_session": EDIT,
    },
)
