"""Kimi Code: OpenAI Chat, as a provider of type "kimi"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import TROUBLE_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["--output-format", "stream-json", "-m", "mock"]
SAY = ["-p", "Read the file {prompt} and do what it says."]


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """Two attempts a step, or it tries ten times."""
    (home / ".kimi-code").mkdir(exist_ok=True)
    (home / ".kimi-code" / "config.toml").write_text(
        'default_model = "mock"\ntelemetry = false\n'
        f'[providers.mock]\ntype = "kimi"\nbase_url = "{address}/v1"\napi_key = "dummy"\n'
        '[models.mock]\nprovider = "mock"\nmodel = "mock"\nmax_context_size = 100000\n'
        "[loop_control]\nmax_attempts_per_step = 2\ncompaction_max_attempts = 1\n"
    )
    return {
        "KIMI_CODE_HOME": str(home / ".kimi-code"),
        "KIMI_CODE_NO_AUTO_UPDATE": "1",
        "KIMI_DISABLE_TELEMETRY": "1",
    }


REAL = Real(
    name="kimi",
    version="2.1.0",
    packages=("@moonshot-ai/kimi-code@2.1.0",),
    program="node_modules/.bin/kimi",
    node=22,
    start=[*COMMAND, *SAY],
    resume=[*COMMAND, "--session", "{session}", *SAY],
    prepare=prepare,
    argument=True,
    learns=r"(session_[0-9a-f]{8}-[0-9a-f-]{27})",
    transcripts=(
        ".kimi-code/session_index.jsonl",
        ".kimi-code/sessions/*/*/state.json",
        ".kimi-code/sessions/*/*/agents/*/wire.jsonl",
    ),
    reset_unknown=frozenset({"limit"}),
    model="mock",
    classes={**TROUBLE_CLASSES, "membership": "auth", "tpd": "limit"},
    scripts={
        "expired": [
            {
                "status": 401,
                "error": "invalid_authentication_error",
                "message": "The API Key appears to be invalid or may have expired. Please verify your credentials and "
                "try again.",
            }
        ],
        "membership": [
            {
                "status": 402,
                "error": "invalid_request_error",
                "message": "We're unable to verify your membership benefits at this time. Please ensure your "
                "membership is active.",
            }
        ],
        "tpd": [
            {
                "status": 429,
                "error": "rate_limit_reached_error",
                "message": "Your account org-78cd / proj-a418 <ak-f94z> request reached organization TPD rate limit, "
                "current: 1526210, limit: 1500000",
            }
        ],
        "limit": [
            {
                "status": 403,
                "error": "access_terminated_error",
                "message": "You've reached your usage limit for this billing cycle. Your quota will be refreshed "
                "in the next cycle. To continue now, purchase extra usage or upgrade your plan.",
            }
        ],
        "context": [
            {
                "status": 400,
                "error": "invalid_request_error",
                "message": "Invalid request: Your request exceeded model token limit: 100000 (requested: 120000)",
            }
        ],
    },
)
