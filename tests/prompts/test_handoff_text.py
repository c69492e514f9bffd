"""Handoffs read and shortened, and how much of whose reaches a prompt."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.prompts.handoff_budget import Left, choose
from agentjobs.prompts.handoff_text import HANDOFF_MAX, SECTIONS, Note, cut, full, parse, render, short
from agentjobs.prompts.handoffs import dependents
from agentjobs.table.ancestors import ancestors
from agentjobs.table.table import parse as parse_table
from agentjobs.tokens.count import count

WHOLE = Note(
    summary="A parser.",
    interfaces="- `parse(text)`",
    decisions="No tokens.",
    gotchas="Slow.",
    remaining="Errors.",
    changed="- src/a.py",
)

MARKDOWN = "\n\n".join(f"## {name.capitalize()}\n\n{getattr(WHOLE, name)}" for name in SECTIONS)


BOLD = """\
A parser.

**Public API**
- `parse(text)`
**Design decisions:** No tokens.
__Pitfalls__
Slow.
- **Todo**: Errors.

**Files changed:**
- src/a.py
"""
LABELS = """\
Overview: A parser.
Public API:
- `parse(text)`
Decisions: No tokens.
Gotchas: Slow.
Next steps: Errors.
Changed files:
- src/a.py
"""
ODD = """\
# Handoff of t1

Summary
=======
A parser.

Interfaces
---
- `parse(text)`

