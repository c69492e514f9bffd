"""Tables as spreadsheets and people make them: what is nearly right is refused or named, never silently dropped."""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentjobs.model.columns import TOOL_COLUMNS, USER_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.plans.records import EXPORTED
from agentjobs.plans.rows import read_rows
from agentjobs.table.table import parse

if TYPE_CHECKING:
    from tests.kit.harness import Project

OURS = (*USER_COLUMNS, *TOOL_COLUMNS)


def refused(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        parse(data)
    return str(caught.value)


@st.composite
def near_misses(draw: st.DrawFn) -> tuple[str, str]:
    """Return a column of ours, and how a spreadsheet, a keyboard or a copied page may write it."""
    name = draw(st.sampled_from(OURS))
    case = draw(st.sampled_from([str.lower, str.upper, str.title, str.swapcase]))
    wide = draw(st.booleans())
    inside = draw(st.sampled_from(["", "\u200b", "\u00ad", "\u2060", "\u0301", "\ufeff"]))
    blank = st.sampled_from(["", " ", "\u00a0", "\u3000", "\u202f", "_", "-", ":", '"', "*"])
    at = draw(st.integers(0, len(name)))
    text = "".join(chr(ord(one) + 0xFEE0) for one in case(name)) if wide else case(name)
    return name, draw(blank) + text[:at] + inside + text[at:] + draw(blank)


@given(near_misses())
@example(("files", "Files"))
@example(("files", "files "))
@example(("files", "files\u00a0"))
@example(("files", "F\u0130LES"))
def test_a_header_that_is_nearly_one_of_ours_is_an_error(case: tuple[str, str]) -> None:
    name, written = case
    before = "" if name == "id" else "id\t"
    data = f"{before}{written}\ta\n".encode()
    if written == name:
        assert name in parse(data).header
    elif not written.startswith("#"):
        assert f'is not "{name}"; write it like that' in refused(data)
        assert refused(data).startswith("tasks.tsv:1:")


def test_beside_the_right_one_it_is_renamed() -> None:
    assert refused(b"id\tfiles\tFiles\n") == 'tasks.tsv:1:10: column "Files" is not "files"; rename one of the two'


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r\t\\"), min_size=1).filter(str.strip))
@example("file")
@example("cost (usd)")
@example("re-files")
@example("files2")
def test_a_column_of_the_users_own_is_never_refused(name: str) -> None:
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if one.isascii() and one.isalpha()).lower()
    if plain not in OURS:
        assert parse(f"id\t{name}\nx\ty\n".encode()).header == ("id", name)


@pytest.mark.parametrize(
    ("kind", "data"),
    [("csv", b"ID,Task\na,x\n"), ("jsonl", b'{"id": "a", "Files": ["x"]}\n'), ("csv", b"id,FILES\na,x\n")],
)
def test_planned_rows_have_the_same_rule(kind: str, data: bytes) -> None:
    with pytest.raises(UserError, match=r'<stdin>:1: column "\w+" is not "\w+"; write it like that'):
        read_rows(data, kind)  # type: ignore[arg-type]


def test_plan_rows_refuses_a_column_option_that_is_nearly_ours(project: Project) -> None:
    done = project.run("plan", "rows", "--column", "Files", stdin="a.js\n", code=1)
    assert 'column "Files" is not "files"' in done.stderr


@pytest.mark.parametrize(
    ("column", "meant"),
    [("file", "files"), ("fils", "files"), ("prority", "priority"), ("depends", "after"), ("Depends On", "after"),
     ("verfy", "verify"), ("stauts", "status"), ("title", ""), ("host", ""), ("name", ""), ("module", "")],
)  # fmt: skip
def test_check_warns_of_typing_errors_and_of_nothing_else(project: Project, column: str, meant: str) -> None:
    project.rows({"id": "a", column: "x"}, columns=["id", column])
    found = [line for line in project.run("check", code=0).stderr.splitlines() if "column" in line]
    message = f'agentjobs: tasks.tsv:1: warning: column "{column}" means nothing to agentjobs; did you mean "{meant}"?'
    assert found == ([message] if meant else [])


# --- quotes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'id\ttask\na\t"first line\nsecond line"\n', "2:3"),
        (b'id\ttask\tx\nz\tq\na\t"first\n\nthird"\t1\nb\tc\td\n', "3:3"),
        (b'task\tid\n"first\nsecond"\ta\n', "2:1"),
        (b'id\t"task\nname"\na\tb\n', "1:4"),
        (b'id\tstatus\ttask\na\tTODO\t"say ""hi""\nto all"\n', "2:8"),
        (b'id\ttask\r\na\t"first\r\nsecond"\r\n', "2:3"),
    ],
)
def test_a_cell_that_a_spreadsheet_broke_over_lines_is_named_where_it_begins(data: bytes, place: str) -> None:
    said = refused(data)
    assert said.startswith(f"tasks.tsv:{place}: a quoted cell that goes on to line ")
    assert "\\n for a line break" in said


