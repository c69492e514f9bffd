import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { TOOLS_DIR, load, repository, skip } from './kit.mjs';

const { convertModuleSyntax } = await load('convert/modules.mjs');
const { exportForm, parseJs } = await load('convert/commonjs.mjs');
const { convertGroup } = await load('convert/convert.mjs');
const { repairGroup } = await load('convert/repair.mjs');
const { takeUp } = await load('convert/task.mjs');
const { Workbench } = await load('convert/workbench.mjs');
const { ts } = await load('project.mjs');
const registry = skip ? undefined : ts.createDocumentRegistry();

/** Convert these files of a repository; gives the bench, which holds the results. */
function converted(t, files, names = Object.keys(files)) {
  const treeDir = repository(t, files);
  const bench = new Workbench(treeDir, treeDir, registry);
  const taken = takeUp(bench, names);
  convertGroup(bench, taken);
  const left = taken.flatMap(({ name }) => bench.diagnostics(name).map((found) => ts.flattenDiagnosticMessageText(found.messageText, ' ')));
  return { bench, taken, left, treeDir };
}

test('the form of exports', { skip }, () => {
  const form = (text) => exportForm(parseJs(text, 'a.js')).kind;
  assert.equal(form('module.exports = f\nfunction f() {}'), 'last');
  assert.equal(form('class A {}\nmodule.exports = A\nrequire("./b")'), 'early');
  assert.equal(form('exports = module.exports = f\nfunction f() {}\nexports.g = 1'), 'early');
  assert.equal(form('exports.a = exports.b = 1'), 'named');
  assert.equal(form('function a() {}\nexports.a = a'), 'named');
  assert.equal(form('exports.a = 1\nfill(module)'), 'opaque');
  assert.equal(form('for (const a in b) exports[a] = b[a]'), 'opaque');
  assert.equal(form('a()'), 'none');
  assert.equal(form('export const a = 1'), 'esm');
});

test('module syntax', { skip }, () => {
  const convert = (text, hasTypes = () => true) => convertModuleSyntax(text, 'a.js', hasTypes);
  assert.equal(convert('const a = require("a"); a()'), 'import a = require("a"); a()');
  assert.equal(convert('const a = require("a"); a()', () => false), 'const a = require("a"); a()');
  assert.equal(convert('let a = require("a"); a = 1'), 'let a = require("a") as typeof import("a"); a = 1');
  assert.equal(convert('const { b } = require("a")'), 'const { b } = require("a") as typeof import("a")');
  assert.equal(convert('f()\nrequire("a").b()'), 'f()\n;(require("a") as typeof import("a")).b()');
  assert.equal(convert('module.exports = 1'), 'export = 1');
  assert.equal(convert('exports.a = 1'), 'exports.a = 1\ndeclare const exports: {\n  a: any;\n};\nexport = exports;\n');
  assert.equal(
    convert('module.exports = f\nmodule.exports.g = 1\nfunction f() {}'),
    'module.exports = f\nmodule.exports.g = 1\nfunction f() {}\ndeclare namespace f {\n  export let g: any;\n}\nexport = f;\n',
  );
});

// esbuild and tsx take any other `export` for an ECMAScript module, and tsc marks an `import` without `export =`.
test('a CommonJS module says only `export =`, and exports what it did', { skip }, () => {
  const bodies = [
    'exports.a = f', 'exports.default = f; exports.a = 2', 'module.exports = f; module.exports.g = 1', 'module.exports = { f }; f()',
    'exports = module.exports = f; exports.g = 1', 'exports.a = 1; fill(module)', 'Object.assign(exports, { a: 1 })', 'exports["x-y"] = 1',
    'if (os.x) exports.a = 1; exports.b = os',
  ];
  const fill = (module) => { module.exports = { filled: 1 }; };
  const load = (code) => {
    const module = { exports: {} };
    new Function('module', 'exports', 'require', 'fill', code)(module, module.exports, () => ({ x: 1 }), fill);
    return [typeof module.exports, '__esModule' in module.exports, ...Object.entries(module.exports).map(([key, value]) => key + typeof value)];
  };
  for (const body of bodies) {
    const before = `const os = require('os');\nfunction f() { return os }\n${body}\n`;
    const after = convertModuleSyntax(before, 'a.js', () => true);
    const marks = after.split('\n').filter((line) => /^export\b/.test(line));
    assert.deepEqual(marks.map((line) => line.slice(0, 9)), ['export = '], after);
    const { outputText } = ts.transpileModule(after, { compilerOptions: { module: ts.ModuleKind.CommonJS, moduleDetection: 3, target: 9 } });
    assert.deepEqual(load(outputText), load(before), after);
  }
});

