from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from agentjobs.agents.classify import classify
from agentjobs.agents.usage import measure
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited
from agentjobs.policy.limits import Limits, Retry
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset
from agentjobs.prompts.template import render
from agentjobs.table.table import parse

BLANK = Path(__file__).resolve().parents[2] / "templates" / "blank"


def test_the_blank_template() -> None:
    data = (BLANK / "agentjobs.toml").read_bytes()
    policy = parse_policy(data, preset=preset)
    claude = policy.agents["claude"]
    assert claude.rules[0].class_ is Outcome.OK
    assert claude.resume is not None
    assert "{session}" in claude.command
    assert "{session}" in claude.resume
    assert policy.profiles["default"].agent == "claude"
    assert "agents" not in tomllib.loads(data.decode()), "a preset is all it takes"
    assert claude.rules[-1].class_ is not Outcome.OK


def test_the_commented_lines_of_the_blank_template_parse() -> None:
    text = (BLANK / "agentjobs.toml").read_text()
    shown = re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)
    shown = re.sub(r"^(setup|link) = .*\n", "", shown, flags=re.MULTILINE)
    policy = parse_policy(shown.encode(), preset=preset)
    assert policy.agents["mine"].rules[0].class_ is Outcome.OK
    assert policy.agents["claude"].env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "32000"
    assert policy.agents["claude"].env["DISABLE_AUTOUPDATER"] == "1"
    assert policy.profiles["default"].escalate == "strong"
    assert policy.profiles["default"].review == ("critic",)
    # a commented default is the default
    assert policy.limits == Limits(run_cost_usd=50)
    assert policy.retry == Retry()


def test_the_review_of_the_blank_template_shows_task_checks_and_change() -> None:
    text = (BLANK / "review.md.j2").read_text()
    names = {
        "id": "a", "row": {"task": "Do it."}, "files": ["x.py"], "verify": ["make test"], "mode": "review",
        "attempt": 1, "base": "b1", "errors": "", "tried": [], "handoffs": [], "diff": "+new line", "left_out": [],
        "commit": "c1", "verdict": "/v.json", "answered": [],
    }  # fmt: skip
    told = render(text, "review.md.j2", names)
    for part in ("# Review of task a", "Do it.", "x.py", "make test", "git diff b1 c1", "+new line"):
        assert part in told
    assert "make test" not in render(text, "review.md.j2", {**names, "verify": []})


def test_the_blank_prompt_says_all_five_parts() -> None:
    text = (BLANK / "prompt.md.j2").read_text()
    names = {
        "id": "a", "row": {"task": "Do it."}, "files": [], "verify": [], "mode": "first", "attempt": 1,
        "base": "", "errors": "", "tried": [], "handoffs": [], "dependents": [], "handoff": "/p/handoff.md",
    }  # fmt: skip
    bare = render(text, "prompt.md.j2", names)
    for part in ("# Task a\n\nDo it.", "## Rules", "## Files", "## Output", "## How it will be checked"):
        assert part in bare
    assert "went wrong" not in bare
    full = render(
        text,
        "prompt.md.j2",
        names
        | {"files": ["a.py", "b.py"], "verify": ["make test"], "mode": "repair", "attempt": 2}
        | {"errors": "E: no", "tried": ["1: crashed"], "handoffs": [{"id": "z", "text": "use y()"}]}
        | {"dependents": ["b", "c"]},
    )
    for part in (
        "- `a.py`\n- `b.py`\n",
        "```sh\nmake test\n```\n",
        "````text\nE: no\n````",
        "- 1: crashed\n",
        "### z\n\nuse y()",
        "build on this one: b, c.\n",
        "the file `/p/handoff.md`",
    ):
        assert part in full
    assert "\n\n\n" not in bare + full
    assert "contains the work of the previous attempt" in full
    again = render(text, "prompt.md.j2", names | {"mode": "restart", "attempt": 3, "errors": ""})
    assert "What went wrong before" not in again


