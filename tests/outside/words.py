"""What real services said when they refused: status, headers, body, and the public report each one is from.

Nothing here was read out of the presets. ``{reset}`` is an epoch, ``{left}`` the seconds to it, ``{iso}`` the same as
RFC 3339; ``{n}`` is the number of the request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Told:
    """One refusal."""

    status: int
    body: str
    source: str
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"


def anthropic(status: int, kind: str, message: str, source: str, headers: dict[str, str] | None = None) -> Told:
    """Return an error of the Anthropic API."""
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011Cout{n}"}
    return Told(status, json.dumps(error), source, {"request-id": "req_011Cout{n}", **(headers or {})})


def openai(status: int, message: str, source: str, headers: dict[str, str] | None = None, **more: Any) -> Told:
    """Return an error of the OpenAI API and of those that speak it."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}
    return Told(status, json.dumps({"error": error}), source, headers or {})


def google(status: int, state: str, message: str, source: str, details: list[Any] | None = None) -> Told:
    """Return an error of the Gemini API."""
    error: dict[str, Any] = {"code": status, "message": message, "status": state}
    return Told(status, json.dumps({"error": error | ({"details": details} if details else {})}), source)


def unified(claim: str, window: str, status: str = "rejected") -> dict[str, str]:
    """Return the limit headers of a subscription."""
    mark = "anthropic-ratelimit-unified"
    return {
        f"{mark}-status": status,
        f"{mark}-reset": "{reset}",
        f"{mark}-representative-claim": claim,
        f"{mark}-{window}-status": status,
        f"{mark}-{window}-reset": "{reset}",
        f"{mark}-{window}-utilization": "1.0" if status == "rejected" else "0.11",
        "retry-after": "{left}",
    }


def codex_limit(minutes: int) -> Told:
    """Return a limit of a ChatGPT plan."""
    error = {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": "plus",
        "resets_at": "RESET",
        "eligible_promo": None,
        "resets_in_seconds": "LEFT",
    }
    body = json.dumps({"error": error}).replace('"RESET"', "{reset}").replace('"LEFT"', "{left}")
    headers = {
        "X-Codex-Active-Limit": "premium",
        "X-Codex-Plan-Type": "plus",
        "X-Codex-Primary-Used-Percent": "100",
        "X-Codex-Primary-Window-Minutes": str(minutes),
        "X-Codex-Primary-Reset-After-Seconds": "{left}",
        "X-Codex-Primary-Reset-At": "{reset}",
        "X-Codex-Credits-Has-Credits": "False",
    }
    return Told(429, body, "earendil-works/pi#4172", headers)


NGINX = """<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>nginx</center>\r
</body>\r
</html>\r
"""
CLOUDFLARE = """<!DOCTYPE html>
<html lang="en-US"><head><title>api.example.com | 522: Connection timed out</title>
<meta charset="UTF-8" /></head><body><div id="cf-wrapper"><h1><span>Connection timed out</span>
<span>Error code 522</span></h1><p>The initial connection between Cloudflare's network and the origin web server timed
out. As a result, the web page can not be displayed.</p></div></body></html>
"""
PORTAL = """<!DOCTYPE html><html><head><title>Guest Wi-Fi</title></head><body><form action="/login" method="post">
<h1>Welcome</h1><p>Please accept the terms of use to go on-line.</p></form></body></html>
"""
BLOCKED = """<html><head><title>Access denied</title></head><body><h2>Sorry, you don't have permission to visit this
site.</h2><p>Website blocked: not allowed to browse this category.</p></body></html>
"""
EVERYWHERE: dict[str, Told] = {
    "proxy": Told(502, NGINX, "nginx's own page; anthropics/claude-code#8032", kind="text/html"),
    "proxy522": Told(522, CLOUDFLARE, "Cloudflare's own page", kind="text/html; charset=UTF-8"),
    "portal": Told(200, PORTAL, "Alishahryar1/free-claude-code#686", kind="text/html"),
    "blocked": Told(403, BLOCKED, "Zscaler's page; anthropics/claude-code#8032", kind="text/html"),
}
"""Errors of proxies and networks in between; for any API."""

