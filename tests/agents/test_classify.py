"""What an agent step came to: facts, rules, their order."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.classify import Ending, classify, finished
from agentjobs.agents.usage import measure
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Kill, KillReason, Lost
from agentjobs.policy.agent_output import Rule, Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
OK = Rule(class_=Outcome.OK, event={"type": "result", "is_error": False})
LIMIT = Rule(class_=Outcome.LIMIT, text="usage limit reached", reset=r"resets (?:at )?(.*)")
CONTEXT = Rule(class_=Outcome.CONTEXT_FULL, event={"type": "result", "terminal_reason": "prompt_too_long"})
RULES = (OK, LIMIT, CONTEXT)
DONE = b'{"type":"result","is_error":false,"result":"all converted"}\n'
FULL = b'{"type":"result","is_error":true,"terminal_reason":"prompt_too_long"}\n'


def judge(
    output: bytes = b"",
    code: int | None = 0,
    *,
    why: str = "",
    rules: tuple[Rule, ...] = RULES,
    at: float = NOON,
    now: float = NOON,
    tree_dir: str = "",
) -> Ending:
    return classify(
        state=Lost(at=at) if code is None else Exited(code=code, at=at),
        kill=Kill(why=KillReason(why), at=at) if why else None,
        output=output,
        output_bytes=len(output),
        rules=rules,
        now=now,
        tree_dir=tree_dir,
    )


@pytest.mark.parametrize(
    ("output", "code", "why", "expected"),
    [
        (DONE, 0, "", Outcome.OK),
        (b"", 0, "", Outcome.CRASHED),  # an ok rule, and no final event
        (DONE, 1, "", Outcome.OK),  # its last event decides, and then the checks
        (DONE, 137, "", Outcome.OK),  # killed by somebody else after it
        (DONE, None, "", Outcome.OK),
        (DONE, 127, "", Outcome.OK),
        (DONE + b"usage limit reached\n", 1, "", Outcome.LIMIT),  # a cause that is said after it
        (b"usage limit reached\n" + DONE, 1, "", Outcome.OK),
        (DONE + FULL, 1, "", Outcome.CONTEXT_FULL),  # an error after it
        (DONE + FULL, 0, "", Outcome.CONTEXT_FULL),
        (FULL + DONE, 0, "", Outcome.OK),
        (FULL + DONE, 1, "", Outcome.OK),
        (b"boom", 1, "", Outcome.CRASHED),
        (b"", 127, "", Outcome.INFRA),
        (b"", 126, "", Outcome.INFRA),
        (b"", None, "", Outcome.LOST),
        (DONE, 143, "timeout", Outcome.TIMEOUT),
        (b"", None, "timeout", Outcome.TIMEOUT),
        (b"", 143, "stalled", Outcome.STALLED),
        (DONE, 0, "timeout", Outcome.OK),  # it finished while we reached for the signal
        (b"", 0, "timeout", Outcome.TIMEOUT),
        (b"", 137, "runaway", Outcome.RUNAWAY),
        (DONE, 0, "stopped", Outcome.STOPPED),
        (DONE, 143, "hung", Outcome.OK),
        (DONE, None, "hung", Outcome.OK),
        (b"", 137, "who knows", Outcome.CRASHED),
        # the cause wins over the way it ended …
        (b"usage limit reached", 1, "", Outcome.LIMIT),
        (b"usage limit reached", None, "", Outcome.LIMIT),
        (b"usage limit reached", 143, "stalled", Outcome.LIMIT),
        (b"usage limit reached", 143, "timeout", Outcome.LIMIT),
        (b"usage limit reached", 0, "", Outcome.LIMIT),  # exit 0 without its final event has failed, too
        # … but not over a measured flood or a person's wish, and prose is not a limit for one that finished
        (b"usage limit reached", 137, "runaway", Outcome.RUNAWAY),
        (b"usage limit reached", 137, "same_error", Outcome.LIMIT),
        (b"who knows", 137, "same_error", Outcome.RUNAWAY),
        (b"usage limit reached", 143, "stopped", Outcome.STOPPED),
        (b"usage limit reached\n" + DONE, 0, "", Outcome.OK),
        (b"usage limit reached\n" + DONE, 143, "hung", Outcome.OK),
        (
            b'{"type":"result","terminal_reason":"prompt_too_long","is_error":true}',
            0,
            "",
            Outcome.CONTEXT_FULL,
        ),
        (
            b'{"type":"result","terminal_reason":"prompt_too_long","is_error":true}',
            1,
            "",
            Outcome.CONTEXT_FULL,
        ),
    ],
)
def test_classes(output: bytes, code: int | None, why: str, expected: Outcome) -> None:
    assert judge(output, code, why=why).outcome is expected


def test_without_an_ok_rule_exit_0_is_success() -> None:
    assert judge(b"whatever", rules=(LIMIT,)) == Ending(outcome=Outcome.OK)


def test_first_rule_wins() -> None:
    auth = Rule(class_=Outcome.AUTH, text="401")
    infra = Rule(class_=Outcome.INFRA, text="status")
    assert judge(b"status 401", 1, rules=(auth, infra)).outcome is Outcome.AUTH
    assert judge(b"status 401", 1, rules=(infra, auth)).outcome is Outcome.INFRA


def test_a_rule_that_says_crashed_does_not_hide_a_timeout() -> None:
    crashed = Rule(class_=Outcome.CRASHED, text="oops")
    assert judge(b"oops", 143, why="timeout", rules=(crashed,)).outcome is Outcome.TIMEOUT


def test_an_ok_rule_may_be_text() -> None:
    rules = (
        Rule(class_=Outcome.OK, text=r"^Applied edit"),
        Rule(class_=Outcome.AUTH, text="AuthenticationError"),
    )
    assert judge(b"Applied edit to a.py\n", rules=rules).outcome is Outcome.OK
    assert judge(b"litellm.AuthenticationError\n", rules=rules).outcome is Outcome.AUTH


def test_text_rules_see_only_the_end() -> None:
    early = b"usage limit reached\n" + b"then it went on\n" * 60
    assert judge(early, 1).outcome is Outcome.CRASHED
    assert judge(early + b"usage limit reached\n", 1).outcome is Outcome.LIMIT


def test_colours_do_not_hide_a_message() -> None:
    assert judge(b"\x1b[31musage \x1b[1mlimit\x1b[0m reached\x1b[0m", 1).outcome is Outcome.LIMIT


def test_true_is_not_one() -> None:
    rule = Rule(class_=Outcome.LIMIT, event={"n": 1})
    assert judge(b'{"n":true}', 1, rules=(rule,)).outcome is Outcome.CRASHED
    assert judge(b'{"n":1}', 1, rules=(rule,)).outcome is Outcome.LIMIT
    assert judge(b'{"n":1.0}', 1, rules=(rule,)).outcome is Outcome.LIMIT


def test_events_by_regex_index_and_array() -> None:
    rule = Rule(class_=Outcome.NO_SESSION, event={"errors.0": "re:^No conversation"})
    line = b'[{"type":"init"},{"errors":["No conversation found"]}]'
    verdict = judge(line, 1, rules=(rule,))
    assert verdict.outcome is Outcome.NO_SESSION
    assert verdict.detail == "No conversation found"


def test_prose_inside_an_event_is_not_an_event() -> None:
    quoted = json.dumps({"type": "assistant", "text": DONE.decode()}).encode()
    assert not finished(quoted, RULES)
    assert finished(quoted + b"\n" + DONE, RULES)
    assert not finished(DONE, (LIMIT,))


def test_reset_of_a_limit() -> None:
    verdict = judge(b"usage limit reached: resets at 1:30pm (UTC)\nbye\n", 1)
    assert verdict.detail == "usage limit reached: resets at 1:30pm (UTC)"
    assert verdict.reset_at == NOON + 5460  # the end of that minute


def test_reset_from_a_later_line_or_an_event() -> None:
    assert judge(b"usage limit reached\nIt resets 2pm (UTC)\n", 1).reset_at == NOON + 7260
    rule = Rule(
        class_=Outcome.LIMIT,
        event={"rate_limit_info.status": "rejected"},
        reset=r'"resetsAt":\s*(\d+)',
    )
    line = json.dumps({"rate_limit_info": {"status": "rejected", "resetsAt": int(NOON) + 60}}).encode()
    assert judge(line, 1, rules=(rule,)).reset_at == NOON + 60


def test_reset_is_reckoned_from_the_end_of_the_agent() -> None:
    said = b"usage limit reached: resets 12:30pm (UTC)"
    assert judge(said, 1, now=NOON + 600).reset_at == NOON + 1860
    assert judge(said, 1, now=NOON + 7200).reset_at == NOON + 7201  # over by now, not tomorrow


def test_reset_that_cannot_be_read_is_unknown() -> None:
    assert judge(b"usage limit reached: resets when it resets", 1).reset_at == 0.0
    assert judge(b"usage limit reached", 1).reset_at == 0.0


def test_details_say_what_happened() -> None:
    assert judge(b"one\nTypeError: x is not a function\n  at y\n", 1).detail == (
        "exit 1: TypeError: x is not a function"
    )
    assert judge(b"", 139, rules=()).detail == "exit 139 (SIGSEGV), no output"
    assert judge(b"sh: codex: not found\n", 127).detail.endswith("sh: codex: not found")
    assert len(judge(b"error " + b"x" * 10_000, 1).detail) <= 240


def test_signature_leaves_out_the_tree() -> None:
    one = judge(b"/t/01/src/a.ts:3: error: no", 1, tree_dir="/t/01")
    two = judge(b"/t/02/src/a.ts:9: error: no", 1, tree_dir="/t/02")
    assert one.signature
    assert one.signature == two.signature


USAGE = Usage(
    event={"type": "result"}, tokens=("usage.input_tokens", "usage.output_tokens"), cost="total_cost_usd"
)


def test_usage_is_that_of_the_last_event() -> None:
    lines = [
        {"type": "result", "usage": {"input_tokens": 1, "output_tokens": 1}, "total_cost_usd": 9},
        {"type": "result", "usage": {"input_tokens": 100, "output_tokens": 20}, "total_cost_usd": 0.25},
        {"type": "other"},
    ]
    output = b"\n".join(json.dumps(line).encode() for line in lines)
    assert used(output) == (120, 0.25)
    assert measure(output, None) is None
    assert measure(b"", USAGE) is None


def used(output: bytes) -> tuple[int, float]:
    found = measure(output, USAGE)
    return (found.spending.tokens, found.spending.cost or 0.0) if found else (0, 0.0)


@pytest.mark.parametrize("bad", [b"true", b'"7"', b"null", b"-5", b"[]", b"1e999", b"9" * 400])
def test_usage_counts_nonsense_as_nothing(bad: bytes) -> None:
    output = b'{"type":"result","usage":{"input_tokens":' + bad + b'},"total_cost_usd":' + bad + b"}"
    assert used(output) == (0, 0.0)


PIECES = st.sampled_from(
    [
        DONE,
        b"\n",
        b"usage limit reached",
        b" resets ",
        b"3:54am (UTC)",
        b"{",
        b"}",
        b'"',
        b"[[[[",
        b"\xff\xfe",
        b"\\ud800",
        b'{"type":"result","is_error":true}\n',
        b'{"type":"\\ud800"}\n',
        b"\x1b[31m",
        b"\x1b]",
        b"\r",
        b'{"type":"result","usage":{"input_tokens":1e400}}\n',
        b"[" * 3000,
        b"\x00",
        b"1" * 5000,
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    output=st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=12).map(b"".join)),
    code=st.one_of(st.none(), st.integers(0, 255)),
    why=st.sampled_from(["", "timeout", "stalled", "runaway", "hung", "stopped", "?"]),
    at=st.floats(0, 4e9),
)
def test_no_output_makes_it_raise(output: bytes, code: int | None, why: str, at: float) -> None:
    verdict = judge(output, code, why=why, at=at, now=at + 1)
    assert verdict.reset_at == 0.0 or verdict.reset_at > at
    assert "\n" not in verdict.detail
    assert "\t" not in verdict.detail
    verdict.detail.encode()
    tokens, cost = used(output)
    assert tokens >= 0
    assert cost >= 0
    if why == "" and code not in (None, 0) and DONE.strip() not in output:
        assert verdict.outcome is not Outcome.OK
