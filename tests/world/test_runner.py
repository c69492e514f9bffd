"""The runner can say no: each case under ``must_fail/`` fails for the reason it names; bad files are refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from .casefile import BadCaseError, Case, Expect, load
from .expecting import CHECKS, INVARIANTS, complaints
from .scene import Scene, lacking

MUST_FAIL = sorted(Path(__file__).with_name("must_fail").glob("*.toml"))

GOOD = """\
title = "t"
source = "s"
class = "c"
[[rows]]
id = "a"
[expect]
status = { a = "DONE" }
"""


@pytest.mark.sample(4)
@pytest.mark.world
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in MUST_FAIL])
def test_a_wrong_end_is_noticed(path: Path, tmp_path: Path) -> None:
    wrong = tomllib.loads(path.read_text())["wrong"]
    (tmp_path / path.name).write_text(re.sub(r"^wrong = .*\n", "", path.read_text(), flags=re.MULTILINE))
    (case,) = load(tmp_path / path.name).values()
    if lack := lacking(case):
        pytest.skip(lack)
    scene = Scene(case, tmp_path)
    try:
        scene.prepare()
        try:
            scene.play()
            found = complaints(scene)
        except AssertionError as error:
            found = [str(error)]
    finally:
        scene.close()
    assert any(re.search(wrong, text) for text in found), found


def test_every_expectation_and_every_invariant_has_a_case_that_fails() -> None:
    assert set(CHECKS) == {field.name for field in msgspec.structs.fields(Expect)}
    wrong = [tomllib.loads(path.read_text())["wrong"].lstrip("^") for path in MUST_FAIL]
    names = {*CHECKS, *(invariant.__name__.strip("_") for invariant in INVARIANTS)}
    assert {name for name in names if not any(text.startswith(f"{name}: ") for text in wrong)} == set()


def read(tmp_path: Path, text: str, *, every: bool = True) -> dict[str, Case]:
    path = tmp_path / "case.toml"
    path.write_text(text)
    return load(path, every=every)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('source = "s"\n', "", "missing required field `source`"),
        ('class = "c"', 'class = "c"\nclas = 1', "unknown field `clas`"),
        ("status =", "statuses =", "unknown field `statuses`"),
        ('status = { a = "DONE" }', "", "expect is empty"),
        ('status = { a = "DONE" }', "exit = 2", "must say in expect.status how every row ends"),
        ('{ a = "DONE" }', '{ b = "DONE" }', r"names \['b'\], the rows are \['a'\]"),
        ('[[rows]]\nid = "a"\n', "", "either rows or table"),
        ('class = "c"', 'class = "c"\nneeds = ["luck"]', "'luck'"),
        ('class = "c"', 'class = "c"\nsteps = [{ loop = 0, shell = "true" }]', "a step has one of"),
        ('class = "c"', 'class = "c"\nsteps = [{ shell = "true", exit = 1 }]', "exit says nothing about shell"),
        ('id = "a"', 'id = "a"\ndo = "@WHAT@"', "@WHAT@ is not in each"),
        ("[[rows]]", "[each]\nX = [1, 2]\n[[rows]]", r"nothing uses \['X'\]"),
        ("[[rows]]", '[each]\nX = ["?", "!"]\n[[rows]]\ndo = "@X@"', "two variants are named"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert read(tmp_path, GOOD)
    with pytest.raises(BadCaseError, match=words):
        read(tmp_path, GOOD.replace(old, new, 1))


def test_each_makes_a_case_of_every_choice(tmp_path: Path) -> None:
    each = '[each]\nX = ["1", "2"]\nY = [{ id = "p", Z = "z", W = ["w"] }, { id = "q", Z = "y", W = [] }]\n'
    text = GOOD.replace("[[rows]]", each + '[settings.workspace]\ncopy = "@W@"\n[[rows]]\ndo = "@X@ @Z@ @ROOT@"')
    cases = read(tmp_path, text)
    assert list(cases) == ["case[1][p]", "case[1][q]", "case[2][p]", "case[2][q]"]
    assert list(read(tmp_path, text, every=False)) == ["case[1][p]", "case[2][q]"]
    assert cases["case[2][p]"].rows[0]["do"] == "2 z @ROOT@"
    assert cases["case[2][p]"].settings == {"workspace": {"copy": ["w"]}}