def test_another_fault_keeps_its_own_words() -> None:
    assert "bad id" in refused(b'id\ttask\na\t"open\nb\tc\nb d\te\n')


def test_check_warns_of_cells_that_are_quoted_as_in_a_csv(project: Project) -> None:
    cells = {"a": '"Say ""hello"" to all"', "b": '"plain"', "c": 'x ""y""', "d": '"never', "e": '5"', "f": '""'}
    project.rows(*({"id": id_, "task": cell} for id_, cell in cells.items()))
    found = [line for line in project.run("check", code=0).stderr.splitlines() if "quote" in line]
    csv_like = "'task' of 'a' is quoted as in a CSV; take the outer quotes out and write \" for \"\""
    opened = "'task' of 'd' begins with a quote that is never closed; in this table quotes are text"
    assert [line.partition(": warning: ")[::2] for line in found] == [
        ("agentjobs: tasks.tsv:2", csv_like), ("agentjobs: tasks.tsv:5", opened)
    ]  # fmt: skip


# --- files ----------------------------------------------------------------------------------------------------


def test_check_names_paths_that_are_nowhere(project: Project) -> None:
    for name in ("a.py", "b.py", "app/x.py"):
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text("x\n")
    project.git("add", "-A")
    project.git("commit", "-qm", "files")
    project.rows(
        {"id": "ok", "files": "a.py new.py"}, {"id": "dir", "files": "app"}, {"id": "glob", "files": "app/*.py"},
        {"id": "comma", "files": "a.py,b.py"}, {"id": "semi", "files": "a.py;b.py"},
        {"id": "none", "files": "src/q.py"}, {"id": "over", "files": "gone.py", "status": "DONE"}, {"id": "free"},
    )  # fmt: skip
    found = [line for line in project.run("check", code=0).stderr.splitlines() if "there" in line]
    parts = "is one path, and only its parts are there; separate paths by spaces"
    assert [line.partition(": warning: ")[::2] for line in found] == [
        ("agentjobs: tasks.tsv:5", f"'a.py,b.py' of 'comma' {parts}"),
        ("agentjobs: tasks.tsv:6", f"'a.py;b.py' of 'semi' {parts}"),
        (
            "agentjobs: tasks.tsv:7",
            "none of these `files` is there yet (none: src/q.py): right only for files that a task makes",
        ),
    ]


# --- what is piped into `plan rows` ---------------------------------------------------------------------------

names = st.lists(
    st.text(st.sampled_from("abcXYZ_-üß1"), min_size=2, max_size=6).filter(lambda name: name[0].isalpha()),
    min_size=2, max_size=4, unique=True,
).filter(lambda found: not {one.casefold() for one in found} & set(OURS))  # fmt: skip
values = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), max_size=8)


@given(st.data(), names, st.sampled_from(["\t", ";", ","]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_a_spreadsheet_exports_comes_in_as_it_was(
    data: st.DataObject, header: list[str], separator: str, end: str, bom: bool
) -> None:
    texts = values | st.sampled_from(["a, b", 'say "x"', "a;b", "two\nlines"])
    cells = st.lists(texts, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(cells.filter(lambda row: any(cell.strip() for cell in row)), max_size=4))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator=end).writerows([header, *rows])
    text = out.getvalue()
    if separator == "\t" and rows and '"' in text and not EXPORTED.search(text):
        return  # a lone quote in quotes is text in a table of ours
    if separator != "\t" and text.lstrip().startswith("{"):
        return
    found = read_rows((b"\xef\xbb\xbf" if bom else b"") + text.encode(), "auto")
    assert [[row[name] for name in header] for row in found] == rows


def test_a_table_of_ours_comes_in_with_its_escapes_and_without_its_comments() -> None:
    data = b"\xef\xbb\xbf# ours\r\nid\tfiles\ttask\r\n\r\n# b\tparked\r\na\t'x y' z\tone\\ntwo\\\\ \"q\"\r\nc\r\n"
    assert read_rows(data, "auto") == [
        {"id": "a", "files": "'x y' z", "task": 'one\ntwo\\ "q"'},
        {"id": "c", "files": "", "task": ""},
    ]
    assert read_rows(b"nr\ttask\n#12\tx\n", "auto") == [{"id": "12", "nr": "#12", "task": "x"}]


@pytest.mark.parametrize(
    "text",
    ["a task\tmore\nb\tc\n", "id 1;Do this.\nid 2;Do that.\n", "Task Name,Where\nx,y\n", "id,task\na,one, two\n",
     "id;task\na;one; two\n", "1\t2\n3\t4\n", "id, task\na, b\n"],
)  # fmt: skip
def test_what_may_be_a_table_is_asked_for_and_not_planned(text: str) -> None:
    with pytest.raises(UserError, match=r"^<stdin>:1: this may be a table .* --format (tsv|csv) or --format lines$"):
        read_rows(text.encode(), "auto")
    assert all(row["item"] for row in read_rows(text.encode(), "lines"))


@pytest.mark.parametrize(
    "text",
    ["Fix a; then b\nFix c\n", "Fix a; then b\n", "Add tests, please\nFix it\n", "Doe, John\nRoe, Jane\n",
     "x\none\ttwo\n", "a,b.js\nc,d.js\n", "a b\n"],
)  # fmt: skip
def test_plain_items_with_separators_in_their_text_stay_plain(text: str) -> None:
    assert [row["item"] for row in read_rows(text.encode(), "auto")] == text.splitlines()


def test_with_a_column_lines_are_lines() -> None:
    assert [row["task"] for row in read_rows(b"a b;c\nd e;f\n", "auto", column="task")] == ["a b;c", "d e;f"]
    with pytest.raises(UserError, match="--format tsv or --format lines"):
        read_rows(b"a b\tc\nd\te\n", "auto", column="task")


def test_line_ends_of_an_old_mac() -> None:
    assert [row["item"] for row in read_rows(b"a\rb\rc", "auto")] == ["a", "b", "c"]


# --- names that git quotes ------------------------------------------------------------------------------------

ODD = ["app/日本 語.tsx", "app/back\\slash.tsx", 'say "hi".js', "tab\there.js", "new\nline.js", "bell\a\x1b\x7f.js",
       "it's.js", "app/ lead.js", "-dash.js", '"all".js', "a;b.js", "a,b.js", "#x.js", "plain.js"]  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("-z",), ("--null",)])
