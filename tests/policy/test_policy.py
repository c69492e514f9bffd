from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.model.outcomes import Outcome
from agentjobs.model.tasks import Row, Status
from agentjobs.policy.agent_output import Rule
from agentjobs.policy.agents import PLACEHOLDERS, Agent, Flags, expand, flags_of
from agentjobs.policy.limits import Limits, Retry, parse_size
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.policy import Landing, Policy, Profile, resolve, wishes_of
from agentjobs.text.toml import FieldError

ROOT = Path(__file__).resolve().parents[2]
BLANK = ROOT / "templates" / "blank"
EXAMPLE = b"""\
base = "main"
target = "agentjobs/landed"
slots = 8
verify_slots = 2

[limits]
attempt_minutes = 0.5
idle_minutes = 10
run_cost_usd = 50.0

[workspace]
kind = "worktree"
setup = "npm ci"
copy = [".env"]
link = []

[profiles.default]
agent = "scripted"
verify = ["npx tsc --noEmit -p ."]
escalate = "strong"

[profiles.strong]
agent = "scripted"
scope = "any"

[agents.scripted]
command = ["node", "{root}/tools/convert.mjs"]
resume = ["node", "tools/convert.mjs", "--resume", "{session}"]
env = { KEY = "value" }
[[agents.scripted.rules]]
class = "limit"
text = 'usage limit reached'
reset = 'resets at (\\d+)'
[[agents.scripted.rules]]
class = "ok"
event = { "type" = "result", "is_error" = false, "n.0.x" = 3 }
[agents.scripted.usage]
event = { "type" = "result" }
tokens = ["usage.input", "usage.output"]

[landing]
gate = ["npm test"]
"""


def test_the_example() -> None:
    policy = parse_policy(EXAMPLE)
    assert policy.limits == Limits(attempt_minutes=0.5, run_cost_usd=50)
    assert policy.retry == Retry()
    assert policy.landing == Landing(gate=("npm test",))
    assert policy.landing.batch == 16
    assert policy.workspace.copy == (".env",)
    assert policy.profiles["default"].escalate == "strong"
    agent = policy.agents["scripted"]
    assert [rule.class_ for rule in agent.rules] == [Outcome.LIMIT, Outcome.OK]
    assert agent.rules[1].event == {"type": "result", "is_error": False, "n.0.x": 3}
    assert agent.usage is not None
    assert agent.usage.tokens == ("usage.input", "usage.output")
    assert agent.stop == ("TERM",)


def test_an_empty_file_is_the_defaults() -> None:
    assert parse_policy(b"") == Policy()
    assert parse_policy(b"\xef\xbb\xbf# saved on Windows\r\nslots = 3\r\n").slots == 3


def test_the_defaults_are_the_documented_contract() -> None:
    limits = Limits()
    assert (limits.attempt_s, limits.idle_s, limits.verify_s, limits.setup_s) == (1800, 600, 900, 900)
    assert (limits.start_interval_s, limits.stop_grace_s, limits.finish_grace_s, limits.breaker) == (
        0.5,
        10,
        30,
        5,
    )
    assert (limits.min_free_memory_bytes, limits.output_bytes, limits.file_size_bytes) == (
        2**30,
        2**26,
        2**30,
    )
    assert (limits.run_cost_usd, limits.run_tokens, limits.run_attempts) == (None, None, None)
    assert (limits.task_cost_usd, limits.task_attempts) == (None, None)
    assert msgspec.structs.astuple(Retry()) == (2, 3, 1, 0.10, 5.0)
    assert msgspec.structs.astuple(Profile(agent="a")) == (
        "a", None, None, None, "prompt.md.j2", (), (), (), "all", "high", True, "files", "any", None, 0.6, None,
        None, False, None, 1.0, 0.85, None,
    )  # fmt: skip
    policy = Policy()
    assert (policy.base, policy.target, policy.slots, policy.verify_slots) == (
        "main",
        "agentjobs/landed",
        8,
        2,
    )


def row(**cells: str) -> Row:
    return Row(id="t", line=7, status=Status.TODO, profile=cells.get("profile", "default"), cells=cells)


def test_resolve() -> None:
    policy = parse_policy(EXAMPLE)
    assert resolve(policy, row()) is policy.profiles["default"]
    assert resolve(policy, row(prompt="", verify="")) is policy.profiles["default"]
    own = resolve(policy, row(profile="strong", prompt="p.j2", verify="a && b"))
    assert (own.prompt, own.verify, own.scope) == ("p.j2", ("a && b",), "any")
    assert resolve(policy, row(verify="x"), profile="strong").scope == "any"
    with pytest.raises(UserError, match=r'^tasks\.tsv:7: unknown profile "stron"; did you mean "strong"'):
        resolve(policy, row(profile="stron"))
    with pytest.raises(
        UserError, match=r'unknown profile "default"; agentjobs.toml has no \[profiles.default\]'
    ):
        resolve(Policy(), row())


VALUES = st.fixed_dictionaries({name: st.text() for name in PLACEHOLDERS})


@given(VALUES)
def test_expand_fills_each_argument_once(values: dict[str, str]) -> None:
    command = ("{root}/x", "--id={session}{task}", "{{task}}", "{{{attempt}}}", "{prompt}", "plain")
    Agent(command=command)
    assert expand(command, values) == (
        values["root"] + "/x",
        "--id=" + values["session"] + values["task"],
        "{task}",
        "{" + values["attempt"] + "}",
        values["prompt"],
        "plain",
    )


