"""What failed programs said, as one line for people: real outputs of many CLIs, and every recording of a failure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.classify import classify
from agentjobs.agents.failure_text import cleaned, message_in, unwrapped, words_of
from agentjobs.agents.output import Knowledge
from agentjobs.model.steps import Exited
from tests.agents.test_recordings import RECORDINGS, Recording, agent_of

FRAME = re.compile(r"\bat \S+ \(.+:\d+:\d+|\bat (?:async )?(?:file|node):|File \".*\", line \d+")


class Case(NamedTuple):
    """An output, and the words that its message has, in this order, and has not."""

    source: str
    output: str
    wanted: str
    unwanted: str = ""


REAL = Path(__file__).parents[1] / "fixtures" / "cli_messages.jsonl"
"""Real outputs that people reported, or that were met: where, the output, what must be in its message and what not."""
CORPUS = [Case(**json.loads(line)) for line in REAL.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CORPUS, ids=[case.source for case in CORPUS])
def test_the_message_in_a_real_output(case: Case) -> None:
    """As an agent of one's own, of which nothing is known but its command."""
    output = case.output.encode()
    verdict = classify(state=Exited(1, 0.0), kill=None, output=output, output_bytes=len(output), rules=(), now=1e9)
    said = verdict.detail.removeprefix("exit 1: ")
    assert case.wanted in said, said
    assert not case.unwanted or case.unwanted not in said, said
    assert_readable(verdict.detail)


def assert_readable(said: str) -> None:
    assert len(said) <= 240
    assert "\n" not in said
    assert "\x1b" not in said
    assert not re.search(r"\{\s*[\"'\\].*[:}]", said), said
    assert not FRAME.search(said), said


def test_there_are_many_real_outputs() -> None:
    assert len({case.source for case in CORPUS}) >= 40


# --- every recording of a failure has its own words --------------------------------------------------------