LOGIN_CLAUDE = "OAuth token has expired. Please obtain a new token or refresh your existing token."
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
QUOTA = "You exceeded your current quota, please check your plan and billing details."
QUOTA_DOCS = " For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes"
GEMINI_QUOTA = (
    f"{QUOTA} For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. "
    "To monitor your current usage, head to: https://ai.dev/rate-limit. "
)
HELP = {
    "@type": "type.googleapis.com/google.rpc.Help",
    "links": [{"description": "Learn more about Gemini API quotas", "url": "https://ai.google.dev/"}],
}
PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "quotaDimensions": {"location": "global", "model": "gemini-2.5-pro"},
            "quotaValue": "100",
        }
    ],
}
KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}

WORDS: dict[str, dict[str, Told]] = {
    "messages": {
        "login": anthropic(401, "authentication_error", LOGIN_CLAUDE, "anthropics/claude-code#33811"),
        "login2": anthropic(
            401, "authentication_error", "Invalid authentication credentials", "anthropics/claude-code#44930"
        ),
        "login403": Told(
            403, '{"error":{"type":"forbidden","message":"Request not allowed"}}', "anthropics/claude-code#453"
        ),
        "money": anthropic(400, "invalid_request_error", f"{CREDIT}purchase credits.", "anthropics/claude-code#66314"),
        "money402": anthropic(
            402, "billing_error", "Your account has insufficient funds.", "the API's list of errors: 402 billing_error"
        ),
        "plan": anthropic(
            403,
            "permission_error",
            "OAuth authentication is currently not allowed for this organization.",
            "anthropics/claude-code#79500",
        ),
        "limit": anthropic(
            429,
            "rate_limit_error",
            "This request would exceed your account's rate limit. Please try again later.",
            "anthropics/claude-code#12789; headers: Wei-Shaw/claude-relay-service#1260, manaflow-ai/subrouter#24",
            unified("five_hour", "5h"),
        ),
        "week": anthropic(
            429,
            "rate_limit_error",
            "This request would exceed your account's rate limit. Please try again later.",
            "anthropics/claude-code#12789; headers: Wei-Shaw/claude-relay-service#1260",
            unified("seven_day", "7d"),
        ),
        "rate": anthropic(
            429,
            "rate_limit_error",
            "Rate limited. Please try again later.",
            "anthropics/claude-code#69023",
            {"retry-after": "{left}"},
        ),
        "busy": anthropic(529, "overloaded_error", "Overloaded", "manaflow-ai/subrouter#24"),
        "down": anthropic(503, "api_error", "Service Unavailable", "anthropics/claude-code#217"),
        "context": anthropic(
            400,
            "invalid_request_error",
            "prompt is too long: 214003 tokens > 200000 maximum",
            "the API's own words for a request over the window",
        ),
        "unknown": anthropic(
            400,
            "invalid_request_error",
            "Workspace spend policy evaluation did not converge.",
            "made up: no rule has it",
        ),
    },
    "responses": {
        "login": openai(
            401,
            "Your authentication token has been invalidated. Please try signing in again.",
            "router-for-me/CLIProxyAPI#3654",
            code="token_invalidated",
        ),
        "login2": Told(401, '{"detail":"Unauthorized"}', "openai/codex#26497"),
        "money": openai(
            429, QUOTA + QUOTA_DOCS, "autohandai/code-cli#88", type="insufficient_quota", code="insufficient_quota"
        ),
        "plan": Told(
            429,
            '{"error":{"type":"usage_not_included","message":"Usage not included in your plan","plan_type":"free"}}',
            "openai/codex#2330, justrach/codegraff2#90",
        ),
        "limit": codex_limit(300),
        "week": codex_limit(10080),
        "rate": openai(
            429,
            "Rate limit reached for requests. Please try again in {left}s.",
            "OpenAI's words for requests per minute",
            {"retry-after": "{left}"},
            type="requests",
            code="rate_limit_exceeded",
        ),
        "busy": openai(
            503,
            "Our servers are currently overloaded. Please try again later.",
            "OpenAI's words; justrach/codegraff2#90 names the code",
            type="service_unavailable_error",
            code="server_is_overloaded",
        ),
        "down": Told(
            503, "upstream connect error or disconnect/reset before headers", "Envoy's words", kind="text/plain"
        ),
        "context": openai(
            400,
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "OpenAI's words for context_length_exceeded",
            param="input",
            code="context_length_exceeded",
        ),
        "unknown": openai(400, "Workspace spend policy evaluation did not converge.", "made up: no rule has it"),
    },
    "chat": {
        "login": openai(
            401,
            "Incorrect API key provided: dummy. You can find your API key at https://platform.openai.com/account/api-keys.",
            "OpenAI's words for a key that was revoked",
            code="invalid_api_key",
        ),
        "login2": Told(401, '{"error":{"message":"User not found.","code":401}}', "OpenRouter's words for a dead key"),
        "money": openai(
            429, QUOTA + QUOTA_DOCS, "autohandai/code-cli#88", type="insufficient_quota", code="insufficient_quota"
        ),
        "money402": openai(
            402, "Insufficient Balance", "continuedev/continue#9942", type="unknown_error", code="invalid_request_error"
        ),
        "plan": openai(
            403,
            "The model is not available with your current plan. Please upgrade your subscription.",
            "a gateway's words",
            type="permission_error",
        ),
        "limit": openai(
            429,
            "Rate limit reached for model `mock` on tokens per day (TPD): Limit 200000, Used 199200, Requested 2311. "
            "Please try again in {left}s.",
            "Groq's words",
            {"retry-after": "{left}"},
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "rate": openai(
            429,
            "Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in {left}s.",
            "OpenAI's words",
            {"retry-after": "{left}"},
            type="requests",
            code="rate_limit_exceeded",
        ),
        "busy": openai(
            503,
            "The server is currently overloaded with other requests. Sorry about that!",
            "OpenAI's words",
            type="server_error",
        ),
        "down": Told(
            503, "upstream connect error or disconnect/reset before headers", "Envoy's words", kind="text/plain"
        ),
        "context": openai(
            400,
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 141207 tokens. "
            "Please reduce the length of the messages.",
            "OpenAI's words",
            param="messages",
            code="context_length_exceeded",
        ),
        "unknown": openai(400, "Workspace spend policy evaluation did not converge.", "made up: no rule has it"),
    },
    "gemini": {
        "login": google(
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            "Google's words for an expired token",
        ),
        "login2": google(
            400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", "Google's words", [KEY]
        ),
        "money": google(
            429, "RESOURCE_EXHAUSTED", GEMINI_QUOTA, "gke-labs/gemini-for-kubernetes-development#1215", [HELP]
        ),
        "money2": google(
            429,
            "RESOURCE_EXHAUSTED",
            "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your "
            "project and billing.",
            "JeffOtano/roni#125",
        ),
        "plan": google(
            403,
            "PERMISSION_DENIED",
            "Gemini API free tier is not available in your country. Please enable billing on your project in "
            "Google AI Studio.",
            "Google's words",
        ),
        "limit": google(
            429,
            "RESOURCE_EXHAUSTED",
            GEMINI_QUOTA,
            "gke-labs/gemini-for-kubernetes-development#1215; details: the API's own",
            [PER_DAY, HELP, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "{left}s"}],
        ),
        "rate": google(
            429,
            "RESOURCE_EXHAUSTED",
            "Resource has been exhausted (e.g. check quota).",
            "google-gemini/gemini-cli#1905",
        ),
        "busy": google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", "Google's words"),
        "down": Told(
            503, "upstream connect error or disconnect/reset before headers", "Envoy's words", kind="text/plain"
        ),
        "context": google(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1048913) exceeds the maximum number of tokens allowed (1048576).",
            "Google's words",
        ),
        "unknown": google(
            400, "FAILED_PRECONDITION", "Workspace spend policy evaluation did not converge.", "made up: no rule has it"
        ),
    },
}


def told(api: str, kind: str) -> Told:
    """Return how this API says it. LookupError: no such refusal."""
    words = WORDS[api]
    found = words.get(kind) or EVERYWHERE.get(kind) or words.get(kind.rstrip("0123456789"))
    if found is None:
        found = words["limit"] if kind == "week" else None
    if found is None:
        raise LookupError(f"{api} has no words for {kind!r}")
    return found
