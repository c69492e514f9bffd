"""Which rows may begin, against a slow and obvious reading of the same words."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.core.ready_rows import Queue, in_play
from agentjobs.model.errors import UserError
from agentjobs.model.state import Scope
from agentjobs.model.tasks import Status
from agentjobs.table.table import Table, parse, parse_status

ALL = Scope(0.0, everything=True)


def table(*lines: str, header: str = "id\tstatus\tafter\tpriority") -> Table:
    return parse("\n".join([header, *lines, ""]).encode())


def statuses_of(made: Table) -> dict[str, Status]:
    return {i: parse_status(text) or Status.TODO for i, text in made.cells("status")}


def queue(made: Table, scope: Scope = ALL, active: frozenset[str] = frozenset()) -> Queue:
    return Queue(made, statuses_of(made), scope, active)


def test_order_is_priority_then_the_table() -> None:
    made = table("a", "b\t\t\t1.5", "c\t\t\t-1", "d\t\t\t 1.5 ", "e\t\t\t2e0", "f\t\t\t10", "g\t\t\t0")
    assert list(queue(made).ready()) == ["f", "e", "b", "d", "a", "g", "c"]


@pytest.mark.parametrize("text", ["high", "nan", "inf", "1_0", "٣", "²", "--1"])
def test_a_priority_that_is_no_number_is_a_mistake_with_a_place(text: str) -> None:
    with pytest.raises(UserError, match=r"^tasks\.tsv:3:5: priority"):
        queue(table("a", f"b\t\t\t{text}"))


@pytest.mark.parametrize("text", ["", " ", "\\t"])
def test_no_priority_is_zero(text: str) -> None:
    assert list(queue(table("a\t\t\t1", f"b\t\t\t{text}", "c\t\t\t-1")).ready()) == ["a", "b", "c"]


def test_only_what_is_in_play_and_has_not_begun() -> None:
    made = table("a", "b\tDONE", "c", "d", "e\tFAILED", "f\tin_progress")
    assert list(queue(made, Scope(0.0, everything=True, out=("a",)), frozenset({"c"})).ready()) == ["d"]
    assert list(queue(made, Scope(0.0, ids=("d", "a", "b", "no"))).ready()) == ["a", "d"]
    assert list(queue(made, Scope(0.0)).ready()) == []
    assert in_play(Scope(0.0, ids=("a",)), "a", "default")
    assert not in_play(Scope(0.0, ids=("a",), out=("a",)), "a", "default")


def test_a_phase_is_in_play_with_the_rows_that_it_gets_later() -> None:
    made = table("a", "b\ttwo", "c\ttwo", "d\tthree", header="id\tprofile")
    assert list(queue(made, Scope(0.0, phases=("two", "four"))).ready()) == ["b", "c"]
    assert list(queue(made, Scope(0.0, ids=("d",), phases=("two",), out=("b",))).ready()) == ["c", "d"]
    assert in_play(Scope(0.0, phases=("two",)), "new", "two")
    assert not in_play(Scope(0.0, phases=("two",), out=("new",)), "new", "two")
    assert not in_play(Scope(0.0, phases=("two",)), "new", "default")


def test_profiles_that_are_closed_are_left_out_also_while_one_looks() -> None:
    made = table("a", "b\ttwo", "c\t two ", "d\t\t5", "e\tthree\t9", header="id\tprofile\tpriority")
    found = queue(made)
    assert list(found.ready()) == ["e", "d", "a", "b", "c"]
    assert list(found.ready({"two"})) == ["e", "d", "a"]
    assert list(found.ready({"default", "three"})) == ["b", "c"]
    closed: set[str] = set()
    seen = []
    for task_id in found.ready(closed):
        seen.append(task_id)
        closed.add({"e": "three", "d": "default"}.get(task_id, ""))
    assert seen == ["e", "d", "b", "c"]
    assert list(found.ready()) == ["e", "d", "a", "b", "c"], "nothing is lost"


def test_looking_takes_nothing() -> None:
    found = queue(table("a", "b", "c"))
    assert list(islice(found.ready(), 2)) == ["a", "b"]
    assert list(found.ready()) == ["a", "b", "c"]
    found.take("b")
    assert list(found.ready()) == ["a", "c"]
    assert len(found) == 2


def test_taking_while_looking() -> None:
    found = queue(table("a", "b", "c"))
    seen = []
    for task_id in found.ready():
        seen.append(task_id)
        found.take(task_id)
    assert seen == ["a", "b", "c"]
    assert list(found.ready()) == []


def test_a_row_is_ready_when_all_it_waits_for_is_done() -> None:
    made = table("a", "b", "c\t\ta b a b", "d\t\tc", "e\t\tnobody")
    statuses = statuses_of(made)
    found = Queue(made, statuses, ALL, frozenset())
    assert list(found.ready()) == ["a", "b"]
    for task_id, then in (("a", ["b"]), ("b", ["c"]), ("c", ["d"])):
        found.take(task_id)
        statuses[task_id] = Status.DONE
        found.settled(task_id)
        assert list(found.ready()) == then
    assert found.blocked(frozenset()) == {"e": "nobody"}


def test_a_failure_blocks_what_waits_for_it() -> None:
    made = table("a\tFAILED", "b\t\ta", "c\t\tb", "d\t\te", "e", "f\t\tg", "g\t\tf", "h\t\th")
    assert queue(made).blocked(frozenset()) == {"b": "a", "c": "b", "f": "g", "g": "f", "h": "h"}
    assert set(queue(made).blocked(frozenset({"a"}))) == {"f", "g", "h"}


def test_a_chain_of_thousands() -> None:
    lines = ["t0\tFAILED"] + [f"t{n}\t\tt{n - 1}" for n in range(1, 20_000)]
    assert len(queue(table(*lines)).blocked(frozenset())) == 19_999


@st.composite
def graphs(draw: st.DrawFn) -> Table:
    count = draw(st.integers(1, 8))
    names = [f"t{n}" for n in range(count)]
    lines = []
    for name in names:
        status = draw(st.sampled_from(["", "", "", "TODO", "DONE", "FAILED", "SKIPPED", "IN_PROGRESS"]))
        after = " ".join(draw(st.lists(st.sampled_from([*names, "none"]), max_size=3)))
        lines.append(f"{name}\t{status}\t{after}\t{draw(st.sampled_from(['', '1', '-0.5']))}")
    return table(*lines)


def naive_ready(made: Table, statuses: dict[str, Status], taken: set[str]) -> list[str]:
    rows = [made.row(i) for i in made.ids if statuses[i] is Status.TODO and i not in taken]
    met = [row for row in rows if all(statuses.get(need) is Status.DONE for need in row.after)]
    return [row.id for row in sorted(met, key=lambda row: -row.priority)]


def naive_blocked(made: Table, statuses: dict[str, Status], taken: set[str]) -> set[str]:
    """Let everything that may begin end well, again and again; what is left never will."""
    statuses = {i: Status.DONE if i in taken else s for i, s in statuses.items()}
    while found := naive_ready(made, statuses, set()):
        for task_id in found:
            statuses[task_id] = Status.DONE
    return {i for i, status in statuses.items() if status is Status.TODO}


@settings(max_examples=300, deadline=None)
@given(graphs(), st.data())
def test_as_the_obvious_reading_says(made: Table, data: st.DataObject) -> None:
    statuses = statuses_of(made)
    found = Queue(made, statuses, ALL, frozenset())
    taken: set[str] = set()
    for _ in range(12):
        ready = list(islice(found.ready(), data.draw(st.integers(0, 9))))
        assert ready == naive_ready(made, statuses, taken)[: len(ready)]
        assert set(found.blocked(taken)) == naive_blocked(made, statuses, taken)
        work = sorted(taken)
        if ready and (not work or data.draw(st.booleans())):
            task_id = data.draw(st.sampled_from(ready))
            found.take(task_id)
            taken.add(task_id)
        elif work:
            task_id = data.draw(st.sampled_from(work))
            taken.discard(task_id)
            statuses[task_id] = data.draw(st.sampled_from([Status.DONE, Status.FAILED]))
            found.settled(task_id)
