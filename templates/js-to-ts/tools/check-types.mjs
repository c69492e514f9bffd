#!/usr/bin/env node
// Check: the task's files are TypeScript now, and the real `tsc --strict` accepts the whole project.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TOOLS_DIR, TSC_PATH, convertedName, isJavaScript, isSource, isTypeScript, treeFiles, typeRoots, typeScriptName } from './project.mjs';

const treeDir = process.cwd();
const rootDir = process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR);
const files = treeFiles(treeDir).filter(isSource);
const complaints = [];

for (const name of (process.env.AGENTJOBS_FILES ?? '').split('\n').filter(isJavaScript)) {
  if (existsSync(path.join(treeDir, name))) complaints.push(`${name}(1,1): error: still JavaScript`);
  else if (convertedName(treeDir, name) === undefined) {
    complaints.push(`${name}(1,1): error: missing, and so is ${typeScriptName(name)}`);
  }
}

for (const name of files.filter(isTypeScript)) {
  const lines = readFileSync(path.join(treeDir, name), 'utf8').split('\n');
  lines.forEach((line, i) => {
    const hidden = /@ts-(nocheck|ignore)\b|@ts-expect-error TS(1\d{3}|2304|2307|2552|8\d{3})\b/.exec(line);
    if (hidden) complaints.push(`${name}(${i + 1},${hidden.index + 1}): error: ${hidden[0]} hides what must be fixed`);
  });
}

// The configuration is written again for each run, outside the tree, so that nothing in the tree can weaken it.
const scratchDir = mkdtempSync(path.join(tmpdir(), 'check-types-'));
let status = 0;
try {
  const configPath = path.join(scratchDir, 'tsconfig.json');
  const config = {
    extends: path.join(TOOLS_DIR, 'tsconfig.json'),
    compilerOptions: { typeRoots: typeRoots(rootDir) },
    files: files.map((name) => path.join(treeDir, name)),
  };
  writeFileSync(configPath, JSON.stringify(config));
  const tsc = spawnSync(process.execPath, [TSC_PATH, '--pretty', 'false', '--project', configPath], {
    cwd: treeDir,
    stdio: 'inherit',
  });
  if (tsc.error) throw tsc.error;
  status = tsc.status ?? 1;
} finally {
  rmSync(scratchDir, { recursive: true, force: true });
}
for (const line of complaints) console.log(line);
process.exitCode = status === 0 && complaints.length === 0 ? 0 : 1;
