import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { TOOLS_DIR, repository, skip } from './kit.mjs';

const TABLE = 'id\tstatus\tafter\tfiles\n';

/** Run a check of the gate in a tree, whose table names what was converted. */
function check(name, treeDir, args = [], files = '') {
  const env = { ...process.env, AGENTJOBS_ROOT: treeDir, AGENTJOBS_FILES: files };
  return spawnSync(process.execPath, [path.join(TOOLS_DIR, name), ...args], { cwd: treeDir, encoding: 'utf8', env });
}

test('tests run on the JavaScript of what was converted, and on nothing else', { skip }, (t) => {
  const treeDir = repository(t, {
    'tasks.tsv': `${TABLE}a\tDONE\t\tlib/a.js lib/a.ts\nb\tDONE\t\t'my view.js' 'my view.tsx'\n`,
    'lib/a.ts': 'export = 1 as number\n',
    'my view.tsx': 'export const a: any = <p/>\n',
    'test/index.ts': 'let x: number\n',
    'test/index.js': 'require("assert").equal(require("../lib/a.js"), 1)\n',
    'test/broken.ts': 'let x: =\n',
  });
  const script = 'node test/index.js && cat test/index.ts test/broken.ts "my view.js"';
  const run = check('check-tests.mjs', treeDir, ['sh', '-c', script]);
  assert.equal(run.status, 0, run.stderr);
  assert.equal(run.stdout, 'let x: number\nlet x: =\nexport const a      = <p/>\n');
});

test('without a command the test script runs, but no linter', { skip }, (t) => {
  const run = (scripts) => check('check-tests.mjs', repository(t, { 'package.json': JSON.stringify({ scripts }) }));
  const lint = run({ pretest: 'npm run lint', test: 'xo && npx eslint . && echo tested && exit 3' });
  assert.equal(lint.status, 3);
  assert.match(lint.stdout, /linter: npm run lint\n.*linter: xo\n.*linter: npx eslint \.\ntested\n$/);
  assert.match(run({}).stdout, /nothing is tested/);
});

test('types are checked of what was converted, whatever else is in the tree', { skip }, (t) => {
  const files = {
    'tasks.tsv': `${TABLE}a\tDONE\t\tlib/a.js lib/a.ts\n`,
    'lib/a.ts': "// @ts-ignore as it was before\nimport o = require('./octal')\nexport = (a: number) => o + a\n",
    'lib/octal.js': 'module.exports = 010\n',
    'templates/a.js': '<% no JavaScript %>\n',
    'test/a.ts': "import a = require('../lib/a')\na('text')\n",
  };
  assert.equal(check('check-types.mjs', repository(t, files)).stdout, '');
  const wrong = check('check-types.mjs', repository(t, { ...files, 'lib/a.ts': 'export const a: number = ""\n' }));
  assert.equal(wrong.status, 1);
  assert.match(wrong.stdout, /^lib\/a.ts\(1,14\): error TS2322: .*\n$/);
});

test('a file may stay JavaScript only if it cannot be TypeScript', { skip }, (t) => {
  const treeDir = repository(t, { 'a.js': 'exports.a = 1\n', 'b.js': 'exports.b = 01\n' });
  const left = (...names) => check('check-left.mjs', treeDir, [], names.join('\n'));
  assert.deepEqual([left('b.js', 'b.ts', 'c.js').status, left('a.js', 'b.js').status], [0, 1]);
  assert.match(left('a.js', 'b.js').stdout, /^a\.js\(1,1\): error: still JavaScript\nagentjobs-note: stays JavaScript: b\.js: line 1: TS1121/);
});

