// Types from what the code says of itself: first its JSDoc, then how its values are used.

import { ts } from '../project.mjs';

/** JSDoc is not checked by anyone, so its names come in every spelling: these are the ones that mean a known type. */
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
  ['Object', 'any'], // in JSDoc a thing with members, in TypeScript one without
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
 * Edits that annotate from usage. The language service guesses: a guess that holds nothing (`never`, `undefined`) or that only
 * repeats one call's shape is not written, and comes back as an error that says where a type is missing.
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

/** The signature of what a module exports: what the tasks after this one need to know of it. */
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
