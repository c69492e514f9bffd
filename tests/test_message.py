"""What failed programs said, read: one line for people, of real outputs of many CLIs; `source` says where each was met."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.message import cleaned, message_in, unwrapped, words_of
from agentjobs.outcome import classify
from agentjobs.model import Exited
from tests.test_presets import RECORDINGS, Recording

FRAME = re.compile(r"\bat \S+ \(.+:\d+:\d+|\bat (?:async )?(?:file|node):|File \".*\", line \d+")


class Case(NamedTuple):
    """An output, and the words that its message has, in this order, and has not."""

    source: str
    output: str
    wanted: str
    unwanted: str = ""


def one(message: str) -> str:
    """What the API of Claude says, in the form in which its CLI prints it."""
    return json.dumps({"type": "error", "error": {"type": "x_error", "message": message}, "request_id": "req_011CXm"})


CORPUS = [
    Case("anthropics/claude-code#4536", f"API Error: 400 {one('The request body is not valid JSON: invalid high surrogate')}",
         "API Error: 400 The request body is not valid JSON: invalid high surrogate", "request_id"),
    Case("anthropics/claude-code#31026",
         'API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":'
         '"{\\"message\\":\\"messages.3.content.0.tool_result.content.0.type: Field required\\"}"},"',
         "API Error: 400 messages.3.content.0.tool_result.content.0.type: Field required"),
    Case("anthropics/claude-code#22785", f"hi\n  ⎿ API Error: 500 {one('Internal server error')}", "API Error: 500 Internal server error"),
    Case("anthropics/claude-code#3276",
         'API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":"The \n    request body is '
         'not valid JSON"}}', "API Error: 400 The"),
    Case("anthropics/claude-code#3867",
         "  ⎿  API Error (529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}})"
         " · Retrying in 1 seconds… (attempt 1/10)", "API Error (529 Overloaded)"),
    Case("anthropics/claude-code#12271",
         '[{"error":"Error: 500 {\\"type\\":\\"error\\",\\"error\\":{\\"type\\":\\"api_error\\",\\"message\\":'
         '\\"Internal server error\\"},\\"request_id\\":\\"req_1\\"}\\n    at H9.generate (file:///x/cli.js:397:36675)"}]',
         "Error: 500 Internal server error", "H9"),
    Case("anthropics/claude-code#59748",
         "API Error: 500 Internal server error. This is a server-side issue, usually temporary — try again in a moment.",
         "API Error: 500 Internal server error."),
    Case("caidaoli/kiro2api#3",
         'API Error (500 {"error":"CodeWhisperer Error: {\\"message\\":\\"Improperly formed request.\\",\\"reason\\":null}"})'
         " · Retrying in 1 seconds… (attempt 1/10)", "API Error (500 CodeWhisperer Error: Improperly formed request.)"),
    Case("musistudio/claude-code-router#537",
         'API Error (500 {"error":{"message":"fetch failedTypeError: fetch failed\\n    at node:internal/deps/undici/undici'
         ':13510:13\\n    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)\\n  ',
         "API Error (500 fetch failed", "undici"),
    Case("Wei-Shaw/sub2api#370", 'API Error: 400 {"error":{"message":"Invalid request","type":"invalid_request_error"},"type":"error"}',
         "API Error: 400 Invalid request"),
    Case("boldsoftware/exe.dev#62",
         "LLM request failed: status 400 Bad Request (url=http://gateway/v1/messages, model=claude-opus-4-5): "
         + one("prompt is too long: 200251 tokens > 200000 maximum"),
         "model=claude-opus-4-5): prompt is too long: 200251 tokens > 200000 maximum"),
    Case("google-gemini/gemini-cli#21923",
         "│ ✖  Error when talking to Gemini API Full report available at: /var/folders/6c/T/gemini-client-error.json "
         "TypeError: fetch failed      │\n│        at node:internal/deps/undici/undici:14900:13          │\n"
         "│        at async Models.generateContentStream (file:///opt/homebrew/genai/dist/node/index.mjs:13358:24)  │\n",
         "Error when talking to Gemini API TypeError: fetch failed", "report"),
    Case("google-gemini/gemini-cli#10059",
         "│ ✖ =========================================      │\n│    This is an unexpected error. Please file a bug report"
         " using the /bug tool.        │\n│    CRITICAL: Unhandled Promise Rejection!        │\n"
         "│    =========================================       │\n│    Reason: TypeError: fetch failed       │\n"
         "│    Stack trace:        │\n│    TypeError: fetch failed       │\n│        at        │\n",
         "TypeError: fetch failed"),
    Case("google-gemini/gemini-cli#8092", "✕ [API Error: exception TypeError: fetch failed sending request] error",
         "[API Error: exception TypeError: fetch failed sending request]"),
    Case("google-gemini/gemini-cli#14811",
         '✕ [API Error: [{\n    "error": {\n      "code": 429,\n      "message": "Resource exhausted. Please try again '
         'later.",\n      "errors": [\n        {\n          "message": "Resource exhausted.",\n          "domain": '
         '"global"\n        }\n      ],\n      "status": "RESOURCE_EXHAUSTED"\n    }\n  }\n  ]]\n  Possible quota limitations.',
         "[API Error: Resource exhausted. Please try again later."),
    Case("google-gemini/gemini-cli#1800",
         '✕ [API Error: {"error":{"message":"{\\n  \\"error\\": {\\n    \\"code\\": 429,\\n    \\"message\\": \\"Resource has '
         'been exhausted (e.g. check quota).\\",\\n    \\"status\\": \\"RESOURCE_EXHAUSTED\\"\\n  }\\n}\\n","code":429,'
         '"status":"Too Many Requests"}}]\n  Please wait and try again later.',
         "[API Error: Resource has been exhausted (e.g. check quota)."),
    Case("google-gemini/gemini-cli#22765",
         "<--- Last few GCs --->\n\n[509265:0x38c61000]  3869116 ms: Scavenge 2016.7 (2031.2) -> 2016.7 (2039.2) MB\n"
         "<--- JS stacktrace --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n"
         "----- Native stack trace -----\n\n 1: 0xe42d60 node::OOMErrorHandler(char const*, v8::OOMDetails const&) [/usr/bin/node]\n"
         " 2: 0x121ddd0 v8::Utils::ReportOOMFailure(v8::internal::Isolate*, char const*) [/usr/bin/node]\n",
         "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    Case("openai/codex#26497",
         'unexpected status 401 Unauthorized: {"detail":"Unauthorized"}, url: https://chatgpt.com/backend-api/codex/responses',
         "unexpected status 401 Unauthorized", "detail"),
    Case("openai/codex#19743",
         "■ unexpected status 401 Unauthorized: You have insufficient permissions for this operation. Missing scopes: "
         "api.responses.write.", "unexpected status 401 Unauthorized: You have insufficient permissions"),
    Case("openai/codex#6096", "Re-connecting... 5/5\nexceeded retry limit, last status: 401 Unauthorized, request id: 997f1402e8de",
         "exceeded retry limit, last status: 401 Unauthorized"),
    Case("openai/codex#22472",
         "Reconnecting... 1/5\nReconnecting... 5/5\nstream disconnected before completion: error sending request for url "
         "(https://chatgpt.com/backend-api/codex/responses)", "stream disconnected before completion: error sending request"),
    Case("openai/codex#3002",
         "⚠  stream error: exceeded retry limit, last status: 401 Unauthorized; retrying 5/5 in 3s…",
         "stream error: exceeded retry limit, last status: 401 Unauthorized"),
    Case("router-for-me/CLIProxyAPI#3115",
         '{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"team",'
         '"resets_at":1777599629,"resets_in_seconds":444287}}', "The usage limit has been reached", "plan_type"),
    Case("github/copilot-cli#730",
         ' ✘ Model call failed: {"message":"You have no quota","code":"quota_exceeded"} (Request ID: 676E:18712)\n\n'
         " ✘ Quota exceeded. Upgrade to increase your limit: \n   https://github.com/features/copilot/plans\n\n"
         " ✘ Execution failed: 402 You have no quota\n", "Execution failed: 402 You have no quota"),
    Case("github/copilot-cli#2063", "✗ 402 You have no quota (Request ID: 0DAE:25E807)", "402 You have no quota"),
    Case("github/copilot-cli#3431", '402 {"error":{"message":"You have no quota","code":"quota_exceeded"}}\n(Request ID: F499:17ECFD)',
         "402 You have no quota", "code"),
    Case("github/copilot-cli#2171", "✗ Execution failed: CAPIError: 400 400 Bad Request\n   (Request ID: BD02:71DAD)",
         "Execution failed: CAPIError: 400 400 Bad Request"),
    Case("github/copilot-cli#908", 'Model call failed: "400 400 Bad Request\\n"', "Model call failed:"),
    Case("aaif-goose/goose#4879",
         "◐  Exploring solution space...\nthread 'main' panicked at crates/goose/src/token_counter.rs:93:82:\n"
         "no entry found for key\nstack backtrace:\n   0:     0x5c5b8af46b42 - <std::sys::backtrace::BacktraceLock>\n"
         "   1:     0x5c5b8af74753 - core::fmt::write::h275e5980d7008551\n", "no entry found for key", "token_counter"),
    Case("aaif-goose/goose#4632",
         "thread 'main' panicked at crates/goose/src/token_counter.rs:93:82: no entry found for key\n"
         "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n", "no entry found for key", "note"),
    Case("aaif-goose/goose#5361",
         "thread 'main' panicked at crates/goose-cli/src/session/mod.rs:136:26:\n"
         "called `Result::unwrap()` on an `Err` value: Session not found\n", "Session not found"),
    Case("aaif-goose/goose#697",
         "2025-01-23T04:27:46.647350Z ERROR goose::providers::utils: Provider request failed with status: 400 Bad Request. "
         'Payload: {"max_tokens":4096,"messages":[{"content":[{"text":"hello","type":"text"}],"role":"user"}],"model":"cl',
         "Provider request failed with status: 400 Bad Request", "max_tokens"),
    Case("aaif-goose/goose#7901", "  error: No provider configured. Run 'goose configure' first.", "No provider configured."),
    Case("aj47/100x-orchestrator#145",
         'Traceback (most recent call last):\n  File "/home/y/litellm_client.py", line 42, in chat_completion\n'
         "    response = completion(\n  File \"/v/litellm/utils.py\", line 960, in wrapper\n    raise e\n"
         "litellm.exceptions.AuthenticationError: litellm.AuthenticationError: AuthenticationError: OpenrouterException - "
         "Error code: 401 - {'error': {'message': 'No auth credentials found', 'code': 401}}\n",
         "AuthenticationError: OpenrouterException - Error code: 401 - No auth credentials found", "litellm.exceptions"),
    Case("MoonshotAI/kimi-cli#907",
         "Error code: 429 - {'error': {'message': \"We're receiving too many requests at the moment. Please wait a moment "
         "and try again.\", 'type': 'rate_limit_reached_error'}}",
         "Error code: 429 - We're receiving too many requests at the moment.", "rate_limit_reached_error"),
    Case("hawkxtreme/mini-ai-1c#23",
         'API error 429 Too Many Requests: {"error":{"code":"insufficient_quota","message":"You exceeded your current quota, '
         'please check your plan and billing details.","param":null,"type":"insufficient_quota"},"request_id":""}',
         "API error 429 Too Many Requests: You exceeded your current quota", "param"),
    Case("Kilo-Org/kilocode#6476",
         'Gemini generate context stream error: {"error":{"message":"{\\n  \\"error\\": {\\n    \\"code\\": 400,\\n    '
         '\\"message\\": \\"Request contains an invalid argument.\\",\\n    \\"status\\": \\"INVALID_ARGUMENT\\"\\n  }\\n}\\n",'
         '"code":400,"status":"Bad Request"}}', "Gemini generate context stream error: Request contains an invalid argument."),
    Case("tailcallhq/forgecode#2305",
         '⏺ [18:43:07] ERROR: POST https://openrouter.ai/api/v1/chat/completions\n    Caused by: 400 Bad Request Reason: '
         '{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\\n  \\"error\\": {\\n    \\"code\\": '
         '400,\\n    \\"message\\": \\"Unable to submit request because Thought signature is not valid.\\",\\n    \\"status\\": '
         '\\"INVALID_ARGUMENT\\"\\n  }\\n}\\n","provider_name":"Google"}},"user_id":"user_2q"}\n',
         "Provider returned error: Unable to submit request because Thought signature is not valid."),
    Case("NousResearch/hermes-agent#26161",
         "     Error: Gemini returned HTTP 400: <html><title>Error 400 (Bad Request)!!1</title></html>\n",
         "Error: Gemini returned HTTP 400: Error 400 (Bad Request)!!1", "<"),
    Case("langchain-ai/deepagents#468",
         "openai.InternalServerError: Error code: 500 - {'detail': '[address=0.0.0.0:43769, pid=1065] The decoder prompt "
         "(length 66501) is longer than the maximum model length of 65536.'}",
         "openai.InternalServerError: Error code: 500", "'detail'"),
    Case("anomalyco/opencode#1092", "AI_APICallError: prompt is too long: 210171 tokens > 200000 maximum",
         "AI_APICallError: prompt is too long: 210171 tokens > 200000 maximum"),
    Case("ondysss/codepilot1c-edt#106",
         'API error: 400 - {"type":"error","error":{"type":"MissingSessionID","message":"Error from provider (Console Go): '
         'Request is missing x-opencode-session and cannot be routed efficiently."}}',
         "API error: 400 - Error from provider (Console Go): Request is missing x-opencode-session"),
    Case("Alishahryar1/free-claude-code#1548",
         '⏺ API Error: 400 Upstream provider GEMINI returned HTTP 400.\n  Category: invalid_request\n  Upstream error:\n  '
         '[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \\"metadata\\": Cannot find field.",'
         '"status":"INVALID_ARGUMENT"}}]\n  Request ID: req_f105', "API Error: 400 Upstream provider GEMINI returned HTTP 400."),
    Case("npm @moonshot-ai/kimi-code 2.1.0 on Node.js 20",
         "file:///opt/node_modules/@moonshot-ai/kimi-code/dist/main.mjs:20\nimport zlib, { createZstdDecompress, gzip } from "
         '"node:zlib";\n               ^^^^^^^^^^^^^^^^^^^^\nSyntaxError: The requested module \'node:zlib\' does not provide an '
         "export named 'createZstdDecompress'\n    at ModuleJob._instantiate (node:internal/modules/esm/module_job:213:21)\n"
         "    at async ModuleJob.run (node:internal/modules/esm/module_job:320:5)\n\nNode.js v20.20.2\n",
         "SyntaxError: The requested module 'node:zlib' does not provide an export named 'createZstdDecompress'"),
]  # fmt: skip


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
    ("codex", "limit"): "You’ve hit your usage limit.",
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
    ("opencode", "cut"): "AI_APICallError: Cannot connect to API: The socket connection was closed unexpectedly.",
    ("opencode", "limit"): "AI_APICallError: 5 hour usage limit reached. Resets in",
    ("opencode", "no_session"): "Session not found",
    ("opencode", "overload"): "AI_APICallError: Overloaded",
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
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "message", "a", "raw"]), inner, max_size=3),
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
@given(st.from_regex(r"[A-Za-z][a-z]{2,12} [a-z]{2,12} [a-z]{2,12}\.", fullmatch=True), st.integers(1, 5), st.booleans())
def test_a_message_is_found_however_it_is_wrapped(message: str, wraps: int, python: bool) -> None:
    wrapped = message
    for _ in range(wraps):
        value = {"type": "error", "error": {"type": "x_error", "message": wrapped}, "request_id": "r"}
        wrapped = repr(value) if python and wrapped == message else json.dumps(value)
    assert unwrapped(f"API Error: 400 {wrapped}") == f"API Error: 400 {message}"


def test_a_long_hostile_text_takes_no_time() -> None:
    for text in ("{" * 200_000, '{"a":' * 50_000, "(" * 100_000 + '{"', '{\\"' * 60_000, "Error: " * 50_000, "a.b." * 60_000):
        unwrapped(text)
        message_in([text])
