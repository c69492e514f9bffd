// Converts a group of files from JavaScript until the compiler reports no error. The drafts are on a workbench.

import { firstDifference, normalForm } from '../compare.mjs';
import { ts } from '../project.mjs';
import { fromJsDoc, fromUsage } from './annotate.mjs';
import { Callers, optionalParameters } from './callers.mjs';
import { applyEdits } from './edits.mjs';
import { declareMembers } from './members.mjs';
import { fixAll } from './fix.mjs';
import { convertModuleSyntax, typedModules } from './modules.mjs';
import { dropUnused, suppressRest } from './suppress.mjs';

/**
 * Convert `files`, each `{name, original, before}`: its name now, its old name, and its JavaScript.
 * `cautious`: no types from JSDoc or usage, only what the compiler asks for. `say` reports progress.
 */
export function convertGroup(bench, files, { cautious = false, callers = new Callers(bench.treeDir), say = () => {} } = {}) {
  const names = files.map((file) => file.name);
  const isSound = soundness(bench, files);
  const converted = files.map((file) => {
    const hasTypes = typedModules((to) => bench.resolve(to, file.name), (path) => bench.read(path));
    return convertModuleSyntax(file.before, file.original, hasTypes);
  });
  files.forEach((file, i) => bench.draft(file.name, converted[i]));
  for (let round = 0; round < 3 && addMembers(bench, names, isSound) > 0; round += 1);
  if (!cautious) {
    for (const [source, guesses] of [['jsdoc', fromJsDoc], ['usage', fromUsage]]) say({ annotated_from: source, count: guess(bench, names, isSound, guesses) });
  }
  for (const file of files) allowMissingArguments(bench, file, callers, isSound);
  return finish(bench, files);
}

/** Fix the remaining errors, and suppress those that cannot be fixed. Returns one line for each thing done. */
export function finish(bench, files) {
  const names = files.map((file) => file.name);
  const isSound = soundness(bench, files);
  const log = fixAll(bench, names, isSound);
  for (const name of names) {
    const count = suppressRest(bench, name, isSound);
    if (count > 0) log.push(`${name}: ${count} suppressed`);
  }
  for (const name of names) while (dropUnused(bench, name) > 0);
  return log;
}

/** Returns a function that checks a draft: does it parse, and is it the original when its types are erased? */
export function soundness(bench, files) {
  const byName = new Map(files.map((file) => [file.name, file]));
  const forms = new Map();
  return (name) => {
    const { before, original } = byName.get(name);
    if (!bench.parses(name)) return false;
    if (before === undefined) return true;
    if (!forms.has(name)) forms.set(name, normalForm(before, original));
    return firstDifference(forms.get(name), normalForm(bench.text(name), name)) === undefined;
  };
}

function allowMissingArguments(bench, file, callers, isSound) {
  const before = bench.text(file.name);
  const groups = optionalParameters(parseTs(before, file.name), callers.fewestArguments(file.original));
  if (groups.length === 0) return;
  bench.draft(file.name, applyEdits(before, groups.flat()));
  if (!isSound(file.name)) bench.draft(file.name, before);
}

const parseTs = (text, name) => ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);

function addMembers(bench, names, isSound) {
  let made = 0;
  for (const { name, edits } of declareMembers(bench, names)) {
    const before = bench.text(name);
    bench.draft(name, applyEdits(before, edits));
    if (isSound(name)) made += 1;
    else bench.draft(name, before);
  }
  return made;
}

/** Make the edits that `guesses` returns. Undo those of a file if they change more than types, or cause too many errors. */
function guess(bench, names, isSound, guesses) {
  const steps = names.map((name) => ({ name, text: bench.text(name), errors: countContradictions(bench, name), edits: guesses(bench, name) }));
  const made = steps.filter(({ edits }) => edits.length > 0);
  for (const { name, text, edits } of made) bench.draft(name, applyEdits(text, edits));
  const isWorth = ({ name, errors, edits }) => isSound(name) && countContradictions(bench, name) <= errors + Math.max(2, edits.length / 3);
  const bad = made.filter((step) => !isWorth(step));
  for (const { name, text } of bad) bench.draft(name, text);
  return made.reduce((sum, { edits }) => sum + edits.length, 0) - bad.reduce((sum, { edits }) => sum + edits.length, 0);
}

/** Errors other than a missing annotation. */
const countContradictions = (bench, name) =>
  bench.diagnostics(name).filter(({ code }) => !(code >= 7000 && code < 7100) && code !== 2683).length;
