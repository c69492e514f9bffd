// Repair: the checks found errors after the conversion. Those in the task's own files are mended there; those in other
// files are answered in the task's files if it is their exports that are too narrow.

import { finish, soundness } from './convert.mjs';
import { widenExports } from './outward.mjs';
import { CannotConvert } from './task.mjs';
import { castUnseen } from './unseen.mjs';

/** The compiler errors that a text reports: `path(line,column): error TScode: …`. */
export function readErrors(text) {
  const found = text.matchAll(/^[>\s|]*(\S.*?)\((\d+),(\d+)\): error TS(\d+):/gm);
  return [...found].map(([, file, line, column, code]) => ({
    file: file.replace(/^\.\//, ''),
    line: Number(line),
    column: Number(column),
    code: Number(code),
  }));
}

/** Mend what the prompt reports. Returns what was done, a line each. */
export function repairGroup(bench, files, prompt) {
  const errors = readErrors(prompt);
  if (errors.length === 0) throw new CannotConvert('the prompt names no compiler error, and types are all I can mend');
  const own = new Set(files.map((file) => file.name));
  const before = files.map((file) => bench.text(file.name));
  const isSound = soundness(bench, files);
  const log = widenExports(bench, errors.filter((error) => !own.has(error.file)), isSound);
  log.push(...castUnseen(bench, errors.filter((error) => own.has(error.file)), isSound));
  log.push(...finish(bench, files));
  if (files.every((file, i) => bench.text(file.name) === before[i])) {
    const [{ file, line, code }] = errors;
    throw new CannotConvert(`I know no way to mend ${file}(${line}): TS${code} in ${[...own].join(', ')}`);
  }
  return log;
}
