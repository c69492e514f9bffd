"""Tables and configs that are wrong in every way: one line that names the place, exit 1, and not a byte is changed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentjobs.cli import main

CONFIG = b"""\
slots = 2
[workspace]
kind = "none"
[limits]
start_interval_s = 0
min_free_memory = "0"
[profiles.default]
agent = "a"
require_change = false
verify = ["true"]
[agents.a]
command = ["true"]
[[agents.a.rules]]
class = "limit"
text = "limit"
"""
TABLE = b"id\tstatus\tafter\tfiles\tpriority\n# a comment\na\tDONE\t\tsrc/a.js 'b c'\t1\n\nb\tSKIPPED\ta\t\t\\t\n"
GOING = b"id\tstatus\tafter\tattempt\tstarted\tended\tnote\na\tDONE\t\t1\tx\ty\nb\tIN_PROGRESS\ta\nc\tTODO\tb\n"
COMMANDS = (("check",), ("dispatch", "--dry-run"), ("status",), ("poll",), ("plan", "rows"), ("show", "a"), ("prompt", "b"))
LINE = re.compile(r"agentjobs: (?:[^\n]*)\n\Z")


class Place:
    """A project directory that is written anew for every example."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.table = directory / "tasks.tsv"
        self.config = directory / "agentjobs.toml"
        (directory / "prompt.md.j2").write_text("{{ id }}")

    def run(self, *args: str) -> tuple[int, str]:
        """Run the program in this process; return its exit code and what it said on stderr."""
        errors = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
        before = os.getcwd()
        os.chdir(self.directory)
        try:
            with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):
                try:
                    main.main(list(args))
                except SystemExit as end:
                    errors.seek(0)
                    return int(end.code or 0), errors.read()
        finally:
            os.chdir(before)
        raise AssertionError("main returned")

    def check(self, table: bytes, config: bytes, args: tuple[str, ...], stdin: bytes = b"") -> tuple[int, str]:
        self.table.write_bytes(table)
        self.config.write_bytes(config)
        code, said = self.run(*args)
        story = f"{args} {table!r} {config!r} -> {code}: {said}{self.crash()}"
        assert code in {0, 1} or (code == 2 and args[0] == "poll"), story
        assert self.table.read_bytes() == table, story
        assert self.config.read_bytes() == config, story
        if code == 1 and args[0] not in {"check", "status"}:
            assert LINE.fullmatch(said), story
        for line in said.splitlines():
            assert line.startswith("agentjobs: "), story
        return code, said

    def crash(self) -> str:
        return "".join(path.read_text() for path in self.directory.rglob("crash-*.txt"))


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
        yield Place(Path(directory))


few = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
pieces = st.sampled_from(
    [
        b"id", b"status", b"after", b"files", b"priority", b"prompt", b"verify", b"profile", b"note", b"attempt", b"a", b"b",
        b"c.lock", b"..", b"A", b"DONE", b"TODO", b"done ", b"FAILED", b"IN_PROGRESS", b"nan", b"1e999", b"-1", b"'", b'"',
        b"\\", b"\\t", b"\\q", b"\\\\", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\r", b"#", b" ", b"../x", b"/etc", b"*[", b"\xe2\x98\x83",
        b"\xf0\x9f\x92\xa9", b"default", b"nobody", b"{{", b"x" * 300, b"\x1b[31m", b"\xc2\x85", b"\xe2\x80\xa8",
    ]
)  # fmt: skip
glue = st.sampled_from([b"\t", b"\t", b"\t", b"\n", b"\n", b"\r\n", b""])
tables = st.lists(st.tuples(pieces, glue), max_size=24).map(lambda pairs: b"".join(a + b for a, b in pairs))
likely = st.lists(
    st.lists(pieces, min_size=1, max_size=5).map(lambda cells: b"\t".join(cells)), max_size=5
).map(lambda lines: b"id\tstatus\tafter\tfiles\tpriority\n" + b"\n".join(lines))


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Change a few bytes of something right."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 6))
        data = data[:at] + draw(st.one_of(st.just(b""), pieces, st.binary(max_size=3))) + data[at + cut :]
    return data


@few
@given(st.one_of(tables, likely, mutations(TABLE), st.binary(max_size=80)), st.sampled_from(COMMANDS))
@example(b"", ("dispatch", "--dry-run"))
@example(b"id\tpriority\na\thigh\n", ("dispatch", "--dry-run"))
@example(b"id\tfiles\na\t'\n", ("dispatch", "--dry-run"))
@example(b"id\tfiles\na\t../x\n", ("dispatch", "--dry-run"))
@example(b"id\tprofile\na\tnobody\n", ("prompt", "a"))
@example(b"id\tprompt\na\t\\t\n", ("prompt", "a"))
@example(b"id\tprompt\nb\t" + b"x" * 5000 + b"\n", ("prompt", "b"))
def test_any_table(place: Place, table: bytes, args: tuple[str, ...]) -> None:
    code, said = place.check(table, CONFIG, args)
    if code == 1 and args[0] == "dispatch":
        assert re.match(r"agentjobs: (tasks\.tsv:\d+|tasks\.tsv: )", said) or "no task" in said, said