test('a group that holds the usual difficulties compiles, and is the same code', { skip }, (t) => {
  const { bench, left } = converted(t, {
    'lib/point.js': `'use strict'
const util = require('util')
class Point {
  constructor (x, y) { this.x = x; this.y = y; this.label = 'p' }
  static of (x) { return new Point(x) }
}
Point.origin = new Point(0, 0)
module.exports = Point
`,
    'lib/use.js': `const Point = require('./point')
const list = []
/** @param {Object} options @param {bool} deep @returns {number} */
function area (options, deep) {
  const map = {}
  map[options.key] = new Point(1)
  list.push(options)
  if (typeof define === 'function') define.amd = true
  const found = /a/.exec(options.text)
  return found[0].length + util(this, ...arguments)
}
function util () { return this.x }
exports.total = area({}, 1)
`,
  });
  assert.deepEqual(left, []);
  assert.match(bench.text('lib/point.ts'), /declare x: /);
  assert.match(bench.text('lib/use.ts'), /import Point = require\('.\/point'\)/);
  assert.doesNotMatch(bench.text('lib/use.ts'), /@ts-/);
});

test('the call that is meant is cast, not the one around or within', { skip }, (t) => {
  const { bench, left } = converted(t, { 'a.js': 'function F () { this.a = 1 }\nfunction g (a) { return a }\ng(new F())\ng(g(1), g(2))\n' });
  assert.deepEqual(left, []);
  assert.match(bench.text('a.ts'), /g\(new \(F as any\)\(\)\)\n;?\(g as any\)\(g\(1\), g\(2\)\)/);
});

test('JSX in a .js file makes it .tsx', { skip }, (t) => {
  const { bench, taken } = converted(t, { 'view.js': 'export const view = (name) => <p>{name}</p>\n' });
  assert.equal(taken[0].name, 'view.tsx');
  assert.match(bench.text('view.tsx'), /name: any/);
});

test('an argument that some caller leaves out is optional', { skip }, (t) => {
  const { bench } = converted(
    t,
    { 'a.js': 'export function a (one, two) { return one }\n', 'b.js': "import { a } from './a.js'\na(1)\n" },
    ['a.js'],
  );
  assert.match(bench.text('a.ts'), /two\?: /);
});

test('what JSDoc or the code itself takes for optional is optional', { skip }, (t) => {
  const { bench, left } = converted(t, {
    'a.js': `/**
 * @param {number} a
 * @param {number} [b]
 */
exports.add = function (a, b) { return b ? a + b : a }
/** @param {string} name @param {Object=} options */
function make (name, options) { return options.x + name }
const open = (path, mode, done) => { mode = mode || 'r'; if (done === undefined) return path; return done(mode) }
class A { constructor (a, b) { if (typeof b === 'undefined') b = a; this.b = b } m (a) { return a === null } }
module.exports.make = make; module.exports.open = open; module.exports.A = A
`,
  });
  assert.deepEqual(left, []);
  const text = bench.text('a.ts');
  for (const found of ['function (a: number, b?: number)', 'make (name: string, options?: ', 'mode?: ', 'done?: ', ', b?: ', 'm (a: any)']) {
    assert.ok(text.includes(found), `${found}\n${text}`);
  }
});

test('what cannot be suppressed within JSX keeps nothing else from being suppressed', { skip }, (t) => {
  const { bench } = converted(t, { 'a.js': 'export const a = 1\n', 'v.jsx': "import { a } from './a.js'\nexport const v = () => (\n  <p>\n    {a}\n  </p>\n)\n" });
  assert.match(bench.text('v.tsx'), /expect-error TS7026\n  <p>\n    \{a\}\n  <\/p>/);
});

test('neighbours may be JavaScript still', { skip }, (t) => {
  const { bench, left } = converted(
    t,
    { 'a.js': 'module.exports = function (x) { return { x } }\n', 'b.js': "const a = require('./a')\nmodule.exports = a(1).x\n" },
    ['b.js'],
  );
  assert.deepEqual(left, []);
  assert.match(bench.text('b.ts'), /^import a = require/);
});

