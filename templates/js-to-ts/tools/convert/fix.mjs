// Fixes an error of the compiler with the smallest edit of types that removes it.
//
// It works in rounds: for each error it takes the next fix, makes all of them at once, and runs the compiler again. A fix
// that did not remove its error is undone. If no fix helps, suppress.mjs suppresses the error at the very end.

import { applyEdits, compatible, moved, unique } from './edits.mjs';
import { fixesFor, titleOf } from './fixes/table.mjs';
import { covering, nodeAt } from './nodes.mjs';

const ROUNDS = 30;

/**
 * Fix all errors in these files, until none is left or nothing helps. `isSound(name)` returns whether a draft may stay.
 * Returns one line for each kind of fix made.
 */
export function fixAll(bench, names, isSound) {
  const log = new Map();
  const tried = new Set();
  for (let round = 0; round < ROUNDS; round += 1) {
    const groups = propose(bench, names, tried);
    if (groups.length === 0) break;
    makeGroups(bench, groups, isSound, tried, log);
  }
  return [...log].map(([what, count]) => `${what} (${count})`);
}

/** For every error the next fix not tried yet, as `{name, edits, what, error}`: `name` is the file to edit. */
function propose(bench, names, tried) {
  const groups = [];
  for (const name of names) {
    const source = bench.source(name);
    const context = { bench, name, source, checker: bench.checker };
    for (const diagnostic of bench.diagnostics(name)) {
      const group = nextFix(context, diagnostic, tried);
      if (group !== undefined) groups.push(group);
    }
  }
  return unique(groups);
}

function nextFix(context, diagnostic, tried) {
  const { name, source } = context;
  const { code, start, length } = diagnostic;
  const around = source.text.slice(Math.max(0, start - 60), start + length + 20);
  const node = nodeAt(source, start);
  for (const [step, fix] of fixesFor(code).entries()) {
    const key = `${name}:${code}:${step}:${around}`;
    if (tried.has(key)) continue;
    const found = fix({ ...context, diagnostic, node, span: covering(node, diagnostic) });
    const group = Array.isArray(found) ? { name, edits: found } : found;
    if (group === undefined || group.edits.length === 0) continue;
    return { ...group, what: `TS${code}: ${titleOf(fix)}`, key, error: { name, code, start } };
  }
  return undefined;
}

/** Make the edits that can be made together, and undo those that did not help. */
function makeGroups(bench, groups, isSound, tried, log) {
  const files = [...new Set(groups.map((group) => group.name))];
  const before = new Map(files.map((name) => [name, bench.text(name)]));
  let made = files.flatMap((name) => compatible(groups.filter((group) => group.name === name)));
  for (const { key } of made) tried.add(key); // the others are offered again in the next round
  const write = () => {
    for (const name of files) {
      const edits = made.filter((group) => group.name === name).flatMap((group) => group.edits);
      bench.draft(name, applyEdits(before.get(name), edits));
    }
  };
  write();
  for (const name of files) {
    if (isSound(name)) continue;
    made = made.filter((group) => group.name !== name || isSoundAlone(bench, group, before.get(name), isSound));
    write();
  }
  const helped = made.filter((group) => !isLeft(bench, group.error, made));
  if (helped.length < made.length) {
    made = helped;
    write();
  }
  for (const { what } of made) log.set(what, (log.get(what) ?? 0) + 1);
}

function isSoundAlone(bench, group, text, isSound) {
  bench.draft(group.name, applyEdits(text, group.edits));
  return isSound(group.name);
}

/** Whether an error is still there, now that edits have moved its place. */
function isLeft(bench, { name, code, start }, made) {
  const edits = made.filter((group) => group.name === name).flatMap((group) => group.edits);
  const [first, last] = moved(start, edits);
  return bench.diagnostics(name).some((now) => now.code === code && now.start >= first && now.start <= last);
}
