#!/usr/bin/env node
// Check: the project's own tests pass, unchanged. They run in a copy of the tree in which every X.ts that was converted is
// X.js again, so that a test's `require('../x.js')` finds what it always found. TypeScript of the project's own stays.
//
//     node tools/check-tests.mjs [COMMAND [ARGUMENT…]]        default: npm test

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { erase } from './erase.mjs';
import { TOOLS_DIR, convertedFiles, treeFiles } from './project.mjs';

const treeDir = process.cwd();
const rootDir = process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR);
const [command = 'npm', ...rest] = process.argv.slice(2);
const args = process.argv.length > 2 ? rest : ['test', '--silent'];

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
  const modulesDir = path.join(rootDir, 'node_modules');
  const shadowModulesDir = path.join(shadowDir, 'node_modules');
  if (existsSync(modulesDir) && !existsSync(shadowModulesDir)) symlinkSync(modulesDir, shadowModulesDir, 'dir');
  const run = spawnSync(command, args, { cwd: shadowDir, stdio: ['ignore', 'inherit', 'inherit'] });
  if (run.error) console.error(`cannot run ${command}: ${run.error.message}`);
  process.exitCode = run.status ?? 1;
} finally {
  clean();
}

function copy(name) {
  const from = path.join(treeDir, name);
  const to = path.join(shadowDir, name);
  mkdirSync(path.dirname(to), { recursive: true });
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else if (!stat.isFile()) return; // a nested repository
  else if (!originals.has(name)) copyFileSync(from, to);
  else writeFileSync(path.join(shadowDir, originals.get(name)), erase(readFileSync(from, 'utf8'), name), { mode: stat.mode });
}
