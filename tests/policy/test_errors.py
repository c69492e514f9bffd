from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.policy.parse import parse_policy

BLANK = Path(__file__).resolve().parents[2] / "templates" / "blank"
AGENT = '[agents.a]\ncommand = ["x"]\n'
RULE = AGENT + "[[agents.a.rules]]\n"


def fails(text: str | bytes) -> str:
    with pytest.raises(UserError) as caught:
        parse_policy(text if isinstance(text, bytes) else text.encode())
    shown = str(caught.value)
    assert shown.startswith("agentjobs.toml:")
    assert "\n" not in shown
    return shown.removeprefix("agentjobs.toml:")


def rejected(data: bytes) -> UserError | None:
    try:
        parse_policy(data)
    except UserError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "\n\n[retry]\nrepairs = 1\nresume = 2",
            '5: unknown key "resume" in [retry]; did you mean "resumes"?',
        ),
        ("slot = 2", '1: unknown key "slot"; did you mean "slots"?'),
        ("base = 'x'\n[limit]\n", "2: unknown section [limit]; did you mean [limits]?"),
        (
            "[limits]\nslots = 3",
            '2: unknown key "slots" in [limits]; it belongs at the top, before the first',
        ),
        ("attempt_minutes = 3", '1: unknown key "attempt_minutes"; it belongs in [limits]'),
        ("[retry]\nxyzzy = 3", '2: unknown key "xyzzy" in [retry]; known: resumes, repairs'),
        ("slots = 'x'", '1: "slots": expected int, got str'),
        ("slots = true", '1: "slots": expected int, got bool'),
        ("slots = 0", '1: "slots": expected int >= 1'),
        ("slots = 1.5", '1: "slots": expected int'),
        ("[retry]\nresumes = -1", '2: "resumes" in [retry]: expected int >= 0'),
        ("[retry]\ndiagnose_above = 10", '2: "diagnose_above" in [retry]: expected float <= 1'),
        ("[limits]\nidle_minutes = 0", '2: "idle_minutes" in [limits]: expected float > 0'),
        ("[limits]\nidle_minutes = inf", '2: "idle_minutes" in [limits] must be a finite number'),
        ("[limits]\nidle_minutes = nan", '2: "idle_minutes" in [limits] must be a finite number'),
        ("[limits]\nidle_minutes = 1" + "0" * 400, '2: "idle_minutes" in [limits]'),
        ("[limits]\noutput = '64 apples'", "2: \"output\" in [limits]: '64 apples' is not a size"),
        ("retry = 3", '1: "retry" must be a table'),
        ("agents = 3", '1: "agents" must be a table of tables'),
        ("[agents]\na = 3", '2: "a" in [agents] must be a table'),
        (AGENT + "rules = 3", '3: "rules" in [agents.a] must be a list of tables'),
        ("[workspace]\nkind = 'copy'", '2: "kind" in [workspace]: expected one of worktree, clone, none, got \'copy\''),
        (
            "[workspace]\nkind = 'cln'",
            "2: \"kind\" in [workspace]: expected one of worktree, clone, none, got 'cln'",
        ),
        ("[workspace]\nsandbox = 'x'", '2: "sandbox" in [workspace]: expected one of none, bwrap, got \'x\''),
        ("[workspace]\nkeep = ['/x']", "2: \"keep\" in [workspace]: '/x' is not a path below"),
        ("[workspace]\nkeep = ['x']\ncopy = ['a/x/']", "2: \"keep\" in [workspace]: 'a/x/' is placed anew"),
        ("[landing]\nbatch = 0", '2: "batch" in [landing]'),
        ("[landing]\nproblems = ['(']", '2: "problems" in [landing]: \'(\' is not a regular expression'),
        ("[landing]\nproblems = ['x']", "2: \"problems\" in [landing]: 'x' has no group (?P<file>...)"),
        ("[workspace]\ncopy = ['../x']", "2: \"copy\" in [workspace]: '../x' is not a path below"),
        ("[workspace]\nlink = ['/x']", "2: \"link\" in [workspace]: '/x' is not a path below"),
        ("[workspace]\ncopy = ['a']\nlink = ['a/']", "3: \"link\" in [workspace]: 'a' is also in copy"),
        (
            "[workspace]\nsetup = 'npm ci'\nlink = ['web/node_modules']",
            '3: "link" in [workspace]: an install',
        ),
        ("target = 'a b'", "1: \"target\": 'a b' is not a name git allows"),
        ("base = '-x'", "1: \"base\": '-x' is not a branch or commit"),
        ("[profiles.default]\n", '1: [profiles.default] needs "agent"'),
        ("[profiles.default]\nagent = 'x'", '2: unknown agent "x"; agentjobs.toml has no [agents.x]'),
        (
            "[profiles.p]\nagent = 'aa'\n" + AGENT,
            '2: unknown agent "aa"; did you mean "a"? (in [profiles.p])',
        ),
        (
            AGENT + "[profiles.p]\nagent = 'a'\nescalate = 'q'",
            '5: unknown profile "q"; known: p (in [profiles.p])',
        ),
        (
            AGENT + "[profiles.p]\nagent = 'a'\nverify = [' ']",
            "5: \"verify\" in [profiles.p]: ' ' is not a command",
        ),
        ("[agents.a]\nresume = ['x']", '1: [agents.a] needs "command"'),
        ("[agents.a]\ncommand = 'x'", '2: "command" in [agents.a]: expected list, got str'),
        ("[agents.a]\ncommand = []", '2: "command" in [agents.a]: needs the program'),
        (
            "[agents.a]\ncommand = ['x', '{model}']",
            '2: "command" in [agents.a]: unknown placeholder {model}; known: {s',
        ),
        ("[agents.a]\ncommand = ['x', 'a}']", "2: \"command\" in [agents.a]: a lone '}' in 'a}'; write '}}'"),
        (AGENT + "env = { AGENTJOBS_TASK = 'x' }", "3: \"env\" in [agents.a]: 'AGENTJOBS_TASK' is set by"),
        (AGENT + "env = { 'A=B' = 'x' }", "3: \"env\" in [agents.a]: 'A=B' cannot be"),
        (AGENT + "stop = ['BUS']", '3: "stop" in [agents.a]: expected one of HUP, INT'),
        (RULE + "class = 'nope'\ntext = 'x'", '4: "class" in [[agents.a.rules]]: expected one of ok, crashed'),
        (
            RULE + "class = 'conflict'\ntext = 'x'",
            "4: \"class\" in [[agents.a.rules]]: 'conflict' is not a class for rules",
        ),
        (RULE + "class = 'ok'", '4: "class" in [[agents.a.rules]]: a rule has "text", "event" or "code"'),
        (
            RULE + "class = 'ok'\ntext = 'x'\nevent = { a = 1 }",
            '4: "class" in [[agents.a.rules]]: a rule has either',
        ),
        (RULE + "class = 'ok'\ntext = '(['", '5: "text" in [[agents.a.rules]]: not a regular expression'),
        (RULE + "class = 'ok'\ntext = '[[a]'", '5: "text" in [[agents.a.rules]]: not a regular expression'),
        (
            RULE + "class = 'ok'\nevent = { a = 're:(' }",
            '5: "event" in [[agents.a.rules]]: not a regular expr',
        ),
        (
            RULE + "class = 'ok'\nevent = { 'a..b' = 1 }",
            "5: \"event\" in [[agents.a.rules]]: 'a..b' is not a dotted",
        ),
        (RULE + "class = 'ok'\nevent = {}", '5: "event" in [[agents.a.rules]]: needs at least one path'),
        (
            RULE + "class = 'ok'\ntext = 'x'\n[[agents.a.rules]]\nclass = 'ok'\ntxet = 'x'",
            '8: unknown key "txet"',
        ),
        (AGENT + "[agents.a.usage]\nevent = {}", '4: "event" in [agents.a.usage]: needs at least'),
        ("slots = \n", "1:9: not valid TOML: Invalid value"),
        ("slots = 1\nslots = 2", "2: not valid TOML: Cannot overwrite a value"),
        ("x = 1" + "0" * 5000, "1: not valid TOML: Exceeds the limit"),
        (b"slots = 1\n# \xff\n", "2: not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str | bytes, error: str) -> None:
    assert fails(text).startswith(error)


def test_too_deep_a_file_is_no_crash() -> None:
    with pytest.raises(UserError):
        parse_policy(b"x = " + b"[" * 100_000)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_give_a_policy_or_a_user_error(data: bytes) -> None:
    error = rejected(data)
    assert error is None or error.file == "agentjobs.toml"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_a_policy_or_an_error_with_a_line(data: st.DataObject) -> None:
    lines = (BLANK / "agentjobs.toml").read_text().replace("\n# ", "\n").split("\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    words = st.sampled_from(
        ["=", "[", "]]", '"', "'''", "{x}", "0", "-1", "slots", "[limits]", "class = 3", "\0", "é"]
    )
    cut = data.draw(st.integers(0, len(lines[at])))
    lines[at] = lines[at][:cut] + data.draw(words) + lines[at][cut + data.draw(st.integers(0, 8)) :]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(lines))] * 2)))
    for text in ("\n".join(lines), "\n".join(lines[start:end])):
        if error := rejected(text.encode()):
            assert error.line is not None
            assert 1 <= error.line <= text.count("\n") + 1
