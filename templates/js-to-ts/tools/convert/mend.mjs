// Mending: from an error of the compiler to the smallest edit of types that answers it.
//
// The order of preference: the type that is meant, an annotation `any`, a cast at the one place, and, where an edit of
// types cannot do it, a suppression that names the error. Errors of syntax and of names are never suppressed: behind
// such a comment lies code that does not run, or a type that is not there.

import { ts } from '../project.mjs';
import { applyGroups, insert } from './edits.mjs';
import { MENDS } from './mends.mjs';
import { covering, nodeAt } from './nodes.mjs';

const ROUNDS = 8;
const NEVER_SUPPRESSED = (code) => code < 2000 || (code >= 8000 && code < 9000) || [2304, 2307, 2552].includes(code);

/** The compiler errors in these files that a text reports: `path(line,column): error TScode: …`. */
export function readErrors(text, names) {
  const errors = [];
  for (const match of text.matchAll(/^[>\s|]*(\S.*?)\((\d+),(\d+)\): error TS(\d+):/gm)) {
    const file = match[1].replace(/^\.\//, '');
    if (names.includes(file)) errors.push({ file, line: Number(match[2]), code: Number(match[4]) });
  }
  return errors;
}

/**
 * Mend the reported errors (or, without a report, all), then what that brings to light, until nothing is left or
 * nothing helps. `isSound(name)` says whether a draft may stay. Returns one line for each kind of mending made.
 */
export function mendAll(bench, names, isSound, reported) {
  const log = new Map();
  const tried = new Set();
  for (let round = 0; round < ROUNDS; round += 1) {
    let made = 0;
    for (const name of names) {
      const isMeant = (error) =>
        round > 0 || reported === undefined || reported.some((r) => r.file === name && r.line === error.line && r.code === error.code);
      made += mendFile(bench, name, isSound, isMeant, tried, log);
    }
    if (made === 0) break;
  }
  for (const name of names) suppressRest(bench, name, isSound, log);
  return [...log].map(([what, count]) => `${what} (${count})`);
}

function mendFile(bench, name, isSound, isMeant, tried, log) {
  const source = bench.source(name);
  const context = { bench, name, source, checker: bench.checker };
  const groups = [];
  for (const diagnostic of bench.diagnostics(name)) {
    const line = source.getLineAndCharacterOfPosition(diagnostic.start).line + 1;
    if (!isMeant({ line, code: diagnostic.code })) continue;
    const text = source.text.slice(Math.max(0, diagnostic.start - 60), diagnostic.start + diagnostic.length + 20);
    const mends = MENDS.get(diagnostic.code) ?? [];
    for (const [step, mend] of mends.entries()) {
      const key = `${name}:${diagnostic.code}:${step}:${text}`;
      if (tried.has(key)) continue;
      tried.add(key);
      const node = nodeAt(source, diagnostic.start);
      const edits = mend({ ...context, diagnostic, node, span: covering(node, diagnostic) });
      if (edits === undefined || edits.length === 0) continue;
      groups.push({ edits, what: `TS${diagnostic.code}: ${mend.title ?? mend.name}` });
      break;
    }
  }
  if (groups.length === 0) return 0;
  return tryGroups(bench, name, isSound, groups, log);
}

/** All at once if that is sound; otherwise one by one, so that a bad edit takes no good one with it. */
function tryGroups(bench, name, isSound, groups, log) {
  const before = bench.text(name);
  const { text, made } = applyGroups(before, unique(groups.map((group) => group.edits)));
  bench.draft(name, text);
  if (isSound(name)) {
    for (const { what } of groups) log.set(what, (log.get(what) ?? 0) + 1);
    return made;
  }
  for (const group of groups) {
    bench.draft(name, applyGroups(before, [group.edits]).text);
    if (isSound(name)) {
      log.set(group.what, (log.get(group.what) ?? 0) + 1);
      return 1; // positions have moved: the next round sees the rest
    }
  }
  bench.draft(name, before);
  return 0;
}

/** Two errors often ask for one and the same edit. */
function unique(groups) {
  const seen = new Set();
  return groups.filter((group) => {
    const key = JSON.stringify(group);
    return seen.has(key) ? false : seen.add(key);
  });
}

/** The last resort: a comment above the line, which the compiler itself reports once it is no longer needed. */
function suppressRest(bench, name, isSound, log) {
  const source = bench.source(name);
  const byLine = new Map();
  for (const diagnostic of bench.diagnostics(name)) {
    const { line } = source.getLineAndCharacterOfPosition(diagnostic.start);
    byLine.set(line, [...(byLine.get(line) ?? []), diagnostic]);
  }
  const groups = [];
  for (const [line, diagnostics] of byLine) {
    const start = source.getLineStarts()[line];
    if (diagnostics.some((diagnostic) => NEVER_SUPPRESSED(diagnostic.code)) || inTemplate(source, start)) continue;
    const codes = [...new Set(diagnostics.map((diagnostic) => `TS${diagnostic.code}`))].join(', ');
    const indent = /^[ \t]*/.exec(source.text.slice(start))[0];
    groups.push({ edits: [insert(start, `${indent}// @ts-expect-error ${codes}\n`)], what: `${codes}: suppressed` });
  }
  if (groups.length > 0) tryGroups(bench, name, isSound, groups, log);
}

/** Inside a template literal a comment would be text. */
function inTemplate(source, position) {
  for (let node = nodeAt(source, position); node !== undefined; node = node.parent) {
    if ((ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node)) && node.getStart(source) < position) return true;
  }
  return false;
}

