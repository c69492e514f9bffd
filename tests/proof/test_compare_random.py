"""Any program is itself however it is laid out, and no planted change passes for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.proof.compare import compare
from tests.bench.samecode_mutants import mutants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

NAMES = st.sampled_from(["a", "b", "c", "items", "value"])
ATOMS = st.one_of(
    NAMES,
    st.integers(0, 99).map(str),
    st.sampled_from(["'text'", "true", "null", "this.x", "`t${a}t`", "/re/g", "[]", "{ k: 1 }"]).map(
        lambda text: f"({text})" if text.startswith("{") else text
    ),
)


def _expressions(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "===", "&&", "||", ">=", "-", "in"]), inner).map(
            lambda t: f"({' '.join(t)})"
        ),
        st.tuples(NAMES, inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        st.tuples(NAMES, inner).map(lambda t: f"(({t[0]}) => {t[1]})"),
        st.tuples(NAMES, NAMES).map(".".join),
        inner.map(lambda text: f"!{text}"),
        st.tuples(inner, inner).map(lambda t: f"[{t[0]}, ...{t[1]}]"),
    )


EXPRESSIONS = st.recursive(ATOMS, _expressions, max_leaves=6)


def _statements(inner: SearchStrategy[str]) -> SearchStrategy[str]:
    blocks = st.lists(inner, max_size=3).map(lambda lines: "{\n" + "\n".join(lines) + "\n}")
    return st.one_of(
        st.tuples(EXPRESSIONS, blocks, blocks).map(lambda t: f"if ({t[0]}) {t[1]} else {t[2]}"),
        st.tuples(NAMES, EXPRESSIONS, blocks).map(lambda t: f"function {t[0]}(p = {t[1]}) {t[2]}"),
        st.tuples(blocks, blocks).map(lambda t: f"try {t[0]} catch (e) {t[1]}"),
        st.tuples(EXPRESSIONS, blocks).map(lambda t: f"for (let i = 0; i < {t[0]}; i++) {t[1]}"),
        st.tuples(NAMES, EXPRESSIONS, blocks).map(
            lambda t: f"class K {{ f = {t[1]}; get {t[0]}() {t[2]} static async m(q) {t[2]} }}"
        ),
    )


SIMPLE = st.one_of(
    st.tuples(st.sampled_from(["var", "let", "const"]), NAMES, EXPRESSIONS).map(lambda t: f"{t[0]} {t[1]} = {t[2]};"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]}.run({t[1]});"),
    EXPRESSIONS.map(lambda text: f"use({text});"),
    EXPRESSIONS.map(lambda text: f"value = {text};"),
)
PROGRAMS = st.lists(st.recursive(SIMPLE, _statements, max_leaves=5), min_size=1, max_size=4).map("\n".join)


def typed(program: str) -> str:
    """The same program, laid out in another way and with types."""
    text = re.sub(r"\bfunction (\w+)\(p =", r"function \1<T>(p: any =", program)
    text = re.sub(r"\((\w+)\) =>", r"(\1: any): any =>", text)
    text = re.sub(r"\b(var|let|const) (\w+) =", r"\1 \2: any =", text)
    text = re.sub(r"\bthis\.x\b", "this!.x", text).replace("'text'", '"text"')
    return "type T0 = any;\n" + text.replace("{\n", "{ // note\n\n").replace(";\n", " ;\n\n")


@settings(max_examples=60, deadline=None)
@given(PROGRAMS)
def test_a_program_is_itself_with_types_and_another_layout(program: str) -> None:
    found = compare(program.encode(), "a.js", typed(program).encode(), "a.ts")
    assert found is None, found.render("a.js", "a.ts")


@settings(max_examples=40, deadline=None)
@given(PROGRAMS, st.data())
def test_a_planted_change_never_passes(program: str, data: st.DataObject) -> None:
    old, new = program.encode(), typed(program).encode()
    planted = [mutant for mutant in mutants(new, "typescript") if mutant.text != new]
    if not planted:
        return
    for mutant in data.draw(st.lists(st.sampled_from(planted), max_size=8)):
        assert compare(old, "a.js", mutant.text, "a.ts") is not None, (mutant.kind, mutant.line)