/** A bench over a tree where the files are TypeScript already, with what was wrong in them reported. */
function repaired(t, files, own, prompt) {
  const treeDir = repository(t, files);
  const bench = new Workbench(treeDir, treeDir, registry);
  const taken = takeUp(bench, own);
  return { bench, taken, log: repairGroup(bench, taken, prompt) };
}

test('repair fixes the errors of the task\'s own files', { skip }, (t) => {
  const { bench } = repaired(t, { 'a.ts': 'export const a = (x) => x\n' }, ['a.ts'], "a.ts(1,19): error TS7006: Parameter 'x' implicitly has an 'any' type.");
  assert.equal(bench.text('a.ts'), 'export const a = (x: any) => x\n');
});

test('repair widens an export that is too narrow for another file', { skip }, (t) => {
  const files = {
    'a.ts': 'export function a(one: number, two: number) { return one + (two as any) }\n',
    'b.ts': "import { a } from './a'\na(1)\n",
    'c.ts': "import { a } from './a'\na('text', 2)\n",
  };
  const prompt = 'b.ts(2,1): error TS2554: Expected 2 arguments, but got 1.\nc.ts(2,3): error TS2345: Argument of type ...';
  const { bench, log } = repaired(t, files, ['a.ts'], prompt);
  assert.match(bench.text('a.ts'), /one: any, two\?: number/);
  assert.equal(log.length, 2);
});

test('repair casts at the place of an error that only the merged whole shows', { skip }, (t) => {
  const files = { 'a.ts': "import f from './f'\nexport const a = (b: string | any[]) => f(b, 1) + f('c', 2)\n", 'f.js': 'export default (g, h) => g\n' };
  const prompt = "a.ts(2,43): error TS2345: Argument of type 'string | any[]' is not assignable to parameter of type 'any[]'.";
  const { bench, log } = repaired(t, files, ['a.ts'], prompt);
  assert.match(bench.text('a.ts'), /f\(b as any, 1\) \+ f\('c', 2\)/);
  assert.equal(log.length, 1);
});

test('repair says what it cannot do', { skip }, (t) => {
  assert.throws(() => repaired(t, { 'a.ts': 'export {}\n' }, ['a.ts'], '## What went wrong before\n\n```text\n1 failing:\n  it adds\n```'), /but: 1 failing: it adds$/);
  assert.throws(() => repaired(t, { 'a.ts': 'export {}\n', 'b.ts': 'export {}\n' }, ['a.ts'], 'b.ts(1,1): error TS2339: x'), /no way to fix, in a.ts: b.ts\(1\): TS2339: x$/);
});

test('a suppression that is not needed any more is taken out', { skip }, (t) => {
  const text = '// @ts-expect-error TS2322\nexport const a: number = 1\n';
  const { bench } = repaired(t, { 'a.ts': text }, ['a.ts'], "a.ts(1,1): error TS2578: Unused '@ts-expect-error' directive.");
  assert.equal(bench.text('a.ts'), 'export const a: number = 1\n');
});

test('the type of a whole module, as JSDoc writes it', { skip }, (t) => {
  const { bench, left } = converted(t, {
    'a.json': '{ "a": 1 }',
    'b.js': 'export const b = 1\n',
    'c.js': "/** @type {import('./a.json')} */\nexport const a = JSON.parse('{}')\n/** @param {import('./b.js') | undefined} [b] */\nexport const f = (b) => b?.b\n",
  }, ['b.js', 'c.js']);
  assert.deepEqual(left, []);
  assert.match(bench.text('c.ts'), /const a: typeof import\('.\/a.json'\) =[^]*b\?: typeof import\('.\/b.js'\)\|undefined/);
});

// How modules come to their exports, and how an ECMAScript module may import them.
const COMMONJS = {
  named: 'exports.a = 1\n', whole: 'module.exports = function () {}\n', marked: "Object.defineProperty(exports, '__esModule', { value: true })\nexports.default = exports.a = 1\n",
  noDefault: 'exports.__esModule = true\nexports.a = 1\n', guarded: "if (typeof module !== 'undefined') module.exports = { a: 1 }\n", loop: "for (const key of ['a']) exports[key] = 1\n",
  umd: "(function (root, make) {\n  if (typeof define === 'function' && define.amd) define([], make)\n  else if (typeof module === 'object' && module.exports) module.exports = make()\n  else root.A = make()\n})(this, function () { return { a: 1 } })\n",
  rollup: "(function (global, make) {\n  typeof exports === 'object' && typeof module !== 'undefined' ? make(exports) : make(global.A = {})\n})(this, function (exports) { exports.a = 1; Object.defineProperty(exports, '__esModule', { value: true }) })\n",
};
const BY_IMPORT = {
  default: (of) => `import d from '${of}'\nexport const b = [d.a, () => d(), typeof d]\n`, named: (of) => `import { default as d, a } from '${of}'\nexport const b = [a, d]\n`,
  both: (of) => `import d, {\n  a,\n  a as c,\n} from '${of}'\nexport const b = [a, c, d]\n`, star: (of) => `import * as d from '${of}'\nexport const b = d.a\n`,
  passed: (of) => `export { default, default as e } from '${of}'\nexport * from '${of}'\n`, later: (of) => `export const b = import('${of}').then(({ default: d, a }) => d.a + a)\n`,
};

