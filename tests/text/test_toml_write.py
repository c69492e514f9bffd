from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.policy import presets
from agentjobs.text.toml_write import WIDTH, table_text, value_text

KEYS = st.text(min_size=1, max_size=8)
SCALARS = (
    st.text(max_size=30) | st.booleans() | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False) | st.dates() | st.datetimes() | st.times()
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=10
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(max_examples=60)
@given(TABLES)
def test_what_is_written_is_read_again(table: dict[str, Any]) -> None:
    assert tomllib.loads(table_text(table)) == table


@settings(max_examples=60)
@given(TABLES, st.lists(KEYS, min_size=1, max_size=3))
def test_likewise_below_a_section(table: dict[str, Any], path: list[str]) -> None:
    found = tomllib.loads(table_text(table, path))
    for name in path:
        found = found[name]
    assert found == table


@pytest.mark.parametrize("name", presets.names())
def test_presets_are_written_as_a_person_would(name: str) -> None:
    table = presets.preset(name)
    assert table is not None
    text = table_text(table, ("agents", name))
    assert tomllib.loads(text) == {"agents": {name: table}}
    assert f"\n[[agents.{name}.rules]]\nclass = " in text
    lists = [line for line in text.splitlines() if len(line) > WIDTH and "= [" in line]
    assert lists == []


def test_a_regular_expression_needs_no_escapes() -> None:
    assert value_text(r"re:^\d+$") == r"'re:^\d+$'"
    assert value_text("it's \\d") == '"it\'s \\\\d"'
