"""Qwen Code: OpenAI Chat Completions."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from tests.realagents import Real
from tests.realagents.cases import CACHED, EDIT, RESET, TROUBLE_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [
    "--output-format", "stream-json", "--approval-mode", "yolo", "--auth-type", "openai", "--model", "qwen3-coder-plus",
]  # fmt: skip

CHINA = datetime.fromtimestamp(RESET, timezone(timedelta(hours=8)))


def prepare(home: Path, address: str, case: str) -> dict[str, str]:
    """One retry a request, a second after it; no calls of the model for memories when all is done."""
    (home / ".qwen").mkdir(exist_ok=True)
    settings: dict[str, dict[str, object]] = {
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "memory": {"enableManagedAutoMemory": False},
        "security": {"auth": {"selectedType": "openai"}},
        "model": {
            "name": "qwen3-coder-plus",
            "generationConfig": {"maxRetries": 1, "retryInitialDelayMs": 1000, "retryMaxDelayMs": 1000},
            "maxSessionTurns": 1 if case == "turns" else -1,
        },
    }
    (home / ".qwen" / "settings.json").write_text(json.dumps(settings))
    key = {} if case == "login" else {"OPENAI_API_KEY": "dummy"}
    return {"OPENAI_BASE_URL": f"{address}/v1", "QWEN_CODE_SUPPRESS_YOLO_WARNING": "1", **key}


REAL = Real(
    name="qwen",
    version="0.24.4",
    packages=("@qwen-code/qwen-code@0.24.4",),
    program="node_modules/.bin/qwen",
    start=[*COMMAND, "--session-id", "{session}"],
    resume=[*COMMAND, "--resume", "{session}"],
    prepare=prepare,
    node=22,
    transcripts=(".qwen/projects/*/chats/*.jsonl",),
    classes={
        "rate": "overloaded",
        "login": "auth",
        "model": "infra",
        "turns": "runaway",
        "busy": "session_busy",
        **TROUBLE_CLASSES,
        "arrears": "auth",
        "free": "auth",
        "guard": "context_full",
    },
    notes={"overload": "the server said to wait 50 ms; else it tries 28 times in minutes, with no event"},
    scripts={
        "ok": CACHED,
        "resume": CACHED,
        "expired": [
            {
                "status": 401,
                "error": "invalid_request_error",
                "code": "invalid_api_key",
                "message": "invalid access token or token expired",
            }
        ],
        "arrears": [
            {
                "status": 400,
                "error": "Arrearage",
                "code": "Arrearage",
                "message": "Access denied, please make sure your account is in good standing. For details, see: "
                "https://help.aliyun.com/zh/model-studio/error-code#overdue-payment",
            }
        ],
        "free": [
            {
                "status": 403,
                "error": "AllocationQuota.FreeTierOnly",
                "code": "AllocationQuota.FreeTierOnly",
                "message": "The free quota has been exhausted. To continue accessing the model on a paid basis, please "
                'complete your payment information (or disable the "use free tier only" mode in the management console '
                "if already completed).",
            }
        ],
        "guard": [{**EDIT[0], "usage": [1_900_000, 11]}, {"text": "Done.", "usage": [203, 23]}],
        "rate": [
            {
                "status": 429,
                "error": "rate_limit_error",
                "code": "rate_limit_exceeded",
                "message": "Requests rate limit exceeded, please try again later.",
                "headers": {"retry-after": "1", "retry-after-ms": "50"},
            }
        ],
        "model": [{"status": 404, "code": "model_not_found", "message": "The model `qwen3` does not exist."}],
        "turns": EDIT[:1],
        "login": EDIT,
        "busy": EDIT,
        "overload": [
            {
                "status": 503,
                "error": "overloaded_error",
                "message": "Overloaded",
                "headers": {"retry-after": "1", "retry-after-ms": "50"},
            }
        ],
        "limit": [
            {
                "status": 429,
                "error": "TooManyRequests",
                "code": "AccountQuotaExceeded",
                "message": "You have exceeded the monthly usage quota. "
                f"It will reset at {CHINA:%Y-%m-%d %H:%M:%S %z} CST. "
                "We recommend upgrading your plan for more quota, or waiting for the reset.",
            }
        ],
        "context": [
            {
                "status": 400,
                "error": "invalid_request_error",
                "code": "context_length_exceeded",
                "message": "This model's maximum context length is 131072 tokens. However, you requested 140000.",
            }
        ],
    },
)
