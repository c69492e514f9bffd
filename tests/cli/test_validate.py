"""Outputs that are data: JSON Schemas, the command `validate`, and the key `checks` of a profile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.policy.schema_check import SchemaCheck
from agentjobs.text.json_schema import Schema
from tests.kit.harness import Project

RESULT = {
    "type": "object",
    "required": ["name", "items"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "items": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/pair"}]}},
    },
    "$defs": {"pair": {"type": "object", "required": ["a", "b"]}},
}


def schema(value: object = RESULT) -> Schema:
    return Schema(json.dumps(value).encode(), "s.json")


def told(data: bytes, *, lines: bool = False, by: object = RESULT) -> list[str]:
    return [f"{fault.line}: {fault}" for fault in schema(by).faults(data, lines=lines)]


def test_data_that_fits_has_no_fault() -> None:
    assert told(b'\xef\xbb\xbf{"name": "x", "items": [1, {"a": 1, "b": 2}]}') == []
    assert told(b'{"name": "x", "items": []}\r\n\r\n{"name": "y", "items": [2]}\n', lines=True) == []


def test_a_fault_says_where_and_what_was_expected() -> None:
    data = b'{\n  "items": [\n    1,\n    {"a": 2}\n  ],\n  "name": 3\n}\n'
    assert told(data) == ["4: /items/1: 'b' is a required property", "6: /name: 3 is not of type 'string'"]


def test_a_json_line_is_told_by_its_number() -> None:
    data = b'{"name": "x", "items": []}\n\n{"items": []}\n{"name": \n'
    assert told(data, lines=True) == [
        "3: /: 'name' is a required property", "4: /: is not JSON: Expecting value (column 10)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"name": NaN, "items": []}', "NaN is not in JSON"),
        (b"[" * 100_000, "not readable JSON"),
        (b"1" * 5_000, "not readable JSON"),
    ],
)
def test_what_is_no_json_is_a_fault(data: bytes, words: str) -> None:
    found = told(data)
    assert len(found) == 1
    assert words in found[0]


def test_a_long_value_is_cut() -> None:
    found = told(json.dumps({"name": ["x" * 100_000], "items": []}).encode())
    assert len(found) == 1
    assert len(found[0]) < 200
    assert found[0].endswith("is not of type 'string'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"type": "strin"}', "not a valid schema: /type"),
        ('{\n"type": ', "s.json:2:9: the schema is not JSON"),
        ("[]", "a schema must be a JSON object"),
        ('{"$schema": "urn:x"}', "not a known draft of JSON Schema"),
        ('{"pattern": "("}', "not a valid schema: /pattern"),
        ('{"$ref": "https://example.org/x.json"}', "Nothing is fetched"),
        ('{"$ref": "other.json#/a"}', "Nothing is fetched"),
    ],
)
def test_a_schema_that_is_none_is_told(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        Schema(text.encode(), "s.json")
    assert words in str(caught.value)


@pytest.mark.parametrize("by", [{"$ref": "#/nowhere"}, {"$ref": "#"}])
def test_a_schema_that_cannot_be_applied_is_no_fault_of_the_data(by: object) -> None:
    with pytest.raises(UserError, match="schema"):
        list(schema(by).faults(b"{}"))


def test_older_drafts_and_ids_inside_are_known() -> None:
    by = {
        "$schema": "http://json-schema.org/draft-07/schema#", "$id": "http://example.org/a.json",
        "items": {"$ref": "http://example.org/a.json#/definitions/text"}, "definitions": {"text": {"type": "string"}},
    }  # fmt: skip
    assert told(b'["x"]', by=by) == []
    assert told(b"[1]", by=by) == ["1: /0: 1 is not of type 'string'"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_the_line_of_a_fault_is_that_of_the_value(value: object, indent: int | str | None) -> None:
    """Each leaf that is a text is wrong; whatever surrounds it, its line is the one it is in."""
    marked = json.dumps({"items": value, "last": "§wrong§"}, indent=indent)
    by = {"properties": {"last": {"type": "null"}}}
    (fault,) = schema(by).faults(marked.encode())
    assert "§wrong§" in json.loads(f'["{marked.splitlines()[fault.line - 1].count("wrong") and "§wrong§"}"]')
    assert fault.path == "/last"


@given(st.binary())
def test_no_bytes_make_it_raise(data: bytes) -> None:
    list(schema().faults(data))
    list(schema().faults(data, lines=True))


# --- the shell command ------------------------------------------------------------------------------------


@given(st.text("ab '\"$`\\;&|*{}id-\u00e9", min_size=1, max_size=12))
@example("{id}")
def test_a_path_reaches_the_command_as_it_is(name: str) -> None:
    try:
        check = SchemaCheck(schema="s/s.json", file=f"{name}{{id}}.json")
    except Exception:  # noqa: BLE001 - not a path; the policy says so
        return
    words = subprocess.run(
        ["/bin/sh", "-c", f"set -- {check.command}; printf '%s\\0' \"$@\""],
        env={"AGENTJOBS_PYTHON": "/py thon", "AGENTJOBS_ROOT": "/ro ot", "AGENTJOBS_TASK": "a.1"},
        capture_output=True, check=True,
    ).stdout.decode().split("\0")[:-1]  # fmt: skip
    path = f"{name}{{id}}.json".replace("{id}", "a.1")
    assert words[:5] == ["/py thon", "-P", "-m", "agentjobs", "validate"]
    assert words[5] == "/ro ot/s/s.json"
    assert words[6].removeprefix("./") == path.removeprefix("./")
    assert not words[6].startswith("-")
    assert len(words) == 7


# --- the command and the check of a task ------------------------------------------------------------------


def test_validate_is_silent_where_all_is_well_and_exits_1_otherwise(tmp_path: Path) -> None:
    p = Project(tmp_path)
    (p.root / "s.json").write_text(json.dumps(RESULT))
    (p.root / "good.json").write_text('{"name": "x", "items": []}')
    (p.root / "bad.jsonl").write_text('{"name": "x", "items": []}\n{"name": 1, "items": []}\n')
    assert p.run("validate", "s.json", "good.json", code=0).stdout == ""
    assert p.run("validate", "--lines", "s.json", "bad.jsonl", code=1).stdout == (
        "bad.jsonl:2: /name: 1 is not of type 'string'\n"
    )
    assert "use --lines" in p.run("validate", "s.json", "bad.jsonl", code=1).stderr
    assert "is missing" in p.run("validate", "s.json", "nothing.json", code=1).stdout
    done = p.run("validate", "nothing.json", "good.json", code=1)
    assert (done.stdout, done.stderr) == ("", "agentjobs: nothing.json: no such schema\n")


def test_a_file_that_does_not_fit_is_repaired(tmp_path: Path) -> None:
    """The checks run before `verify`, and the schema that counts is the project's, not the tree's."""
    p = Project(tmp_path, files={"s.json": json.dumps(RESULT)})
    code = (
        "import os, pathlib, sys\n"
        "attempt, task = os.environ['AGENTJOBS_ATTEMPT'], os.environ['AGENTJOBS_TASK']\n"
        "pathlib.Path('out').mkdir(exist_ok=True)\n"
        "pathlib.Path('s.json').write_text('{}')\n"
        "good = attempt == '2' and \"/items/0: 'b' is a required property\" in sys.stdin.read()\n"
        "pathlib.Path(f'out/{task}.json').write_text("
        "'{\"name\": \"n\",\\n\"items\": [' + ('1' if good else '{\"a\": 1}') + ']}')\n"
    )
    checks = [{"schema": "s.json", "file": "out/{id}.json"}]
    p.configure(
        profiles={"default": {"agent": "data", "checks": checks, "verify": ["test -s out/$AGENTJOBS_TASK.json"]}},
        agents={"data": {"command": [sys.executable, "{root}/writer.py"]}},
    )
    (p.root / "writer.py").write_text(code)
    p.rows({"id": "it.is-1"})
    assert p.settle() == {"it.is-1": "DONE"}
    assert p.outcomes("it.is-1") == ["verify_failed", "ok"]
    first = p.attempts("it.is-1")[0]
    assert first["attempt"]["checks"][1] == "test -s out/$AGENTJOBS_TASK.json"
    assert "out/it.is-1.json:2: /items/0: 'b' is a required property" in first["result"]["errors"]
    assert first["result"]["check"] == first["attempt"]["checks"][0]
    assert p.landed("s.json") == "{}"


def test_check_finds_schemas_that_are_missing_or_wrong(tmp_path: Path) -> None:
    p = Project(tmp_path)
    checks = [{"schema": "none.json", "file": "a"}, {"schema": "bad.json", "file": "a"}]
    p.configure(profiles={"default": {"agent": "fake", "checks": checks}})
    (p.root / "bad.json").write_text('{\n"type": "strin"}')
    p.plans(a="ok")
    said = p.run("check", code=1).stderr
    text = (p.root / "agentjobs.toml").read_text()
    line = text[: text.index("none.json")].count("\n") + 1
    assert f"agentjobs: agentjobs.toml:{line}: no such schema: none.json\n" in said
    assert "agentjobs: bad.json:2: not a valid schema: /type: " in said


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"schema": "/etc/s.json", "file": "a"}, "not a path below"),
        ({"schema": "s.json", "file": "../a"}, "not a path below"),
        ({"schema": "s.json", "file": "{row}.json"}, "the only placeholder is {id}"),
        ({"schema": "{id}.json", "file": "a"}, "placeholders are not supported here"),
        ({"schema": "s.json", "file": "a", "line": True}, 'did you mean "lines"?'),
        ({"schema": "s.json"}, 'needs "file"'),
    ],
)
def test_a_wrong_check_is_told_with_its_line(tmp_path: Path, check: dict[str, object], words: str) -> None:
    p = Project(tmp_path)
    p.configure(profiles={"default": {"agent": "fake", "checks": [check]}})
    p.plans(a="ok")
    said = p.run("check", code=1).stderr
    assert words in said
    assert "agentjobs.toml:" in said
