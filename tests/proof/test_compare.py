# ruff: noqa: E501 - one pair of programs a line
"""Types erased, is it the same program? Each line of the tables is one thing a conversion does, or must not do."""

from __future__ import annotations

import pytest

from agentjobs.proof.compare import Tier, compare
from agentjobs.proof.difference import Difference


def differ(old: str, new: str, tier: Tier = "strict", new_path: str = "a.ts") -> Difference | None:
    return compare(old.encode(), "a.js", new.encode(), new_path, tier)


SAME = {
    "annotations": ("let x = f(1)", "let x: number = f<number>(1)"),
    "definite": ("let x\nx = 1", "let x!: number\nx = 1"),
    "parameters": ("function f(a, b = 1, ...c) {}", "function f<T>(this: Q, a?: T, b: number = 1, ...c: T[]): void {}"),
    "arrow": ("x.map(a => a)", "x.map((a: any): any => a)"),
    "assertions": ("f(a, b.c, d, e)", "f(a as any, (b as B)!.c!, <D>d, e satisfies E)"),
    "binding of the mark": ("a && b.c; !x.y(); -z.q", "a && b!.c; !x!.y(); -z!.q"),
    "qualified types": ("x = y", "x = y as A.B.C"),
    "types": ("f()", "interface A {}\ntype B = A\ndeclare const c: A\nexport type { A }\nf()"),
    "overloads": ("function f(a) {}", "function f(a: 1): void\nfunction f(a: 2): void\nfunction f(a: any) {}"),
    "default overload": ("export default function f(a) {}", "export default function f(a: 1): void\nexport default function f(a: any) {}"),
    "type imports": ("import { b } from './x.js'", "import type A from 'q'\nimport { type C, b } from './x.ts'"),
    "class": (
        "class A extends B { static q = 1; get g() { return 1 } }",
        "abstract class A<T> extends B<T> implements C { declare x: T; declare static s: T; static readonly q: number = 1; protected override get g(): T { return 1 } abstract m(): void; [k: string]: any }",
    ),
    "parameter property": (
        "class A { constructor(a, b = 1) { this.a = a; this.b = b; f() } }",
        "class A { constructor(private a: T, readonly b = 1) { f() } }",
    ),
    "namespace of types": ("f()", "namespace N { export type T = 1; export interface I {} }\nf()"),
    "literals": ("x = ['it\\'s', 0x10, 1e3, `a`, '\\u0041', 010]", "x = [\"it's\", 16, 1_000, `a`, 'A', 8]"),
    "layout": ("if (a) { b() }; c", "if(a){b();}\n\nc;// end"),
    "keys": ("x = {'a': 1, b: b}", "x = {a: 1, b}"),
    "declarations in a row": ("var a = 1, b", "var a = 1\nvar b"),
    "import =": ("'use strict'\nconst a = require('./a.js')\nf(a)", "import a = require('./a.ts')\nf(a)"),
    "export = last": ("function f() {}\nmodule.exports = f", "function f(): void {}\nexport = f"),
    "export = before functions": ("module.exports = f\nfunction f() {}", "export = f\nfunction f(): void {}"),
    "export = said again": (
        "class A {}\nmodule.exports = A\nconst b = require('./b')\nb.x = 1",
        "class A {}\nmodule.exports = A\nimport b = require('./b')\nb.x = 1\nexport = A",
    ),
    "export = exports": ("exports.a = f()", "exports.a = f()\ndeclare const exports: { a: T }\nexport = exports"),
    "export = exports, with imports": (
        "const b = require('./b')\nexports.a = b\nif (require.main === module) b()",
        "import type T from 't'\nimport b = require('./b')\nexports.a = b\nif (require.main === module) b()\nexport = exports",
    ),
    "export = module.exports": ("module.exports = {}\nmodule.exports.a = 1", "module.exports = {}\nmodule.exports.a = 1\nexport = module.exports"),
    "types that were exported before": ("export const a = module.a", "export const a = module.a\nexport type T = 1"),
    "to modules": (
        "const { a, b: c } = require('./m')\nconst fs = require('fs')\nfunction f() { fs.read(a, c) }\nmodule.exports = { f, g: f }",
        "import { a, b as c } from './m.js'\nimport fs from 'fs'\nexport function f(): void { fs.read(a, c) }\nexport { f as g }",
    ),
    "exports by name": ("exports.a = 1\nexports.b = f()", "export const a: number = 1\nexport const b = f()"),
    "string enum": ("const E = { A: 'a', B: 'b' }", "enum E { A = 'a', B = 'b' }"),
    "emitted enum": (
        'var E;\n(function (E) { E[E["A"] = 0] = "A"; E["B"] = "x"; E[E["C"] = 4] = "C" })(E || (E = {}));',
        "enum E { A, B = 'x', C = 4 }",
    ),
    "overloads without semicolons": ("x = f", "interface I {\n  <A>(a: A): (b: A) => I<A>\n  <A>(a: A, b: A): I<A>\n}\nx = f"),
    "variance": ("class A {}", "interface I<in out T, const U> {}\nclass A<in T> {}"),
    "star of types": ("f()", "import type * as X from 'x'\nexport type * from 'y'\nf()"),
    "types of tagged templates": ("x = gql`a`\ny = s.div`b${c}`", "x = gql<string>`a`\ny = s.div<{ a: string; b: T }>`b${c}`"),
    "pragmas kept": ("import(/* webpackIgnore: true */ x)", "import(/* webpackIgnore: true */ x as string)"),
    "parameter property beside a field": (
        "class A { y = 1; constructor(x) { this.x = x } }",
        "class A { y: number = 1; constructor(private x: T) {} }",
    ),
    "holes": ("x = [, a, , b,]", "x = [, a, , b]"),
}