def test_the_blank_table_has_a_header_and_an_example() -> None:
    data = (BLANK / "tasks.tsv").read_bytes()
    table = parse(data)
    assert table.header == ("id", "status", "after", "files", "task")
    assert len(table) == 0
    with_examples = parse(re.sub(rb"(?m)^# (?=greet)", b"", data))
    second = with_examples.row("greet-cli")
    assert (second.after, second.files) == (("greet",), ("src/cli.py",))


NOW = 1_800_000_000.0
FINAL = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": None, "result": ""}
DONE = FINAL | {"is_error": False, "usage": {"input_tokens": 5, "output_tokens": 7}}
DONE["model_usage_since_last_result"] = {"one": {"costUSD": 0.2}, "other": {"costUSD": 0.05}}
REJECTED = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "rejected", "resetsAt": int(NOW) + 3600},
}
FULL = {"terminal_reason": "prompt_too_long", "api_error_status": 400}


@pytest.mark.parametrize(
    ("events", "code", "outcome"),
    [
        ([DONE], 0, Outcome.OK),
        (
            [{"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning"}}, DONE],
            0,
            Outcome.OK,
        ),
        ([REJECTED, DONE], 0, Outcome.OK),
        ([{"type": "system"}], 0, Outcome.CRASHED),
        ([FINAL], 1, Outcome.CRASHED),
        ([REJECTED, FINAL | {"api_error": "usage_limit_reached", "api_error_status": 429}], 1, Outcome.LIMIT),
        ([FINAL | {"api_error": "usage_limit_reached"}], 1, Outcome.LIMIT),
        ([FINAL | {"api_error": "rate_limit", "api_error_status": 429}], 1, Outcome.OVERLOADED),
        ([FINAL | {"api_error": "authentication_failed", "api_error_status": 401}], 1, Outcome.AUTH),
        ([FINAL | {"result": "Not logged in · Please run /login"}], 1, Outcome.AUTH),
        ([FINAL | FULL], 1, Outcome.CONTEXT_FULL),
        ([FINAL | {"api_error": "overloaded", "api_error_status": 529}], 1, Outcome.OVERLOADED),
        ([FINAL | {"api_error": "model_not_found", "api_error_status": 404}], 1, Outcome.INFRA),
        (["No conversation found with session ID: x", FINAL], 1, Outcome.NO_SESSION),
        (["Error: Session ID 0-1 is already in use."], 1, Outcome.SESSION_BUSY),
    ],
)
def test_the_claude_rules(events: list[dict[str, object] | str], code: int, outcome: Outcome) -> None:
    agent = parse_policy((BLANK / "agentjobs.toml").read_bytes(), preset=preset).agents["claude"]
    output = "".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in events).encode()
    state = Exited(code=code, at=NOW, output_bytes=len(output))
    found = classify(
        state=state, kill=None, output=output, output_bytes=len(output), rules=agent.rules, now=NOW
    )
    assert found.outcome is outcome
    if outcome is Outcome.LIMIT and REJECTED in events:
        assert found.reset_at == NOW + 3600
    if DONE in events:
        measured = measure(output, agent.usage)
        assert measured is not None
        assert (measured.spending.tokens, measured.spending.cost) == (12, 0.25)


def test_a_claude_limit_in_words_has_its_reset() -> None:
    agent = parse_policy((BLANK / "agentjobs.toml").read_bytes(), preset=preset).agents["claude"]
    words = "You've hit your 5-hour limit · resets 3:54am (UTC)"
    output = json.dumps(
        FINAL | {"api_error": "usage_limit_reached", "result": words}, ensure_ascii=False
    ).encode()
    found = classify(
        state=Exited(code=1, at=NOW), kill=None, output=output, output_bytes=9, rules=agent.rules, now=NOW
    )
    assert found.outcome is Outcome.LIMIT
    assert found.reset_at % 86400 == 3 * 3600 + 55 * 60
