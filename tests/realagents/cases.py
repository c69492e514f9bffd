"""The cases that every CLI is recorded in, and what a mock model says in each unless a CLI needs its own."""

from __future__ import annotations

import time
from typing import Any

RESET = int(time.time()) // 3600 * 3600 + 4 * 3600
"""When the limit ends that the mock speaks of."""

EDIT: list[dict[str, Any]] = [
    {"write": {"path": "out.txt", "text": "ok\n"}, "usage": [101, 11]},
    {"text": "Done.", "usage": [203, 23]},
]
CACHED: list[dict[str, Any]] = [EDIT[0], {"text": "Done.", "usage": [203, 23, 96]}]
HANG: list[dict[str, Any]] = [EDIT[0], {"fault": "hang"}]

SCRIPTS: dict[str, list[dict[str, Any]]] = {
    "ok": EDIT,
    "limit": [{"status": 429, "error": "usage_limit_reached", "message": "usage limit"}],
    "overload": [{"status": 503, "error": "overloaded_error", "message": "Overloaded"}],
    "auth": [{"status": 401, "error": "authentication_error", "message": "invalid x-api-key"}],
    "context": [{"status": 400, "error": "invalid_request_error", "code": "context_length_exceeded"}],
    "cut": [{"text": "Half of", "fault": "cut"}],
    "hang": HANG,
    "sigkill": HANG,
    "resume": EDIT,
    "no_session": EDIT,
}

CASES: dict[str, str] = {
    "ok": "ok",
    "limit": "limit",
    "overload": "overloaded",
    "auth": "auth",
    "context": "context_full",
    "cut": "unreachable",
    "hang": "stalled",
    "sigkill": "crashed",
    "resume": "ok",
    "no_session": "no_session",
}
"""Each case, and the class it is to be given. ``hang`` is ended by SIGTERM, as a stalled agent is."""
