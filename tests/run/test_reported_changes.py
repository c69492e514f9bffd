"""What an agent says it changed: which lists are a claim, and where they differ from the diff."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.run.reported_changes import FINDINGS_MAX, TOLD_MAX, Claims, claimed, errors_with, findings
from agentjobs.workspace.diffstat import FileChange

TREE = "/work/trees/t1"


def change(path: str, was: str | None = None) -> FileChange:
    return FileChange(path, path if was is None else was, "1", "2", 1, 1)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("## Changed\n\n- a.py\n- src/b.py\n", ["a.py", "src/b.py"]),
        ("Files changed:\n* `a.py`: now `foo.bar` is `x/y.z`\n* **`b.py`** - done\n", ["a.py", "b.py"]),
        ("**Files changed**\n\n1. ./a.py (new)\n2) b/c.py — the rest\n", ["a.py", "b/c.py"]),
        ("## Changes\n```\nM  a.py\nA  b.py\n?? c.py\n```", ["a.py", "b.py", "c.py"]),
        ("Changed: a.py, b.py and c.py\n", ["a.py", "b.py", "c.py"]),
        ("## Changed\n- old.py -> new.py\n- `x.js` → `x.ts`\n", ["old.py", "new.py", "x.js", "x.ts"]),
        ("## Changed\n- modified: a.py\n- New file: `b c.py`\n- [x] d.py\n", ["a.py", "b c.py", "d.py"]),
        (f"## Changed\n- {TREE}/a.py\n- [b.py](b.py)\n- src/\n- lib/*.py\n", ["a.py", "b.py", "src/", "lib/*.py"]),
        ("## Changed\n- a.py\n  - b.py is used there\n    - c.py\n- d.py", ["a.py", "d.py"]),
        ("## Changed\n\nSome words about it.\n\n- a.py\n- I also ran the tests\n", ["a.py"]),
        ("## Changed\n- /etc/passwd\n- ../up.py\n- https://example.org/x.py\n- ~/x.py\n- a.py", ["a.py"]),
        ("## Changed\n| a.py | new |", None),
        ("Changed: nothing.", []),
        ("## Files changed\n\n- None\n", []),
        ("## Changed\n\nI made the parser faster and the tests pass now.", None),
        ("I changed a.py and b.py.", None),
        ("Files: a.py holds the parser.\n\n## Files\n- b.py\n", None),
        ("", None),
    ],
)
def test_what_is_a_claim(text: str, paths: list[str] | None) -> None:
    found = claimed(text, TREE)
    assert (None if found is None else list(found.paths)) == paths


@given(st.text(alphabet="ab./`-*> \n:#Changed", max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_may_be_looked_at(text: str) -> None:
    for source in (text, f"Changed:\n{text}"):
        found = claimed(source, TREE)
        if found is not None:
            assert all(path and not path.startswith("/") and ".." not in path.split("/") for path in found.paths)
            findings(found, [change("a")])


def said(*paths: str) -> Claims:
    return Claims(paths)


def test_both_ways_of_being_wrong() -> None:
    changes = [change("a.py"), change("src/b.py"), change("c.py", "")]
    assert findings(said("a.py", "src/b.py", "c.py"), changes) == ()
    assert findings(said("a.py", "d.py"), changes) == (
        "reported a change of d.py, but made none",
        "changed src/b.py without reporting it", "changed c.py without reporting it",
    )  # fmt: skip
    assert findings(Claims(), changes)[0] == "changed a.py without reporting it"
    assert findings(Claims(), []) == ()


def test_paths_may_be_told_in_other_words() -> None:
    changes = [change("packages/x/src/a.py"), change("packages/x/src/b.py"), change("new.ts", "old.js")]
    for claim in ("packages/x/", "x/src", "packages/*/src/*.py", "*.py"):
        assert findings(said(claim, "old.js"), changes) == (), claim
    assert findings(said("src/a.py", "b.py", "new.ts"), changes) == ()
    assert findings(said("c/a.py", "b.py", "packages", "new.ts"), changes) == (
        "reported a change of c/a.py, but made none",
    )


def test_a_word_is_no_path_unless_it_is_there() -> None:
    changes = [change("a.py")]
    assert findings(said("a.py", "everything", "Makefile"), changes) == ()
    assert findings(said("a.py", "Makefile"), changes, there={"Makefile"}) == (
        "reported a change of Makefile, but made none",
    )
    assert findings(said("refactoring", "cleanup"), changes) == (), "no list of paths at all"
    assert findings(said("a.py", "docs/"), changes) == ("reported a change of docs/, but made none",)


def test_only_what_is_recent_had_to_be_said() -> None:
    changes = [change("a.py"), change("b.py"), change("new.ts", "old.js")]
    assert findings(said("a.py"), changes, recent=["a.py"]) == ()
    assert findings(said("a.py"), changes, recent=["b.py"]) == ("changed b.py without reporting it",)
    assert findings(said("a.py"), changes, recent=["old.js"]) == ("changed new.ts without reporting it",)
    assert findings(said("a.py", "c.py"), changes, recent=[]) == ("reported a change of c.py, but made none",)


def test_there_is_an_end_to_it() -> None:
    found = findings(Claims(), [change(f"f{n:03}") for n in range(200)])
    assert len(found) == FINDINGS_MAX + 1
    assert found[-1] == f"and {200 - FINDINGS_MAX} more"
    told = errors_with("E: no\n", found)
    assert told.startswith("E: no\n\nIts list of")
    lines = told.split("\n")[3:]
    assert len(lines) == TOLD_MAX
    assert lines[0] == "- it changed f000 without reporting it"
    assert errors_with("", found[:1]).startswith("Its list of")
    assert errors_with("E", ()) == "E"