SAID = {
    ("aider", "auth"): "invalid x-api-key",
    ("aider", "context"): "hit a token limit",
    ("aider", "credits"): "Insufficient credits. Add more using",
    ("aider", "cut"): "Connection error.",
    ("aider", "expired"): "Provided authentication token is expired. Please try signing in again.",
    ("aider", "limit"): "Rate limit reached for model `mock` on tokens per day",
    ("aider", "network"): "Connection error.",
    ("aider", "overload"): "Overloaded",
    ("aider", "portal"): "Empty or invalid response from LLM endpoint.",
    ("aider", "quota"): "You exceeded your current quota, please check your plan and billing details.",
    ("aider", "quotes"): "exit 143 (SIGTERM): The LLM did not conform to the edit format.",
    ("claude", "auth"): "Invalid API key",
    ("claude", "budget"): "Reached maximum budget ($0.7)",
    ("claude", "context"): "Prompt is too long",
    ("claude", "cut_always"): "API Error: Connection to the API was lost (ECONNRESET).",
    ("claude", "dropped"): "API Error: Connection dropped (ECONNRESET).",
    ("claude", "limit"): "You've hit your 5-hour limit · resets 3am (UTC)",
    ("claude", "login_lost"): "Failed to authenticate. API Error: 401 OAuth token has expired.",
    ("claude", "money"): "Credit balance is too low",
    ("claude", "money402"): "API Error: 402 Your account has insufficient funds.",
    ("claude", "network"): "API Error: Connection refused",
    ("claude", "no_session"): "No conversation found with session ID",
    ("claude", "overflow"): "Prompt is too long",
    ("claude", "overload"): "API Error: 529 Overloaded",
    ("claude", "plan"): "Your organization has disabled Claude subscription access for Claude Code",
    ("claude", "portal"): "API Error: API returned an empty or malformed response (HTTP 200)",
    ("claude", "proxy"): "API Error: 502 Bad Gateway.",
    ("claude", "unknown"): "exit 1: API Error: 400 Workspace spend policy evaluation did not converge.",
    ("codex", "auth"): "unexpected status 401 Unauthorized: invalid x-api-key",
    ("codex", "context"): "ran out of room in the model's context window",
    ("codex", "cut"): "stream disconnected before completion: Transport error: network error",
    ("codex", "cut_always"): "stream disconnected before completion: Transport error: network error",
    ("codex", "dropped"): "stream disconnected before completion: error sending request",
    ("codex", "limit"): "hit your usage limit.",
    ("codex", "login_lost"): "unexpected status 401 Unauthorized: Your authentication token has been invalidated.",
    ("codex", "money"): "Quota exceeded. Check your plan and billing details.",
    ("codex", "no_session"): "no rollout found for thread id",
    ("codex", "overflow"): "ran out of room in the model's context window",
    ("codex", "overload"): "unexpected status 503 Service Unavailable: Overloaded",
    ("codex", "plan"): "To use Codex with your ChatGPT plan, upgrade to Plus",
    ("codex", "portal"): "stream disconnected before completion: stream closed before response.completed",
    ("codex", "proxy"): "unexpected status 502 Bad Gateway",
    ("codex", "unknown"): "exit 1: Workspace spend policy evaluation did not converge.",
    ("copilot", "auth"): "Authentication failed with provider",
    ("copilot", "context"): "rejected the prompt as too long",
    ("copilot", "context_sum"): "This model's maximum context length is 128000 tokens.",
    ("copilot", "credits"): "402 Insufficient credits.",
    ("copilot", "cut"): "Last error: Failed native model HTTP request: error decoding response body",
    ("copilot", "expired"): "Authentication failed with provider",
    ("copilot", "limit"): "429 Sorry, you've exceeded your 5 hour session limits. Please retry after 12776 seconds.",
    ("copilot", "model"): "Model 'gpt-5.4' not found on provider",
    ("copilot", "network"): "Could not connect to local model provider",
    ("copilot", "no_quota"): "402 You have no quota",
    ("copilot", "no_session"): "No session, task, or name matched",
    ("copilot", "overload"): "Last error: 503 Overloaded",
    ("copilot", "portal"): "Failed to finalize chat-completions stream: request ended without sending any chunks",
    ("copilot", "quota"): "Last error: 429 You exceeded your current quota",
    ("copilot", "rate"): "Last error: 429 Rate limit reached for requests per minute.",
    ("gemini", "auth"): "[API Error: invalid x-api-key]",
    ("gemini", "busy"): "already exists",
    ("gemini", "context"): "The input token count (1200000) exceeds the maximum number of tokens",
    ("gemini", "cut"): "[API Error: terminated]",
    ("gemini", "cut_always"): "[API Error: terminated]",
    ("gemini", "daily"): "You have exhausted your daily quota on this model.",
    ("gemini", "dropped"): "[API Error: exception TypeError: fetch failed sending request]",
    ("gemini", "limit"): "Individual quota reached.",
    ("gemini", "login"): "exit 41: When using Gemini API, you must specify the GEMINI_API_KEY environment variable.",
    ("gemini", "login_lost"): "[API Error: Request had invalid authentication credentials.",
    ("gemini", "model"): "models/gemini-2.5-pro is not found",
    ("gemini", "money"): "[API Error: Your prepayment credits are depleted.",
    ("gemini", "network"): "[API Error: exception TypeError: fetch failed sending request]",
    ("gemini", "no_session"): "No previous sessions found for this project.",
    ("gemini", "overflow"): "The input token count (1048913) exceeds the maximum number of tokens",
    ("gemini", "overload"): "[API Error: Overloaded]",
    ("gemini", "plan"): "[API Error: Gemini API free tier is not available in your country.",
    ("gemini", "portal"): "[API Error: Incomplete JSON segment at the end]",
    ("gemini", "proxy"): "[API Error: 502 Bad Gateway]",
    ("gemini", "turns"): "Reached max session turns",
    ("gemini", "unknown"): "exit 144: [API Error: Workspace spend policy evaluation did not converge.]",
    ("kimi", "auth"): "401 invalid x-api-key",
    ("kimi", "context"): "Your request exceeded model token limit",
    ("kimi", "credits"): "402 Insufficient credits.",
    ("kimi", "cut"): "provider.connection_error: terminated",
    ("kimi", "expired"): "401 The API Key appears to be invalid or may have expired.",
    ("kimi", "limit"): "You've reached your usage limit for this billing cycle.",
    ("kimi", "membership"): "402 We're unable to verify your membership benefits at this time.",
    ("kimi", "network"): "provider.connection_error: Connection error.",
    ("kimi", "no_session"): "not found",
    ("kimi", "overload"): "503 Overloaded",
    ("kimi", "portal"): "provider.api_error: The API returned an empty response",
    ("kimi", "quota"): "429 You exceeded your current quota",
    ("kimi", "tpd"): "reached organization TPD rate limit",
    ("mini-swe-agent", "auth"): "invalid x-api-key",
    ("mini-swe-agent", "context"): "maximum context length is 100000 tokens",
    ("mini-swe-agent", "credits"): "Insufficient credits. Add more using",
    ("mini-swe-agent", "cut"): "Connection error.",
    ("mini-swe-agent", "expired"): "Provided authentication token is expired. Please try signing in again.",
    ("mini-swe-agent", "limit"): "Rate limit reached for model `mock` on tokens per day",
    ("mini-swe-agent", "network"): "Connection error.",
    ("mini-swe-agent", "overload"): "Overloaded",
    ("mini-swe-agent", "portal"): "Empty or invalid response from LLM endpoint.",
    ("mini-swe-agent", "quotes"): "exit 143 (SIGTERM)",
    ("opencode", "auth"): "invalid x-api-key",
    ("opencode", "context"): "Your input exceeds the context window of this model.",
    ("opencode", "context_sum"): "This model's maximum context length is 100000 tokens.",
    ("opencode", "credits"): "Insufficient credits. Add more using",
    ("opencode", "cut"): "Cannot connect to API: The socket connection was closed unexpectedly.",
    ("opencode", "dns"): "Cannot connect to API: Unable to connect.",
    ("opencode", "expired"): "Provided authentication token is expired.",
    ("opencode", "free"): "Free usage exceeded, subscribe to Go",
    ("opencode", "limit"): "5 hour usage limit reached. Resets in",
    ("opencode", "network"): "Cannot connect to API: Unable to connect.",
    ("opencode", "no_session"): "Session not found",
    ("opencode", "overload"): "Overloaded",
    ("opencode", "quota"): "You exceeded your current quota",
    ("opencode", "zen"): "Insufficient balance. Manage your billing here",
    ("pi", "auth"): "401 invalid x-api-key",
    ("pi", "context"): "Your input exceeds the context window of this model.",
    ("pi", "cut"): "terminated",
    ("pi", "cut_always"): "terminated: other side closed",
    ("pi", "dropped"): "Connection error.: read ECONNRESET",
    ("pi", "limit"): "You have hit your ChatGPT usage limit",
    ("pi", "login_lost"): "401: Incorrect API key provided",
    ("pi", "money"): "429: You exceeded your current quota",
    ("pi", "network"): "Connection error.: connect ECONNREFUSED",
    ("pi", "overflow"): "This model's maximum context length is 128000 tokens.",
    ("pi", "overload"): "503 Overloaded",
    ("pi", "plan"): "403: The model is not available with your current plan.",
    ("pi", "portal"): "Stream ended without finish_reason",
    ("pi", "proxy"): "502 Bad Gateway",
    ("pi", "unknown"): "no final event of success: 400: Workspace spend policy evaluation did not converge.",
    ("qwen", "arrears"): "400 Access denied, please make sure your account is in good standing.",
    ("qwen", "auth"): "[API Error: 401 invalid x-api-key]",
    ("qwen", "busy"): "already exists",
    ("qwen", "context"): "maximum context length is 131072 tokens",
    ("qwen", "credits"): "[API Error: 402 Insufficient credits.",
    ("qwen", "cut"): "[API Error: terminated (cause: UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
    ("qwen", "expired"): "[API Error: 401 invalid access token or token expired]",
    ("qwen", "free"): "[API Error: 403 The free quota has been exhausted.",
    ("qwen", "guard"): "[API Error: Context is too large to send safely after automatic compression.",
    ("qwen", "limit"): "Quota exhausted: You have exceeded the monthly usage quota.",
    ("qwen", "login"): "Missing API key",
    ("qwen", "model"): "[API Error: 404 The model `qwen3` does not exist.]",
    ("qwen", "network"): "[API Error: Connection error. (cause: fetch failed)]",
    ("qwen", "no_session"): "No saved session found with ID",
    ("qwen", "overload"): "[API Error: 503 Overloaded]",
    ("qwen", "portal"): "[API Error: Streaming request received a non-SSE response (HTTP 200",
    ("qwen", "quota"): "[API Error: 429 You exceeded your current quota",
    ("qwen", "rate"): "[API Error: 429 Requests rate limit exceeded",
    ("qwen", "turns"): "Reached max session turns",
}
ENDED = {"hang": "ended: no output for too long", "sigkill": "exit 137 (SIGKILL)"}
"""The detail where the agent itself had nothing to say of it."""


