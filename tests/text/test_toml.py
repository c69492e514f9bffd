from __future__ import annotations

import tomllib

import pytest

from agentjobs.text.toml import line_of, section, spot


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("text",), 2),
        (("s", "k"), 8),
        (("s", "missing"), 6),
        (("s.t", "é"), 11),
        (("s", "deep", "key"), 9),
        (("list", 0, "k"), 14),
        (("list", 1, "sub", "k"), 17),
        (("nowhere",), None),
        (("list", 1), 15),
        (("u",), 18),
    ],
)
def test_line_of(path: tuple[str | int, ...], line: int | None) -> None:
    data = (
        'a = 1 # """\n'
        'text = """\n'
        "[s]\n"
        "k = 1\n"
        '"""\n'
        "[ s ]\n"
        "# k = 0\n"
        "'k' = '''one line'''\n"
        "deep.key = 1\n"
        '["s.t"]\n'
        '"\\u00e9" = 1\n'
        "\n"
        "[[list]]\n"
        "k = 1\n"
        "[[list]]\n"
        "[list.sub]\n"
        "k = 1\n"
        "[u.v]\n"
    )
    tomllib.loads(data)
    assert line_of(data.encode(), path) == line


def test_places_are_written_as_the_file_writes_them() -> None:
    assert section(()) == ""
    assert section(("agents", "a", "rules", 1)) == "[[agents.a.rules]]"
    assert spot(("slots",)) == '"slots"'
    assert spot(("agents", "a", "rules", 1, "text")) == '"text" in [[agents.a.rules]]'
    assert spot(("landing", "gate", 0)) == '"gate" in [landing]'