test('types that are missing are named, and JSX needs them before any work', { skip }, (t) => {
  const files = {
    'tasks.tsv': `${TABLE}a\tTODO\t\ta.js a.tsx\n`,
    'a.js': "import React from 'react'\nimport b from '@s/b/c.js'\nimport fs from 'fs'\n",
    'node_modules/react/index.js': '',
    'node_modules/@s/b/c.js': '',
  };
  const plain = { ...files, 'tasks.tsv': `${TABLE}a\tTODO\t\ta.js a.ts\n` };
  const jsx = { ...files, 'tasks.tsv': `${TABLE}a\tTODO\t\ta.jsx a.tsx\n`, 'a.jsx': files['a.js'] };
  const said = check('check-types.mjs', repository(t, plain));
  assert.match(said.stdout, /npm install --save-dev @types\/react @types\/s__b\n$/);
  assert.equal(said.status, 0);
  const refused = check('check-types.mjs', repository(t, jsx));
  assert.match(refused.stdout, /JSX needs types: npm install --save-dev @types\/react\n/);
  assert.equal(refused.status, 1);
});

// Where package managers put a workspace (`core`), what it needs alone (`dep`), and its types: { link: target }.
const LAYOUTS = {
  npm: { 'node_modules/@m/core': 'packages/core', 'packages/app/node_modules/dep': 'store/dep', 'node_modules/@types/untyped': 'store/types', 'node_modules/untyped': 'store/untyped' },
  yarn: { 'node_modules/@m/core': 'packages/core', 'node_modules/app': 'packages/app', 'node_modules/dep': 'store/dep', 'node_modules/@types/untyped': 'store/types', 'node_modules/untyped': 'store/untyped' },
  pnpm: {
    'packages/app/node_modules/@m/core': 'packages/core', 'packages/app/node_modules/dep': 'store/dep',
    'packages/app/node_modules/@types/untyped': 'store/types', 'packages/app/node_modules/untyped': 'store/untyped',
  },
};

for (const [manager, links] of Object.entries(LAYOUTS)) {
  test(`workspaces of ${manager} are those of the tree, not those of the checkout`, { skip }, (t) => {
    const rootDir = repository(t, {
      'package.json': '{ "scripts": { "test": "node packages/app/test.js" } }',
      'packages/core/package.json': '{ "name": "@m/core", "main": "lib/index.js" }',
      'packages/core/lib/index.js': 'exports.add = (a) => a\n',
      'packages/app/package.json': '{ "name": "app" }',
      'packages/app/a.ts': "import core = require('@m/core')\nimport dep = require('dep')\nimport untyped = require('untyped')\nexport = core.add(1, dep) + untyped.one\n",
      'packages/app/test.js': "require('assert').equal(require('./a.js'), 4)\n",
      'tasks.tsv': `${TABLE}a\tDONE\t\tpackages/app/a.js packages/app/a.ts\nb\tDONE\t\tpackages/core/lib/index.js packages/core/lib/index.ts\n`,
    });
    const treeDir = repository(t, { empty: '' });
    cpSync(rootDir, treeDir, { recursive: true });
    rmSync(path.join(treeDir, 'packages/core/lib/index.js'));
    writeFileSync(path.join(treeDir, 'packages/core/lib/index.ts'), 'export = { add: (a: number, b: number) => a + b }\n');
    const put = (name, text) => {
      mkdirSync(path.dirname(path.join(rootDir, 'node_modules/.store', name)), { recursive: true });
      writeFileSync(path.join(rootDir, 'node_modules/.store', name), text);
    };
    put('dep/index.js', 'module.exports = 2\n');
    put('dep/index.d.ts', 'declare const two: 2\nexport = two\n');
    put('untyped/index.js', 'exports.one = 1\n');
    put('types/index.d.ts', 'export const one: 1\n');
    for (const [link, target] of Object.entries(links)) {
      mkdirSync(path.dirname(path.join(rootDir, link)), { recursive: true });
      symlinkSync(path.join(rootDir, target.replace(/^store/, 'node_modules/.store')), path.join(rootDir, link));
    }
    symlinkSync(path.join(rootDir, 'node_modules'), path.join(treeDir, 'node_modules'));
    const env = { ...process.env, AGENTJOBS_ROOT: rootDir, AGENTJOBS_FILES: '' };
    for (const name of ['check-types.mjs', 'check-tests.mjs']) {
      const run = spawnSync(process.execPath, [path.join(TOOLS_DIR, name)], { cwd: treeDir, encoding: 'utf8', env });
      assert.equal(run.status, 0, `${name}\n${run.stdout}${run.stderr}`);
    }
  });
}
