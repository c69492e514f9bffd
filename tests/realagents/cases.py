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

NGINX = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.24.0 (Ubuntu)</center>\r\n</body>\r\n</html>\r\n"
)
PORTAL = (
    '<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body><form action="/login" method="post">'
    'Please accept the terms of use to go online.<input name="user"></form></body></html>'
)
SQUID = (
    "<html><head><title>ERROR: The requested URL could not be retrieved</title></head><body><h1>ERROR</h1>"
    "<h2>The requested URL could not be retrieved</h2><p>Access Denied. Access control configuration prevents your "
    "request from being allowed at this time.</p></body></html>"
)

QUOTES = (
    "I read the log of the failed run. It had these lines:\n"
    "litellm.RateLimitError: RateLimitError: usage limit reached per day, try again in 5h\n"
    "litellm.exceptions.AuthenticationError: litellm.AuthenticationError: invalid x-api-key\n"
    "Error: You've hit your usage limit, resets in 5 hours\n"
    "API Error: Connection refused (ECONNREFUSED)\n"
    "Failed to authenticate: OAuth session expired and could not be refreshed\n"
    "The retry loop takes them for one and the same. I go on.\n"
)
"""What a model may write that reviews such a program as this one."""

TROUBLES: dict[str, list[dict[str, Any]]] = {
    "network": EDIT,
    "dns": EDIT,
    "proxy": [{"plain": True, "status": 502, "body": NGINX}],
    "portal": [{"plain": True, "status": 200, "body": PORTAL}],
    "blocked": [{"plain": True, "status": 403, "body": SQUID}],
    "expired": [
        {
            "plain": True,
            "status": 401,
            "error": "invalid_request_error",
            "code": "token_expired",
            "message": "Provided authentication token is expired. Please try signing in again.",
        }
    ],
    "quota": [
        {
            "plain": True,
            "status": 429,
            "error": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "You exceeded your current quota, please check your plan and billing details. For more "
            "information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        }
    ],
    "credits": [
        {
            "plain": True,
            "status": 402,
            "code": 402,
            "message": "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
        }
    ],
}
"""What keeps an agent from its model, whatever its task: recorded where a CLI reports it in special words."""

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
    **TROUBLES,
}

TROUBLE_CLASSES = {
    "network": "unreachable",
    "dns": "unreachable",
    "proxy": "overloaded",
    "portal": "unreachable",
    "blocked": "unreachable",
    "expired": "auth",
    "quota": "auth",
    "credits": "auth",
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
"""Each case, and the class it must get. ``hang`` is ended by SIGTERM, as a stalled agent is."""