test('an ECMAScript module imports CommonJS in any way, be it JavaScript still or converted', { skip }, (t) => {
  for (const [from, to, isLeft] of [['.cjs', '.mjs', false], ['.js', '.js', true]]) {
    const files = {};
    for (const [form, text] of Object.entries(COMMONJS)) {
      files[`${form}${from}`] = text;
      for (const [how, importer] of Object.entries(BY_IMPORT)) files[`${form}-${how}${to}`] = importer(`./${form}${from}`);
    }
    const { bench, taken, left } = converted(t, files, Object.keys(files).filter((name) => !isLeft || name.includes('-')));
    assert.deepEqual(left, []);
    const hidden = new Set(taken.flatMap(({ name }) => bench.text(name).match(/(?<=@ts-expect-error.*)TS\d+/g) ?? []));
    assert.deepEqual([...hidden].filter((code) => !['TS1192', 'TS2305', 'TS2339', 'TS2497', 'TS2498'].includes(code)), []);
  }
});

test('as an agent: files are replaced, the result is an event, the handoff is written', { skip }, (t) => {
  const treeDir = repository(t, { 'a.js': 'exports.a = (x) => x\n' });
  const handoff = path.join(treeDir, 'handoff.md');
  const run = spawnSync(process.execPath, [path.join(TOOLS_DIR, 'convert', 'main.mjs')], {
    cwd: treeDir,
    input: '',
    encoding: 'utf8',
    env: { ...process.env, AGENTJOBS_FILES: 'a.js\na.ts', AGENTJOBS_MODE: 'first', AGENTJOBS_HANDOFF: handoff, AGENTJOBS_ROOT: treeDir },
  });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  const result = JSON.parse(run.stdout.trim().split('\n').at(-1));
  assert.equal(result.is_error, false);
  assert.equal(result.result, 'a.ts: no errors');
  assert.equal(existsSync(path.join(treeDir, 'a.js')), false);
  assert.match(readFileSync(path.join(treeDir, 'a.ts'), 'utf8'), /a: any;\n};\nexport = exports/);
  assert.match(readFileSync(handoff, 'utf8'), /a\.ts is TypeScript now/);
});

test('as an agent: stopped after its work was done, it leaves that to the checks', { skip }, (t) => {
  const treeDir = repository(t, { 'a.js': 'exports.a = function (b) { return b }\n' });
  const env = { ...process.env, AGENTJOBS_FILES: 'a.js\na.ts', AGENTJOBS_MODE: 'resume', AGENTJOBS_ROOT: treeDir };
  const run = () => spawnSync(process.execPath, [path.join(TOOLS_DIR, 'convert', 'main.mjs')], { cwd: treeDir, input: 'Continue.', encoding: 'utf8', env });
  assert.equal(run().status, 0);
  const before = readFileSync(path.join(treeDir, 'a.ts'), 'utf8');
  const { status, stdout } = run();
  assert.equal(status, 0, stdout);
  assert.equal(readFileSync(path.join(treeDir, 'a.ts'), 'utf8'), before);
});

test('what is executable stays so', { skip }, (t) => {
  const treeDir = repository(t, { 'bin/cli.js': "#!/usr/bin/env node\nconsole.log(1);\n", 'lib.js': 'exports.a = 1;\n' });
  chmodSync(path.join(treeDir, 'bin/cli.js'), 0o755);
  const env = { ...process.env, AGENTJOBS_FILES: 'bin/cli.js\nlib.js', AGENTJOBS_MODE: 'first', AGENTJOBS_ROOT: treeDir };
  const run = spawnSync(process.execPath, [path.join(TOOLS_DIR, 'convert', 'main.mjs')], { cwd: treeDir, input: '', encoding: 'utf8', env });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.equal(statSync(path.join(treeDir, 'bin/cli.ts')).mode & 0o111, 0o111);
  assert.equal(statSync(path.join(treeDir, 'lib.ts')).mode & 0o111, 0);
});

