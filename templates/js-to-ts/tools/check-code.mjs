#!/usr/bin/env node
// Check: with its types erased, each converted file of the task is the code it was before, token by token.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { firstDifference, normalForm } from './erase.mjs';
import { isJavaScript, typeScriptName } from './project.mjs';

const base = process.env.AGENTJOBS_BASE_COMMIT || 'HEAD';
let failures = 0;

for (const name of (process.env.AGENTJOBS_FILES ?? '').split('\n').filter(isJavaScript)) {
  const converted = typeScriptName(name);
  const originalText = fileAt(base, name);
  if (originalText === undefined || !existsSync(converted)) continue; // check-types says what is missing
  const before = normalForm(originalText, name);
  const difference = firstDifference(before, normalForm(readFileSync(converted, 'utf8'), converted));
  if (difference !== undefined) {
    console.log(`${converted}: error: the code itself changed: ${difference}`);
    failures += 1;
  }
}
process.exitCode = failures === 0 ? 0 : 1;

function fileAt(commit, name) {
  try {
    const spot = `${commit}:${name.split(path.sep).join('/')}`;
    return execFileSync('git', ['show', spot], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 26 });
  } catch {
    return undefined;
  }
}
