"""One list of a YAML file, in each style that a pnpm-workspace.yaml is written in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.source.yaml_list import list_under

GLOBS = st.text("ab*!/.{,}@-_'\" #é[]\\:", min_size=1, max_size=8).map(str.strip).filter(bool)
COMMENTS = st.sampled_from(["", " # all", "  #", " # 'no' [x, \"y\"]"])


def plain(text: str, *, flow: bool) -> bool:
    """Whether a text needs no quotes in YAML."""
    bad = set(",[]{}") if flow else set()
    return not (text[0] in "-?:,[]{}#&*!|>'\"%@`" or text[-1] == ":" or " #" in text or ": " in text or bad & set(text))


@st.composite
def written(draw: st.DrawFn) -> tuple[list[str], str]:
    globs, flow = draw(st.lists(GLOBS, max_size=4)), draw(st.booleans())
    end = draw(st.sampled_from(["\n", "\r\n"]))
    texts = []
    for glob in globs:
        quoted = [json.dumps(glob), json.dumps(glob, ensure_ascii=False), "'" + glob.replace("'", "''") + "'"]
        texts.append(draw(st.sampled_from(quoted + [glob] * plain(glob, flow=flow))))
    key = draw(st.sampled_from(["packages:", '"packages":', "'packages' :"]))
    indent = draw(st.sampled_from(["  ", "", "    "]))
    between = st.sampled_from(["", "# about [it]", "   # - 'not'"])
    if flow:
        gaps = [draw(st.sampled_from([" ", "", f"{draw(COMMENTS)}{end}  "])) for _ in range(len(texts) + 1)]
        comma = draw(st.sampled_from(["", ","])) if texts else ""
        listed = ",".join(gap + text for gap, text in zip(gaps, texts, strict=False))
        lines = [f"{key} [{listed}{comma}{gaps[-1]}]{draw(COMMENTS)}"]
    else:
        lines = [key + draw(COMMENTS)]
        for text in texts:
            lines += [draw(between), f"{indent}- {text}{draw(COMMENTS)}"]
    before = draw(st.sampled_from([[], ["---"], ["all:", "  packages:", "    - no", ""], ["# packages:", "a: [b]"]]))
    after = draw(st.sampled_from([[], [""], ["catalog:", "  - no"], ["---", "packages:", "- no"], ['"x": ["no"]']]))
    return globs, end.join([*before, *lines, *after])


@given(written())
def test_a_list_is_read_as_it_was_written(given_: tuple[list[str], str]) -> None:
    globs, text = given_
    assert list_under("packages", text) == tuple(globs), text


@given(st.text("packages:[],-'\"\\# \n!*{}|>ab", max_size=40))
def test_anything_else_is_read_without_an_error(text: str) -> None:
    assert isinstance(list_under("packages", "packages:" + text), tuple)


@pytest.mark.parametrize(("text", "globs"), [
    ('packages: ["packages/*"]\n', ["packages/*"]),
    ("packages:\n  - packages/*\n  - '!**/test/**' # no tests\n", ["packages/*", "!**/test/**"]),
    ("packages:\n- !**/test/**\n- packages/{a,b}\n", ["!**/test/**", "packages/{a,b}"]),
    ("packages: packages/*\n", []), ("packages: {a: b}\n", []), ("packages:\n", []), ("", []),
    ("packagesx:\n- a\n", []), ('packages: ["a\\u0062\\x63", "\\""]', ["abc", '"']), ("packages: [a, ", ["a"]),
])  # fmt: skip
def test_what_people_write(text: str, globs: list[str]) -> None:
    assert list(list_under("packages", text)) == globs
