"""What the lines of a running agent say, taken in as they come; and how far a growing file has been read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentjobs.agents.classify import classify
from agentjobs.agents.observe import EVENTS, KEYS, Seen, Sight, likeness, measured, observe, sights
from agentjobs.agents.output import Knowledge
from agentjobs.agents.usage import measure
from agentjobs.disk.logs import LOOK_LINES, Place, read_on
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Kill, KillReason
from agentjobs.policy.agent_output import Context, Rule, Session, Usage, Watch
from agentjobs.policy.agents import Agent
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset

FIXTURES = Path(__file__).parents[1] / "fixtures" / "agents"
CONTEXT = Context(event={"type": "turn"}, used=("in", "cached"), window="of")
WATCH = Watch(error={"type": "error"}, request={"type": "turn"}, key="id")
SIGHT = Sight(CONTEXT, WATCH, None, Session(event={"type": "start"}, id="session"), ({"type": "end"},))


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def look(*events: dict[str, Any], seen: Seen | None = None) -> Seen:
    return observe(seen or Seen(), lines(*events), SIGHT)


def turn(**fields: object) -> dict[str, Any]:
    return {"type": "turn", **fields}


def error(**fields: object) -> dict[str, Any]:
    return {"type": "error", **fields}


def test_the_newest_figure_counts_and_silence_changes_nothing() -> None:
    first = turn(**{"in": 10, "cached": 90, "of": 1000})
    seen = look(first, turn(**{"in": 5, "cached": 45}), turn(**{"in": 0}), turn())
    assert (seen.used, seen.window) == (50, 1000)


def test_lines_of_one_answer_are_one_request() -> None:
    seen = look(turn(id="m1"), turn(id="m1"), turn(id="m2"), turn(), turn())
    assert seen.requests == 4
    assert look(turn(id=""), turn(id="m3"), seen=seen).requests == 6


def test_errors_are_counted_while_nothing_comes_between() -> None:
    first = look(*(error(attempt=n, message=f"Overloaded, again in {n}00 ms", uuid=f"ab{n}cd") for n in range(5)))
    assert (first.errors, first.error) == (5, "Overloaded, again in 400 ms")
    assert look(error(message="Overloaded, again in 9 ms", uuid="7x"), seen=first).errors == 6
    assert look(error(message="Another one"), seen=first).errors == 1
    assert look(turn(), seen=first).errors == 0
    assert look({"type": "else"}, seen=first).errors == 0
    assert observe(first, b"a line of text\n\n", SIGHT).errors == 5, "a line that is not JSON is not an event"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"error": "a", "attempt": 1, "delay": 0.5}, {"error": "a", "attempt": 2, "delay": 9.5}, True),
        ({"error": "a", "error_status": 503}, {"error": "a", "error_status": 429}, False),
        ({"error": {"code": 1}}, {"error": {"code": 2}}, False),
        ({"m": "Reconnecting... 1/5 (http://h:1/v1)"}, {"m": "Reconnecting... 4/5 (http://h:2/v1)"}, True),
        ({"m": "no such file"}, {"m": "no such directory"}, False),
        ({"m": "x", "id": "da02511d-53a8-45b5"}, {"m": "x", "id": "1729d89c-418b"}, True),
        ({"m": "x", "done": True}, {"m": "x", "done": False}, False),
        ({"a": "1", "b": None}, {"b": None, "a": "2"}, True),
    ],
)
def test_what_makes_errors_alike(one: dict[str, Any], other: dict[str, Any], alike: bool) -> None:
    assert (likeness(one) == likeness(other)) is alike


def test_a_last_word_is_taken_back_by_another_answer() -> None:
    assert look({"type": "end"}).final
    assert not look({"type": "end"}, turn()).final


def test_the_conversation_is_the_first_one_told() -> None:
    assert look({"type": "start", "session": "s1"}, {"type": "start", "session": "s2"}).session == "s1"


def test_what_is_looked_for_and_where() -> None:
    rules = (
        Rule(class_=Outcome.OK, event={"type": "end"}),
        Rule(class_=Outcome.OK, text="done"),
        Rule(class_=Outcome.LIMIT, event={"type": "limit"}),
    )
    plain = Agent(command=("x",), context=CONTEXT, watch=WATCH, rules=rules)
    assert sights(plain) == (Sight(CONTEXT, WATCH, final=({"type": "end"},)), Sight())
    assert not sights(plain)[1]
    codex = parse_policy(b'[profiles.default]\nagent = "codex"\n', preset=preset).agents["codex"]
    output, inside = sights(codex)
    assert output.context is None
    assert inside.context == codex.context
    assert inside.usage == codex.transcript_usage


# --- what was used, as it comes

USAGES = [
    Usage(
        event={"type": "turn"}, scope=scope, cost="cost", cost_scope=cost_scope, key=key, model="model",
        input=("in",), output=("out",),
    )
    for scope in ("run", "session", "event")
    for cost_scope in (None, "run", "event")
    for key in (None, "id")
]  # fmt: skip

FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["turn", "turn", "else"])},
    optional={
        "id": st.sampled_from(["a", "b", ""]),
        "in": st.integers(-5, 1000),
        "out": st.integers(0, 50),
        "cost": st.sampled_from([0.25, 0.5, 1.0]),
        "model": st.sampled_from(["m1", "m2"]),
    },
)


@given(st.lists(st.lists(FIELDS, max_size=4), max_size=5), st.sampled_from(USAGES))
@example([[{"type": "turn", "id": "a", "cost": 0.25}, {"type": "turn", "id": "a"}]], USAGES[5])
def test_what_was_used_is_the_same_as_when_all_is_read_at_once(parts: list[list[dict[str, Any]]], where: Usage) -> None:
    seen = Seen()
    for part in parts:
        seen = observe(seen, lines(*part), Sight(usage=where))
    assert measured(seen, where) == measure(lines(*(event for part in parts for event in part)), where)


@given(st.lists(FIELDS, max_size=8), st.data())
def test_lines_with_an_id_count_once_in_any_order_and_however_often(events: list[dict[str, Any]], data: Any) -> None:
    where = Usage(event={"type": "turn"}, scope="event", key="id", cost="cost", model="model", input=("in",))
    told = [event | {"type": "turn", "id": f"m{at}", "model": "m"} for at, event in enumerate(events)]
    lines_of = data.draw(st.permutations(told + told[: len(told) // 2]))
    seen = Seen()
    for line in lines_of:
        seen = observe(seen, lines(line), Sight(usage=where))
    found, once = measured(seen, where), measure(lines(*told), where)
    assert (found is None) is (once is None)
    if found is not None and once is not None:
        assert found.spending.tokens == once.spending.tokens == sum(max(0, one.get("in", 0)) for one in told)
        assert (found.spending.cost or 0.0) == pytest.approx(once.spending.cost or 0.0)
        assert found.parts.get("m", Spending()).tokens == found.spending.tokens


def test_what_is_remembered_is_bounded() -> None:
    where = Usage(event={"type": "turn"}, scope="event", key="id", input=("in",))
    seen = observe(Seen(), lines(*(turn(id=f"m{n}", **{"in": 2}) for n in range(1000))), Sight(usage=where))
    assert len(seen.meter.recent) == KEYS
    again = observe(seen, lines(turn(id="m999", **{"in": 5})), Sight(usage=where))
    assert again.meter.spending.input == 2003


@given(st.binary(max_size=300), st.lists(st.binary(max_size=60)))
def test_no_bytes_make_it_raise(noise: bytes, more: list[bytes]) -> None:
    seen = observe(Seen(), noise, SIGHT)
    for part in more:
        seen = observe(seen, b'{"type":"turn","in":' + part + b'}\n{"type":"error","m":"' + part + b'"}\n', SIGHT)


def test_no_depth_makes_it_raise() -> None:
    for deep in (b"[" * 5000 + b"]" * 5000, b'{"a":' * 400 + b"1" + b"}" * 400):
        observe(Seen(), b'{"type":"error","m":' + deep + b"}\n", SIGHT)


# --- what the real ones said


def test_what_the_recordings_say_of_the_context() -> None:
    """To the token what the mock served, from the last answer of each."""
    agents = parse_policy(b'[profiles.a]\nagent = "claude"\n[profiles.b]\nagent = "codex"\n', preset=preset).agents
    output, _ = sights(agents["claude"])
    seen = observe(Seen(), (FIXTURES / "claude/ok/stdout").read_bytes(), output)
    assert (seen.used, seen.requests, seen.final) == (204, 2, True)
    output, inside = sights(agents["codex"])
    seen = observe(Seen(), (FIXTURES / "codex/ok/stdout").read_bytes(), output)
    assert seen.session == json.loads((FIXTURES / "codex/ok/meta.json").read_text())["session"]
    kept = next((FIXTURES / "codex/ok/home").rglob("rollout-*.jsonl")).read_bytes()
    seen = observe(Seen(), kept, inside)
    assert (seen.used, seen.window) == (226, 258_400)
    found = measured(seen, agents["codex"].transcript_usage, conversation=True)
    assert found is not None
    assert found.spending.tokens == 338


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir()))
def test_every_recorded_agent_can_be_watched(name: str) -> None:
    agent = parse_policy(f'[profiles.a]\nagent = "{name}"\n'.encode(), preset=preset).agents[name]
    output, inside = sights(agent)
    case = FIXTURES / name / "ok"
    said = observe(Seen(), (case / "stdout").read_bytes() + (case / "stderr").read_bytes(), output)
    kept = Seen()
    for path in sorted((case / "home").rglob("*.jsonl")):
        kept = observe(kept, path.read_bytes(), inside)
    if agent.context is not None:
        assert (kept if agent.context.source == "transcript" else said).used > 0
    if agent.watch is not None and agent.watch.request is not None:
        assert 1 <= said.requests <= 4
    assert said.errors == 0
    assert said.final is bool(output.final)
    told = measured(said, agent.usage) or measured(kept, agent.transcript_usage, conversation=True)
    if told is not None:
        assert told.spending.tokens == json.loads((case / "meta.json").read_text())["usage"]["tokens"]


RETRIED = {
    "codex/auth": "unexpected status 401 Unauthorized: invalid x-api-key",
    "copilot/quota": "You exceeded your current quota, please check your plan and billing details.",
    "copilot/limit": "Sorry, you've exceeded your 5 hour session limits.",
    "copilot/expired": "Provided authentication token is expired.",
    "gemini/proxy": "Attempt 2 failed: 502 Bad Gateway",
    "opencode/limit": "5 hour usage limit reached. Resets in 3h34m5s.",
    "opencode/quota": "You exceeded your current quota, please check your plan and billing details.",
    "opencode/network": "Cannot connect to API",
    "qwen/quota": "429 You exceeded your current quota",
}


@pytest.mark.parametrize("case", sorted(RETRIED))
def test_an_agent_that_is_ended_because_it_retries_in_vain_says_why_as_people_read_it(case: str) -> None:
    """Its own message first: not the JSON that it is in, not the prefix of a log."""
    name = case.partition("/")[0]
    agent = parse_policy(f'[profiles.a]\nagent = "{name}"\n'.encode(), preset=preset).agents[name]
    lines = (FIXTURES / case / "stdout").read_bytes() + (FIXTURES / case / "stderr").read_bytes()
    seen = observe(Seen(), lines, sights(agent)[0])
    kill = Kill(why=KillReason.ACCOUNT_TROUBLE, at=1.0, detail=f"{seen.trouble}: {seen.told}")
    verdict = classify(
        state=Exited(code=143, at=1.0), kill=kill, output=b"", output_bytes=0, rules=agent.rules, now=1.0,
        knowledge=Knowledge(reading=agent.reading),
    )  # fmt: skip
    assert verdict.outcome.value == seen.trouble
    assert 0 <= verdict.detail.find(RETRIED[case]) < 50
    assert not re.search(r'[{}]|"message"|timestamp=|AI_', verdict.detail)
    assert (verdict.reset_at > 0) is (seen.trouble == "limit")


# --- how far it was read


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)), st.integers(1, 50))
def test_every_line_is_read_once_whatever_the_looks(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int], limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    place, read = Place(), b""
    for end in [*sorted(cuts), len(data)]:
        path.write_bytes(data[:end])
        news = read_on(path, place, limit)
        while news.lines or news.place != place:
            assert not news.anew
            place, read = news.place, read + news.lines
            news = read_on(path, place, limit)
        assert not news.more
    wanted = b"".join(b"%s\n" % line for line in data.split(b"\n")[:-1] if len(line) < limit)
    assert place.offset <= len(data)
    assert read.replace(b"\n", b"") == wanted.replace(b"\n", b"")


def test_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"a":1}\n{"b"')
    news = read_on(path, Place())
    assert (news.place.offset, news.lines, news.more) == (8, b'{"a":1}\n', False)
    assert read_on(path, news.place).lines == b""
    path.write_bytes(b'{"a":1}\n{"b":2}\n')
    assert read_on(path, news.place).lines == b'{"b":2}\n'


def test_a_file_that_became_another_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"new\n")
    news = read_on(path, Place(1000))
    assert (news.anew, news.lines, news.place) == (True, b"new\n", Place(4))
    assert read_on(tmp_path / "none", Place(7)).place == Place(7)


@given(st.lists(st.binary(max_size=6).map(lambda raw: raw.replace(b"\n", b"")), max_size=30), st.integers(1, 5))
def test_one_look_takes_few_lines_and_the_next_one_goes_on(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], most: int
) -> None:
    path = tmp_path_factory.mktemp("short") / "log"
    path.write_bytes(b"".join(part + b"\n" for part in parts))
    place, found = Place(), b""
    looks = 0
    for looks in range(1, len(parts) + 2):  # noqa: B007
        news = read_on(path, place, most=most)
        assert news.lines.count(b"\n") <= most
        place, found = news.place, found + news.lines
        if not news.more:
            break
    assert found == path.read_bytes()
    assert looks == max(1, -(-len(parts) // most))


@pytest.mark.parametrize("piece", [b"{}", b'{"type":"x"}', b"[]", b"[{}]", b"{", b"1", b""])
def test_the_work_of_one_look_is_bounded(tmp_path: Path, piece: bytes) -> None:
    """Counted, not timed: two million bytes of the shortest lines are a hundred looks, not one."""
    path = tmp_path / "log"
    path.write_bytes((piece + b"\n") * 150_000)
    news = read_on(path, Place())
    assert news.more
    assert news.lines.count(b"\n") <= LOOK_LINES
    whole = b"[" + b",".join([b'{"type":"turn","in":1}'] * (EVENTS + 7)) + b"]\n"
    assert observe(Seen(), whole, SIGHT).requests == EVENTS
