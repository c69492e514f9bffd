"""What failed programs said, as one line for people: real outputs of many CLIs, and every recording of a failure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.message import cleaned, message_in, unwrapped, words_of
from agentjobs.model import Exited
from agentjobs.outcome import classify
from tests.test_presets import RECORDINGS, Recording

FRAME = re.compile(r"\bat \S+ \(.+:\d+:\d+|\bat (?:async )?(?:file|node):|File \".*\", line \d+")


class Case(NamedTuple):
    """An output, and the words that its message has, in this order, and has not."""

    source: str
    output: str
    wanted: str
    unwanted: str = ""


REAL = Path(__file__).parent / "fixtures" / "cli_messages.jsonl"
"""Real outputs that people reported, or that were met: where, the output, what must be in its message and what not."""
CORPUS = [Case(**json.loads(line)) for line in REAL.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CORPUS, ids=[case.source for case in CORPUS])
def test_the_message_in_a_real_output(case: Case) -> None:
    """As an agent of one's own, of which nothing is known but its command."""
    output = case.output.encode()
    verdict = classify(phase=Exited(1, 0.0), kill=None, output=output, output_bytes=len(output), rules=(), now=1e9)
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
    ("aider", "cut"): "Connection error.",
    ("aider", "limit"): "Rate limit reached for model `mock` on tokens per day",
    ("aider", "overload"): "Overloaded",
    ("claude", "auth"): "Invalid API key",
    ("claude", "context"): "Prompt is too long",
    ("claude", "limit"): "You've hit your 5-hour limit · resets 3am (UTC)",
    ("claude", "no_session"): "No conversation found with session ID",
    ("claude", "overload"): "API Error: 529 Overloaded",
    ("codex", "auth"): "unexpected status 401 Unauthorized: invalid x-api-key",
    ("codex", "context"): "ran out of room in the model's context window",
    ("codex", "cut"): "exit 1: stream disconnected before completion",
    ("codex", "limit"): "hit your usage limit.",
    ("codex", "no_session"): "no rollout found for thread id",
    ("codex", "overload"): "unexpected status 503 Service Unavailable: Overloaded",
    ("copilot", "auth"): "Authentication failed with provider",
    ("copilot", "context"): "rejected the prompt as too long",
    ("copilot", "cut"): "exit 1: Failed to get response from the AI model",
    ("copilot", "limit"): "429 Sorry, you've exceeded your 5 hour session limits. Please retry after 12776 seconds.",
    ("copilot", "model"): "Model 'gpt-5.4' not found on provider",
    ("copilot", "no_session"): "No session, task, or name matched",
    ("copilot", "overload"): "Last error: 503 Overloaded",
    ("copilot", "rate"): "Last error: 429 Rate limit reached for requests per minute.",
    ("gemini", "auth"): "[API Error: invalid x-api-key]",
    ("gemini", "busy"): "already exists",
    ("gemini", "context"): "The input token count (1200000) exceeds the maximum number of tokens",
    ("gemini", "cut"): "exit 1: [API Error: terminated]",
    ("gemini", "daily"): "You have exhausted your daily quota on this model.",
    ("gemini", "limit"): "Individual quota reached.",
    ("gemini", "login"): "exit 41: When using Gemini API, you must specify the GEMINI_API_KEY environment variable.",
    ("gemini", "model"): "models/gemini-2.5-pro is not found",
    ("gemini", "no_session"): "No previous sessions found for this project.",
    ("gemini", "overload"): "[API Error: Overloaded]",
    ("gemini", "turns"): "Reached max session turns",
    ("kimi", "auth"): "401 invalid x-api-key",
    ("kimi", "context"): "Your request exceeded model token limit",
    ("kimi", "cut"): "exit 1: provider.connection_error: terminated",
    ("kimi", "limit"): "You've reached your usage limit for this billing cycle.",
    ("kimi", "no_session"): "not found",
    ("kimi", "overload"): "503 Overloaded",
    ("mini-swe-agent", "auth"): "invalid x-api-key",
    ("mini-swe-agent", "context"): "maximum context length is 100000 tokens",
    ("mini-swe-agent", "cut"): "Connection error.",
    ("mini-swe-agent", "limit"): "Rate limit reached for model `mock` on tokens per day",
    ("mini-swe-agent", "overload"): "Overloaded",
    ("opencode", "auth"): "invalid x-api-key",
    ("opencode", "context"): "Your input exceeds the context window of this model.",
    ("opencode", "cut"): "Cannot connect to API: The socket connection was closed unexpectedly.",
    ("opencode", "limit"): "5 hour usage limit reached. Resets in",
    ("opencode", "no_session"): "Session not found",
    ("opencode", "overload"): "Overloaded",
    ("pi", "auth"): "401 invalid x-api-key",
    ("pi", "context"): "Your input exceeds the context window of this model.",
    ("pi", "cut"): "no final event of success: terminated",
    ("pi", "limit"): "You have hit your ChatGPT usage limit",
    ("pi", "overload"): "503 Overloaded",
    ("qwen", "auth"): "[API Error: 401 invalid x-api-key]",
    ("qwen", "busy"): "already exists",
    ("qwen", "context"): "maximum context length is 131072 tokens",
    ("qwen", "cut"): "exit 1: [API Error: terminated",
    ("qwen", "limit"): "Quota exhausted: You have exceeded the monthly usage quota.",
    ("qwen", "login"): "Missing API key",
    ("qwen", "model"): "[API Error: 404 The model `qwen3` does not exist.]",
    ("qwen", "no_session"): "No saved session found with ID",
    ("qwen", "overload"): "[API Error: 503 Overloaded]",
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
    if case in ENDED:
        assert verdict.detail == ENDED[case]
    else:
        assert SAID[name, case] in verdict.detail
    assert_readable(verdict.detail)


def test_an_event_that_says_it_wins_over_warnings_around_it() -> None:
    output = (
        b"(node:7) [DEP0040] DeprecationWarning: The `punycode` module is deprecated.\n"
        b'{"type":"start"}\n{"type":"assistant","text":"Error: this is what the model wrote"}\n'
        b'{"type":"failure","error":{"message":"the credit is used up"}}\n'
        b"npm notice New major version of npm available! 10.8.2 -> 11.0.0\n"
        b"Warning: 256-color support not detected.\n[=====>     ] 45%\n"
    )
    verdict = classify(phase=Exited(3, 0.0), kill=None, output=output, output_bytes=len(output), rules=(), now=1e9)
    assert verdict.detail == "exit 3: the credit is used up"


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
