// Repairs errors that the checks found after the conversion. Errors in the task's files are fixed there. Errors in other
// files are fixed in the task's files too, if their exports have types that are too narrow.

import { finish, soundness } from './convert.mjs';
import { widenExports } from './outward.mjs';
import { CannotConvert } from './task.mjs';
import { castUnseen } from './unseen.mjs';

/** The compiler errors that a text reports: `path(line,column): error TScode: …`. */
export function readErrors(text) {
  const found = text.matchAll(/^[>\s|]*(\S.*?)\((\d+),(\d+)\): error TS(\d+): *(.*)/gm);
  return [...found].map(([, file, line, column, code, message]) => ({
    file: file.replace(/^\.\//, ''),
    line: Number(line),
    column: Number(column),
    code: Number(code),
    message,
  }));
}

/** The beginning of what failed, as the prompt quotes it; empty if nothing did. */
function reportedIn(prompt) {
  const [, quoted = ''] = /## What went wrong before[\s\S]*?```text\n([\s\S]*?)\n```/.exec(prompt) ?? [];
  return quoted.replace(/\s+/g, ' ').slice(0, 300);
}

/** Fix what the prompt reports. Returns what was done, a line each. */
export function repairGroup(bench, files, prompt) {
  const errors = readErrors(prompt);
  const reported = reportedIn(prompt);
  if (errors.length === 0 && reported === '') return []; // stopped after its work was done: the checks decide
  if (errors.length === 0) throw new CannotConvert(`I can only fix types, and no compiler error is reported, but: ${reported}`);
  const own = new Set(files.map((file) => file.name));
  const before = files.map((file) => bench.text(file.name));
  const isSound = soundness(bench, files);
  const log = widenExports(bench, errors.filter((error) => !own.has(error.file)), isSound);
  log.push(...castUnseen(bench, errors.filter((error) => own.has(error.file)), isSound));
  log.push(...finish(bench, files));
  if (files.every((file, i) => bench.text(file.name) === before[i])) {
    const [{ file, line, code, message }] = errors;
    throw new CannotConvert(`I know no way to fix, in ${[...own].join(', ')}: ${file}(${line}): TS${code}: ${message}`);
  }
  return log;
}
