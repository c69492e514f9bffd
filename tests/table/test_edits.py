"""What people changed in the table, and what waits for what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.table.order import find_cycle
from agentjobs.table.table import Edits, check_graph, human_edits, parse

HEAD = b"id\tstatus\tattempt\tstarted\tended\tnote\n"
BASE = (
    HEAD
    + b"a\tFAILED\t3\t10:00\t10:05\tno\nb\tIN_PROGRESS\t1\t10:00\t\t\nc\tDONE\t1\t9\t10\t\nd\tTODO\t\t\t\t\n"
)


def edits(old: bytes, new: bytes, base: bytes = BASE) -> Edits:
    return human_edits(parse(base), parse(base.replace(old, new)))


def test_nothing_changed() -> None:
    assert edits(b"", b"") == Edits()
    assert edits(b"\n", b"\r\n") == Edits()
    assert edits(b"\tno\n", b"\twhy?\n") == Edits()
    assert edits(b"TODO", b"") == Edits()


@pytest.mark.parametrize("status", ["TODO", "SKIPPED", "DONE"])
def test_a_person_writes_a_status(status: str) -> None:
    assert edits(b"FAILED", status.encode()).wishes == {"a": Status(status)}
    assert edits(b"a\tFAILED", b"# the next\na\t" + status.lower().encode()).wishes == {"a": Status(status)}


def test_an_emptied_status_is_todo() -> None:
    assert edits(b"FAILED", b"").wishes == {"a": Status.TODO}
    assert edits(b"a\tFAILED\t3\t10:00\t10:05\tno", b"a").stale == ("a",)


def test_nobody_writes_a_state_of_ours() -> None:
    assert edits(b"FAILED", b"VERIFYING") == Edits(stale=("a",))


def test_an_old_copy_is_no_wish() -> None:
    old = edits(b"b\tIN_PROGRESS\t1\t10:00", b"b\tTODO\t\t")
    assert old == Edits(stale=("b",))
    first = parse(b"id\na\nb\nc\nd\n")
    assert human_edits(parse(BASE), first) == Edits(stale=("a", "b", "c"))


def test_rows_come_and_go_and_move() -> None:
    lines = BASE.splitlines(keepends=True)
    moved = b"".join([lines[0], lines[4], lines[2], b"e\tDONE\n", lines[1].replace(b"FAILED", b"SKIPPED")])
    assert human_edits(parse(BASE), parse(moved)) == Edits(
        wishes={"a": Status.SKIPPED}, gone=("c",), new=("e",)
    )
    assert human_edits(None, parse(BASE)) == Edits(new=("a", "b", "c", "d"))


def test_another_column_order_is_no_edit() -> None:
    table = parse(b"id\tstatus\tattempt\na\tFAILED\t2\n")
    assert human_edits(table, parse(b"x\tattempt\tstatus\tid\n\t2\tFAILED\ta\n")) == Edits()
    wish = human_edits(table, parse(b"x\tattempt\tstatus\tid\n\t2\tTODO\ta\n"))
    assert wish == Edits(wishes={"a": Status.TODO})


# --- dependencies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "where", "what"),
    [
        (b"a\t\nb\ta,c", "3:3", 'after names "a,c", which is no id here'),
        (b"a\ta", "2:3", "a waits for itself"),
        (b"a\tb\nb\tc\nc\tb", "3:3", "these wait for each other: b -> c -> b (each is after the next)"),
    ],
)
def test_check_graph_refuses(rows: bytes, where: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        check_graph(parse(b"id\tafter\n" + rows + b"\n"))
    assert str(caught.value).startswith(f"tasks.tsv:{where}: {what}")


def test_check_graph_passes() -> None:
    check_graph(parse(b"id\na\n"))
    check_graph(parse(b"id\tafter\na\tb c\nb\tc\nc\t\n"))


def test_a_long_chain_is_no_problem() -> None:
    chain = {str(number): [str(number + 1)] for number in range(50_000)}
    assert find_cycle(chain) == []
    chain["50000"] = ["49999"]
    assert find_cycle(chain) == ["49999", "50000"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3)))
def test_find_cycle_finds_one_exactly_where_there_is_one(after: dict[str, list[str]]) -> None:
    cycle = find_cycle(after)
    left = dict(after)
    while free := [node for node, names in left.items() if not any(name in left for name in names)]:
        for node in free:
            del left[node]
    assert bool(cycle) == bool(left)
    assert all(follower in after[node] for node, follower in zip(cycle, cycle[1:] + cycle[:1], strict=True))
