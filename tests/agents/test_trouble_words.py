"""Whose trouble a failure is, by the agent's own words: as people reported them, and for any agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.classify import Ending, classify
from agentjobs.agents.observe import Seen, observe, sights
from agentjobs.agents.trouble_words import failure_words, is_failure, plain_trouble, trouble
from agentjobs.model.decisions import End
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Gauge, Kill, KillReason, Running
from agentjobs.policy.agent_output import Reset
from agentjobs.policy.parse import parse_policy
from agentjobs.run.steps.spending import reset_in
from tests.kit.builders import NOW as DECIDED_AT
from tests.kit.builders import agent as step
from tests.kit.builders import ask, attempt
from tests.kit.examples import preset

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = Path(__file__).parents[1] / "fixtures" / "words"
NOW = 1_780_000_000.0
OWN = '[agents.mine]\ncommand = ["sh", "agent.sh"]\n'


def agent_of(agent: str, more: str = "") -> Any:
    text = f'[profiles.default]\nagent = "{agent}"\n' + (OWN if agent == "mine" else "") + more
    return parse_policy(text.encode(), preset=preset).agents[agent]


def printed(agent: str, words: str) -> Sequence[dict[str, Any] | str]:
    """Return what an agent prints that fails with these words: only the fields that all of its versions have."""
    events: dict[str, Sequence[dict[str, Any] | str]] = {
        "claude": [{"type": "result", "subtype": "success", "is_error": True, "result": words}],
        "codex": [{"type": "error", "message": words}, {"type": "turn.failed", "error": {"message": words}}],
        "gemini": [
            {"type": "result", "status": "error", "error": {"type": "unknown", "message": f"[API Error: {words}]"}}
        ],
        "opencode": [
            {"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": {"message": words}}}
        ],
        "copilot": [
            {"type": "session.error", "data": {"errorType": "query", "message": words}},
            {"type": "assistant.idle", "data": {}},
            {"type": "result", "exitCode": 1},
        ],
        "qwen": [
            {"type": "result", "subtype": "error_during_execution", "is_error": True, "error": {"message": words}}
        ],
        "pi": [
            {"type": "turn_end", "message": {"role": "assistant", "stopReason": "error", "errorMessage": words}},
            {"type": "agent_end", "messages": []},
        ],
        "amp": [{"type": "result", "subtype": "error_during_execution", "is_error": True, "error": words}],
    }
    return events.get(agent, words.split("\n"))


def output_of(lines: Sequence[dict[str, Any] | str]) -> bytes:
    return "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()


def ended(
    agent: str, lines: Sequence[dict[str, Any] | str], *, code: int = 1, kill: Kill | None = None, more: str = "",
    now: float = NOW,
) -> Ending:  # fmt: skip
    output, rules = output_of(lines), agent_of(agent, more).rules
    return classify(state=Exited(code, now), kill=kill, output=output, output_bytes=len(output), rules=rules, now=now)


def reported(name: str) -> list[Any]:
    rows = [line.split("\t") for line in (WORDS / name).read_text("utf-8").splitlines()[1:]]
    return [
        pytest.param(agent, classes.split(","), words.replace("\\n", "\n"), id=f"{agent}-{words[:40]}")
        for agent, classes, _source, words in rows
    ]


@pytest.mark.parametrize(("agent", "classes", "words"), reported("known.tsv"))
def test_as_people_reported_it(agent: str, classes: list[str], words: str) -> None:
    verdict = ended(agent, printed(agent, words))
    assert verdict.outcome.value in classes, verdict


@pytest.mark.parametrize(("agent", "classes", "words"), reported("heldout.tsv"))
def test_as_other_people_reported_it(agent: str, classes: list[str], words: str) -> None:
    """Written down before the table was: what it does not know here it would not have known in the field."""
    verdict = ended(agent, printed(agent, words))
    assert verdict.outcome.value in classes, verdict


TOOL = {"type": "user", "message": {"content": [{"type": "tool_result", "is_error": True, "content": "ECONNREFUSED"}]}}
PROSE = {"type": "assistant", "message": {"content": [{"type": "text", "text": "You've hit your usage limit."}]}}
RETRY = {"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 401, "error": "authentication_failed"}
STALLED = Kill(KillReason.SILENT, NOW)
GIVEN = {"type": "tool_result", "is_error": True, "status": "error"}
QUOTED = (
    "Stream ended without finish_reason",
    "request ended without sending any chunks",
    "The API returned an empty response (no content, no tool calls)",
    "API returned an empty or malformed response (HTTP 200)",
    "<!DOCTYPE html><html><title>Sign in</title></html>",
    "Your prepayment credits are depleted",
    "please make sure your account is in good standing",
    "the token is expired, sign in again",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "This model's maximum context length is 128000 tokens",
)
"""Words of trouble, to be quoted by a model or by its tools."""


def said(words: str) -> list[dict[str, Any]]:
    """Return events in which a model writes these words, and tools print them, in the forms of several agents."""
    part = {"type": "tool", "tool": "bash", "state": {"status": "error", "error": words, "output": words}}
    return [
        {"type": "assistant", "message": {"content": [{"type": "text", "text": words}]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "is_error": True, "content": words}]}},
        {"type": "text", "part": {"type": "text", "text": words}},
        {"type": "tool_use", "part": part},
        {"type": "item.completed", "item": {"type": "agent_message", "text": words}},
        {"type": "item.completed", "item": {"type": "command_execution", "exit_code": 1, "aggregated_output": words}},
    ]


@pytest.mark.parametrize(
    ("agent", "lines", "code", "kill", "expected"),
    [
        ("claude", [TOOL, PROSE], 1, None, Outcome.CRASHED),
        ("claude", [TOOL, PROSE], 143, STALLED, Outcome.STALLED),
        ("claude", [RETRY, *[PROSE] * 6], 1, None, Outcome.CRASHED),  # it got over it
        ("claude", [PROSE, RETRY], 143, STALLED, Outcome.AUTH),
        ("gemini", [{"type": "tool_result", "status": "error", "error": {"message": "ECONNREFUSED"}}], 1, None,
         Outcome.CRASHED),
        ("codex", [{"type": "item.completed", "item": {"type": "command_execution", "exit_code": 1,
                    "aggregated_output": "Error: connect ECONNREFUSED"}}], 1, None, Outcome.CRASHED),
        ("copilot", [{"type": "tool.execution_complete", "data": {"success": False, "message": "fetch failed"}}], 1,
         None, Outcome.CRASHED),
        ("claude", [{"type": "hook_error", "message": "Connection refused"}], 1, None, Outcome.CRASHED),
        ("mine", ["Error: connect ECONNREFUSED 127.0.0.1:3000"], 1, None, Outcome.CRASHED),  # a server of the task
        ("mine", ["FAIL src/net.test.ts", "  Error: connect ECONNREFUSED 10.0.0.1:80"], 1, None, Outcome.CRASHED),
        ("mine", ["1 test failed: expected the usage limit to be reached"], 1, None, Outcome.CRASHED),
        ("mine", ["Error: fetch failed", "Trying again.", "Done.", "Now the checks.", "make: *** [check] Error 2"], 2,
         None, Outcome.CRASHED),
        ("mine", ["The docs say: usage limit reached, resets in 5 hours."], 143, STALLED, Outcome.STALLED),
        *[(agent, [*said(words), GIVEN | {"content": words}], code, None, Outcome.CRASHED)
          for words in QUOTED for code in (0, 1) for agent in ("claude", "qwen", "opencode", "codex")],
        *[("mine", ["I read the log:", words, "Now I fix the parser.", "Then I ran it.", "It works.", "Killed"], 1,
           None, Outcome.CRASHED) for words in QUOTED],
        *[("mine", [f"AssertionError: expected {words!r} to be raised"], 1, None, Outcome.CRASHED) for words in QUOTED],
        ("mine", ["json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"], 1, None,
         Outcome.CRASHED),  # any program that reads a file
        ("mine", ["Error: fetch failed"], 0, None, Outcome.OK),
        ("claude", [{"type": "result", "subtype": "success", "is_error": False, "result": "401 Unauthorized"}], 0,
         None, Outcome.OK),
    ],
)  # fmt: skip
def test_what_is_not_the_accounts_trouble(
    agent: str, lines: list[dict[str, Any] | str], code: int, kill: Kill | None, expected: Outcome
) -> None:
    assert ended(agent, lines, code=code, kill=kill).outcome is expected


@pytest.mark.parametrize(
    ("agent", "words", "expected"),
    [
        ("claude", "stream ended without producing a Message with role=assistant", Outcome.UNREACHABLE),
        ("codex", "request ended without sending any chunks", Outcome.UNREACHABLE),
        ("pi", "peer closed connection without sending complete message body (incomplete chunked read)",
         Outcome.UNREACHABLE),
        ("qwen", "Model stream ended without a finish reason.", Outcome.UNREACHABLE),
        ("crush", "error: invalid character '<' looking for beginning of value", Outcome.UNREACHABLE),
        ("mine", "Error: Response ended prematurely", Outcome.UNREACHABLE),
        ("opencode", "Your prepayment credits are depleted.", Outcome.AUTH),
        ("pi", "Arrearage: please make sure your account is in good standing.", Outcome.AUTH),
        ("mine", "Error: The security token included in the request is expired", Outcome.AUTH),
        ("mine", "Error: prompt is too long: 210000 tokens > 200000 maximum", Outcome.CONTEXT_FULL),
        ("copilot", "413 maximum context length is 128000 tokens", Outcome.CONTEXT_FULL),
    ],
)
def test_a_page_for_an_answer_no_money_a_full_window(agent: str, words: str, expected: Outcome) -> None:
    assert ended(agent, printed(agent, words)).outcome is expected


@pytest.mark.parametrize("lines", [1, 30_000])
def test_words_are_found_however_far_from_the_end(lines: int, tmp_path: Path) -> None:
    from tests.agents.test_last_events import NOISE, judge

    said = output_of(printed("claude", "Credit balance is too low")) + NOISE * lines
    assert judge(agent_of("claude"), said, 1, scratch=tmp_path).outcome is Outcome.AUTH


def test_words_speak_against_an_earlier_success() -> None:
    done: list[dict[str, Any] | str] = [{"type": "turn.completed"}]
    for code in (0, 1):
        assert ended("codex", [*done, *printed("codex", "maximum context length is 9")], code=code).outcome is (
            Outcome.CONTEXT_FULL)  # fmt: skip
        assert ended("codex", [*done, *printed("codex", "fetch failed"), *done], code=code).outcome is Outcome.OK


def test_a_rule_that_saw_a_line_is_corrected_by_all_of_it() -> None:
    words = "litellm.InternalServerError: Received: '<html><title>Sign in</title></html>'. Check the proxy."
    assert ended("aider", [words], code=0).outcome is Outcome.UNREACHABLE


def test_a_rule_of_ones_own_goes_first() -> None:
    rule = '[[agents.mine.rules]]\nclass = "crashed"\ntext = "ECONNREFUSED"\n'
    assert ended("mine", ["Error: connect ECONNREFUSED 10.0.0.1:80"], more=rule).outcome is Outcome.CRASHED


@pytest.mark.parametrize(
    ("agent", "event", "expected"),
    [
        ("opencode", {"type": "error", "error": {"name": "APIError", "data": {"statusCode": 429, "message":
            "You exceeded your current quota, please check your plan and billing details."}}}, Outcome.AUTH),
        ("opencode", {"type": "error", "error": {"name": "APIError", "data": {"statusCode": 429, "message":
            "Too many requests"}}}, Outcome.OVERLOADED),
        ("claude", {"type": "result", "is_error": True, "api_error_status": 403, "result":
            "API Error: 403 <!DOCTYPE html><html><title>Blocked by your company</title>"}, Outcome.UNREACHABLE),
        ("claude", {"type": "result", "is_error": True, "api_error_status": 400, "api_error_type": "billing_error",
            "result": "Your organization must pay"}, Outcome.AUTH),
        ("claude", {"type": "result", "is_error": True, "api_error_status": 402, "result": "No"}, Outcome.AUTH),
        ("kimi", {"type": "error", "status_code": 403, "error_message": "You've reached your usage limit for this "
            "billing cycle."}, Outcome.LIMIT),
        ("mine", {"event": "error", "status_code": 503, "message": "no"}, Outcome.OVERLOADED),
    ],
)  # fmt: skip
def test_words_say_more_than_a_status(agent: str, event: dict[str, Any], expected: Outcome) -> None:
    assert ended(agent, [event]).outcome is expected


@pytest.mark.parametrize(
    ("agent", "words", "after"),
    [
        ("claude", "Opus weekly limit reached ∙ resets in 3 hours", 3 * 3600.0),
        ("claude", "Claude AI usage limit reached|1780003600", 3600.0),
        ("codex", "You've hit your usage limit. Upgrade to Pro or try again in 5 days 22 hours 11 minutes.", 511860.0),
        ("codex", "You've hit your usage limit. Try again in 3 days 2 hours.", 266_400.0),
        ("codex", "You have reached your usage limit, or try again after May 29, 2026 at 2:45 PM (UTC).", 65_960.0),
        ("pi", 'Codex error: {"error":{"type":"usage_limit_reached","resets_at":1780003600}}', 3600.0),
        ("claude", "You have reached your specified API usage limits. Regain access on 2026-06-01 at 00:00 UTC.",
         272_060.0),
        ("mine", "Error: usage limit reached. Try again in 2 hours.", 7200.0),
        ("mine", "Error: usage limit reached.", 0.0),
    ],
)  # fmt: skip
def test_when_the_limit_ends(agent: str, words: str, after: float) -> None:
    verdict = ended(agent, printed(agent, words))
    assert verdict.outcome is Outcome.LIMIT
    assert (verdict.reset_at - NOW if verdict.reset_at else 0.0) == pytest.approx(after, abs=61)


# --- while it runs

LOG = 'timestamp=2026-11-30T14:53:29Z level=ERROR run=f1 message="stream error" error.error="AI_APICallError: {}"'
ANSWER = {"type": "step_finish", "part": {"id": "p1", "reason": "tool-calls"}}


def seen_in(agent: str, *looks: Sequence[dict[str, Any] | str]) -> Seen:
    seen, sight = Seen(), sights(agent_of(agent))[0]
    for lines in looks:
        seen = observe(seen, output_of(lines), sight)
    return seen


def is_ended(seen: Seen) -> bool:
    gauge = Gauge(trouble=seen.trouble, troubles=seen.troubles, told=seen.told)
    decided = ask(attempt(step(Running(1, DECIDED_AT, gauge=gauge))), now=DECIDED_AT)
    return isinstance(decided, End) and decided.why is KillReason.ACCOUNT_TROUBLE and not decided.hard


LIMITED, BUSY = LOG.format("The usage limit is reached, resets in 2 hours"), LOG.format("Overloaded")
WAITS = {"type": "error", "message": "Reconnecting... waiting for network (Connection failed: error sending request)"}
CODEX_ANSWER = {"type": "item.completed", "item": {"type": "agent_message", "text": "I look around."}}
DEAD, BROKE = LOG.format("Cannot connect to API: fetch failed"), LOG.format("Insufficient Balance")


@pytest.mark.parametrize(
    ("agent", "looks", "expected"),
    [
        ("opencode", [[LIMITED]], ""),
        ("opencode", [[LIMITED], [LIMITED]], "limit"),
        ("opencode", [[BROKE, BROKE]], "auth"),
        ("opencode", [[BUSY] * 5], ""),
        ("opencode", [[BUSY] * 4, [BUSY] * 2], "overloaded"),
        ("opencode", [[BUSY] * 5, [ANSWER, BUSY]], ""),
        ("opencode", [[*[BUSY] * 7, ANSWER]], ""),
        ("opencode", [[DEAD] * 6], "unreachable"),
        ("opencode", [[BUSY, DEAD] * 5], ""),
        ("opencode", [['level=WARN message="retry later"'] * 9], ""),
        ("claude", [[RETRY], [RETRY]], "auth"),
        ("claude", [[RETRY, PROSE, RETRY]], ""),
        ("claude", [[RETRY | {"error_status": 529, "error": "overloaded"}] * 12], ""),  # its own tries have an end
        ("qwen", [["Retrying in 60s (attempt 1/10): [API Error: 503 Overloaded]"] * 6], "overloaded"),
        ("codex", [[WAITS] * 5], ""),
        ("codex", [[WAITS] * 2, [WAITS] * 4], "unreachable"),  # for ever, where the port is closed
        ("codex", [[WAITS] * 4, [CODEX_ANSWER], [WAITS] * 4], ""),
    ],
)
def test_who_tries_again_for_ever_is_ended(
    agent: str, looks: list[list[dict[str, Any] | str]], expected: str
) -> None:
    seen = seen_in(agent, *looks)
    assert is_ended(seen) is bool(expected), seen
    assert not expected or seen.trouble == expected


def test_it_is_then_its_accounts_trouble() -> None:
    kill = Kill(KillReason.ACCOUNT_TROUBLE, NOW, detail="limit: " + LIMITED)
    for lines in ([LIMITED] * 2, [*[LIMITED] * 2, "Aborted"], []):
        verdict = ended("opencode", lines, code=143, kill=kill)
        assert verdict.outcome is Outcome.LIMIT
        assert verdict.reset_at == NOW + 7200
    kill = Kill(KillReason.ACCOUNT_TROUBLE, NOW, detail="?")
    assert ended("opencode", [], code=143, kill=kill).outcome is Outcome.STALLED


def test_the_exact_moment_is_in_the_transcript() -> None:
    def line(primary: float, secondary: float, at: float = NOW) -> dict[str, Any]:
        limits = {
            "primary": {"used_percent": primary, "resets_at": int(at + 60)},
            "secondary": {"used_percent": secondary, "resets_at": int(at + 600)},
        }
        return {"type": "event_msg", "payload": {"type": "token_count", "rate_limits": limits}}

    resets: tuple[Reset, ...] = agent_of("codex").transcript_resets
    assert reset_in(output_of([line(100.0, 20.0)]), resets, NOW) == NOW + 60
    assert reset_in(output_of([line(99.4, 100)]), resets, NOW) == NOW + 600
    assert reset_in(output_of([line(100.0, 100.0), line(100, 3, NOW + 5)]), resets, NOW) == NOW + 65
    assert reset_in(output_of([line(12.0, 9.9)]), resets, NOW) == 0
    assert reset_in(output_of([line(100.0, 0, NOW - 9999)]), resets, NOW) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "error", "data", "message", "status", "result", "code"]), inner),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(["type", "error", "data", "message", "status", "is_error"]), JSON))
def test_no_event_makes_it_raise(fields: dict[str, Any]) -> None:
    words = failure_words(fields)
    assert is_failure(fields) in {True, False}
    assert trouble(words) is None or words
    plain_trouble(words.split("\n"))
