// The last resort: a comment above the line. The compiler reports the comment when it is no longer needed.

import { ts } from '../project.mjs';
import { applyEdits, insert } from './edits.mjs';
import { isNeverHidden } from './fixes/table.mjs';
import { nodeAt } from './nodes.mjs';

const UNUSED = 2578;

/** Suppress what is left in a file. Returns how many comments were written. */
export function suppressRest(bench, name, isSound) {
  const source = bench.source(name);
  const byLine = new Map();
  for (const diagnostic of bench.diagnostics(name)) {
    const { line } = source.getLineAndCharacterOfPosition(diagnostic.start);
    byLine.set(line, [...(byLine.get(line) ?? []), diagnostic.code]);
  }
  const edits = [];
  for (const [line, codes] of byLine) {
    const start = source.getLineStarts()[line];
    if (codes.some((code) => isNeverHidden(code) || code === UNUSED) || isInText(source, start)) continue;
    const indent = /^[ \t]*/.exec(source.text.slice(start))[0];
    const named = [...new Set(codes.map((code) => `TS${code}`))].join(', ');
    edits.push(insert(start, `${indent}// @ts-expect-error ${named}\n`));
  }
  const before = bench.text(name);
  const isSoundWith = (made) => {
    bench.draft(name, applyEdits(before, made));
    return isSound(name);
  };
  if (edits.length === 0 || isSoundWith(edits)) return edits.length;
  const sound = edits.filter((edit) => isSoundWith([edit]));
  bench.draft(name, applyEdits(before, sound));
  return sound.length;
}

/** Remove the suppressions that the compiler reports as unused. */
export function dropUnused(bench, name) {
  const source = bench.source(name);
  const unused = bench.diagnostics(name).filter((diagnostic) => diagnostic.code === UNUSED);
  if (unused.length === 0) return 0;
  const starts = source.getLineStarts();
  const edits = unused.map(({ start }) => {
    const { line } = source.getLineAndCharacterOfPosition(start);
    return { start: starts[line], end: starts[line + 1] ?? source.end, text: '' };
  });
  bench.draft(name, applyEdits(bench.text(name), edits));
  return edits.length;
}

/** Whether a place is inside a template literal or JSX, where a comment would be text. */
function isInText(source, position) {
  const isText = (node) => ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isJsxText(node);
  for (let node = nodeAt(source, position); node !== undefined; node = node.parent) {
    if (isText(node) && node.getStart(source) < position) return true;
  }
  return false;
}