@pytest.mark.parametrize("name", SAME)
def test_a_conversion_that_keeps_the_code_is_the_same_program(name: str) -> None:
    old, new = SAME[name]
    assert differ(old, new) is None


def test_jsx_is_read_with_its_rules_for_white_space() -> None:
    old = "const a = <A b='x'>\n  text {c}\n</A>"
    assert differ(old, 'const a: E = <A b="x">text {c /* now */}</A>', new_path="a.tsx") is None
    assert differ(old, 'const a: E = <A b="x">text{c}</A>', new_path="a.tsx") is not None


OTHER = {
    "operator": ("a === b", "a == b"),
    "negation": ("if (!a) b()", "if (a) b()"),
    "default": ("function f(a = 1) {}", "function f(a = 2) {}"),
    "default gone": ("function f(a = 1) {}", "function f(a?: number) {}"),
    "branch": ("if (a) b(); else c()", "if (a) b()"),
    "order": ("a(); b()", "b(); a()"),
    "error swallowed": ("try { a() } catch (e) { throw e }", "try { a() } catch (e) {}"),
    "await": ("async function f() { await a() }", "async function f() { a() }"),
    "return": ("function f() { return a }", "function f() { a }"),
    "coalescing": ("a || b", "a ?? b"),
    "chain": ("a.b", "a?.b"),
    "chain broken": ("a?.b.c", "(a?.b as any).c"),
    "hole": ("[a, b]", "[a, , b]"),
    "loop parts": ("for (; a;) {}", "for (;; a) {}"),
    "empty body": ("if (a) b()", "if (a); b()"),
    "spread": ("f(...a)", "f(a)"),
    "getter": ("class A { get a() { return 1 } }", "class A { a() { return 1 } }"),
    "field made": ("class A {}", "class A { x: number }"),
    "definite field": ("class A {}", "class A { x!: number }"),
    "derived parameter property": (
        "class A extends B { constructor(a) { super(); this.a = a } }",
        "class A extends B { constructor(private a: T) { super() } }",
    ),
    "kind of declaration": ("var a = 1", "const a = 1"),
    "renamed": ("function f(a) { return a }", "function f(b) { return b }"),
    "numeric enum for an object": ("const E = { A: 0 }", "enum E { A }"),
    "frozen object": ("const E = Object.freeze({ A: 'a' })", "enum E { A = 'a' }"),
    "const enum": ("const E = { A: 'a' }", "const enum E { A = 'a' }"),
    "namespace": ("const N = { x: 1 }", "namespace N { export const x = 1 }"),
    "export = before a late require": (
        "class A {}\nmodule.exports = A\nconst b = require('./b')\nb.x = 1",
        "class A {}\nexport = A\nimport b = require('./b')\nb.x = 1",
    ),
    "export = of another value": ("module.exports = A\nf()", "module.exports = A\nf()\nexport = B"),
    "export = after a new value": ("let A = 1\nmodule.exports = A\nA = 2", "let A = 1\nmodule.exports = A\nA = 2\nexport = A"),
    "import that is dropped": ("const a = require('./a')", "import a = require('./a')\nlet x: a.T"),
    "late require": ("f()\nconst a = require('a')\na()", "import a from 'a'\nf()\na()"),
    "export default": ("module.exports = f\nfunction f() {}", "export default f\nfunction f() {}"),
    "namespace called": ("const a = require('a')\na()", "import * as a from 'a'\na()"),
    "strict": ("f()", "'use strict'\nf()"),
    "specifier": ("import a from './a'", "import a from './b'"),
    "export gone": ("export { a, b }", "export { a }"),
    "type-only export of a value": ("export { a }", "export type { a }"),
    "script made a module": ("const a = require('a')\na()", "const a = require('a')\na()\nexport {}"),
    "ambiguous brackets": ("f(a < b, c > (d))", "f(a < b, c > (d))"),
    "mark on the next line": ("a\n;b", "a\n!b"),
    "shebang": ("#!/usr/bin/env node\nf()", "f()"),
    "default import of an unknown module": ("const u = require('u')\nu()", "import u from 'u'\nu()"),
    "member of a namespace assigned": ("const os = require('os')\nos.a = 1", "import * as os from 'os'\nos.a = 1"),
    "member of a namespace counted": ("const os = require('os')\nos.a++", "import * as os from 'os'\nos.a++"),
    "member of a namespace deleted": ("const os = require('os')\ndelete os.a", "import * as os from 'os'\ndelete os.a"),
    "import that only types use": ("const { A } = require('./a')\nf()", "import { A } from './a'\nf()\ninterface B { a: A }"),
    "parameter property that a field reads": (
        "class A { y = this.x; constructor(x) { this.x = x } }",
        "class A { y = this.x; constructor(private x: T) {} }",
    ),
    "pragma of JSX gone": ("/** @jsx h */\nf(a)", "f(a)"),
    "comment of webpack gone": ("import(/* webpackIgnore: true */ x)", "import(x)"),
    "types in a string": ("f('a<b>`')", "f('a<c>`')"),
    "declared export": ("exports.a = f()", "exports.a = f()\nexport declare let a: any"),
    "exported type": ("exports.a = f()", "exports.a = f()\nexport type T = 1"),
    "exported interface": ("module.exports = f", "module.exports = f\nexport interface T {}"),
    "type import beside exports": ("exports.a = f()", "import type T from 't'\nexports.a = f()"),
    "import = beside exports": ("const b = require('b')\nexports.a = b", "import b = require('b')\nexports.a = b"),
    "exports replaced": ("exports.a = 1\nexports = {}", "exports.a = 1\nexports = {}\nexport = exports"),
    "exports perhaps replaced": ("exports.a = 1\nf(module)", "exports.a = 1\nf(module)\nexport = exports"),
    "exports perhaps missing": (
        "if (typeof exports === 'object') exports.a = 1",
        "if (typeof exports === 'object') exports.a = 1\nexport = exports",
    ),
    "prototype": ("x = { __proto__: __proto__ }", "x = { __proto__ }"),
}


