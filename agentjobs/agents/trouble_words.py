"""Recognise account and service trouble by words that agents and services share: one table for all agents. Pure.

A preset's rules know the fields of the versions it was tested with. Other versions, proxies, and agents without rules
use other fields for the same words; this table knows the words. It is used only for an attempt that failed, after the
agent's own rules, and only on words of the program: never on what its model wrote or its tools printed.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from agentjobs.model.outcomes import Outcome
from agentjobs.text.json_lines import lookup, scalar_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATUS: Final = r"(?:^|\n|status(?: code)?|error|http|code|failed|response|client error)[\W_]{0,4}"
"""What precedes a number that is an HTTP status."""

TABLE: Final = (
    # A web page instead of an answer: a proxy, a captive portal, a firewall. Whatever its status, the service was not
    # asked.
    (
        Outcome.UNREACHABLE,
        (r"<!doctype html", r"<html\b", r"body is an html page", r"unexpected token '?<", r"invalid character '<'"),
    ),
    # The request does not fit the model's window.
    (
        Outcome.CONTEXT_FULL,
        (
            r"context[_ ](?:length|window|size)[_ ](?:has been )?exceed",
            r"exceed(?:s|ed)?[_ ](?:(?:the|available|maximum|model|model.s) )*context",
            r"context exceeds",
            r"maximum context length",
            r"context length is only",
            r"(?:greater|longer|larger) than the (?:model.s )?context",
            r"(?:prompt|input|conversation)(?: is| was)? too long",
            r"prompt as too long",
            r"context is too large",
            r"too large to compact",
            r"token count\b[^\n]{0,20}exceeds",
            r"maximum (?:prompt|input) length",
            r"reduce the length of (?:the|your|either)",
            r"model token limit",
            r"range of input length should be",
            r"out of room in the model.s context",
        ),
    ),
    (Outcome.OVERLOADED, (r"not your usage limit", r"overloaded", r"experiencing high (?:demand|load)")),
    # No money, or a limit that only a person can raise.
    (
        Outcome.AUTH,
        (
            r"credit balance is too low",
            r"out of (?:\w+ )?credits(?!.{0,40}\breset)",
            r"insufficient[_ ](?:\w+ )?(?:balance|credits?|quota|funds)",
            r"requires (?:more|usage) credits",
            r"billing[_ ](?:error|not)",
            r"past invoices",
            r"in arrears|arrearage|overdue[- ]payment",
            r"account is in good standing",
            r"credits? (?:is|are|has been|have been|was|were) (?:depleted|exhausted|used up)(?!.{0,40}\breset)",
            r"recharge your account",
            r"spend(?:ing)? (?:cap|limit)",
            r"check your plan and billing details?\.?$",
            r"exceeded your current (?:\w+ )?quota(?!.*(?:ai\.google\.dev|quota exceeded for))",
            rf"{STATUS}402\b",
        ),
    ),
    (
        Outcome.LIMIT,
        (
            r"(?:hit|reached|exceeded) your (?!(?:\S+ ){0,2}rate )(?:[\w'-]+ ){0,4}(?:limits?|allowance)\b",
            r"(?<!rate )\blimit (?:has been )?reached",
            r"usage[_ ]limit[_ ](?:has been )?reached",
            r"specified api usage limits",
            r"usage (?:limit )?exceeded",
            r"out of extra usage",
            r"(?:premium request )allowance",
            r"quota[_ ]exceeded\b.*upgrade",
            r"quota_exceeded",
            r"have no quota",
            r"quota will (?:be )?re(?:set|fresh)",
            r"exhausted your (?:daily|capacity|\w+ quota)",
            r"(?:per[ -]day|daily|weekly|monthly)\b[^\n]{0,30}(?:limit|quota)",
            r"(?:limit|quota)[^\n]{0,60}\bper[ -]day",
            r"models?-per-day",
            r"allocated quota exceeded",
            r"rate limit\b[^\n]{0,200}\b(?:in|after) \d+ (?:hour|day)",
        ),
    ),
    (
        Outcome.OVERLOADED,
        (r"rate[_ ]?limit(?:ed|s|ing)?[_ ]?(?:reached|exceeded|error)", r"temporarily limiting requests"),
    ),
    # The login, the key, the plan: only a person can change them.
    (
        Outcome.AUTH,
        (
            rf"{STATUS}401\b",
            r"authentication[_ ](?:error|failed|required)",
            r"authenticationerror",
            r"failed to authenticate",
            r"oauth (?:token|session|authentication)\b[^\n]{0,40}(?:expired|revoked|not allowed|invalid)",
            r"oauth_org_not_allowed",
            r"run /login",
            r"has been discontinued",
            r"login (?:has )?expired",
            r"not logged in",
            r"(?:log|logging|sign|signing) in again",
            r"(?:token|credentials?)(?: included in the request)? (?:is|are|has|have) (?:been )?(?:expired|revoked)",
            r"(?:invalid|incorrect|expired|missing|no) (?:x-)?api[-_ ]?key",
            r"api[-_ ]?key[^\n]{0,20}(?:invalid|not valid|expired|not found|missing|revoked)",
            r"api_key_invalid",
            r"invalid_api_key",
            r"invalid (?:auth|access|bearer) ?token",
            r"invalid authentication",
            r"invalid_grant",
            r"\bunauthenticated\b",
            r"\bunauthorized\b",
            r"(?:token|session|login|credentials?) could not be refreshed",
            r"(?:organization|workspace|account)\b[^\n]{0,60}\b(?:disabled|deactivated|suspended|on hold)",
            r"account_on_hold",
            r"deactivated_workspace",
            r"usage_not_included",
            r"use codex with your .{0,20}plan",
            r"permission(?:_|denied)error",
            r"permission_denied",
        ),
    ),
    (
        Outcome.OVERLOADED,
        (
            rf"{STATUS}(?:429|529)\b",
            r"too many requests",
            r"at capacity",
            r"capacity is unavailable",
            r"resource[_ ](?:has been )?exhausted",
            r"service (?:is )?(?:temporarily )?unavailable",
            r"exceeded your current (?:\w+ )?quota",
            r"an error occurred while processing your request",
        ),
    ),
    # No answer.
    (
        Outcome.UNREACHABLE,
        (
            r"\be(?:conn(?:refused|reset|aborted)|notfound|ai_again|timedout|pipe)\b",
            r"\be(?:hostunreach|hostdown|netunreach|netdown)\b",
            r"\bund_err_",
            r"connection(?:refused|closed)\b",
            r"failedtoopensocket",
            r"err_(?:proxy|tls|ssl|socket|network)",
            r"api_?connection_?error",
            r"\bconnecterror\b",
            r"connectionerror\b",
            r"connecttimeout",
            r"apitimeouterror",
            r"connection[_ ](?:error|refused|reset|dropped|lost|aborted|failed|failure|timed out)",
            r"connection (?:was )?closed",
            r"connect(?:ion)? time(?:d )?out",
            r"connection attempts failed",
            r"(?:cannot|can.t|unable to|failed to|could not|couldn.t) connect\b",
            r"can.t reach the (?:\w+ )?server",
            r"could not resolve",
            r"fetch failed",
            r"socket hang up",
            r"broken pipe",
            r"upstream connect error",
            r"no internet",
            r"check your (?:internet|network|proxy|vpn)",
            r"network (?:error|connection|is (?:unreachable|down))",
            r"(?:stream|request|response)(?: was| has)? (?:disconnected|closed|ended) (?:before|without|prematurely)",
            r"empty or (?:malformed|invalid) response",
            r"empty response \(no content",
            r"(?:proxy|gateway|firewall) intercepting",
            r"incomplete (?:json segment|chunked read)",
            r"without sending (?:any chunks|complete message body)",
            r"premature close",
            r"error sending request",
            r"error (?:reading a body|decoding response body)",
            r"unexpected eof",
            r"request timed out",
            r"idle timeout",
            r"(?:^|[:\n] ?)terminated\b",
            r"getaddrinfo",
            r"name resolution",
            r"no such host",
            r"name or service not known",
            r"unable to get (?:local )?issuer",
            r"certificate",
            r"(?:ssl|tls) (?:error|handshake)",
            r"proxy (?:error|authentication)",
            rf"{STATUS}(?:407|511)\b",
            r"max retries exceeded with",
        ),
    ),
    (
        Outcome.OVERLOADED,
        (rf"{STATUS}5\d\d\b", r"internal server error", r"bad gateway", r"gateway time-?out", r"server error\b"),
    ),
    (Outcome.AUTH, (rf"{STATUS}403\b",)),
)
"""The classes in this order, each with its words: the first match decides."""

CORRECTED: Final = {
    Outcome.OVERLOADED: frozenset({Outcome.AUTH, Outcome.LIMIT, Outcome.UNREACHABLE, Outcome.CONTEXT_FULL}),
    Outcome.AUTH: frozenset({Outcome.LIMIT, Outcome.UNREACHABLE, Outcome.CONTEXT_FULL}),
    Outcome.INFRA: frozenset({Outcome.CONTEXT_FULL}),
}
"""A rule may have seen only a status: for these classes the words of the same event are better."""

LONGEST: Final = 1_200
"""Most characters of an error that are read."""

PLAIN_LINES: Final = 3
"""Number of the program's last plain lines that are read: its last words, not its log."""

