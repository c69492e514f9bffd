// Finds types in the code itself: first in its JSDoc, then in how its values are used.

import { ts } from '../project.mjs';

/** Nothing checks JSDoc, so names of types are spelled in many ways. These spellings mean a known type. */
const SPELLINGS = new Map([
  ['bool', 'boolean'],
  ['int', 'number'],
  ['integer', 'number'],
  ['float', 'number'],
  ['date', 'Date'],
  ['regexp', 'RegExp'],
  ['function', 'Function'],
  ['error', 'Error'],
  ['String', 'string'],
  ['Number', 'number'],
  ['Boolean', 'boolean'],
  ['Object', 'any'], // in JSDoc an object with members, in TypeScript one without
  ['object', 'any'],
]);

/** Edits that annotate from JSDoc. */
export function fromJsDoc(bench, name) {
  return bench.fixes(name, 'annotateWithTypeFromJSDoc', (edit) => ({
    ...edit,
    text: edit.text.replace(/(?<![\w$.'"])[A-Za-z]+(?![\w$.'"(:?<])/g, (word) => SPELLINGS.get(word) ?? word),
  }));
}

/**
 * Edits that annotate from usage, as the language service guesses it. A guess that is empty (`never`, `undefined`) or only
 * repeats the shape of one call is not used; the compiler then reports where a type is missing.
 */
export function fromUsage(bench, name) {
  return bench.fixes(name, 'inferFromUsage', (edit) => {
    const guess = /^\s*\??:\s*([\s\S]*?)\s*$/.exec(edit.text)?.[1];
    if (guess === undefined) return isTypeOnly(edit.text) ? edit : undefined;
    const isUseless = /\b(never|unknown|this)\b|^(undefined|null|void|any|any\[\])$|=>|[{]|import\(/.test(guess);
    if (!isUseless) return edit;
    return { ...edit, text: edit.text.replace(guess, /\[\]$/.test(guess) ? 'any[]' : 'any') };
  });
}

const isTypeOnly = (text) => /^[\s()]*$/.test(text) || /^\(?this: /.test(text);

/** The signature of a module's exports: the tasks after this one need it. */
export function exportedSignature(bench, name) {
  const { checker } = bench;
  const symbol = checker.getSymbolAtLocation(bench.source(name));
  if (symbol === undefined) return undefined;
  const lines = [];
  const whole = symbol.exports?.get('export=');
  const say = (label, exported) => {
    const target = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const node = target.valueDeclaration ?? target.declarations?.[0];
    if (node !== undefined) lines.push(`${label}: ${checker.typeToString(checker.getTypeOfSymbolAtLocation(target, node))}`);
  };
  if (whole !== undefined) say('export =', whole);
  else for (const exported of checker.getExportsOfModule(symbol)) say(exported.name, exported);
  return lines.length > 0 ? lines.join('\n') : undefined;
}