@few
@given(st.one_of(likely, mutations(TABLE), mutations(GOING)), st.one_of(likely, mutations(GOING)))
@example(b"id\tpriority\na\thigh\n", GOING)
@example(b"id\tstatus\tattempt\na\tIN_PROGRESS\t-1\nb\tDONE\tx\n", GOING)
def test_any_table_while_something_is_in_play(place: Place, first: bytes, second: bytes) -> None:
    """A poll that reads one table, then another; nothing is in play that could start."""
    from agentjobs.model.state import Scope
    from agentjobs.project.store import Store

    place.config.write_bytes(CONFIG)
    shutil.rmtree(place.directory / ".agentjobs", ignore_errors=True)
    store = Store(place.directory)
    store.create()
    store.set_state("scope", Scope(1.0, ids=("none",)))
    for table in (first, second):
        place.table.write_bytes(table)
        code, said = place.run("poll")
        story = f"{first!r} {second!r} -> {code}: {said}{place.crash()}"
        assert code in {0, 1, 2}, story
        if code == 1:
            assert LINE.fullmatch(said), story
            assert place.table.read_bytes() == table, story


toml = st.one_of(
    mutations(CONFIG),
    st.binary(max_size=60).map(lambda more: CONFIG + more),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["slots", "base", "target", "[limits]\nbreaker", "[limits]\noutput", "[retry]\nresumes", "[workspace]\nkind",
                 "[landing]\ngate", "[profiles.default]\nagent", "[profiles.x]\nfit", "[agents.a]\ncommand", "[agents.a.env]\nA",
                 "[[agents.a.rules]]\nclass", "sloths", "[agents.a.usage]\ntokens"]
            ),
            st.sampled_from(
                ["-1", "0", "1.5", "nan", "inf", '""', '"x"', "[]", '["{nope}"]', "{}", "true", "1979-05-27", '"\\u0000"', "[[]]",
                 '"' + "y" * 999 + '"', '["\\u0000"]', "99999999999999999999", '"-x"', '"1XiB"']
            ),
        ),
        max_size=3,
    ).map(lambda pairs: "\n".join(f"{key} = {value}" for key, value in pairs).encode()),
)  # fmt: skip


@few
@given(toml, st.sampled_from(COMMANDS))
@example(b"\xff", ("poll",))
@example(CONFIG + b'[agents.a.usage]\ntokens = [""]\n', ("check",))
def test_any_config(place: Place, config: bytes, args: tuple[str, ...]) -> None:
    code, said = place.check(TABLE, config, args)
    if code == 1 and "agentjobs.toml" in said and args[0] != "check":
        fault_of_the_policy = re.match(r"agentjobs: agentjobs\.toml(:\d+)*: ", said) or "no agentjobs.toml" in said
        assert fault_of_the_policy or re.match(r"agentjobs: tasks\.tsv:\d+: unknown profile ", said), said


@few
@given(
    st.lists(st.tuples(pieces, st.sampled_from([b",", b"\n", b"\t", b'"', b"{", b"}", b":", b'{"id":"'])), max_size=16).map(
        lambda pairs: b"".join(a + b for a, b in pairs)
    ),
    st.sampled_from(["auto", "lines", "csv", "jsonl"]),
)
def test_any_rows(place: Place, rows: bytes, form: str) -> None:
    """What ``plan rows`` is given is merged, or refused in one line with the table as it was; never a broken table."""
    from agentjobs.table.table import parse

    place.table.write_bytes(TABLE)
    place.config.write_bytes(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(rows)))
        code, said = place.run("plan", "rows", "--format", form)
    story = f"{form} {rows!r} -> {code}: {said}{place.crash()}"
    assert code in {0, 1}, story
    after = place.table.read_bytes()
    if code:
        assert after == TABLE, story
        assert LINE.fullmatch(said), story
    else:
        parse(after)


def test_a_real_dispatch_of_a_wrong_table_starts_nothing(tmp_path: Path) -> None:
    """The same through the real program, with the table written while tasks are in play."""
    from tests.kit.harness import Project

    project = Project(tmp_path / "p")
    project.plans(a="hold")
    table = project.root / "tasks.tsv"
    for wrong in (b"id\tplan\npriority\nb b\tok\n", b"id\tpriority\nb\thigh\n", b"\xff\xfe", b"id\tfiles\nb\t'\n"):
        table.write_bytes(wrong)
        done = project.run("dispatch")
        assert done.code == 1, (wrong, done)
        assert LINE.fullmatch(done.stderr), done
        assert re.match(r"agentjobs: tasks\.tsv:\d+:\d+: ", done.stderr), done
        assert table.read_bytes() == wrong
        assert not project.ledger()


def test_a_table_spoiled_in_the_middle_is_left_alone_and_then_goes_on(tmp_path: Path) -> None:
    from tests.kit.harness import Project

    project = Project(tmp_path / "p")
    project.plans(a="ok", b="ok")
    project.dispatch()
    table = project.root / "tasks.tsv"
    good = table.read_bytes()
    status = re.sub(rb"\nb\tok\t\w+", b"\nb\tok\tIN PROGRESS", good)  # whatever it is: agents are quick at times
    assert status != good
    for wrong in (good + b"a\n", status, good[:-3] + b"\xff\n", b""):
        table.write_bytes(wrong)
        done = project.poll()
        assert done.code == 1, (wrong, done)
        assert LINE.fullmatch(done.stderr), done
        assert table.read_bytes() == wrong
    table.write_bytes(good)
    project.poll_until(lambda: set(project.statuses().values()) == {"DONE"})
    assert project.starts() == {"a": 1, "b": 1}