// Reasons why a module cannot be TypeScript, in CommonJS and as an ECMAScript module, each with modules that import it.
const UNCONVERTIBLE = {
  cjs: { latin: "exports.a = '\xe9'\n", octal: 'exports.a = 010\n', broken: 'exports.a = \n{{ b }}\n', with: 'with (Math) exports.a = abs(1)\n' },
  mjs: {
    latin: "export const a = '\xe9'\nexport default a\n", broken: 'export const a = \n{{ b }}\nexport default a\n', gone: "import a from './none.js'\nexport { a }\nexport default a\n",
    asset: "import a from './a.svg'\nexport { a }\nexport default a\n", absent: "import a from 'not-installed'\nexport { a }\nexport default a\n",
    dynamic: "export const a = import('virtual:a')\nexport default a\n", passed: "export * from 'not-installed'\nexport const a = 1\nexport default a\n",
  },
};
const IMPORTERS = {
  cjs: { whole: (of) => `const m = require('${of}')\nexports.b = m.a\n`, parts: (of) => `const { a } = require('${of}')\nmodule.exports = () => a\n` },
  mjs: {
    whole: (of) => `import * as m from '${of}'\nexport const b = m.a\n`, parts: (of) => `import { a } from '${of}'\nexport default () => a\n`,
    default: (of) => `import a from '${of}'\nexport const b = a\n`, passed: (of) => `export { a } from '${of}'\nexport * from '${of}'\n`,
  },
};

test('as an agent: what cannot be TypeScript stays as it is, and all that imports it is converted', { skip }, (t) => {
  const files = { 'a.svg': '<svg/>', 'a.css': '', 'styled.mjs': "import './a.css'\nexport const a = 1\n", 'lines.js': 'exports.a = 1;\r\nexports.b = function (c) {\r\n};\r\n' };
  const stay = [];
  for (const [ending, reasons] of Object.entries(UNCONVERTIBLE)) {
    for (const [reason, text] of Object.entries(reasons)) {
      stay.push(`${reason}.${ending}`);
      files[stay.at(-1)] = Buffer.from(text, 'latin1');
      for (const [how, importer] of Object.entries(IMPORTERS[ending])) files[`${reason}-${how}.${ending}`] = importer(`./${reason}.${ending}`);
    }
  }
  const treeDir = repository(t, files);
  const names = Object.keys(files).filter((name) => /js$/.test(name));
  const run = (tool, names) => {
    const env = { ...process.env, AGENTJOBS_FILES: names.join('\n'), AGENTJOBS_MODE: 'first', AGENTJOBS_ROOT: treeDir };
    return spawnSync(process.execPath, [path.join(TOOLS_DIR, tool)], { cwd: treeDir, input: '', encoding: 'utf8', env });
  };
  for (const task of [stay.slice(0, 2), names]) { // a task with nothing that can be converted is done too
    const { status, stdout } = run('convert/main.mjs', task);
    assert.equal(status, 0, stdout);
    assert.doesNotMatch(stdout, /left: /);
  }
  assert.deepEqual(names.filter((name) => existsSync(path.join(treeDir, name))).sort(), stay.sort());
  assert.doesNotMatch(readFileSync(path.join(treeDir, 'lines.ts'), 'utf8'), /[^\r]\n/);
  const left = run('check-left.mjs', names);
  assert.equal(left.status, 0, left.stdout);
  assert.deepEqual(left.stdout.match(/(?<=^agentjobs-note: stays JavaScript: )[^:]+/gm), names.filter((name) => stay.includes(name)));
  assert.equal(run('check-types.mjs', names).stdout, '');
});

test('as an agent: a half-done attempt begins again', { skip }, (t) => {
  const treeDir = repository(t, { 'a.js': 'module.exports = 1\n' });
  writeFileSync(path.join(treeDir, 'a.ts'), 'half a f');
  const bench = new Workbench(treeDir, treeDir, registry);
  const files = takeUp(bench, ['a.js', 'a.ts']);
  assert.equal(files.length, 1);
  convertGroup(bench, files);
  assert.equal(bench.text('a.ts'), 'export = 1\n');
});