FRONT: Final = 8
"""A plain line that does not start like an error must start with the words, after at most this many characters."""

FAILED: Final = (
    "error.message", "error.data.message", "error.data.responseBody", "error.name", "error.code", "error.type", "error",
    "message.errorMessage", "errorMessage", "error_message", "finalError", "data.message", "data.errorMessage",
    "data.errorType", "data.errorCode", "result", "message", "detail", "errors.0", "api_error", "api_error_type",
    "code",
)  # fmt: skip
"""Where agents' events contain an error."""

STATUSES: Final = (
    "api_error_status", "error_status", "status_code", "statusCode", "error.data.statusCode", "error.statusCode",
    "error.status", "data.statusCode",
)  # fmt: skip
"""Where they contain an HTTP status."""

_OF_TOOLS = re.compile(r"tool|command|exec(?!ution)|hook|mcp", re.IGNORECASE)
_FAILURE = re.compile(r"error|fail|retry", re.IGNORECASE)
_HEAD = re.compile(
    r"\W{0,6}(?:\[?[\d:T.Z -]{8,30}\]?\s*)?(?:(?:warning|error|fatal)\b"
    r"|(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Timeout)\b|[\w -]{0,30}\berror\b\s*[:(]|curl: |\d{3} [A-Z]"
    r"|ran into this error)",
    re.IGNORECASE,
)
_INNER = re.compile(r"\s|[}\])]|at |File |Caused by|See log|Please retry")
_TEST = re.compile(
    r"assert|\bexpect|\bFAIL|^\W{0,3}(?:not ok|ok|E) |\btests?[_/ .]|\.(?:test|spec)\.|::"
    r"|\b(?:pytest|jest|vitest|npm ERR)"
)
_LOCAL = re.compile(r"\b(?:localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0)\b|\[?::1\]?:\d", re.IGNORECASE)
_API = re.compile(r"/v\d|chat/completions|/messages|/responses|litellm|openai|anthropic|ollama", re.IGNORECASE)


