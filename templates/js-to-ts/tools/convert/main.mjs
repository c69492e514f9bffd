#!/usr/bin/env node
// A coding agent without a model: it converts the files of one task from JavaScript to TypeScript.
//
// It runs like any agent: it works in the current directory, reads its task from AGENTJOBS_* variables and the prompt on
// stdin, and ends with a result event on stdout. The first attempt continues until the compiler finds no error in the
// task's files. A later attempt fixes errors that appear only in the merged project, from the errors in its prompt.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { TOOLS_DIR } from '../project.mjs';
import { convertGroup } from './convert.mjs';
import { repairGroup } from './repair.mjs';
import { CannotConvert, putBack, takeUp, writeHandoff } from './task.mjs';
import { Workbench } from './workbench.mjs';

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

function main() {
  const listed = (process.env.AGENTJOBS_FILES ?? '').split('\n').filter((name) => name !== '');
  const prompt = readFileSync(process.env.AGENTJOBS_PROMPT ?? 0, 'utf8');
  const rootDir = process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR);
  const bench = new Workbench(process.cwd(), rootDir);
  const progress = (event) => say({ type: 'progress', ...event });
  const files = takeUp(bench, listed, rootDir, progress);
  if (files.length === 0) return 'all of it stays JavaScript'; // check-left.mjs looks whether that is so
  const fresh = files.filter((file) => file.fresh);
  const cautious = process.env.AGENTJOBS_MODE === 'restart';
  const log = fresh.length > 0 ? convertGroup(bench, fresh, { cautious, say: progress }) : repairGroup(bench, files, prompt);
  for (const line of log) progress({ fixed: line });
  for (const file of files) putBack(bench, file);
  if (process.env.AGENTJOBS_HANDOFF) writeHandoff(bench, files, process.env.AGENTJOBS_HANDOFF);
  const left = files.flatMap((file) => bench.diagnostics(file.name).map((diagnostic) => `${file.name}: TS${diagnostic.code}`));
  return `${files.map((file) => file.name).join(', ')}: ${left.length === 0 ? 'no errors' : `left: ${left.join('; ')}`}`;
}

const usage = { input_tokens: 0, output_tokens: 0 }; // no model, so nothing to count
try {
  say({ type: 'result', is_error: false, result: main(), usage, total_cost_usd: 0 });
} catch (error) {
  const expected = error instanceof CannotConvert;
  say({ type: 'result', is_error: true, ...(expected && { subtype: 'cannot' }), result: expected ? error.message : String(error?.stack ?? error), usage, total_cost_usd: 0 });
  process.exitCode = 1;
}
