"""Planning from lines, CSV and JSON lines: the same rows each time, and a second run changes nothing."""

from __future__ import annotations

import csv
import io
import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.plans.records import guess
from agentjobs.plans.rows import Format, Planned, merge_rows, read_rows, slug
from agentjobs.table.table import parse
from agentjobs.text.tsv import is_id

# --- formats ----------------------------------------------------------------------------------------------


def test_lines() -> None:
    assert read_rows(b"src/a.js\r\n\n  \nsrc/b c.js", "lines") == [
        {"id": "src-a.js", "item": "src/a.js"},
        {"id": "src-b-c.js", "item": "src/b c.js"},
    ]


def test_lines_that_are_files_are_one_path_each() -> None:
    data, _ = merge_rows(None, read_rows(b"my $(file).js\n-x\n", "lines", column="files"))
    table = parse(data)
    assert [table.row(id_).files for id_ in table.ids] == [("my $(file).js",), ("-x",)]
    assert table.ids == ("my-file-.js", "x")


def test_lines_that_are_ids() -> None:
    assert read_rows(b"a\nb\n", "lines", column="id") == [{"id": "a"}, {"id": "b"}]


def test_csv() -> None:
    assert read_rows(b'\xef\xbb\xbfid, text\r\na,"x, ""y""\nz"\r\n\r\nb\r\n', "csv") == [
        {"id": "a", "text": 'x, "y"\nz'},
        {"id": "b", "text": ""},
    ]


def test_json_lines() -> None:
    data = b'{"id":"a","n":1.50,"big":1e400,"yes":true,"no":null,"files":["a b","c"],"after":["x","y"]}\n\n'
    assert read_rows(data, "jsonl") == [
        {"id": "a", "n": "1.50", "big": "1e400", "yes": "true", "no": "", "files": "'a b' c", "after": "x y"}
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "lines"),
        ("src/a.js\n", "lines"),
        ("a,b.js\nc.js\n", "lines"),
        ("hello, world\n", "lines"),
        ("a,b\nc\n", "lines"),
        ('a,"b\n', "lines"),
        ("name,text\nx,y\n", "csv"),
        ("id\nx\n", "csv"),
        ('\n {"id": 1}\n', "jsonl"),
    ],
)
def test_auto(text: str, kind: str) -> None:
    assert guess(text) == kind
    assert kind in get_args(Format)


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("lines", b"a\nb\xff.js\n", "<stdin>:2:2: byte 0xff is not UTF-8"),
        ("lines", b"a\0b\0", "<stdin>:1:2: a NUL byte"),
        ("csv", b"a,b\n1,2,3\n", "<stdin>:2: 3 fields, but the header names 2 columns"),
        ("csv", b"a,a\n", '<stdin>:1: column "a" is there twice'),
        ("csv", b"a,\n", "<stdin>:1: column 2 has no name"),
        ("csv", b'a,b\n"x\ny",2\nz,"4', "<stdin>:4: not CSV"),
        ("csv", b"id,cost\nx,5\n", '<stdin>:2: column "cost" belongs to agentjobs'),
        ("csv", b"id,status\nx,LANDING\n", '<stdin>:2: status "LANDING" of a new row: use DONE'),
        ("csv", b"id\nx\nX\n", '<stdin>:3: id "X" is already on line 2'),
        ("csv", b"id\nx y\n", '<stdin>:2: bad id "x y"'),
        ("jsonl", b'{"a":1}\n{"a":\n', "<stdin>:2:6: not JSON"),
        ("jsonl", b"[1]\n", "<stdin>:1: not an object"),
        ("jsonl", b'{"a":{"b":1}}\n', '<stdin>:1: "a" is not a text'),
        ("jsonl", b'{"a":["b"]}\n', '<stdin>:1: "a" is not a text'),
        ("jsonl", b'{"files":[null]}\n', '<stdin>:1: "files" is not a text'),
        ("jsonl", b'{"a":NaN}\n', "<stdin>:1: NaN is not valid JSON"),
        ("jsonl", b'{"a":1,"a":2}\n', "<stdin>:1: a key is there twice"),
        ("jsonl", b'{"files":"caf\\udce9"}\n', '<stdin>:1: "caf\\udce9" has half a surrogate pair in it'),
        ("jsonl", b'{"a":"\\u0000"}\n', '<stdin>:1: "\\x00" has a NUL in it'),
        ("jsonl", b'{" ":"x"}\n', "<stdin>:1: a column has no name"),
        ("jsonl", b'{"a":' * 100_000, "<stdin>:1: "),
    ],
)
def test_refuses_with_the_line(kind: Format, data: bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_rows(data, kind)
    assert str(caught.value).startswith(message)


# --- ids --------------------------------------------------------------------------------------------------


def ids(data: bytes, template: str | None = None) -> list[str]:
    return [row["id"] for row in read_rows(data, "auto", id_template=template)]


def test_ids_are_unique_and_stable() -> None:
    assert ids("A b\na-b\nÄ b\nA b\n".encode()) == ["A-b", "a-b-2", "A-b-3", "A-b-4"]
    assert ids(b"x\nx-2\nx\n") == ["x", "x-2", "x-3"]


def test_id_template() -> None:
    data = b"lang,name\nts,a b\njs,c\n"
    assert ids(data, "{{conv}}-{name}.{lang}") == ["conv-a-b.ts", "conv-c.js"]
    assert ids(b"id,n\nx,1\ny,1\n", "n{n}") == ["n1", "n1-2"]
    for template, message in (("{nam}", 'no column "nam"; here are lang, name'), ("{", "a literal {")):
        with pytest.raises(UserError, match="id template") as caught:
            ids(data, template)
        assert message in str(caught.value)


def test_slug() -> None:
    assert slug("../src/a..b.js") == "src-a.b.js"
    assert slug("x.lock") == "x-lock"
    assert slug("日本語") == slug("日本語") != slug("中文")
    assert slug("日本語").startswith("row-")
    assert len(slug("a" * 200)) == 80
    assert slug("a" * 200) != slug("a" * 201)


@given(st.text())
def test_a_slug_is_an_id_and_a_numbered_one_too(text: str) -> None:
    assert is_id(slug(text))
    assert is_id(slug(text) + "-1000000")


# --- merging ----------------------------------------------------------------------------------------------


def test_a_new_table() -> None:
    data, planned = merge_rows(None, read_rows(b"b\na\n"))
    assert data == b"id\tstatus\titem\nb\tTODO\tb\na\tTODO\ta\n"
    assert planned == Planned(added=("b", "a"))
    assert merge_rows(None, []) == (b"id\tstatus\n", Planned())


def test_what_was_begun_stays_and_the_rest_is_refreshed() -> None:
    table = parse(
        b"# mine\r\nid\tstatus\titem\tnote\r\n"
        b"a\tDONE\told\tfine\r\nb\tTODO\told\tlater\r\nc\t\tsame\r\nd\tIN_PROGRESS\told\r\nz\tTODO\told\r\n"
    )
    rows = [{"id": id_, "item": "same" if id_ == "c" else "new"} for id_ in "eabcd"]
    data, planned = merge_rows(table, rows)
    assert data == (
        b"# mine\r\nid\tstatus\titem\tnote\r\n"
        b"a\tDONE\told\tfine\r\nb\tTODO\tnew\tlater\r\nc\t\tsame\r\nd\tIN_PROGRESS\told\r\nz\tTODO\told\r\n"
        b"e\tTODO\tnew\t\r\n"
    )
    differing = ("a (DONE, other item)", "d (IN_PROGRESS, other item)")
    assert planned == Planned(added=("e",), refreshed=("b",), kept=("a", "c", "d"), differing=differing)


def test_a_row_may_bring_its_status() -> None:
    rows = read_rows(b"id,status\na,skipped\nb,\n")
    data, _ = merge_rows(None, rows)
    assert data == b"id\tstatus\na\tSKIPPED\nb\tTODO\n"
    assert merge_rows(parse(data), rows) == (data, Planned(kept=("a", "b")))


def test_an_id_but_for_case_is_refused() -> None:
    with pytest.raises(UserError, match=r'tasks\.tsv:2:1: id "Foo" differs from the new "foo" only in case'):
        merge_rows(parse(b"id\nFoo\n"), [{"id": "foo"}])


def test_many_of_one_name_are_quick() -> None:
    found = ids(b"x\n" * 20_000)
    assert found[:2] == ["x", "x-2"]
    assert found[-1] == "x-20000"


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5)
records = st.lists(
    st.dictionaries(names.filter(lambda name: bool(name.strip())).map(lambda name: f"c{name}"), names),
    max_size=5,
)


