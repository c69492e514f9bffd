"""Sections of a prompt: never over a budget, whole items only, the same bytes for the same values, nothing lost."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.prompts.sections import (
    CUT_ORDER,
    ORDER,
    Group,
    Item,
    Section,
    code,
    fence_for,
    fitted,
    joined,
    lines_of,
    packed,
    paths,
)
from agentjobs.tokens.count import count

TEXTS = st.text(alphabet=string.ascii_letters + " \n`#é→", min_size=1, max_size=60)
TITLES = st.text(alphabet=string.ascii_lowercase + "/.`", min_size=1, max_size=12)


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    titles = draw(st.lists(TITLES, max_size=6, unique=True))
    found = []
    for title in titles:
        texts = draw(st.lists(TEXTS, max_size=6))
        items = tuple(Item(f"{title}-{at}", text) for at, text in enumerate(texts))
        language = draw(st.sampled_from(["ts", "", None]))
        found.append(Group(items, title, language, in_order=draw(st.booleans())))
    return found


@settings(max_examples=300, deadline=None)
@given(found=groups(), budget=st.integers(0, 400))
def test_a_section_is_within_its_budget_and_loses_nothing(found: list[Group], budget: int) -> None:
    section = packed("imports", "What", found, budget=budget, count=count, intro="Some words.")
    assert section.tokens <= budget
    assert section.tokens == count(section.text)
    assert (section.text == "") == (section.tokens == 0)
    assert section == packed("imports", "What", found, budget=budget, count=count, intro="Some words.")
    left = [what for what, _ in section.left_out]
    for group in found:
        names = [f"{group.title}: {item.what}" for item in group.items]
        if group.in_order:
            missing = [one for one in left if one.startswith(f"{group.title}: ")]
            assert len(missing) <= 1
            first = missing[0].removeprefix(f"{group.title}: ").partition(" to ")[0] if missing else None
            taken = next((at for at, item in enumerate(group.items) if item.what == first), len(group.items))
            gone = group.items[taken:]
        else:
            gone = tuple(item for item, name in zip(group.items, names, strict=True) if name in left)
        kept = [item for item in group.items if item not in gone]
        for item in kept:
            assert item.text in section.text
    if sum(len(group.items) for group in found) and not left:
        assert section.text


@settings(max_examples=100, deadline=None)
@given(found=groups(), budget=st.integers(0, 300))
def test_everything_is_taken_where_there_is_room(found: list[Group], budget: int) -> None:
    whole = packed("imports", "What", found, budget=1_000_000, count=count)
    assert whole.left_out == ()
    less = packed("imports", "What", found, budget=budget, count=count)
    if whole.tokens <= budget - 20:  # a section is counted by its parts, which may be a few tokens more
        assert less.text == whole.text


@settings(max_examples=200, deadline=None)
@given(found=groups())
def test_nothing_in_a_block_can_close_it(found: list[Group]) -> None:
    section = packed("inline", "What", found, budget=1_000_000, count=count)
    fences = [line for line in section.text.split("\n") if line.startswith("```")]
    for group in found:
        if group.language is None or not group.items:
            continue
        fence = fence_for("".join(item.text for item in group.items))
        assert f"{fence}{group.language}" in fences
        assert all(fence not in item.text for item in group.items)


def test_what_is_left_out_says_why() -> None:
    found = [Group((Item("a", "x " * 50), Item("b", "y")), "lib/a.ts", "ts")]
    section = packed("imports", "What", found, budget=30, count=count, before=(("lib/b.vue", "not known"),))
    assert section.left_out == (("lib/b.vue", "not known"), ("lib/a.ts: a", "over the budget"))
    assert section.text == "## What\n\n### `lib/a.ts`\n\n```ts\ny\n```\n"


def test_of_a_text_the_beginning_is_taken() -> None:
    lines = lines_of("one\n" + "a very long line of many words " * 20 + "\nthree\n\n")
    assert [item.what for item in lines] == ["line 1", "line 2", "line 3"]
    section = packed("memory", "M", [Group(lines, "AGENTS.md", "markdown", in_order=True)], budget=40, count=count)
    assert "one" in section.text
    assert "three" not in section.text
    assert section.left_out == (("AGENTS.md: line 2 to line 3", "over the budget"),)


def test_names_are_shown_word_for_word() -> None:
    assert code("lib/a.ts") == "`lib/a.ts`"
    assert code("a`b") == "``a`b``"
    assert code("`") == "`` ` ``"
    assert code("a\nb") == "`a b`"


def test_the_list_of_files_names_what_is_not_shown() -> None:
    section = paths([("lib/", "3 files"), ("new.ts", "not there yet")], count, [("lib/big.ts", "over the budget")])
    assert section.text == (
        "## Files of the task\n\n- `lib/` (3 files)\n- `new.ts` (not there yet)\n\n"
        "Not shown below, read them yourself:\n\n- `lib/big.ts` (over the budget)\n"
    )
    assert section.tokens == count(section.text)
    many = paths([("lib/", "200 files")], count, [(f"lib/{at}.ts", "no") for at in range(200)])
    assert many.text.endswith("- and 100 more beneath the paths above\n")
    assert paths([], count).text == ""


def test_all_sections_are_joined_in_one_order() -> None:
    found = {name: Section(name, name, f"## {name}\n", 3) for name in reversed(ORDER)}
    assert joined(found) == "\n".join(f"## {name}\n" for name in ORDER)
    assert "handoffs" not in joined(found, ["handoffs"])


SIZES = st.dictionaries(st.sampled_from(CUT_ORDER), st.integers(1, 12), min_size=1)


@settings(max_examples=100, deadline=None)
@given(sizes=SIZES, rest=st.integers(0, 30), limit=st.integers(0, 400))
def test_a_prompt_is_cut_back_until_it_fits(sizes: dict[str, int], rest: int, limit: int) -> None:
    made = {
        name: [Group((Item(f"{name}{at}", "word " * 5),), f"{name}{at}", "") for at in range(many)]
        for name, many in sizes.items()
    }

    def again(name: str, budget: int) -> Section:
        return packed(name, name, made[name], budget=budget, count=count)

    def whole(sections: object) -> str:
        assert isinstance(sections, dict)
        return "rest " * rest + joined(sections)

    def over(text: str) -> int:
        return count(text) - limit

    full: dict[str, Section] = {name: again(name, 10_000) for name in ORDER if name in sizes}
    found, text = fitted(full, again, whole, over)
    assert text == whole(found)
    if over(text) > 0:
        assert all(not section.text for section in found.values()), "nothing is refused that could be cut"
    cut = [name for name in CUT_ORDER if name in found and found[name].text != full[name].text]
    untouched = [name for name in CUT_ORDER if name in found and name not in cut]
    if cut and untouched:  # in the stated order, and each only after those before it are gone
        last = CUT_ORDER.index(cut[-1])
        assert all(CUT_ORDER.index(name) > last for name in untouched)
        assert all(not found[name].text for name in cut[:-1])
    if over(whole(full)) <= 0:
        assert found == full