@pytest.mark.parametrize("meta", RECORDINGS, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_the_message_of_a_recording(meta: object) -> None:
    recording = Recording(meta)  # type: ignore[arg-type]
    name, case = recording.meta["agent"], recording.directory.name
    verdict = recording.verdict()
    if verdict.outcome.value == "ok":
        return
    ended = ENDED.get(case.partition("_")[0])
    if ended is not None:
        assert verdict.detail == ended
    else:
        assert SAID[name, case] in verdict.detail
    assert_readable(verdict.detail)


def test_every_expected_message_is_of_a_recording() -> None:
    assert SAID.keys() <= {(meta.parent.parent.name, meta.parent.name) for meta in RECORDINGS}


def said_by(agent: str, output: str, code: int) -> str:
    """Return the detail of an output of an agent with a preset."""
    known, raw = agent_of(agent), output.encode()
    return classify(
        state=Exited(code, 0.0), kill=None, output=raw, output_bytes=len(raw), rules=known.rules, now=1e9,
        knowledge=Knowledge(known.watch, known.text_after, reading=known.reading),
    ).detail  # fmt: skip


RETRY = {"type": "turn.step.retrying", "error_name": "APIConnectionError"}


@pytest.mark.parametrize("words", ["terminated", "Connection error.", "fetch failed", "socket hang up"])
def test_the_detail_of_shared_words_is_the_line_that_a_person_reads(words: str) -> None:
    """Not what the event that was found says, where the program itself says the same with more around it."""
    retry = json.dumps({**RETRY, "error_message": words})
    told = said_by("kimi", f"{retry}\nerror: failed to run prompt: provider.connection_error: {words}\n", 1)
    assert told == f"provider.connection_error: {words}"
    assert said_by("kimi", f"{retry}\nerror: the disk is full\n", 1) == words, "its last words are of something else"


def test_what_a_model_wrote_is_not_said_of_a_program_that_a_signal_ended() -> None:
    quoted = "I read:\nlitellm.exceptions.AuthenticationError: litellm.AuthenticationError: invalid x-api-key\n"
    assert said_by("mini-swe-agent", quoted, 143) == "exit 143 (SIGTERM)"
    own = f"{quoted}Traceback (most recent call last):\nlitellm.exceptions.BadRequestError: no such thing\n"
    assert said_by("mini-swe-agent", own, 143) == "exit 143 (SIGTERM): no such thing"


@pytest.mark.parametrize(("status", "code"), [(400, 144), (403, 147), (404, 148), (413, 157), (429, 173)])
def test_what_is_left_of_a_status_is_no_signal(status: int, code: int) -> None:
    verdict = classify(state=Exited(code, 0.0), kill=None, output=b"", output_bytes=0, rules=(), now=1e9)
    assert status % 256 == code
    assert verdict.detail == f"exit {code}, no output"


def test_an_address_alone_and_the_end_of_a_retry_are_no_message() -> None:
    assert message_in(["It did not work.", "https://example.org/docs/edit-errors.html"]) == "It did not work."
    assert words_of({"type": "auto_retry_end", "finalError": "Connection error."}) == "Connection error."
    assert unwrapped("status 502 Bad Gateway: <html><title>502 Bad Gateway</title></html>") == "status 502 Bad Gateway"


def test_an_event_that_says_it_wins_over_warnings_around_it() -> None:
    output = (
        b"(node:7) [DEP0040] DeprecationWarning: The `punycode` module is deprecated.\n"
        b'{"type":"start"}\n{"type":"assistant","text":"Error: this is what the model wrote"}\n'
        b'{"type":"failure","error":{"message":"the credit is used up"}}\n'
        b"npm notice New major version of npm available! 10.8.2 -> 11.0.0\n"
        b"Warning: 256-color support not detected.\n[=====>     ] 45%\n"
    )
    verdict = classify(state=Exited(3, 0.0), kill=None, output=output, output_bytes=len(output), rules=(), now=1e9)
    assert verdict.detail == "the credit is used up"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2026-11-25T00:15:58.149Z ERROR api: boom happened", "boom happened"),
        ("[2026-11-25 00:15:58,149] [ERROR] [client.py:12] boom happened", "boom happened"),
        ("2026/11/25 00:15:58 ERROR boom happened", "boom happened"),
        ('time="2026-11-25T00:15:58Z" level=fatal msg="boom happened"', "boom happened"),
        ("ERROR 2026-11-25T00:15:58 +3ms service=x error=boom", "service=x error=boom"),
        ("\u274c boom happened", "boom happened"),
        ("Error: boom happened", "Error: boom happened"),
    ],
)
def test_the_prefix_of_a_log_goes(line: str, message: str) -> None:
    assert message_in([line]).endswith(message)
    assert not re.search(r"\d\d:\d\d:\d\d", message_in([line]))


