// Casts at the place of errors that a check found in the merged project and that do not appear in this tree: the module
// they come from has not landed yet, or is still JavaScript here.

import { applyEdits } from './edits.mjs';
import { castTitle, fixesFor, titleOf } from './fixes/table.mjs';
import { nodeAt } from './nodes.mjs';
import { ts } from '../project.mjs';

/** Cast at the places of `errors`, unless the compiler reports them here too. Returns one line for each cast. */
export function castUnseen(bench, errors, isSound) {
  const log = [];
  // From the end of a file to its beginning: a cast moves what comes after it.
  const order = (a, b) => b.line - a.line || b.column - a.column;
  for (const error of [...errors].sort(order)) if (castAt(bench, error, isSound)) log.push(`${error.file}(${error.line}): TS${error.code}: cast, unseen here`);
  return log;
}

function castAt(bench, { file: name, line, column, code }, isSound) {
  const source = bench.source(name);
  if (line > source.getLineStarts().length) return false;
  const start = source.getLineStarts()[line - 1] + column - 1;
  const isSeen = bench.diagnostics(name).some((diagnostic) => diagnostic.code === code && diagnostic.start === start);
  if (isSeen || start >= source.end) return false;
  const node = nodeAt(source, start);
  let span = node;
  while (span.parent !== undefined && ts.isExpression(span.parent) && span.parent.getStart(source) === start) span = span.parent;
  const diagnostic = { file: source, code, start, length: span.end - start, messageText: '' };
  const before = bench.text(name);
  for (const fix of fixesFor(code).filter((one) => titleOf(one) === castTitle)) {
    const found = fix({ bench, name, source, checker: bench.checker, diagnostic, node, span });
    if (!Array.isArray(found) || found.length === 0) continue;
    bench.draft(name, applyEdits(before, found));
    if (isSound(name)) return true;
    bench.draft(name, before);
  }
  return false;
}
