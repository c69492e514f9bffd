"""What files offer to others: heads and types, no bodies."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.source import python_signatures
from agentjobs.source.signatures import Passed, offer

MODULE = b"""\
import { Base } from "./base";
import { other as o2 } from "./other";

export const VERSION = "1.2.3";
export const SETTINGS = { port: 80, start() { return 1; }, ...rest };
export const cache: Map<string, number> = new Map();
export const schema = z.object({ a: z.string() });
export const levels = [1, 2, 3] as const;

/** Loads. */
export async function load<T extends object>(
  path: string, // where
  options: { deep?: boolean } = {},
): Promise<T> {
  return read(path);
}
export function over(a: string): string;
export function over(a: number): number;
export function over(a: any): any { return a; }
export const arrow = async <T,>(a: T): Promise<T> => { return a; };
export function* count(n = 1) { yield n; }

@Component({ selector: "x-widget" })
export class Widget<T> extends Base implements Shown {
  static made = 0;
  #secret = 1;
  private hidden: string;
  protected guarded() {}
  public name: string = "x";
  @Input() value?: number;
  readonly list = [1, 2];
  constructor(private readonly service: Service) { super(); }
  @Hook()
  async run(a: number, b = 2): Promise<void> { await this.service.run(a); }
  get size(): number { return 1; }
  static of<T>(x: T): Widget<T> { return new Widget(x); }
}
export abstract class Shape { abstract area(scale: number): number; name(): string { return ""; } }
export interface Small { a: string; b?: number }
export type Id = string | number;
export enum Color { Red, Green }
export * from "./star";
export * as ns from "./ns";
export { p, q as r } from "./pq";
export type { Foo } from "./foo";
function local(a: string) { return a; }
const five = 5;
export { local, five as number5, o2 };
export default local;
export const { one, two: three } = make();
export declare const later: number;
"""

HEADS = """\
export const VERSION = "1.2.3";
export const SETTINGS = { port, start, ...rest };
export const cache: Map<string, number>;
export const schema = z.object(…);
export const levels = [1, 2, 3] as const;
export async function load<T extends object>(
  path: string, // where
  options: { deep?: boolean } = {},
): Promise<T>;
export function over(a: string): string;
export function over(a: number): number;
export const arrow = async <T,>(a: T): Promise<T> => …;
export function* count(n = 1);
export class Widget<T> extends Base implements Shown {
  static made = 0;
  public name: string;
  value?: number;
  readonly list = [ /* 2 items */ ];
  constructor(private readonly service: Service);
  async run(a: number, b = 2): Promise<void>;
  get size(): number;
  static of<T>(x: T): Widget<T>;
}
export abstract class Shape {
  abstract area(scale: number): number;
  name(): string;
}
export interface Small { a: string; b?: number }
export type Id = string | number;
export enum Color { Red, Green }
export * as ns from "./ns";
function local(a: string);
const five = 5;
export { five as number5 };
export default local;
export const { one, two: three } = make(…);
export declare const later: number;"""


def heads(path: str, source: bytes, names: frozenset[str] | None = None) -> str:
    found = offer(path, source)
    assert found is not None
    return "\n".join(one.text for one in found.only(names))


def test_a_module_of_typescript() -> None:
    assert heads("a.ts", MODULE) == HEADS
    found = offer("a.ts", MODULE)
    assert found is not None
    assert found.passed == (
        Passed("./star"),
        Passed("./pq", (("p", "p"), ("q", "r"))),
        Passed("./foo", (("Foo", "Foo"),)),
        Passed("./other", (("other", "o2"),)),
    )


def test_only_what_is_asked_for() -> None:
    assert heads("a.ts", MODULE, frozenset({"over", "number5"})) == (
        "export function over(a: string): string;\nexport function over(a: number): number;\n"
        "const five = 5;\nexport { five as number5 };"
    )
    assert heads("a.ts", MODULE, frozenset({"default"})) == "function local(a: string);\nexport default local;"
    assert heads("a.ts", MODULE, frozenset({"two"})) == ""
    assert heads("a.ts", MODULE, frozenset()) == ""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("export default function (a, b) { return 1 }", "export default function (a, b);"),
        ("export default async (a) => { go(a) }", "export default async (a) => …;"),
        ("export default class extends A { m() {} }", "export default class extends A {\n  m();\n}"),
        ("export default { name: 'x', data() { return {} } }", "export default { name, data };"),
        ("export default defineComponent({ a: 1 })", "export default defineComponent(…);"),
        ("export default new Store()", "export default new Store();"),
        ("export const f = function (a) { return a }", "export const f = function (a);"),
        ("export let state", "export let state;"),
        ("export const t = `\na\nb`", "export const t = … /* template string */;"),
    ],
)
def test_defaults_and_values(source: str, told: str) -> None:
    assert heads("a.js", source.encode()) == told


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            (
                "var app = exports = module.exports = {};\napp.init = function init(a) { x() };\napp._own = 1;\n"
                "exports.helper = helper\nexports.pick = (a, b = {}) => a\nfunction helper(x, y) { return x }"
            ),
            "app.init = function init(a);\nexports.pick = (a, b = {}) => …;\nfunction helper(x, y);",
        ),
        (
            (
                "class A { constructor(x) { this.x = x } go() {} _own() {} }\nfunction f(a) {}\n"
                "module.exports = { A, f, g: function (q) { }, h(z) { }, n: 5, ff: f, sub: require('./sub') }"
            ),
            (
                "class A {\n  constructor(x);\n  go();\n}\nfunction f(a);\nexports.ff = f;\n"
                'exports.g = function (q);\nh(z);\nexports.n = 5;\nexports.sub = require("./sub");'
            ),
        ),
        (
            "function Foo(a) {}\nFoo.prototype.bar = function (x) { };\nFoo.baz = 12\nmodule.exports = Foo",
            "function Foo(a);\nFoo.prototype.bar = function (x);\nFoo.baz = 12;\nmodule.exports = Foo;",
        ),
        ("module.exports = class { a() {} }", "module.exports = class {\n  a();\n}"),
    ],
)
def test_commonjs(source: str, told: str) -> None:
    found = offer("a.js", source.encode())
    assert found is not None
    assert found.commonjs
    assert "\n".join(dict.fromkeys(one.text for one in found.only(frozenset({"default"})))) == "\n".join(
        dict.fromkeys(one.text for one in found.signatures if not one.name.startswith("_"))
    )
    assert sorted(heads("a.js", source.encode()).split("\n")) == sorted(told.split("\n"))


def test_commonjs_that_passes_on() -> None:
    found = offer("a.js", b"module.exports = require('./lib/express')")
    assert found is not None
    assert found.passed == (Passed("./lib/express"),)
    found = offer("a.js", b"module.exports = { ...require('./a'), b: 1 }")
    assert found is not None
    assert found.passed == (Passed("./a"),)


def test_declarations() -> None:
    source = (
        b"declare function g(a: string): void;\ndeclare const k: number;\n"
        b"declare class C { m(): void; private p; x: number }\ndeclare namespace N { let y: string }\n"
    )
    assert heads("a.d.ts", source) == (
        "declare function g(a: string): void;\ndeclare const k: number;\n"
        "declare class C {\n  m(): void;\n  x: number;\n}\ndeclare namespace N { let y: string }"
    )
    assert heads("a.ts", source) == "", "only a file of declarations gives without an export"
    exported = b"export declare function g(a: string): void;\ndeclare function own(): void;\nexport as namespace Lib;\n"
    assert heads("a.d.ts", exported) == "export declare function g(a: string): void;\nexport as namespace Lib;"
    assert heads("a.ts", b"class Q { a(): void {} }\nexport = Q;\n") == "class Q {\n  a(): void;\n}\nexport = Q;"


def test_a_large_type_is_told_by_its_head() -> None:
    members = "".join(f"  member{at}: string;\n" for at in range(100))
    told = heads("a.ts", f"export interface Large extends Base {{\n{members}}}\n".encode())
    assert told == "export interface Large extends Base { /* 100 members */ }"


def test_indented_heads_lose_their_indentation() -> None:
    source = b"export class A {\n    run(\n        a: number,\n        b: string,\n    ): void {\n    }\n}\n"
    assert heads("a.ts", source) == "export class A {\n  run(\n      a: number,\n      b: string,\n  ): void;\n}"


@pytest.mark.parametrize("source", [b"export const = ;", b"class {", b"export { a", b"\xff\xfe", b"module.exports ="])
def test_broken_files_do_no_harm(source: bytes) -> None:
    for path in ("a.js", "a.ts", "a.tsx", "a.d.ts"):
        assert offer(path, source) is not None
    assert offer("a.go", source) is None


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len(MODULE)), end=st.integers(0, len(MODULE)), put=st.binary(max_size=4),
    path=st.sampled_from(["a.js", "a.ts", "a.tsx", "a.d.ts"]),
)  # fmt: skip
def test_any_text_has_signatures_or_none(start: int, end: int, put: bytes, path: str) -> None:
    source = MODULE[:start] + put + MODULE[end:]
    found = offer(path, source)
    assert found is not None
    assert all(one.text.strip() for one in found.signatures)


PYTHON = b'''\
"""A module."""
from __future__ import annotations
from .lex import Token, tokens as _tokens
import os

LIMIT = 10
NAMES: dict[str, int] = {"a": 1}
LONG = [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000]
_own = 3

@lru_cache(maxsize=None)
def parse(text: str, *, strict: bool = True, **more: int) -> list[Token]:
    """Parse a text.

    More of it.
    """
    def inner(): ...
    return []

async def fetch(url, /, *args): return 1
def _hidden(): pass

@overload
def pick(a: int) -> int: ...
@overload
def pick(a: str) -> str: ...
def pick(a): return a

@dataclass(frozen=True)
class Node(Base, metaclass=Meta):
    """A node."""
    kind: str
    size: int = 0
    _secret: int = 1
    RED = "red"
    def __init__(self, kind: str) -> None: self.kind = kind
    @property
    def label(self) -> str:
        """What people see."""
        return self.kind
    @classmethod
    async def load(cls, path: Path) -> Node: ...
    def _own(self): pass

if TYPE_CHECKING:
    Alias = int
try:
    import fast
except ImportError:
    def fast(): ...
'''

PYTHON_HEADS = '''\
LIMIT = 10
NAMES: dict[str, int] = {'a': 1}
LONG = [...]
@lru_cache(maxsize=None)
def parse(text: str, *, strict: bool=True, **more: int) -> list[Token]:
    """Parse a text."""
async def fetch(url, /, *args): ...
@overload
def pick(a: int) -> int: ...
@overload
def pick(a: str) -> str: ...
def pick(a): ...
@dataclass(frozen=True)
class Node(Base, metaclass=Meta):
    """A node."""
    kind: str
    size: int = 0
    RED = 'red'
    def __init__(self, kind: str) -> None: ...
    @property
    def label(self) -> str:
        """What people see."""
    @classmethod
    async def load(cls, path: Path) -> Node: ...
Alias = int
def fast(): ...'''


def test_python() -> None:
    found = python_signatures.offer(PYTHON)
    assert found is not None
    assert "\n".join(one.text for one in found.only(None)) == PYTHON_HEADS
    assert [one.text for one in found.only(frozenset({"_hidden", "LIMIT"}))] == ["LIMIT = 10", "def _hidden(): ..."]
    assert Passed(".lex", (("Token", "Token"), ("tokens", "_tokens"))) in found.passed


def test_python_says_itself_what_is_public() -> None:
    found = python_signatures.offer(b"__all__ = ['_a']\ndef _a(): ...\ndef b(): ...\n")
    assert found is not None
    assert [one.name for one in found.only(None)] == ["_a"]
    assert python_signatures.offer(b"print 'two'") is None


def test_python_of_our_own_is_python_again() -> None:
    """All signatures of a module can be parsed: none is cut in its middle."""
    for path in sorted(Path(__file__).parents[2].glob("agentjobs/**/*.py")):
        found = python_signatures.offer(path.read_bytes())
        assert found is not None
        ast.parse("\n".join(one.text for one in found.signatures))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is newer")
def test_type_parameters_of_python() -> None:
    found = python_signatures.offer(b"type Pair[T] = tuple[T, T]\ndef f[T](a: T) -> T: return a\nclass A[T]: pass\n")
    assert found is not None
    assert [one.text for one in found.signatures] == [
        "type Pair[T] = tuple[T, T]", "def f[T](a: T) -> T: ...", "class A[T]:\n    ...",
    ]  # fmt: skip


def test_names_that_are_worked_out_when_the_file_is_run_are_not_known() -> None:
    for listed in ("[*names]", "['_a', *names]", "sorted(names)", "'b'"):
        found = python_signatures.offer(f"__all__ = {listed}\ndef _a(): ...\ndef b(): ...\n".encode())
        assert found is not None
        assert [one.name for one in found.only(None)] == ["b"], listed