@given(st.text(alphabet="{}ab", max_size=8))
def test_a_command_that_is_accepted_can_be_expanded(text: str) -> None:
    try:
        Agent(command=("x", text))
    except FieldError:
        return
    assert expand((text,), dict.fromkeys(PLACEHOLDERS, "")) == (text.replace("{{", "{").replace("}}", "}"),)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64MiB", 2**26),
        ("1.5GB", 1_500_000_000),
        ("1 KiB", 1024),
        ("2k", 2000),
        ("1tib", 2**40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@given(st.text(max_size=12))
def test_a_size_is_a_number_or_a_value_error(text: str) -> None:
    try:
        size = parse_size(text)
    except ValueError:
        return
    assert size >= 0


def test_types_check_themselves() -> None:
    with pytest.raises(FieldError):
        Rule(class_=Outcome.OK)
    with pytest.raises(AttributeError):
        Policy().slots = 3  # type: ignore[misc]


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="ab/.-@{~ lock", max_size=10)
    | st.sampled_from(["HEAD", "refs/heads/x", "a.lock", "a.lock/b"])
)
def test_a_target_is_what_git_calls_a_branch(name: str) -> None:
    try:
        Policy(target=name)
        ours = True
    except FieldError:
        ours = False
    done = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], capture_output=True, check=False)
    misleading = name in ("@", "HEAD") or name.startswith(
        ("-", "refs/")
    )  # git would read it as something else
    assert ours == (done.returncode == 0 and not misleading)


# --- presets


PRESET = {"command": ["x", "{flags}"], "env": {"A": "1", "B": "2"}, "flags": {"model": ["-m", "{value}"]},
          "rules": [{"class": "ok", "code": 0}], "stop": ["INT"]}  # fmt: skip


def with_preset(text: str) -> Policy:
    return parse_policy(text.encode(), preset=lambda name: PRESET if name == "p" else None)


def test_a_profile_may_name_a_preset_and_nothing_else() -> None:
    agent = with_preset('[profiles.default]\nagent = "p"').agents["p"]
    assert (agent.command, agent.account, agent.preset) == (("x", "{flags}"), "p", "p")


def test_a_section_changes_what_it_names_and_keeps_the_rest() -> None:
    policy = with_preset(
        '[agents.p]\nenv = { B = "3", C = "4" }\nstop = ["TERM"]\n[[agents.p.rules]]\nclass = "limit"\ncode = 9\n'
        '[agents.strong]\npreset = "p"\n[agents.strong.flags]\nturns = ["-t", "{value}"]\n'
    )
    agent = policy.agents["p"]
    assert agent.env == {"A": "1", "B": "3", "C": "4"}
    assert agent.stop == ("TERM",)
    assert [rule.class_ for rule in agent.rules] == [Outcome.LIMIT, Outcome.OK], "one's own rules are tried first"
    assert policy.agents["strong"].account == "p"
    assert policy.agents["strong"].flags == Flags(model=("-m", "{value}"), turns=("-t", "{value}"))


def test_a_section_may_do_without_the_preset_of_its_name() -> None:
    agent = with_preset('[agents.p]\npreset = "none"\ncommand = ["y"]').agents["p"]
    assert (agent.command, agent.env, agent.rules) == (("y",), {}, ())


def test_what_a_profile_asks_for_takes_the_place_of_the_flags() -> None:
    policy = with_preset('[profiles.default]\nagent = "p"\nmodel = "big"')
    flags = flags_of(policy.agents["p"], wishes_of(policy.profiles["default"]))
    values = dict.fromkeys(PLACEHOLDERS, "")
    assert expand(policy.agents["p"].command, values, flags) == ("x", "-m", "big")
    assert expand(policy.agents["p"].command, values) == ("x",)


def test_a_wish_that_the_agent_cannot_be_told_is_an_error_with_its_line() -> None:
    for key, value in (("turns", "3"), ("budget_usd", "0.5")):
        with pytest.raises(UserError, match=rf'^agentjobs.toml:3: "{key}" in .*: agent p cannot be told'):
            with_preset(f'[profiles.default]\nagent = "p"\n{key} = {value}')


def test_a_preset_that_is_none_is_an_error_with_its_line() -> None:
    with pytest.raises(UserError, match=r'^agentjobs\.toml:2: no preset "q"'):
        with_preset('[agents.p]\npreset = "q"')


def test_a_name_that_is_nearly_one_of_a_preset_or_a_section() -> None:
    def parsed(text: str) -> Policy:
        return parse_policy(text.encode(), preset=lambda _: None, presets=lambda: ("claude", "codex"))

    for word, meant in (("claud", "claude"), ("mein", "mine")):
        said = rf'^agentjobs\.toml:2: unknown agent "{word}"; did you mean "{meant}"\? \(in \[profiles.default\]\)$'
        with pytest.raises(UserError, match=said):
            parsed(f'[profiles.default]\nagent = "{word}"\n[agents.mine]\ncommand = ["x"]')
    with pytest.raises(UserError, match=r'unknown agent "zz"; known: claude, codex \(in'):
        parsed('[profiles.default]\nagent = "zz"')
    with pytest.raises(UserError, match=r'^agentjobs\.toml:2: no preset "codx"; did you mean "codex"\?$'):
        parsed('[agents.p]\npreset = "codx"')
