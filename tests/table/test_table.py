"""The table: whatever people do to it, it is read exactly or refused, and never changed by accident."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.table.table import append, apply, check_graph, escape, parse, statuses, unescape
from agentjobs.text.tsv import is_id, quoted

TABLE = (
    b"\xef\xbb\xbf# jobs of ours\\x\n\nid\tstatus\tafter\tfiles\tnote\n"
    b"a\tDONE\t\tsrc/a.js 'my file.js'\tline\\none\n"
    b"# b\tparked\r\n"
    b"c\t\ta\r\n"
    b"   \n\t\t\t\n"
    b"d\tFAILED\ta c\t\\\\tmp"
)


def refused(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        parse(data)
    return str(caught.value)


# --- reading ----------------------------------------------------------------------------------------------


def test_reads_what_people_write() -> None:
    table = parse(TABLE)
    assert table.header == ("id", "status", "after", "files", "note")
    assert table.ids == ("a", "c", "d")
    assert len(table) == 3
    assert "c" in table
    assert "b" not in table
    assert [table.line_of(id_) for id_ in table.ids] == [4, 6, 9]
    assert dict(table.cells("note")) == {"a": "line\none", "c": "", "d": ""}
    assert dict(table.cells("none")) == {"a": "", "c": "", "d": ""}
    assert table.cell("d", "files") == "\\tmp"
    assert table.cell("c", "after") == "a"
    assert table.cell("c", "none") == ""
    found = statuses(table)
    assert found[Status.TODO] == found[Status.DONE] == found[Status.FAILED] == 1
    assert sum(found.values()) == 3


def test_row() -> None:
    row = parse(TABLE).row("a")
    assert (row.id, row.line, row.status) == ("a", 4, Status.DONE)
    assert row.files == ("src/a.js", "my file.js")
    assert row.profile == "default"
    assert row.cells["note"] == "line\none"
    assert parse(TABLE).row("d").after == ("a", "c")
    table = parse(b"id\tprofile\tpriority\tstatus\nx\tfast\t-1.5e2\t done \ny")
    assert table.row("x").profile == "fast"
    assert table.row("x").priority == -150
    assert table.row("x").status is Status.DONE
    assert table.row("y").cells == {"id": "y", "profile": "", "priority": "", "status": ""}


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"", "1", "no header"),
        (b"# id\n\n", "1", "no header"),
        (b"name\tstatus\nx\tTODO\n", "1:1", 'no column "id" in the header; its tab-separated columns'),
        (b"id\ta\ta\n", "1:6", 'column "a" appears twice (columns 2 and 3)'),
        (b"id\t\tx\n", "1:4", "column 2 of the header has no name"),
        (b"\xef\xbb\xbfid\tx\\y\n", "1:5", "unknown escape \\y"),
        (b"# \xc3\xa4\nid\nb\n\xc3\xa4\xff\n", "4:2", "byte 0xff is not UTF-8"),
        (b"id\nb\0\n", "2:2", "a NUL byte"),
        (b"\xff\xfei\0d\0", "1:1", "this is UTF-16"),
        (b"id\tx\na\t1\nb\ta\na\t2\n", "4:1", 'id "a" appears twice (also line 2)'),
        (b"x\tid\n1\tAb\n2\taB\n", "3:3", 'id "aB" differs from "Ab" on line 2 only in upper and lower case'),
        (b"id\na b\n", "2:1", 'bad id "a b"'),
        (b"id\n.a\n", "2:1", "bad id"),
        (b"id\na..b\n", "2:1", "bad id"),
        (b"id\na.\n", "2:1", "bad id"),
        (b"id\na.lock\n", "2:1", "bad id"),
        (b"id\n" + b"a" * 101 + b"\n", "2:1", "bad id"),
        (b"id\n\xd9\xa1\n", "2:1", "bad id"),
        (b"x\tid\n1\t\n", "2:3", "this row has no id"),
        (b"x\tid\n1", "2:3", "this row has no id"),
        (
            b"id\tx\na\t\xc3\xa4\tmore\n",
            "2:5",
            '"more" is beyond the last column: the header names 2 columns',
        ),
        (b"id\tx\na\t1\\\\2\\3\n", "2:7", "unknown escape \\3"),
        (b"id\tx\na\tend\\\n", "2:6", "a lone backslash"),
        (b"id\tx\na\tb\rc\n", "2:4", "a carriage return"),
        (b"id\rx\n", "1:3", "a carriage return"),
        (b"id\tstatus\na\tTODO\nb\tDOIN\n", "3:3", 'unknown status "DOIN": use one of TODO, IN_PROGRESS'),
    ],
)
def test_refuses_with_the_place(data: bytes, where: str, what: str) -> None:
    assert refused(data).startswith(f"tasks.tsv:{where}: {what}")
    if b"\n" in data and b"\r" not in data and not data.startswith(b"\xff"):
        assert refused(data.replace(b"\n", b"\r\n")).startswith(f"tasks.tsv:{where}: {what}")


@pytest.mark.parametrize(
    ("row", "where", "what"),
    [
        (b"a\tx y\t'open", "2:7", 'files "\'open": a quote is never closed'),
        (b"a\thigh\t", "2:3", 'priority "high" is not a number'),
        (b"a\tnan\t", "2:3", 'priority "nan" is not a number'),
        (b"a\t1e999\t", "2:3", "priority"),
        (b"a\t1_0\t", "2:3", "priority"),
    ],
)
def test_row_refuses_with_the_place(row: bytes, where: str, what: str) -> None:
    data = b"id\tpriority\tfiles\n" + row.replace(b"x y", b"   ") + b"\n"
    with pytest.raises(UserError) as caught:
        parse(data).row("a")
    assert str(caught.value).startswith(f"tasks.tsv:{where}: {what}")


def test_longest_ids_and_empty_extra_cells_are_fine() -> None:
    table = parse(b"id\tx\n" + b"a" * 100 + b"\t1\t\t\n0._-\n")
    assert table.ids == ("a" * 100, "0._-")
    assert table.row("a" * 100).cells == {"id": "a" * 100, "x": "1"}


@given(st.text(alphabet="ab0._-lock/ \n\tZ", max_size=8))
@example("a.lock")
@example("a\n")
def test_parse_and_is_id_agree(text: str) -> None:
    data = b"id\tx\n" + escape(text).encode() + b"\tx\n"
    if is_id(text):
        assert parse(data).ids == (text,)
    else:
        refused(data)


@given(st.text())
def test_escapes_round_trip(value: str) -> None:
    text = escape(value)
    assert not set(text) & set("\t\n\r")
    assert unescape(text) == value


@given(st.text())
def test_quoted_is_one_printable_line(value: str) -> None:
    assert quoted(value).isprintable()


# --- writing ----------------------------------------------------------------------------------------------


def test_apply_changes_only_what_it_must() -> None:
    updates = {"c": {"status": "IN_PROGRESS", "attempt": "1"}, "nobody": {"status": "DONE", "cost": "9"}}
    data = apply(parse(TABLE), updates)
    before, after = TABLE.split(b"\n"), data.split(b"\n")
    assert after[2] == b"id\tstatus\tafter\tfiles\tnote\tattempt\tstarted\tended\ttokens\tcost\tcommit"
    assert after[5] == b"c\tIN_PROGRESS\ta\t\t\t1\r"
    assert [line for at, line in enumerate(after) if at not in {2, 5}] == [
        line for at, line in enumerate(before) if at not in {2, 5}
    ]


def test_apply_adds_columns_in_our_order() -> None:
    data = apply(parse(b"id\r\na\r\nb"), {"a": {"note": "n", "zeta": "z", "status": "DONE", "cost": ""}})
    ours = b"status\tattempt\tstarted\tended\ttokens\tcost\tcommit\tnote"
    assert data == b"id\t" + ours + b"\tzeta\r\na\tDONE\t\t\t\t\t\t\tn\tz\r\nb"


def test_apply_pads_only_where_a_value_needs_it() -> None:
    table = parse(b"id\tstatus\tnote\na\nb\n")
    assert apply(table, {"a": {"status": "TODO", "note": ""}, "b": {"note": ""}}) == (
        b"id\tstatus\tnote\na\tTODO\nb\n"
    )


def test_a_row_never_becomes_a_comment() -> None:
    table = parse(b"note\tid\nx\ta\n")
    data = append(parse(apply(table, {"a": {"note": "#1 failed"}})), [{"id": "b", "note": "#2"}])
    assert data == b"note\tid\n #1 failed\ta\n #2\tb\n"
    assert parse(data).ids == ("a", "b")


def test_what_no_table_can_hold_is_replaced() -> None:
    data = apply(parse(b"id\tnote\na\t\n"), {"a": {"note": "caf\udce9\0\t"}})
    assert parse(data).cell("a", "note") == "caf?\ufffd\t"


def test_ids_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="id of a"):
        apply(parse(b"id\na\n"), {"a": {"id": "b"}})


def test_append() -> None:
    assert append(parse(b"id\r\na"), [{"id": "b", "x": "1\t2"}]) == b"id\tx\r\na\r\nb\t1\\t2\r\n"
    assert append(parse(b"id\r\na\r"), [{"id": "b"}]) == b"id\r\na\r\nb\r\n"
    assert append(parse(b"id"), [{"id": "b"}, {"id": "c", "status": "TODO"}]) == b"id\tstatus\nb\t\nc\tTODO\n"
    assert append(parse(TABLE), []) == TABLE


values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
names = st.sampled_from(["status", "note", "files", "x", "ü", "a\tb"])
comments = st.sampled_from([b"", b"# c\\q\t\t\t\t\t\t\t\t\tx", b"  ", b"\t\t"])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    columns = draw(st.permutations(["id", *draw(st.sets(names))]))
    ends = draw(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=12, max_size=12))
    lines = ["\t".join(escape(name) for name in columns).encode()]
    for number in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            lines.append(draw(comments))
        cells = []
        for name in columns:
            text = escape(draw(values)).lstrip("#")
            status = draw(st.sampled_from(["", *Status, " todo"]))
            cells.append(f"t{number}" if name == "id" else status if name == "status" else text)
        if draw(st.booleans()):
            cells = cells[: columns.index("id") + 1]
        lines.append("\t".join(cells).encode())
    data = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + data
    return data.removesuffix(b"\n") if draw(st.booleans()) else data


updates = st.dictionaries(
    st.sampled_from(["t0", "t1", "t2", "t9"]),
    st.dictionaries(names.filter(lambda name: name != "status") | st.sampled_from(TOOL_COLUMNS[1:]), values),
)


@settings(max_examples=150)
@given(tables(), updates)
def test_apply_sets_the_cells_and_nothing_else(data: bytes, changes: dict[str, dict[str, str]]) -> None:
    table = parse(data)
    assert apply(table, {}) == data
    assert append(table, []) == data
    same = {id_: {name: table.cell(id_, name) for name in table.header} for id_ in table.ids}
    assert apply(table, same) == data
    result = apply(table, changes)
    after = parse(result)
    assert after.ids == table.ids
    assert after.header[: len(table.header)] == table.header
    for id_ in table.ids:
        for name in {*after.header, "none"}:
            want = changes.get(id_, {}).get(name, table.cell(id_, name))
            assert after.cell(id_, name).removeprefix(" ") == want.removeprefix(" ")
        assert after.row(id_).cells.keys() == set(after.header) if "files" not in after.header else True
    touched = {table.line_of(id_) for id_ in changes if id_ in table}
    head = next(at for at, line in enumerate(data.split(b"\n"), 1) if b"id" in line)
    for at, (old, new) in enumerate(zip(data.split(b"\n"), result.split(b"\n"), strict=True), 1):
        assert old == new or at in touched or at == head
    assert apply(after, changes) == result


def test_a_row_with_spaces_in_place_of_tabs_is_told_so() -> None:
    assert "a tab missing? Columns are separated by tabs" in refused(b"id\tfiles\na src/b.js\n")
    assert "tab" not in refused(b"id\na b\n"), "there is but one column"


@settings(max_examples=150)
@given(st.binary(max_size=40) | st.text(alphabet="id\t\n\r#\\ntab .x", max_size=40).map(str.encode))
def test_parse_reads_exactly_or_refuses(junk: bytes) -> None:
    for data in (junk, b"id\tstatus\tnote\n" + junk):
        problem = None
        try:
            table = parse(data)
            for id_ in table.ids:
                table.row(id_)
            check_graph(table)
        except UserError as error:
            problem = error
        if problem is None:
            same = {id_: {"status": table.cell(id_, "status")} for id_ in table.ids}
            assert apply(table, same) == data
        else:
            assert str(problem).startswith("tasks.tsv:")
            assert "\n" not in str(problem)
            assert problem.line is not None
            assert 1 <= problem.line <= data.count(b"\n") + 1
