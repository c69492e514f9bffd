"""Gemini CLI: Google's own API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import CACHED, EDIT, RESET

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["--output-format", "stream-json", "--yolo", "--skip-trust", "--model", "gemini-2.5-pro"]
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
PLAN: list[dict[str, object]] = [
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "QUOTA_EXHAUSTED",
        "domain": "cloudcode-pa.googleapis.com",
    },
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "{left}s"},
]


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """Two tries a request in place of ten; a key, but not where the login is missing."""
    (home / ".gemini").mkdir(exist_ok=True)
    settings: dict[str, dict[str, object]] = {
        "general": {"maxAttempts": 2, "enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "model": {"name": "gemini-2.5-pro", "maxSessionTurns": 1 if case == "turns" else -1},
    }
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    env = {"GOOGLE_GEMINI_BASE_URL": address, "GEMINI_CLI_NO_RELAUNCH": "true"}
    env["TMPDIR"] = str(home)  # for each failed request it leaves a report there
    return env if case == "login" else env | {"GEMINI_API_KEY": "dummy"}


REAL = Real(
    name="gemini",
    version="0.61.0",
    packages=("@google/gemini-cli@0.61.0",),
    program="node_modules/.bin/gemini",
    start=[*COMMAND, "--session-id", "{session}"],
    resume=[*COMMAND, "--resume", "{session}"],
    prepare=prepare,
    transcripts=(".gemini/tmp/*/chats/*",),
    classes={"daily": "limit", "login": "auth", "model": "infra", "turns": "runaway", "busy": "session_busy"},
    scripts={
        "ok": CACHED,
        "resume": CACHED,
        "limit": [
            {
                "status": 429,
                "message": "Individual quota reached. Please upgrade your subscription to increase your limits. "
                "Resets in {left}s.",
                "until": RESET,
                "more": {"details": PLAN},
            }
        ],
        "model": [{"status": 404, "message": "models/gemini-2.5-pro is not found for API version v1beta."}],
        "turns": EDIT[:1],
        "login": EDIT,
        "busy": EDIT,
        "daily": [{"status": 429, "message": "You exceeded your current quota.", "more": {"details": [PER_DAY]}}],
        "context": [
            {
                "status": 400,
                "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            }
        ],
    },
)
