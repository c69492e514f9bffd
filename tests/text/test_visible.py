"""What an agent made up reaches neither the terminal nor the table as an escape sequence."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.text.visible import coloured, visible
from tests.kit.harness import CHECK, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.kit.harness import Project

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\udc80-\udc9f]")
COLOUR = re.compile("\x1b\\[[0-9;:]*m")
EVIL = "\x1b]0;HACKED\x07\x1b[2J\x9b31m\u202e"
NAME = "x\x1b]0;HACKED\x07y.txt"


@given(st.text())
def test_nothing_unsafe_is_left_and_text_stays(text: str) -> None:
    assert not UNSAFE.search(visible(text))
    if not UNSAFE.search(text):
        assert visible(text) == text
    safe_json = json.dumps(text, ensure_ascii=False)
    assert json.loads(visible(safe_json)) == text, "JSON stays JSON"


pieces = st.text(st.sampled_from("\x1b[]0123;m\r\n\tab\x07\x9bé\u202e"), max_size=40)


@given(pieces, st.lists(st.integers(0, 80), max_size=6))
def test_colours_stay_however_the_output_is_cut(text: str, cuts: list[int]) -> None:
    data = text.encode()
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    cut = [data[start:end] for start, end in itertools.pairwise(at)]
    out = b"".join(coloured(cut))
    assert out == b"".join(coloured([data]))
    assert not UNSAFE.search(COLOUR.sub("", out.decode()))
    assert COLOUR.findall(out.decode()) == COLOUR.findall(text)


def test_bytes_that_are_a_control_in_no_encoding_but_latin_1() -> None:
    assert b"".join(coloured([b"a\x9b31mb\xff"])) == b"a\\x9b31mb\xff"


def on_a_terminal(project: Project, args: Sequence[str]) -> str:
    """Run the program with a terminal as its output; return all that came."""
    leader, follower = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "agentjobs", *args],
        cwd=project.root, env=project.env | {"PYTHONPATH": str(REPOSITORY)}, stdin=subprocess.DEVNULL, stdout=follower,
        stderr=follower,
    )  # fmt: skip
    os.close(follower)
    came = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        came += piece
    running.wait(60)
    os.close(leader)
    return came.decode().replace("\r\n", "\n")


@pytest.fixture
def attacked(project: Project) -> Project:
    """Give a project in which an agent has put escapes wherever it can."""
    project.configure(
        retry={"resumes": 0, "repairs": 0, "restarts": 0},
        profiles={"default": {"verify": [f"printf '\\033]0;HACKED\\007 \\033[31mred\\033[0m\\n'; {CHECK}"]}},
    )
    project.rows(
        {"id": "a", "plan": "report", "writes": f"'{NAME}=x'", "says": f"changed {NAME}", "files": "a.txt",
         "title": EVIL.replace("\x1b[2J", "")},
        {"id": "b", "plan": "wrong", "title": EVIL},
    )  # fmt: skip
    project.settle()
    return project


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "command",
    [("show", "a"), ("show", "b"), ("status",), ("status", "--failures"), ("prompt", "a"), ("check",), ("logs", "b"),
     ("prompt", "a", "--explain"), ("show", "a", "--json"), ("retry", EVIL), ("plan", "rows", "--format", EVIL)],
)  # fmt: skip
def test_no_command_gives_them_to_a_terminal(attacked: Project, command: tuple[str, ...]) -> None:
    came = on_a_terminal(attacked, command)
    assert came
    assert not UNSAFE.search(COLOUR.sub("", came)), came
    assert ("\x1b[31mred\x1b[0m" in came) == (command[0] == "logs")


def test_the_table_holds_none_that_the_tool_wrote(attacked: Project) -> None:
    rows = attacked.table()
    assert {row["status"] for row in rows.values()} == {"FAILED"}
    assert r"\\x1b]0;HACKED\\x07" in rows["a"]["note"], "a backslash is written twice there"
    assert not any(UNSAFE.search(cell) for row in rows.values() for name, cell in row.items() if name == "note")
    assert rows["b"]["title"] == EVIL, "what a person wrote stays as it was"


def test_piped_output_of_programs_is_raw_and_text_of_ours_is_not(attacked: Project) -> None:
    assert "\x1b]0;HACKED\x07" in attacked.run("logs", "b", code=0).stdout
    assert "HACKED" in attacked.run("show", "a", code=0).stdout
    assert not UNSAFE.search(attacked.run("show", "a", code=0).stdout)
