"""Every form of import, and broken files."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.source import javascript
from agentjobs.source.javascript import Specifier, specifiers


def said(source: str | bytes, path: str = "a.js") -> list[str]:
    data = source.encode() if isinstance(source, str) else source
    return sorted(one.text for one in specifiers(path, data))


@pytest.mark.parametrize("source", [
    "import a from './x'", "import * as a from './x'", "import { a, b as c } from './x'", "import a, { b } from './x'",
    "import './x'", 'import "./x"', "import{a}from'./x'", "import a from // why\n './x'",
    "import {\n  a,\n} from './x'",
    "import data from './x' with { type: 'json' }",
    "export * from './x'", "export * as a from './x'", "export { a, default as b } from './x'", "export {} from './x'",
    "const a = await import('./x')", "import(`./x`)", "import(/* webpackChunkName: \"a\" */ './x')",
    "import(/* a */\n// b\n'./x', { with: {} })", "const f = () => import('./x').then((m) => m.a)",
    "const a = require('./x')", "require('./x')", "require(`./x`).a()", "const { a } = require ( './x' )",
    "require.resolve('./x')", "function f() { if (a) { return require('./x') } }", "module.exports = require('./x')",
    "require(/* c */ './x')", "(0, require('./x').a)()", "`${require('./x')}`", "a\n/b/require('./x')/c",
    "define(['./x'], function (x) {})", "define('name', ['./x'], (x) => x)",
    "require('./\\x78')", "require('\\u002e/\\u{78}')", "require('./\\\nx')",
    "const a = <B c={require('./x')}>it's</B>", "#!/usr/bin/env node\nrequire('./x')",
    "import a from './x'\nfunction f() {\n  return a\n}", "function f() {\n  require('./x')\n  a()\n}\nb()",
])  # fmt: skip
def test_every_form_is_seen(source: str) -> None:
    assert said(source) == ["./x"]
    # Text after the last import is not parsed: it must not matter.
    assert said(source + "\nconst a1 = `${'it'}`, b1 = /'/.test('') // import\nclass A { b = 1 }\n") == ["./x"]


@pytest.mark.parametrize("source", [
    "import type { A } from './x'", "import { type A } from './x'", "export type { A } from './x'",
    "import a = require('./x')", "export import a = require('./x')", "import type A = require('./x')",
    "type A = import('./x').B<string>", "let a: typeof import('./x')", "const a = <T,>(b: T) => require('./x') as T",
    "export type * from './x'", "@dec class A { constructor(private b = require('./x')) {} }",
    "/// <reference path='x' />", '  ///<reference path="./x"/>', "enum A { B }\nexport * from './x'",
])  # fmt: skip
@pytest.mark.parametrize("path", ["a.ts", "a.mts", "a.cts", "a.d.ts", "a.tsx"])
def test_typescript(source: str, path: str) -> None:
    assert said(source, path) == ["./x"]


def test_types_in_a_js_file_are_no_obstacle() -> None:
    assert said("import type { A } from './x'\nexport type B = { +a: A }\nconst f = (a: A): B => require('./y')\n") == [
        "./x", "./y",
    ]  # fmt: skip


@pytest.mark.parametrize("source", [
    "// require('./x')", "/* import a from './x' */", "'require(\"./x\")'", "`import './x'`", "/require('.x')/",
    "a.require('./x')", "require(x)", "require('./' + x)", "import(`./${x}`)", "require()", "import.meta.url",
    "const requires = f('./x')", "({ import: './x', from: './x' })", "Array.from('./x')", "require", "define(x)",
    "export const a = './x'", "export default './x'", "const a = <p>import b from './x'</p>", "a.resolve('./x')",
])  # fmt: skip
def test_what_is_no_import(source: str) -> None:
    assert said(source) == []


def test_the_module_system_is_told() -> None:
    found = specifiers(
        "a.ts", b"import './a'\nimport b = require('./b')\nimport('./c')\nrequire('./d')\nexport * from './e'"
    )
    assert {one.text for one in found if one.require} == {"./b", "./d"}
    assert specifiers("a.js", b"require('./a'); require('./a')") == (Specifier("./a", True),)


@pytest.mark.parametrize("path", ["a.css", "a.json", "a", "a.py", "js"])
def test_other_languages_import_nothing(path: str) -> None:
    assert said("require('./x')", path) == []


def test_syntax_errors_hide_little() -> None:
    assert said("import a from './x'\nconst = = {\nrequire('./y')\n") == ["./x", "./y"]
    assert said("import a from './x'\nconst = = {\n" + "(" * 20_000 + "\nimport(`./y`)\n") == ["./x", "./y"]


def test_bytes_that_are_not_utf8_do_not_matter() -> None:
    assert said(b"// \xff\xfe\nconst a = '\xe9'\nrequire('./x')\n") == ["./x"]
    assert said(b"\xef\xbb\xbfrequire('./x')") == ["./x"]
    assert said(b"require('./\xff')") == ["./\ufffd"]


@pytest.mark.parametrize("unit", [b"[", b"(", b"{", b"`${", b"x={a:", b"async(", b"a<b>(", b"<a>", b"@#\\ ", b")]}"])
@pytest.mark.parametrize("path", ["a.js", "a.ts"])
def test_deep_and_broken_files_end_soon(unit: bytes, path: str) -> None:
    begun = time.process_time()
    specifiers(path, unit * 8_000 + b"\nrequire('./x')\n")
    assert time.process_time() - begun < 5


def test_a_large_file_in_one_line_is_searched() -> None:
    line = b"var a=[" + b"'abc'," * 200_000 + b"];"
    begun = time.process_time()
    assert said(line + b"require('./x')" + line) == ["./x"]
    assert time.process_time() - begun < 2
    assert said(b"require('./x')\n" + line * 3) == ["./x"]


def test_binary_files_import_nothing() -> None:
    assert said(b"\0\1\2require('./x')") == []
    assert said(bytes(range(256)) * 4000) == []


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_bytes_are_too_odd(data: bytes) -> None:
    for path in ("a.js", "a.tsx"):
        specifiers(path, data + b" require('" + data + b"')")


PIECES = st.sampled_from([
    "import a from './x'\n", "export * from './y'\n", "const b = require('./z')\n", "function f() {\n", "}\n", "`a\n",
    "${", "/* ", "*/\n", "// it's\n", "import('./w')\n", "'import'\n", "x = <p>\n", "</p>\n", "/re'g/.test(a)\n", "(",
    ")\n",
])  # fmt: skip


@given(st.lists(PIECES, max_size=12))
@settings(max_examples=150, deadline=None)
def test_parsing_the_top_alone_finds_what_parsing_all_does(pieces: list[str]) -> None:
    data = "".join(pieces).encode()
    from agentjobs.source.syntax import parse

    if not parse(data, "javascript").has_error:
        assert set(specifiers("a.js", data)) == set(javascript._parsed("javascript", data))
