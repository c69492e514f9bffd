"""``limits.tokens_in_flight``: the context of all running agents together stays below a cap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.core.board import Board
from agentjobs.core.in_flight import held_by
from agentjobs.core.schedule import schedule as scheduled
from agentjobs.model.decisions import Begin
from agentjobs.model.errors import UserError
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Gauge, Running, StepKind
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.limits import Limits, parse_tokens
from agentjobs.policy.parse import parse_policy
from tests.kit.builders import NOW, agent, attempt, policy, step
from tests.kit.harness import SILENT
from tests.kit.simulation import listed

if TYPE_CHECKING:
    from tests.kit.harness import Project

FOREVER = 10_000


def sized(sizes: list[int]) -> list[Row]:
    return [Row(f"t{at}", at + 2, Status.TODO, cells={"size": str(size)}) for at, size in enumerate(sizes)]


def size_of(task: Task, _: Begin) -> int:
    return int(task.row.cells["size"])


def begun(board: Board, ready: list[Row], cap: str | int | None, slots: int = 3) -> dict[str, int]:
    """Return the tasks that start, and how many tokens each is expected to hold."""
    made = scheduled(board, listed(ready), policy(slots=slots, tokens_in_flight=cap), NOW, size_of)
    return {action.id: action.decision.context for action in made.actions if isinstance(action.decision, Begin)}


def flying(row: Row, context: int, used: int = 0, kind: StepKind = StepKind.AGENT) -> Task:
    now = step(kind, Running(1, NOW, gauge=Gauge(used=used)), at=NOW - 100)
    return Task(row, 1, (attempt(now, task=row.id, started=NOW - 100, context=context),))


def failed(row: Row) -> Task:
    ended = agent(Exited(1, NOW - 50), at=NOW - 100)
    made = attempt(
        ended, task=row.id, end=Outcome.OK, result=Outcome.VERIFY_FAILED, at=NOW - 40, started=NOW - 100, context=5
    )
    return Task(row, 1, (made,))


def test_without_a_cap_nobody_is_asked() -> None:
    def never(*_: object) -> int:
        raise AssertionError("counted for nothing")

    made = scheduled(Board(), listed(sized([9, 9])), policy(tokens_in_flight=None), NOW, never)
    assert [a.decision.context for a in made.actions if isinstance(a.decision, Begin)] == [0, 0]


def test_what_fits_begins_and_says_what_it_will_hold() -> None:
    assert begun(Board(), sized([4, 4, 4]), 10) == {"t0": 4, "t1": 4}
    assert begun(Board(), sized([4, 6, 1]), 10) == {"t0": 4, "t1": 6}


def test_a_running_agent_holds_what_is_known_and_at_least_what_was_expected() -> None:
    one, two = sized([4, 4])
    assert begun(Board(tasks=(flying(one, 4),)), [two], 8) == {"t1": 4}
    assert begun(Board(tasks=(flying(one, 4, used=5),)), [two], 8) == {}, "it has grown"
    assert begun(Board(tasks=(flying(one, 4, used=1),)), [two], 7) == {}, "it will grow to what was expected"
    assert begun(Board(tasks=(flying(one, 4, kind=StepKind.SETUP),)), [two], 7) == {}, "its agent comes after setup"
    assert begun(Board(tasks=(flying(one, 0),)), [two], 7) == {}, "begun before there was a cap"
    assert held_by(flying(one, 0, used=9), size_of) == 9


def test_one_that_is_larger_than_the_cap_runs_alone() -> None:
    big, small = sized([50, 1])
    assert begun(Board(), [big, small], 10) == {"t0": 50}
    assert begun(Board(tasks=(flying(small, 1),)), [big], 10) == {}
    assert begun(Board(tasks=(flying(big, 50),)), [small], 10) == {}


def test_nobody_passes_whoever_waits() -> None:
    ready = sized([8, 1, 1])
    other = flying(Row("x", 9, Status.TODO), 4)
    board = Board(tasks=(other,))
    assert begun(board, ready, 10) == {}, "a stream of small ones would keep the large one waiting for ever"
    made = scheduled(board, listed(ready), policy(tokens_in_flight=10), NOW, size_of)
    assert made.alive
    assert made.waiting
    assert made.halt is None
    assert begun(Board(), ready, 10) == {"t0": 8, "t1": 1, "t2": 1}
    repair, small = failed(sized([8])[0]), Row("y", 9, Status.TODO, cells={"size": "1"})
    assert begun(Board(tasks=(other, repair)), [small], 10) == {}, "nor a repair"


def test_who_cannot_begin_for_another_reason_holds_nobody_up() -> None:
    blocked, free = sized([8, 1])
    runs = flying(replace(blocked, id="x", files=("src",)), 4)
    assert begun(Board(tasks=(runs,)), [replace(blocked, files=("src/a",)), free], 10) == {"t1": 1}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(0, 30), max_size=12),
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 40)), max_size=4),
    st.integers(1, 40), st.integers(1, 6),
)  # fmt: skip
def test_the_cap_holds_in_order_and_all_get_their_turn(
    sizes: list[int], running: list[tuple[int, int]], cap: int, slots: int
) -> None:
    ready = sized(sizes)
    tasks = [flying(Row(f"r{at}", 99, Status.TODO), *one) for at, one in enumerate(running[:slots])]
    for _ in range(FOREVER):
        new = begun(Board(tasks=tuple(tasks)), ready, cap, slots)
        assert list(new) == [row.id for row in ready[: len(new)]], "in order, and nobody passes"
        held = [held_by(task, size_of) for task in tasks]
        for context in new.values():
            assert not held or sum(held) + context <= cap
            held.append(context)
        assert new or tasks or not ready, "with nothing in flight the next begins"
        assert len(tasks) + len(new) <= slots
        tasks += [flying(row, new[row.id]) for row in ready[: len(new)]]
        ready = ready[len(new) :]
        if not tasks:
            return
        tasks.pop(0)
    raise AssertionError("never done")


@pytest.mark.parametrize(
    ("text", "tokens"), [("500k", 500_000), ("1.5M", 1_500_000), (" 60 k", 60_000), ("7", 7), ("0.5k", 500)]
)
def test_a_number_of_tokens(text: str, tokens: int) -> None:
    assert parse_tokens(text) == tokens
    assert Limits(tokens_in_flight=text).flight_tokens == tokens


@pytest.mark.parametrize("text", ['"much"', '"1 GiB"', '"0"', "0", "-1", '""', "true"])
def test_what_is_no_number_of_tokens_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_policy(f"[limits]\nbreaker = 2\ntokens_in_flight = {text}\n".encode())
    assert caught.value.line == 3
    assert "tokens_in_flight" in caught.value.message


# --- the whole program


def spans(project: Project) -> list[tuple[float, float, int]]:
    """Return of every agent that ran when it started and ended, and what it was expected to hold."""
    found = []
    for start in project.ledger():
        attempt_dir = project.root / ".agentjobs" / "attempts" / start.task / f"{start.attempt:03d}"
        intent = json.loads((attempt_dir / "attempt.json").read_text())
        ended_at = (attempt_dir / "agent.exit.json").stat().st_mtime
        found.append((start.at, ended_at, intent.get("context", 0)))
    return found


def at_once(found: list[tuple[float, float, int]], at: float) -> list[int]:
    return [context for begun_at, ended_at, context in found if begun_at <= at < ended_at]


def test_at_no_moment_more_than_the_cap_is_in_flight(project: Project) -> None:
    # Without `usage`: that all of them crash without a token used would be their account's trouble.
    project.configure(slots=4, limits={"tokens_in_flight": "100k"}, agents={"fake": {"usage": None}})
    sizes = {"a": 30, "b": 30, "c": 30, "d": 150, "e": 60, "f": 30, "g": 30, "h": 1}
    project.rows(*({"id": i, "plan": "@go crash,ok", "doc_tokens": k * 1000} for i, k in sizes.items()))
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3, what="no more wait than must")
    project.open()
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    found = spans(project)
    assert len(found) == 2 * len(sizes), "resumed attempts count as well"
    for begun_at, _, _ in found:
        held = at_once(found, begun_at)
        assert len(held) == 1 or sum(held) <= 100_000, held
    assert {round(context, -4) for _, _, context in found} == {30_000, 60_000, 150_000, 0}
    assert len(at_once(found, next(at for at, _, context in found if context > 100_000))) == 1


def test_what_a_row_names_is_counted_as_its_agent_counts_it(project: Project) -> None:
    """Prompt, files, directories and documents; never more than the window."""
    words = {"src/a.txt": "one two three " * 1000, "src/b/c.txt": "four five " * 500, "d.txt": "six " * 900}
    for name, text in words.items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "texts")
    project.configure(
        slots=1, limits={"tokens_in_flight": 1_000_000}, agents={"fake": {"tokens_factor": 2.0}},
        profiles={"default": {"scope": "any", "window": 50_000}},
    )  # fmt: skip
    made: list[dict[str, Any]] = [
        {"id": "none"}, {"id": "file", "files": "src/a.txt"},
        {"id": "all", "files": "src d.txt", "docs": "src/a.txt:1-1"},
        {"id": "gone", "files": "new.txt", "docs": "d.txt"}, {"id": "told", "docs": "d.txt", "doc_tokens": "7"},
        {"id": "window", "doc_tokens": "60000"}, {"id": "odd", "doc_tokens": "9" * 5000},
    ]  # fmt: skip
    project.rows(*({"plan": "ok", "out": f"{row['id']}.txt", **row} for row in made))
    assert set(project.settle().values()) == {"DONE"}, project.story()
    got = {i: project.attempts(i)[0]["attempt"].get("context", 0) for i in (row["id"] for row in made)}
    own = got["none"]
    assert 0 < own < 60
    assert [round((got[i] - own) / 2, -2) for i in ("file", "all", "gone")] == [3000, 4900, 900]
    assert got["told"] == own + 7
    assert abs(got["odd"] - own) < 10
    assert got["window"] == 50_000


def test_a_file_that_the_prompt_shows_counts_once_and_other_sections_by_their_budgets(project: Project) -> None:
    (project.root / "big.txt").write_text("one two three " * 1000)
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "text")
    context = {"files": "inline", "tests_tokens": 5000, "memory_tokens": 400}
    project.configure(limits={"tokens_in_flight": "1M"}, profiles={"default": {"scope": "any", "context": context}})
    project.rows({"id": "a", "plan": "ok", "files": "big.txt"})
    assert project.settle() == {"a": "DONE"}, project.story()
    assert "one two three one two three" in project.prompt("a", 1)
    held = project.attempts("a")[0]["attempt"]["context"]
    assert 3000 + 5400 < held < 3000 + 5400 + 200


def test_a_conversation_that_goes_on_holds_what_it_held(project: Project) -> None:
    project.configure(
        limits={"tokens_in_flight": "1M", "idle_minutes": SILENT},
        agents={"fake": {"context": {"event": {"type": "assistant"}, "used": ["usage.window"]}}},
        profiles={"default": {"window": 100_000, "context_stop": 1.0}},
    )
    project.plans(a="grow:alone,ok")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["stalled", "ok"]
    assert project.modes("a") == ["first", "resume"]
    first, second = (facts["attempt"]["context"] for facts in project.attempts("a"))
    assert first < 100
    assert second == 90_000
