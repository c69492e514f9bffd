#!/usr/bin/env node
// Check: the project's own tests pass, unchanged. They run in a copy of the tree in which every X.ts that was converted is
// X.js again, so that a test's `require('../x.js')` finds what it always found. TypeScript of the project's own stays.
//
//     node tools/check-tests.mjs [COMMAND [ARGUMENT…]]
//
// Without a command: the test script of package.json without linters, which reject the white space of the copy.

import { spawnSync } from 'node:child_process';
import { copyFileSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { erase } from './erase.mjs';
import { TOOLS_DIR, convertedFiles, treeFiles } from './project.mjs';
import { linkModules } from './workspaces.mjs';

const treeDir = process.cwd();
const rootDir = process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR);
const given = process.argv.slice(2);
const [command, ...args] = given.length > 0 ? given : ['sh', '-c', testScript()];

const shadowDir = mkdtempSync(path.join(tmpdir(), 'check-tests-'));
const clean = () => rmSync(shadowDir, { recursive: true, force: true });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    clean();
    process.exit(128 + constants.signals[signal]);
  });
}

const originals = convertedFiles(treeDir, rootDir);
try {
  for (const name of treeFiles(treeDir)) copy(name);
  linkModules(shadowDir, treeDir, rootDir);
  const PATH = `${path.join(shadowDir, 'node_modules', '.bin')}${path.delimiter}${process.env.PATH}`;
  const run = spawnSync(command, args, { cwd: shadowDir, env: { ...process.env, PATH }, stdio: ['ignore', 'inherit', 'inherit'] });
  if (run.error) console.error(`cannot run ${command}: ${run.error.message}`);
  process.exitCode = run.status ?? 1;
} finally {
  clean();
}

function copy(name) {
  if (path.basename(name) === 'node_modules') return; // a link that .gitignore does not match; linked below
  const from = path.join(treeDir, name);
  const to = path.join(shadowDir, name);
  mkdirSync(path.dirname(to), { recursive: true });
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else if (!stat.isFile()) return; // a nested repository
  else if (!originals.has(name)) copyFileSync(from, to);
  else writeFileSync(path.join(shadowDir, originals.get(name)), erase(readFileSync(from, 'utf8'), name), { mode: stat.mode });
}

/** What `npm test` runs, without the commands that only lint. */
function testScript() {
  const { scripts = {} } = JSON.parse(readFileSync(path.join(treeDir, 'package.json'), 'utf8'));
  const commands = ['pretest', 'test', 'posttest'].flatMap((name) => (scripts[name] ?? '').split('&&')).map((one) => one.trim());
  const isLint = (one) => /^(npx )?(xo|standard|semistandard|eslint|prettier|jshint)\b|^npm (run|run-script) (\S+ )*\S*lint\S*$/.test(one);
  for (const one of commands.filter(isLint)) console.log(`not run, a linter: ${one}`);
  const tests = commands.filter((one) => one !== '' && !isLint(one));
  if (tests.length === 0) console.log('package.json has no test script: nothing is tested');
  return tests.join(' && ') || 'true';
}
