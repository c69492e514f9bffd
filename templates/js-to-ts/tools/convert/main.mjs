#!/usr/bin/env node
// A coding agent without a model: it converts the files of one task from JavaScript to TypeScript.
//
// It is driven as any agent is: it works in the current directory, learns its task from AGENTJOBS_* variables and the
// prompt on stdin, and ends with a result event on stdout. The first attempt writes only types that it can justify;
// what the checks then find is mended by the next attempt, error by error, from the prompt.

import { execFileSync } from 'node:child_process';
import { renameSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TOOLS_DIR, isJavaScript, isTypeScript, typeScriptName } from '../project.mjs';
import { firstDifference, normalForm } from '../erase.mjs';
import { annotateFromJsDoc, annotateFromUsage, exportedSignature } from './annotate.mjs';
import { mendAll, readErrors } from './mend.mjs';
import { convertModuleSyntax } from './modules.mjs';
import { Workbench, readIfThere } from './workbench.mjs';

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** A task that cannot be done as asked; its text is what a person reads. */
class CannotConvert extends Error {}

function main() {
  const treeDir = process.cwd();
  const mode = process.env.AGENTJOBS_MODE ?? 'first';
  const listed = (process.env.AGENTJOBS_FILES ?? '').split('\n').filter((name) => name !== '');
  const prompt = readFileSync(process.env.AGENTJOBS_PROMPT ?? 0, 'utf8');
  const bench = new Workbench(treeDir, process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR));

  const files = takeUp(bench, listed);
  const work = files.filter((file) => file.fresh);
  for (const file of work) convert(bench, file, { orAny: mode === 'restart' });
  if (mode === 'repair' && work.length === 0) repair(bench, files, prompt);
  if (mode === 'restart') mendAll(bench, files.map((file) => file.name), isSound(bench, files), undefined);

  for (const file of files) putBack(bench, file);
  writeHandoff(bench, files);
  const left = files.reduce((sum, file) => sum + bench.diagnostics(file.name).length, 0);
  return `${files.map((file) => file.name).join(', ')}: ${left === 0 ? 'no errors' : `${left} errors are left`}`;
}

/** The task's files, in TypeScript's names: JavaScript that is still to convert, or what an attempt before left. */
function takeUp(bench, listed) {
  const names = new Set(listed.filter((name) => isJavaScript(name) || isTypeScript(name)).map(typeScriptName));
  const originals = new Map(listed.filter(isJavaScript).map((name) => [typeScriptName(name), name]));
  const files = [];
  for (const name of names) {
    const original = originals.get(name);
    const before = original === undefined ? undefined : readIfThere(path.join(bench.treeDir, original));
    const after = readIfThere(path.join(bench.treeDir, name));
    if (before === undefined && after === undefined) continue;
    bench.draft(name, before ?? after, before === undefined ? undefined : original);
    files.push({ name, original, before: before ?? atBase(bench, original), fresh: before !== undefined });
  }
  if (files.length === 0) throw new CannotConvert(`none of these files is here: ${listed.join(', ') || '(no files given)'}`);
  return files;
}

/** The JavaScript that an attempt before has removed, as it was when the task began. */
function atBase(bench, original) {
  if (original === undefined) return undefined;
  const spot = `${process.env.AGENTJOBS_BASE_COMMIT || 'HEAD'}:./${original}`;
  try {
    return execFileSync('git', ['show', spot], { cwd: bench.treeDir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

function convert(bench, file, { orAny }) {
  bench.draft(file.name, convertModuleSyntax(file.before, file.original, (to) => bench.resolve(to, file.name)));
  if (!bench.parses(file.name)) throw new CannotConvert(`${file.original} does not parse as TypeScript: ${firstError(bench, file.name)}`);
  const fromJsDoc = safely(bench, file, () => annotateFromJsDoc(bench, file.name));
  const fromUsage = safely(bench, file, () => annotateFromUsage(bench, file.name, { orAny }));
  say({ type: 'progress', file: file.name, from_jsdoc: fromJsDoc, from_usage: fromUsage });
}

function repair(bench, files, prompt) {
  const errors = readErrors(prompt, files.map((file) => file.name));
  if (errors.length === 0) throw new CannotConvert('the prompt names no compiler error in these files, and types are all I can mend');
  const mended = mendAll(bench, files.map((file) => file.name), isSound(bench, files), errors);
  for (const line of mended) say({ type: 'progress', mended: line });
  if (mended.length === 0) throw new CannotConvert(`I know no way to mend ${errors[0].file}(${errors[0].line}): TS${errors[0].code}`);
}

/** Make a step, and take it back if it touched more than types. */
function safely(bench, file, step) {
  const text = bench.text(file.name);
  const count = step();
  if (count === 0 || isSound(bench, [file])(file.name)) return count;
  bench.draft(file.name, text);
  return 0;
}

/** Whether a draft parses, and is the original once its types are erased. */
const isSound = (bench, files) => (name) => {
  const { before, original } = files.find((file) => file.name === name);
  if (!bench.parses(name)) return false;
  if (before === undefined) return true;
  return firstDifference(normalForm(before, original), normalForm(bench.text(name), name)) === undefined;
};

const firstError = (bench, name) => String(bench.diagnostics(name)[0]?.messageText ?? 'no reason given');

/** Write the TypeScript, then remove the JavaScript: a kill in between leaves both, and the next attempt starts over. */
function putBack(bench, file) {
  const to = path.join(bench.treeDir, file.name);
  const draft = `${to}.draft`;
  writeFileSync(draft, bench.text(file.name));
  renameSync(draft, to);
  if (file.fresh) unlinkSync(path.join(bench.treeDir, file.original));
}

function writeHandoff(bench, files) {
  if (!process.env.AGENTJOBS_HANDOFF) return;
  const parts = files.map((file) => {
    const signature = exportedSignature(bench, file.name);
    return `${file.name} is TypeScript now.${signature === undefined ? '' : `\n\n    ${signature.replaceAll('\n', '\n    ')}`}`;
  });
  writeFileSync(process.env.AGENTJOBS_HANDOFF, `${parts.join('\n\n')}\n`);
}

const usage = { input_tokens: 0, output_tokens: 0 }; // no model, so nothing to count
try {
  say({ type: 'result', is_error: false, result: main(), usage, total_cost_usd: 0 });
} catch (error) {
  const expected = error instanceof CannotConvert;
  say({ type: 'result', is_error: true, result: expected ? error.message : String(error?.stack ?? error), usage, total_cost_usd: 0 });
  process.exitCode = 1;
}