## 1. Decisions ##
No tokens.
## 2) Caveats
Slow.
## ✅ Remaining work
Errors.
## Changes
- src/a.py"""
LOUD = re.sub(r"## \w+", lambda found: found[0].upper(), MARKDOWN)


@pytest.mark.parametrize(
    "text",
    [
        MARKDOWN, MARKDOWN.replace("## ", "# "), MARKDOWN.replace("## ", "#### ").replace("\n", "\r\n"), LOUD,
        BOLD, LABELS, ODD,
    ],
)  # fmt: skip
def test_the_same_handoff_written_in_many_ways(text: str) -> None:
    assert parse(text) == WHOLE


def test_what_no_section_claims_is_kept() -> None:
    once = "First.\n\n## How to test\n\nmake\n\n### Quickly\n\nmake -j\n\n"
    note = parse(f"{once}## Summary\nSecond.\n## How to test\nagain\n")
    assert note.summary == "First.\n\nSecond."
    assert note.others == (("How to test", "make\n\n### Quickly\n\nmake -j\n\nagain"),)
    assert parse("no heading at all") == Note(summary="no heading at all")
    assert parse("") == parse("## Summary\n\n## Decisions\n") == Note()


def test_code_is_no_heading() -> None:
    text = "## Interfaces\n\n```sh\n# Summary\nTodo: x\n```\n\n## Summary\n\ns"
    assert parse(text) == Note(summary="s", interfaces="```sh\n# Summary\nTodo: x\n```")
    unclosed = parse("## Interfaces\n~~~\n# Summary\n")
    assert unclosed.interfaces.endswith("~~~")
    assert parse(render(unclosed)) == unclosed


def test_labels_are_known_names_only() -> None:
    note = parse("## Gotchas\nNote: the cache: it lies.\nhttp://example.org\nchanged::x\n- Todo: a bullet stays\n")
    assert note.gotchas.split("\n") == [
        "Note: the cache: it lies.", "http://example.org", "changed::x", "- Todo: a bullet stays",
    ]  # fmt: skip


WORDS = st.sampled_from(
    ["a", "text of it", "# Summary", "## Other thing", "### deeper", "Todo: x", "**API**", "**bold** word", "```",
     "~~~", "Summary", "===", "---", "", "  indented", "- Changed: y", "Interfaces: Decisions: z", "#", "# ",
     "    # code", "Files changed:", "- `a/b.c`", "\t", "####### seven", "## 3. ", "# Gotchas:", "é: ü", "Done"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map("\n".join))
@settings(max_examples=600, deadline=None)
def test_a_rendered_handoff_is_parsed_as_it_was(text: str) -> None:
    note = parse(text)
    assert parse(render(note)) == note
    said = {line.strip() for line in text.split("\n") if line.strip() in {"a", "text of it", "- `a/b.c`"}}
    assert all(line in render(note) for line in said), "nothing is lost"


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_handoff(text: str) -> None:
    note = parse(text)
    assert parse(render(note)) == note
    assert isinstance(short(text), str)


def test_short_is_interfaces_and_decisions_and_says_what_is_missing() -> None:
    text = short(MARKDOWN + "\n\n## Thanks\n\nto all")
    assert text == (
        "#### Interfaces\n\n- `parse(text)`\n\n#### Decisions\n\nNo tokens.\n\n"
        "(shortened; left out: summary, gotchas, remaining, changed and Thanks)"
    )
    assert short("## API\nf()") == "#### Interfaces\n\nf()"
    assert short("one\ntwo") == "one\ntwo"
    assert short("1\n2\n3\n4") == "1\n2\n3\n\n(shortened; left out: the rest of it)"
    assert short("1\n# Gotchas\nx") == "1\n\n(shortened; left out: the rest of it)"
    assert short("# Gotchas\nx") == "# Gotchas\nx"


def test_full_is_as_it_was_written_by_whole_lines() -> None:
    assert full("a\n\n# b") == "a\n\n# b"
    lines = [f"line {number} {'x' * 90}" for number in range(200)]
    told = full("\n".join(lines))
    assert len(told) <= HANDOFF_MAX
    *kept, last = told.split("\n")
    assert kept == lines[: len(kept)]
    assert last == f"(cut: {200 - len(kept)} more lines)"
    assert len(kept) > 70
    assert full("x" * (HANDOFF_MAX + 1)) == "(cut: 1 more line)"
    in_code = full("```\n" + "\n".join(lines))
    assert in_code.split("\n")[-2] == "```", "a block of code is closed"


@given(lines=st.lists(st.text(alphabet="ab` ", max_size=12), max_size=20), most=st.integers(0, 120))
@settings(max_examples=200, deadline=None)
def test_cut_fits_and_never_halves_a_line(lines: list[str], most: int) -> None:
    text = "\n".join(lines)
    told = cut(text, lambda piece: len(piece) <= most)
    assert len(told) <= most
    for line in told.split("\n") if told else ():
        assert line in text.split("\n") or line.startswith(("(cut: ", "```"))


# --- distance


def walk(edges: dict[str, list[str]], start: list[str], most: int = 60) -> tuple[list[tuple[str, int]], bool]:
    order = {name: at for at, name in enumerate(edges)}
    found, more = ancestors(start, lambda name: edges[name], order.get, most)
    return [(one.id, one.distance) for one in found], more


def test_each_is_told_once_at_its_nearest() -> None:
    edges = {"root": [], "a": ["root"], "c": ["a"], "b": ["a", "root", "gone"], "lone": []}
    assert walk(edges, ["b", "c", "b"]) == ([("c", 1), ("b", 1), ("root", 2), ("a", 2)], False)
    assert walk(edges, ["a"]) == ([("a", 1), ("root", 2)], False)
    assert walk(edges, ["nobody"]) == ([], False)
    assert walk({"x": ["y"], "y": ["x"]}, ["x"]) == ([("x", 1), ("y", 2)], False), "a circle ends"


def test_a_deep_chain_is_not_walked_to_its_end() -> None:
    looked: list[str] = []

    def after(name: str) -> list[str]:
        looked.append(name)
        return [str(int(name) - 1)]

    found, more = ancestors(["100000"], after, int, 60)
    assert more
    assert [one.distance for one in found] == list(range(1, 62))
    assert len(looked) == 61
    wide, more = ancestors(["top"], lambda _: [str(n) for n in range(1000)], lambda name: int(name, 36), 60)
    assert more
    assert len(wide) == 61


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_distance_is_the_shortest_way(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    edges = {
        str(n): [str(m) for m in data.draw(st.lists(st.integers(0, n - 1), max_size=4))] if n else []
        for n in range(size)
    }
    start = [str(n) for n in data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))]
    found, more = walk(edges, start)
    assert not more
    nearest = dict.fromkeys(start, 1)
    for _ in range(size):
        for name, distance in list(nearest.items()):
            for need in edges[name]:
                nearest[need] = min(nearest.get(need, 99), distance + 1)
    assert dict(found) == nearest
    assert found == sorted(found, key=lambda pair: (pair[1], int(pair[0])))


# --- the budget


def size(text: str) -> int:
    return len(text)


LONG = MARKDOWN.replace("A parser.", "A parser. " * 30)


def left(name: str, distance: int = 1, text: str = LONG, **more: object) -> Left:
    return Left(name, text, distance, int(name[1:], 36), **more)  # type: ignore[arg-type]


def told(items: list[Left], budget: int) -> list[tuple[str, str]]:
    return [(one.id, one.kind) for one in choose(items, budget, size)]


def test_the_nearest_come_first_and_in_full() -> None:
    whole, brief = len(LONG), len(short(LONG))
    items = [left("t1"), left("t2"), left("t3", 2), left("t4", 3)]
    assert told(items, 10**6) == [("t1", "full"), ("t2", "full"), ("t3", "short"), ("t4", "short")]
    exactly = 2 * whole + 2 * brief
    assert told(items, exactly)[-1] == ("t4", "short")
    both = [("t1", "full"), ("t2", "full")]
    line = len("(left out, no room: the handoffs of t4)")
    assert told(items, 2 * whole + brief + line) == [*both, ("t3", "short"), ("t4", "left out")]
    assert told(items, 2 * whole + 100) == [*both, ("t3, t4", "left out")]
    assert told(items, whole + brief + 60) == [("t1", "full"), ("t2", "short"), ("t3, t4", "left out")]
    assert told(items, 2 * brief + 60) == [("t1", "short"), ("t2", "short"), ("t3, t4", "left out")]
    assert told(items, 0) == []


def test_what_would_not_get_shorter_stays_as_it_is() -> None:
    text = "## Summary\nA.\n## API\nf()"
    assert len(text) < len(short(text))
    assert told([left("t1", 2, text)], 10**6) == [("t1", "full")]


def test_who_is_left_out_is_named() -> None:
    items = [left(f"t{n}", 2) for n in range(9)]
    (last,) = choose(items, 120, size, farther=True)
    assert last.id == "t0, t1, t2, t3, t4 and 4 more"
    assert last.text.endswith("the handoffs of t0, t1, t2, t3, t4 and 4 more, and of tasks before these)")
    assert last.distance == 2


def test_many_that_are_too_long_share_the_room() -> None:
    long = "## Interfaces\n\n" + "\n".join(f"- `function_{n}(argument)`" for n in range(200))
    found = choose([left(f"t{n}", text=long) for n in range(4)], 2000, size)
    assert [one.kind for one in found] == ["short"] * 4
    assert all(400 < len(one.text) <= 500 and "(cut: " in one.text for one in found)


def test_derived_ones_say_so() -> None:
    found = choose([left("t1", derived=True), left("t2", 2, derived=True)], 10**6, size)
    assert [one.kind for one in found] == ["derived", "derived"]
    assert found[0].text == LONG
    assert found[1].text == short(LONG)


TEXTS = st.lists(WORDS | st.just("## Interfaces\n- `f()`\n- `g()`"), min_size=1, max_size=12).map("\n".join)


@given(
    texts=st.lists(st.tuples(TEXTS, st.integers(1, 4), st.booleans()), max_size=12),
    budget=st.integers(0, 900), seed=st.integers(0, 9), farther=st.booleans(), in_tokens=st.booleans(),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_never_over_the_budget_in_whatever_order(
    texts: list[tuple[str, int, bool]], budget: int, seed: int, farther: bool, in_tokens: bool
) -> None:
    items = [Left(f"t{at}", text, distance, at, made) for at, (text, distance, made) in enumerate(texts)]
    measure = count if in_tokens else size
    found = choose(items, budget, measure, farther=farther)
    assert sum(measure(one.text) for one in found) <= budget
    mixed = items.copy()
    random.Random(seed).shuffle(mixed)
    assert choose(mixed, budget, measure, farther=farther) == found
    known = {item.id: item for item in items}
    real = [one for one in found if one.kind != "left out"]
    assert [one.id for one in real] == [item.id for item in sorted(items, key=lambda i: (i.distance, i.place))
                                        if item.id in {one.id for one in real}]  # fmt: skip
    assert all(one.text and known[one.id].distance == one.distance for one in real)
    missing = [item.id for item in items if item.id not in {one.id for one in real}]
    if len(found) > len(real):
        *names, last = found[-1].id.split(", ")
        named = [*names, last.partition(" and ")[0]]
        more = last.partition(" and ")[2].removesuffix(" more")
        assert set(named) <= set(missing)
        assert len(named) + int(more or 0) == len(missing)


# --- dependents


@given(st.lists(st.lists(st.integers(0, 14), max_size=4), min_size=1, max_size=15))
@settings(max_examples=60, deadline=None)
def test_who_waits_for_whom_is_the_same_asked_once_or_for_all(needs: list[list[int]]) -> None:
    rows = "".join(f"t{at}\t{' '.join(f't{need}' for need in after)}\n" for at, after in enumerate(needs))
    table = parse_table(f"id\tafter\n{rows}".encode())
    everything = dependents(table)
    for at in range(15):
        expected = tuple(f"t{other}" for other, after in enumerate(needs) if at in after)
        assert table.waiting_for(f"t{at}") == everything.get(f"t{at}", ()) == expected
    assert parse_table(b"id\nt1\n").waiting_for("t1") == ()
