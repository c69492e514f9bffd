"""What is kept of a long log, and how the same failure is known again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.text.excerpt import clean_lines, error_excerpt, looks_like_error, signature

TSC = b"""\
src/a.ts(12,5): error TS2322: Type 'string' is not assignable to type 'number'.
src/b.ts(3,1): error TS7006: Parameter 'x' implicitly has an 'any' type.
"""


def test_lines_are_as_a_person_sees_them() -> None:
    raw = b"\x1b[31mred\x1b[0m\r\n10%\r50%\r100% done\n\xff\x00\x07end  \n\n\n"
    assert clean_lines(raw) == ["red", "100% done", "\ufffdend"]
    assert clean_lines(b"\x1b]8;;link\x07text\x1b]8;;\x07") == ["text"]


def test_a_short_log_stays_whole() -> None:
    assert error_excerpt(TSC) == TSC.decode().rstrip("\n")


def test_repeats_are_counted() -> None:
    assert error_excerpt(b"warning: the same long line\n" * 500) == "warning: the same long line [500 times]"
    assert error_excerpt(b"}\n}\n\n\nx\n}\n") == "}\n\nx\n}"


def test_head_errors_and_tail_of_a_long_log_stay() -> None:
    lines = [f"step {i} went perfectly well" for i in range(5000)]
    lines[2500] = "TypeError: boom"
    text = error_excerpt("\n".join(lines).encode(), 2000)
    assert text.startswith("step 0 ")
    assert "TypeError: boom\nstep 2501 " in text
    assert text.endswith("step 4999 went perfectly well")
    assert "lines left out]" in text
    assert 1500 < len(text) <= 2000


def test_many_errors_leave_room_for_the_end() -> None:
    output = b"".join(b"src/%d.ts: error TS1: is wrong\n" % i for i in range(9000)) + b"9000 problems\n"
    text = error_excerpt(output, 3000)
    assert text.startswith("src/0.ts")
    assert text.endswith("9000 problems")


def test_a_huge_log_is_not_read_whole() -> None:
    text = error_excerpt(b"x" * 30_000_000 + b"\nError: the end", 500)
    assert text.endswith("Error: the end")


@pytest.mark.parametrize(
    "line", ["0 errors", "Found no errors", "ok 3 - handles errors", "  ✓ throws an error"]
)
def test_good_news_is_no_error(line: str) -> None:
    assert not looks_like_error(line)


def test_signature_is_the_same_in_another_tree_at_another_time() -> None:
    one = b"\x1b[31mFAIL\x1b[0m /w/trees/01/test/a.js (12 ms)\nError: port 4001 taken, run 3f2a9c81d0\n"
    two = (
        b"Error: port 4777 taken, run 99ee01ab7c\n"
        b"FAIL /w/trees/17/test/a.js (1.5 s)\nFAIL /w/trees/17/test/a.js (2 s)\n"
    )
    assert signature(one, "/w/trees/01") == signature(two, "/w/trees/17/")


def test_signature_sees_another_error_file_and_code() -> None:
    seen = {
        signature(TSC),
        signature(TSC.replace(b"src/b.ts", b"src/c.ts")),
        signature(TSC.replace(b"TS7006", b"TS7007")),
        signature(TSC.splitlines()[0]),
    }
    assert len(seen) == 4
    assert signature(TSC) == signature(TSC.replace(b"(12,5)", b"(99,1)"))


def test_signature_of_nothing_is_nothing() -> None:
    assert signature(b"") == signature(b"\n \n") == ""
    assert signature(b"no bad word here") != ""


def test_scratch_directories_do_not_count() -> None:
    assert signature(b"ENOENT: not found /tmp/run-a8Zk/x.js") == signature(
        b"ENOENT: not found /tmp/run-Qq9/x.js"
    )


LOGS = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from(
            [b"error: x\n", b"plain\n", b"\r", b"\x1b[", b"\x1b]0;", b"\xc3", b"y" * 900, b"\n", TSC]
        ),
        max_size=40,
    ).map(b"".join),
)


@settings(max_examples=150, deadline=None)
@given(output=LOGS, limit=st.integers(0, 300), tree=st.sampled_from(["", "/", "/w/t"]))
def test_any_bytes_are_bounded_and_clean(output: bytes, limit: int, tree: str) -> None:
    text = error_excerpt(output, limit)
    assert len(text) <= limit
    assert "\x1b" not in text
    text.encode()
    assert error_excerpt(output, limit) == text
    assert signature(output, tree) == signature(output + b"\n", tree)