@pytest.mark.parametrize("tier", ["strict"])
@pytest.mark.parametrize("name", OTHER)
def test_what_changes_the_program_is_found(name: str, tier: Tier) -> None:
    old, new = OTHER[name]
    assert differ(old, new, tier) is not None


LENIENT = {
    "kind": ("var a = 1\nfor (var b of c) {}", "const a = 1\nfor (const b of c) {}"),
    "import order": ("import 'a'\nimport b from 'b'\nb()", "import b from 'b'\nimport 'a'\nb()"),
    "elision": ("import b from 'b'\nb(x)", "import b from 'b'\nimport { T } from './types'\nb(x as T)"),
    "default form": ("export default function f() {}", "function f() {}\nexport default f"),
    "renamed": ("function f(a) { return a + g }", "function f(b: T) { return b + g }"),
    "default for module.exports": ("function f() {}\nmodule.exports = f", "export default function f() {}"),
}
REVIEW = {
    "braces": ("if (a) b(); else c()", "if (a) { b() } else { c() }"),
    "arrow": ("x(a => b)", "x((a: T) => { return b })"),
    "function": ("x(function (a) { return a })", "x((a: T) => a)"),
    "bracket": ("a['b']()", "a.b()"),
    "field": ("class A { constructor() { this.x = 1 } }", "class A { x: number; constructor() { this.x = 1 } }"),
    "catch": ("try { a() } catch (e) { b() }", "try { a() } catch { b() }"),
}


