"""What Python files import."""

from __future__ import annotations

import pytest

from agentjobs.source.python import PythonImport, PythonResolver, imports


def leads(files: list[str], source: str, importer: str) -> list[str]:
    resolver = PythonResolver([*files, importer])
    return sorted({target for found in imports(source.encode()) for target in resolver.resolve(importer, found)})


PACKAGE = ["pkg/__init__.py", "pkg/a.py", "pkg/sub/__init__.py", "pkg/sub/b.py", "pkg/space/c.py", "pkg/typed.pyi"]


@pytest.mark.parametrize("top", ["", "src/", "projects/one/src/"])
@pytest.mark.parametrize(("source", "expected"), [
    ("import pkg", "pkg/__init__.py"), ("import pkg.a", "pkg/a.py"), ("import pkg.a as x, os", "pkg/a.py"),
    ("import pkg.sub", "pkg/sub/__init__.py"), ("from pkg import a", "pkg/a.py"), ("from pkg import x",
    "pkg/__init__.py"),
    ("from pkg import a, x", "pkg/__init__.py pkg/a.py"), ("from pkg import *", "pkg/__init__.py"),
    ("from pkg.a import f", "pkg/a.py"), ("from pkg.sub import b", "pkg/sub/b.py"), ("from pkg.space import c",
    "pkg/space/c.py"),
    ("import pkg.space.c", "pkg/space/c.py"), ("import pkg.typed", "pkg/typed.pyi"), ("import os, json.decoder", ""),
    ("import pkg.gone", ""), ("from pkg.gone import x", ""), ("from os import path", ""),
    ("from . import a", "pkg/a.py"), ("from .a import f", "pkg/a.py"), ("from .sub.b import f", "pkg/sub/b.py"),
    ("from .sub import b as c", "pkg/sub/b.py"), ("from . import x", "pkg/__init__.py"), ("from .space import c",
    "pkg/space/c.py"),
    ("from .. import pkg", "pkg/__init__.py"), ("from ......... import x", ""),
    ("def f():\n    import pkg.a", "pkg/a.py"), ("if TYPE_CHECKING:\n    from pkg import a", "pkg/a.py"),
    ("try:\n    import pkg.a\nexcept ImportError:\n    import pkg.sub.b", "pkg/a.py pkg/sub/b.py"),
    ("importlib.import_module('pkg.a')", "pkg/a.py"), ("import_module('.a', __package__)", "pkg/a.py"),
    ("__import__('pkg.a')", "pkg/a.py"), ("importlib.import_module(name)", ""), ("importlib.import_module()", ""),
    ("f(1)(2)", ""),
])  # fmt: skip
def test_each_form(top: str, source: str, expected: str) -> None:
    files = [top + name for name in PACKAGE] + ["projects/one/pyproject.toml"]
    assert leads(files, source, f"{top}pkg/m.py") == [top + name for name in expected.split()]


def test_relative_from_below() -> None:
    assert leads(PACKAGE, "from ..a import f\nfrom .. import sub\nfrom . import b", "pkg/sub/m.py") == [
        "pkg/a.py", "pkg/sub/__init__.py", "pkg/sub/b.py",
    ]  # fmt: skip
    assert leads(PACKAGE, "from . import a\nfrom .sub import b", "pkg/__init__.py") == ["pkg/a.py", "pkg/sub/b.py"]


def test_tests_beside_a_src_directory_see_it() -> None:
    files = ["pyproject.toml", "src/pkg/__init__.py", "src/pkg/a.py", "tests/__init__.py", "tests/tool.py"]
    assert leads(files, "from pkg import a\nfrom tests.tool import x", "tests/test_a.py") == [
        "src/pkg/a.py",
        "tests/tool.py",
    ]


def test_the_nearest_of_the_same_name() -> None:
    files = ["one/pyproject.toml", "one/util.py", "two/pyproject.toml", "two/util.py", "two/src/pkg/__init__.py"]
    assert leads(files, "import util", "two/a.py") == ["two/util.py"]
    assert leads(files, "import util", "one/a.py") == ["one/util.py"]
    assert leads(files, "import pkg", "one/a.py") == ["two/src/pkg/__init__.py"]


def test_a_package_is_no_place_python_searches() -> None:
    assert leads(["json.py", "pkg/__init__.py", "pkg/os.py"], "import os\nimport json", "pkg/m.py") == ["json.py"]


@pytest.mark.parametrize("data", [
    b"print 'two'", b"import a\n  import b", b"\0", b"import a\0", b"\xff\xfe", b"# coding: nonsense\nimport a",
    b"(" * 100_000,
    b"-" * 100_000 + b"1", b"x = " + b"1+" * 100_000 + b"1", b"a" + b".b" * 100_000, bytes(range(256)) * 100,
    b"[" * 150 + b"]" * 150,
])  # fmt: skip
def test_what_is_not_python_imports_nothing(data: bytes) -> None:
    assert imports(data) == ()


def test_encodings_and_odd_escapes() -> None:
    assert imports(b"# coding: latin-1\nx = '\xe9'\nimport a\n") == (PythonImport(0, "a"),)
    assert imports(b"\xef\xbb\xbfimport a\nx = '\\d'\nassert (1, 2)\n") == (PythonImport(0, "a"),)
    assert str(PythonImport(2, "a.b", ("c",))) == "..a.b"
