"""scope.py: pure, so by properties too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.text.path_patterns import in_scope, normalise, overlap

part = st.text("ab[]*?!-.", min_size=1, max_size=4).filter(lambda p: p not in (".", ".."))
plain_part = st.text("ab.-", min_size=1, max_size=3).filter(lambda p: p not in (".", ".."))
entries = st.lists(part, min_size=1, max_size=3).map("/".join)
paths = st.lists(plain_part, min_size=1, max_size=3).map("/".join)


@pytest.mark.parametrize(
    ("entry", "covered", "outside"),
    [
        ("src/a.js", ["src/a.js"], ["src/a.jsx", "src/b.js", "a.js"]),
        ("src", ["src/a.js", "src/x/y.js", "src"], ["srcs/a.js", "lib/src/a.js"]),
        ("src/", ["src/a.js"], ["srcs/a.js"]),
        ("./src//a.js", ["src/a.js"], ["a.js"]),
        ("src/*.js", ["src/a.js", "src/.js"], ["src/x/a.js", "src/a.ts"]),
        ("src/**", ["src/a.js", "src/x/y/z"], ["src", "lib/a"]),
        ("src/**/*.js", ["src/a.js", "src/x/y/a.js"], ["src/a.ts", "srcx/a.js"]),
        ("**/*.md", ["a.md", "x/y/a.md"], ["a.mdx"]),
        ("packages/*/", ["packages/a/x.js", "packages/a/b/c"], ["packages/a", "other/a/x"]),
        ("a?.js", ["ab.js"], ["a.js", "a/.js", "abc.js"]),
        ("[ab].js", ["a.js", "[ab].js"], ["c.js"]),
        ("[!ab].js", ["c.js"], ["a.js", "/.js"]),
        ("[a-c].js", ["b.js"], ["d.js"]),
        ("pages/[id].tsx", ["pages/[id].tsx", "pages/i.tsx"], ["pages/x.tsx"]),
        ("pages/[id]/", ["pages/[id]/x.ts"], ["pages/z/x.ts"]),
        ("[", ["["], ["x"]),
        (".", ["anything", "at/all"], []),
        ("x\ny*", ["x\nyz"], ["x"]),
    ],
)
def test_what_an_entry_covers(entry: str, covered: list[str], outside: list[str]) -> None:
    assert in_scope([*covered, *outside], [entry]) == tuple(outside)


def test_no_files_cover_everything_and_claim_nothing() -> None:
    assert in_scope(["x"], []) == ()
    assert not overlap([], ["x"])
    assert not overlap(["x"], [])


@pytest.mark.parametrize("entry", ["/etc/passwd", "../x", "a/../../x", "", "a\0b"])
def test_what_is_no_path_of_the_tree(entry: str) -> None:
    for call in (lambda: normalise(entry), lambda: in_scope(["x"], [entry]), lambda: overlap(["x"], [entry])):
        with pytest.raises(UserError, match="files: "):
            call()


@pytest.mark.parametrize(
    ("a", "b", "meet"),
    [
        ("src/a.js", "src/a.js", True),
        ("src/a.js", "./src//a.js", True),
        ("src", "src/a.js", True),
        ("src/", "src", True),
        ("src/a", "src/ab", False),
        ("src/a.js", "src/b.js", False),
        ("src/*.js", "src/a.js", True),
        ("src/*.js", "lib/*.js", False),
        ("src/*.js", "src", True),
        ("**/x", "lib/a", True),
        (".", "lib/a", True),
        ("src/a*", "src/b*", False),
    ],
)
def test_overlap(a: str, b: str, meet: bool) -> None:
    assert overlap([a], [b]) is meet
    assert overlap([b], [a]) is meet
    assert overlap(["other", a], [b]) is meet


@given(paths, entries, entries)
def test_two_entries_that_cover_one_path_overlap(path: str, a: str, b: str) -> None:
    if not in_scope([path], [a]) and not in_scope([path], [b]):
        assert overlap([a], [b])


@given(paths, st.lists(entries, max_size=3), entries)
def test_more_entries_never_cover_less(path: str, files: list[str], more: str) -> None:
    if files and not in_scope([path], files):
        assert in_scope([path], [*files, more]) == ()


@given(entries)
def test_normalising_twice_changes_nothing_and_a_name_covers_itself(entry: str) -> None:
    once = normalise(entry)
    assert normalise(once or ".") == once
    assert in_scope([once.rstrip("/")], [entry]) == ()