@settings(max_examples=80)
@given(records)
def test_planning_twice_changes_nothing(items: list[dict[str, str]]) -> None:
    text = "".join(json.dumps(item) + "\n" for item in items)
    rows = read_rows(text.encode(), "jsonl")
    assert [{name: row[name] for name in row if name != "id"} for row in rows] == items
    data, planned = merge_rows(None, rows)
    assert len(planned.added) == len(items)
    table = parse(data)
    for row in rows:
        assert all(table.cell(row["id"], name) == value for name, value in row.items())
    assert merge_rows(table, rows) == (data, Planned(kept=planned.added))


@settings(max_examples=80)
@given(st.lists(st.tuples(names, names), min_size=1, max_size=5))
def test_csv_comes_through_whole(pairs: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("p", "q"), *pairs])
    rows = read_rows(out.getvalue().encode(), "csv")
    assert [(row["p"], row["q"]) for row in rows] == [pair for pair in pairs if "".join(pair).strip()]


@settings(max_examples=150)
@given(st.binary(max_size=40) | st.text(alphabet='{}",:[]ab\n\r\\0', max_size=40).map(str.encode))
def test_any_input_is_read_or_refused(data: bytes) -> None:
    for kind in get_args(Format):
        message, rows = "", []
        try:
            rows = read_rows(data, kind)
            table = parse(merge_rows(None, rows)[0])
        except UserError as error:
            message = str(error)
        assert message.startswith("<stdin>:") if message else len(table) == len(rows)