def test_values_without_words_say_nothing() -> None:
    assert words_of({"error": {"code": 7}}) == ""
    assert words_of({"error": True, "message": None}) == ""
    assert words_of({"error": "rate_limit", "message": "Wait a moment."}) == "Wait a moment."
    assert words_of({"error": "rate_limit"}) == "rate_limit"
    assert words_of({"error": "invalid_grant", "error_description": "Token expired"}) == "Token expired"


DEEP = st.recursive(
    st.text(max_size=8) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["error", "message", "a", "raw"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), DEEP, st.integers(0, 4), st.integers(0, 300))
def test_nothing_makes_it_raise(text: str, value: object, wraps: int, cut: int) -> None:
    inner = json.dumps(value)
    for _ in range(wraps):
        inner = json.dumps({"error": {"message": inner}})
    for line in (text, inner, f"API Error: 400 {inner}"[: cut + 1], f"{text}{inner}", repr(value)):
        words, likely = cleaned(line)
        assert "\n" not in words
        assert 0 <= likely <= 4
        unwrapped(line)
        message_in(line.split("\n"))


@settings(max_examples=100, deadline=None)
@given(
    st.from_regex(r"[A-Za-z][a-z]{2,12} [a-z]{2,12} [a-z]{2,12}\.", fullmatch=True), st.integers(1, 5), st.booleans()
)
def test_a_message_is_found_however_it_is_wrapped(message: str, wraps: int, python: bool) -> None:
    wrapped = message
    for _ in range(wraps):
        value = {"type": "error", "error": {"type": "x_error", "message": wrapped}, "request_id": "r"}
        wrapped = repr(value) if python and wrapped == message else json.dumps(value)
    assert unwrapped(f"API Error: 400 {wrapped}") == f"API Error: 400 {message}"


def test_a_long_hostile_text_takes_no_time() -> None:
    many = ("{" * 200_000, '{"a":' * 50_000, "(" * 100_000 + '{"', '{\\"' * 60_000, "Error: " * 50_000, "a.b." * 60_000)
    for text in many:
        unwrapped(text)
        message_in([text])
