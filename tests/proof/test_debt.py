"""What is counted as debt, and what is not."""

from __future__ import annotations

from agentjobs.proof.debt import (
    Debt,
    coverage_of,
    debt_of,
    exports_of,
    removed_exports,
    weakened_settings,
    weakened_tests,
)

SOURCE = b"""// @ts-nocheck
/* eslint-disable no-var */
const any = 'any as any @ts-ignore'; // any
let a: any[] = f<any>(b as any, <any>c, d!.e);
// @ts-ignore
x.any = 1;
// @ts-expect-error TS2345
y();
// @ts-expect-error TS2304
z();
"""


def test_counts_come_from_types_and_comments_not_from_text() -> None:
    assert debt_of(SOURCE, "a.ts") == Debt(
        any=4, as_any=2, non_null=1, ignore=1, expect_error=2, hiding=1, nocheck=1, eslint_disable=1
    )
    assert debt_of(b"any", "a.md") == Debt()


def test_only_suppressions_that_cannot_run_are_hiding() -> None:
    codes = {"1005": 1, "1192": 0, "1192, TS2305": 0, "1192, TS2304": 1, "11921": 0, "2305": 0, "2307": 1, "8010": 1}
    for code, hiding in codes.items():
        assert debt_of(f"// @ts-expect-error TS{code}\nx()\n".encode(), "a.ts").hiding == hiding, code


def test_debts_are_added_subtracted_and_held_against_an_allowance() -> None:
    a, b = Debt(any=3, ignore=1), Debt(any=1)
    assert a + b == Debt(any=4, ignore=1)
    assert a - b == Debt(any=2, ignore=1)
    assert a.over({"any": 2, "ignore": 1}) == {"any": (3, 2)}
    assert a.total() == 4


TEST = b"""describe('x', () => {
  it('a', () => { assert.equal(1, 1); expect(2).toBe(2) })
  test('b', () => { assert(true) })
})
"""


def test_tests_and_assertions_are_counted() -> None:
    found = coverage_of(TEST, "test/a.js")
    assert (found.tests, found.asserts, found.skipped) == (2, 3, 0)
    assert coverage_of(TEST.replace(b"it(", b"it.skip("), "a.js").skipped == 1
    assert coverage_of(TEST.replace(b"describe(", b"xdescribe("), "a.js").skipped == 1
    assert coverage_of(b"// it.skip(\n", "a.js").skipped == 0


def test_weakened_tests_are_named() -> None:
    before = {"test/a.js": TEST, "test/b.js": TEST, "test/c.js": TEST}
    after = {"test/a.ts": TEST, "test/b.ts": TEST.replace(b"assert(true)", b""), "test/d.ts": TEST}
    assert list(weakened_tests(before, after)) == [
        "test/b.ts:1: 2 assertions, there were 3",
        "test/c.js:1: this test file was removed",
    ]


def test_exports_of_both_kinds_of_modules() -> None:
    assert exports_of(b"exports.a = 1; module.exports.b = 2", "a.js") == {"a", "b"}
    assert exports_of(b"module.exports = { a, b: c }", "a.js") == {"*", "a", "b"}
    assert exports_of(b"export = x", "a.ts") == {"*"}
    source = b"export const a = 1, b = 2\nexport function c() {}\nexport { d as e }\nexport default 1"
    assert exports_of(source, "a.ts") == {"a", "b", "c", "e", "default"}
    assert list(removed_exports({"a.js": b"exports.a = exports.b = 1"}, {"a.ts": b"exports.a = 1"})) == [
        "a.ts:1: no longer exports `b`"
    ]


def test_settings_that_check_less_are_named() -> None:
    before = b'{ // the lot\n "compilerOptions": { "strict": true, }, "include": ["src"] }'
    assert list(weakened_settings(before, before.replace(b"the lot", b"all"), "tsconfig.json")) == []
    after = b'{ "compilerOptions": { "strict": false, "skipLibCheck": true }, "include": ["lib"] }'
    assert list(weakened_settings(before, after, "tsconfig.json")) == [
        "tsconfig.json:1: `strict` was turned off",
        "tsconfig.json:1: `skipLibCheck` is on",
        "tsconfig.json:1: `include` was changed",
    ]
    assert list(weakened_settings(before, b"{", "tsconfig.json")) == ["tsconfig.json:1: changed, and cannot be parsed"]