def trouble(words: str) -> Outcome | None:
    """Return the trouble in the words of a program's error; None if there is none."""
    text = words[:LONGEST]
    return next((outcome for outcome, pattern in _compiled() if pattern.search(text)), None)


def is_failure(fields: Mapping[str, object]) -> bool:
    """Return whether an event reports that the program itself (not a tool) failed, or retries."""
    kind = " ".join(text for name in ("type", "subtype", "event") if (text := scalar_text(fields.get(name))))
    if _OF_TOOLS.search(kind):
        return False
    if _FAILURE.search(kind) or fields.get("is_error") is True or fields.get("status") == "error":
        return True
    return bool(fields.get("error")) or lookup(fields, "message.stopReason") == "error"


def failure_words(fields: Mapping[str, object]) -> str:
    """Return all error messages of an event, in lines, with its HTTP status."""
    lines = [text for path in FAILED if (text := scalar_text(lookup(fields, path)))]
    numbers = [text for path in STATUSES if (text := scalar_text(lookup(fields, path))) and text.isdigit()]
    return "\n".join([*dict.fromkeys(line[:LONGEST] for line in lines), *(f"HTTP {number}" for number in numbers)])


def plain_trouble(lines: Sequence[str]) -> tuple[Outcome, str] | None:
    """Return the trouble in the last plain lines of a program, and the line that names it; None if there is none.

    A plain line may be anything: a test that failed because of a server that it had to start itself prints ECONNREFUSED
    too. So only the last words of the program count, and only a line that is an error, or nothing but these words.
    """
    outer = [line for line in lines if line.strip() and not _INNER.match(line)]
    for at, line in enumerate(reversed(outer[-PLAIN_LINES:])):
        text = line[:LONGEST]
        if _TEST.search(text) or (_LOCAL.search(text) and not _API.search(text)):
            continue
        found = trouble(text)
        if found is not None and (_HEAD.match(text) or (at == 0 and _begins_so(text, found))):
            return found, line
    return None


def _begins_so(text: str, outcome: Outcome) -> bool:
    return any(
        (hit := pattern.search(text)) is not None and hit.start() <= FRONT
        for one, pattern in _compiled()
        if one is outcome
    )


@cache
def _compiled() -> tuple[tuple[Outcome, re.Pattern[str]], ...]:
    """Compile the table when something failed, so that other polls do not pay for it."""
    return tuple((outcome, re.compile("|".join(words), re.IGNORECASE)) for outcome, words in TABLE)
