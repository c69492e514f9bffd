"""Codex CLI: OpenAI Responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import EDIT, RESET

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["exec", "--json", "--skip-git-repo-check", "-m", "mock", "--dangerously-bypass-approvals-and-sandbox"]


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """The mock is a custom provider."""
    (home / ".codex").mkdir(exist_ok=True)
    (home / ".codex" / "config.toml").write_text(
        'model_provider = "mock"\ncheck_for_update_on_startup = false\n'
        "[analytics]\nenabled = false\n"
        f'[model_providers.mock]\nname = "mock"\nbase_url = "{address}/v1"\nenv_key = "MOCK_API_KEY"\n'
        'wire_api = "responses"\nrequest_max_retries = 1\nstream_max_retries = 1\n'
    )
    return {"CODEX_HOME": str(home / ".codex"), "MOCK_API_KEY": "dummy"}


TOO_LONG = {
    "status": 400,
    "error": "invalid_request_error",
    "code": "context_length_exceeded",
    "message": "Your input exceeds the context window of this model.",
}

REAL = Real(
    name="codex",
    version="0.171.0",
    packages=("@openai/codex@0.171.0",),
    program="node_modules/.bin/codex",
    start=[*COMMAND, "-"],
    resume=[*COMMAND, "resume", "{session}", "-"],
    prepare=prepare,
    model="mock",
    learns=r'"thread_id":"([^"]+)"',
    classes={"overflow": "context_full"},
    transcripts=(".codex/sessions/*/*/*/rollout-*.jsonl",),
    scripts={
        "limit": [
            {
                "status": 429,
                "message": "usage limit",
                "error": "usage_limit_reached",
                "more": {"plan_type": "plus", "resets_at": RESET},
            }
        ],
        "context": [TOO_LONG],
        "overflow": [EDIT[0], TOO_LONG],
    },
)