@pytest.mark.parametrize("name", LENIENT)
def test_the_lenient_tier_passes_what_it_says(name: str) -> None:
    assert differ(*LENIENT[name]) is not None
    assert differ(*LENIENT[name], "lenient") is None
    assert differ(*LENIENT[name], "review") is None


@pytest.mark.parametrize("name", REVIEW)
def test_the_review_tier_passes_more(name: str) -> None:
    assert differ(*REVIEW[name], "lenient") is not None
    assert differ(*REVIEW[name], "review") is None


NEVER = [
    ("function f(a, b) { return a - b }", "function f(b, a) { return a - b }"),
    ("function f(a) { return g }", "function f(g) { return g }"),
    ("let a = 1, b = 2; f(a, b)", "let a = 1, b = 2; f(b, a)"),
    ("x(function () { return this })", "x(() => this)"),
    ("a === b", "a == b"),
    ("export { a }", "export { b }"),
]


@pytest.mark.parametrize(("old", "new"), NEVER)
@pytest.mark.parametrize("tier", ["lenient", "review"])
def test_no_tier_passes_another_program(old: str, new: str, tier: Tier) -> None:
    assert differ(old, new, tier) is not None


def test_a_syntax_error_is_a_difference_unless_the_original_has_it() -> None:
    found = differ("f()", "f(\nlet x: = 1")
    assert found is not None
    assert found.kind == "syntax"
    assert differ("a b c )(", "a b c )(") is None


def test_a_difference_says_where_and_what() -> None:
    old = "function outer() {\n  const inner = () => {\n    return a === 1\n  }\n}\n"
    new = "type T = 1\nfunction outer(): void {\n  const inner = (): T => {\n    return a == 1\n  }\n}\n"
    found = differ(old, new)
    assert found is not None
    assert (found.function, found.old_line, found.new_line) == ("outer > inner", 3, 4)
    assert found.render("lib/a.js", "lib/a.ts").splitlines()[0] == (
        "agentjobs: lib/a.ts:4: changed in `outer > inner` (was lib/a.js:3)"
    )
    assert "  - a === 1" in found.render("lib/a.js", "lib/a.ts")
    assert "  + a == 1" in found.render("lib/a.js", "lib/a.ts")


def test_a_deep_tree_is_no_trouble() -> None:
    long = " + ".join(f"'{n}'" for n in range(3000))
    assert differ(f"x = {long}", f"x = ({long}) as string") is None
    assert differ(f"x = {long}", f"x = {long} + ''") is not None


def test_typescript_is_compared_with_typescript() -> None:
    old = "import a = require('a')\nenum E { A }\nclass B extends C { constructor(private x: T) { super() } }\nexport = a"
    new = old.replace(": T", ": U")
    assert compare(old.encode(), "a.ts", new.encode(), "a.ts") is None
    assert compare(old.encode(), "a.ts", old.replace("{ A }", "{ B }").encode(), "a.ts") is not None