def test_files_that_git_lists_are_the_files_there_are(project: Project, flags: tuple[str, ...]) -> None:
    (project.root / "app").mkdir()
    for name in ODD:
        (project.root / name).write_text("x\n")
    project.git("add", "-A")
    project.git("commit", "-qm", "odd names")
    listed = project.git("ls-files", *(("-z",) if flags else ()), "--", "*.js", "*.tsx")
    project.run("plan", "rows", "--column", "files", *flags, stdin=listed, code=0)
    table = parse((project.root / "tasks.tsv").read_bytes())
    assert sorted(path for id_ in table.ids for path in table.row(id_).files) == sorted(ODD)
    assert "there yet" not in project.run("check", code=0).stderr


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_null_ends_each_item(name: str) -> None:
    assert [row["item"] for row in read_rows(f"{name}\0x\0".encode(), "null")] == [name, "x"]


def test_a_name_that_no_table_can_hold_is_refused_with_its_line() -> None:
    for data, kind in ((b'a\n"b\\377"\n', "lines"), (b"a\0b\xff\0", "null")):
        with pytest.raises(UserError, match=r'^<stdin>:2: "b.+" is not UTF-8'):
            read_rows(data, kind, column="files")  # type: ignore[arg-type]


def test_quotes_that_git_did_not_make_stay() -> None:
    data = b'"a\\q"\n"open\nb"\n"x"y"\n'
    found = [row["files"] for row in read_rows(data, "lines", column="files")]
    assert found == [f"'{line}'" for line in data.decode().splitlines()]
    assert [row["item"] for row in read_rows(b'"a\\\\b"\n', "lines")] == ['"a\\\\b"']


def test_null_goes_with_lines_alone(project: Project) -> None:
    project.run("plan", "rows", "-z", "--format", "csv", stdin="x", code=64)


@pytest.mark.parametrize(
    "written", ["(files)", "[files]", "files?", "<files>", "|files|", "\u00abfiles\u00bb", "\u201efiles\u201c"]
)
def test_marks_around_a_column_of_ours_make_it_no_other(written: str) -> None:
    assert 'is not "files"; write it like that' in refused(f"id\t{written}\na\tx\n".encode())


@pytest.mark.parametrize("name", ["cost $", "cost %", "cost (usd)", "#files", "files (count)"])
def test_a_column_that_counts_something_of_ours_is_the_users_own(name: str) -> None:
    assert parse(f"id\t{name}\na\tx\n".encode()).header == ("id", name)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'[{"id": "a"}, {"id": "b"}]', 1), (b'[\n{"id": "a"},\n{"id": "b"}\n]\n', 1), (b"files\nsrc/a.txt\n", 1),
        (b"Files\r\nsrc/a.txt\r\n", 1), (b'"sep=,"\r\nid,files\r\na,x\r\n', 1), (b"sep=;\r\nid;files\r\na;x\r\n", 1),
        (b"| id | task |\n|----|:----:|\n| a | b |\n", 2), (b"a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\n", 2),
    ],
)  # fmt: skip
def test_what_is_no_list_of_lines_is_asked_for(data: bytes, line: int) -> None:
    with pytest.raises(UserError) as caught:
        read_rows(data)
    assert str(caught.value).startswith(f"<stdin>:{line}: ")
    assert "--format lines" in str(caught.value)
    assert read_rows(data, "lines")


@pytest.mark.parametrize(
    "data",
    [b"[a] fix\n[b] fix\n", b"[1, 2]\n", b"---\n", b"a | b\n", b"Fix sep=, in parser\n", b"files to fix\nx\n"],
)
def test_lines_that_only_look_a_little_so_are_lines(data: bytes) -> None:
    assert len(read_rows(data)) == len(data.split(b"\n")) - 1
