#!/usr/bin/env node
// Check: the real `tsc --strict` accepts all that has been converted, with all that it imports. What is wrong in JavaScript
// that is left is not the conversion's fault, and is not reported.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TOOLS_DIR, TSC_PATH, convertedFiles, missingTypes, tableFiles, typeRoots } from './project.mjs';
import { workspacePaths } from './workspaces.mjs';

const treeDir = process.cwd();
const rootDir = process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR);
const files = [...convertedFiles(treeDir, rootDir).keys()].sort();
const complaints = [];

// JSX without the types of its library is an error in every element, so that is said before any work.
const missing = missingTypes(treeDir, rootDir, tableFiles(rootDir));
if (missing.length > 0) console.log(`without types, so all of it is \`any\`; those that exist: npm install --save-dev ${missing.join(' ')}`);
const library = missing.find((name) => /^@types\/(p?react|react-dom)$/.test(name));
if (library !== undefined && tableFiles(rootDir).some((name) => /\.[jt]sx$/.test(name))) complaints.push(`JSX needs types: npm install --save-dev ${library}`);

// The configuration is written anew for each run, outside the tree, so that nothing in the tree can soften it.
const scratchDir = mkdtempSync(path.join(tmpdir(), 'check-types-'));
try {
  const configPath = path.join(scratchDir, 'tsconfig.json');
  const config = {
    extends: path.join(TOOLS_DIR, 'tsconfig.json'),
    compilerOptions: { typeRoots: typeRoots(rootDir), paths: workspacePaths(treeDir, rootDir) },
    files: files.map((name) => path.join(treeDir, name)),
  };
  writeFileSync(configPath, JSON.stringify(config));
  if (files.length > 0) complaints.unshift(...compile(configPath));
} finally {
  rmSync(scratchDir, { recursive: true, force: true });
}
for (const line of complaints) console.log(line);
process.exitCode = complaints.length === 0 ? 0 : 1;

/** The errors that tsc reports, except those in JavaScript. */
function compile(configPath) {
  const tsc = spawnSync(process.execPath, [TSC_PATH, '--pretty', 'false', '--project', configPath], {
    cwd: treeDir,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (tsc.error) throw tsc.error;
  if (tsc.status !== 0 && !/error TS/.test(tsc.stdout)) return [`tsc failed: exit ${tsc.status ?? tsc.signal} ${tsc.stdout}`];
  return tsc.stdout.split(/\n(?! )/).filter((line) => line !== '' && !/^\S.*\.[cm]?jsx?\(\d+,\d+\): error/.test(line));
}
