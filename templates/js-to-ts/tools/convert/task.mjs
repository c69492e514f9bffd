// Reads a task's files from the worktree, and writes them back as TypeScript.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isJavaScript, isTypeScript, staysJavaScript, typeScriptName } from '../project.mjs';
import { exportedSignature } from './annotate.mjs';
import { readIfThere } from './workbench.mjs';

/** A task that cannot be done as asked; people read the message. */
export class CannotConvert extends Error {}

/**
 * The files of a task, drafted on the bench under TypeScript's names: JavaScript that is still to convert (`fresh`),
 * or what an attempt before left. What cannot be TypeScript is left as it is, be it all of them. `before` is the JavaScript,
 * as far as it is known.
 */
export function takeUp(bench, listed, rootDir = bench.treeDir, say = () => {}) {
  const reasons = new Map();
  for (const name of listed.filter((one) => isJavaScript(one) && existsSync(path.join(bench.treeDir, one)))) {
    const reason = staysJavaScript(bench.treeDir, rootDir, name);
    if (reason !== undefined) reasons.set(name, reason);
  }
  for (const [name, reason] of reasons) say({ stays_javascript: name, reason });
  listed = listed.filter((name) => !reasons.has(name));
  const originals = listed.filter(isJavaScript).map((original) => takeOriginal(bench, original));
  const known = new Set(originals.flatMap((file) => (file === undefined ? [] : [file.name])));
  const others = listed.filter((name) => isTypeScript(name) && !known.has(name)).map((name) => takeConverted(bench, name));
  const files = [...originals, ...others].filter((file) => file !== undefined);
  if (files.length === 0 && reasons.size === 0) throw new CannotConvert(`none of these files is here: ${listed.join(', ') || '(no files given)'}`);
  return files;
}

function takeOriginal(bench, original) {
  const here = readIfThere(path.join(bench.treeDir, original));
  const before = here ?? atBase(bench, original);
  if (before === undefined) return undefined;
  const name = typeScriptName(original, before);
  const after = here === undefined ? readIfThere(path.join(bench.treeDir, name)) : undefined;
  if (here === undefined && after === undefined) return undefined;
  bench.draft(name, here ?? after, here === undefined ? undefined : original);
  return { name, original, before, fresh: here !== undefined };
}

function takeConverted(bench, name) {
  const after = readIfThere(path.join(bench.treeDir, name));
  if (after === undefined) return undefined;
  bench.draft(name, after);
  return { name, original: undefined, before: undefined, fresh: false };
}

/** The JavaScript that an earlier attempt has removed, as it was when the task started. */
function atBase(bench, original) {
  const spot = `${process.env.AGENTJOBS_BASE_COMMIT || 'HEAD'}:./${original}`;
  try {
    return execFileSync('git', ['show', spot], {
      cwd: bench.treeDir,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 26,
    });
  } catch {
    return undefined;
  }
}

/**
 * Write the TypeScript with the same executable bit, then remove the JavaScript. A kill in between leaves both, and the
 * next attempt starts over.
 */
export function putBack(bench, file) {
  const to = path.join(bench.treeDir, file.name);
  const draft = `${to}.draft`;
  const text = bench.text(file.name);
  const isCrLf = /\r\n/.test(file.before ?? '') && !/[^\r]\n/.test(file.before);
  writeFileSync(draft, isCrLf ? text.replace(/\r?\n/g, '\r\n') : text);
  chmodSync(draft, statSync(file.fresh ? path.join(bench.treeDir, file.original) : to).mode);
  renameSync(draft, to);
  if (file.fresh) unlinkSync(path.join(bench.treeDir, file.original));
}

/** Write a handoff for the tasks after this one: what these modules export now. */
export function writeHandoff(bench, files, handoffPath) {
  const parts = files.map((file) => {
    const signature = exportedSignature(bench, file.name);
    return `${file.name} is TypeScript now.${signature === undefined ? '' : `\n\n    ${signature.replaceAll('\n', '\n    ')}`}`;
  });
  writeFileSync(handoffPath, `${parts.join('\n\n')}\n`);
}
