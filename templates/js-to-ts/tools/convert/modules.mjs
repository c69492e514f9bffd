// Rewrites module syntax: CommonJS stays CommonJS, in the form for which TypeScript knows types.
//
//     var a = require('./a')      →  import a = require('./a')
//     module.exports = f          →  export = f                       where nothing runs after it
//                                 →  left, and `export = f` repeated at the end
//     exports.a = …               →  left, and `declare const exports: { a: any }; export = exports` at the end
//     { b } = require('./b')      →  require('./b') as typeof import('./b')

import { builtinModules } from 'node:module';
import { readFileSync } from 'node:fs';
import { ts } from '../project.mjs';
import { exportForm, isFunctionOrClass, isRequire, parseJs } from './commonjs.mjs';
import { applyEdits, insert } from './edits.mjs';
import { isAssignment, semicolonBefore } from './nodes.mjs';

/** The text of a JavaScript module in TypeScript's module syntax. `hasTypes` says which module paths have types. */
export function convertModuleSyntax(text, name, hasTypes) {
  const source = parseJs(text, name);
  const form = exportForm(source);
  if (form.kind === 'esm') return text;
  const edits = typedRequires(source, hasTypes);
  if (form.kind === 'last') edits.push({ start: form.at.getStart(source), end: form.at.right.getStart(source), text: 'export = ' });
  const tail = declaredAtEnd(source, form);
  const converted = applyEdits(text, edits);
  return tail.length === 0 ? converted : `${converted.replace(/\s*$/, '\n')}${tail.join('\n')}\n`;
}

/** What has to be said at the end of the module for TypeScript to know its exports. None of it runs. */
function declaredAtEnd(source, { kind, name, members = [], type, isCertain }) {
  // No other `export` may stand here, not of a type either: for esbuild and tsx it makes another kind of module of the file.
  if (kind === 'named') return [`declare const exports: ${type};`, 'export = exports;'];
  if (kind === 'opaque' && isCertain) return ['export = module.exports;'];
  if (kind !== 'early') return [];
  const lines = [`export = ${name};`];
  if (members.length === 0 || !isFunctionOrClass(source, name)) return lines;
  return [`declare namespace ${name} {\n${members.map((member) => `  export let ${member}: any;`).join('\n')}\n}`, ...lines];
}

/** Give every `require` of a module with types these types, in place. */
function typedRequires(source, hasTypes) {
  const edits = [];
  const visit = (node) => {
    if (isRequire(node) && hasTypes(node.arguments[0].text)) edits.push(...(asImport(node, source) ?? asTyped(node, source)));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return edits;
}

/** `var x = require('…')`, alone in a statement of the module's own, as `import x = require('…')`. */
function asImport(call, source) {
  const [path] = call.arguments;
  const declaration = call.parent;
  if (!ts.isVariableDeclaration(declaration) || !ts.isIdentifier(declaration.name) || declaration.initializer !== call) return undefined;
  const list = declaration.parent;
  if (list.declarations.length !== 1 || !ts.isVariableStatement(list.parent) || list.parent.parent !== source) return undefined;
  if (path.text.endsWith('.json') || !staysConstant(source, declaration.name)) return undefined;
  const edits = [{ start: list.getStart(source), end: call.getStart(source), text: `import ${declaration.name.text} = ` }];
  if (!ts.isStringLiteral(path)) edits.push({ start: path.getStart(source), end: path.end, text: JSON.stringify(path.text) });
  return edits;
}

/**
 * An import can neither be assigned to nor declared twice. And the compiler leaves out an import that nothing uses; then
 * the module is not loaded.
 */
function staysConstant(source, declared) {
  let isUsed = false;
  let isChanged = false;
  const visit = (node) => {
    if (ts.isIdentifier(node) && node.text === declared.text && node !== declared) {
      const { parent } = node;
      const isLabel = (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) && parent.name === node;
      if (!isLabel) isUsed = true;
      if (isAssignment(parent) && parent.left === node) isChanged = true;
      if (ts.isVariableDeclaration(parent) && parent.name === node && parent.parent.parent.parent === source) isChanged = true;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return isUsed && !isChanged;
}

function asTyped(call, source) {
  const { parent } = call;
  if (ts.isExpressionStatement(parent)) return [];
  const type = ` as typeof import(${JSON.stringify(call.arguments[0].text)})`;
  const isBare =
    (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) && parent.initializer === call;
  const isArgument = ts.isCallExpression(parent) && parent.expression !== call;
  if (isBare || isArgument) return [insert(call.end, type)];
  return [insert(call.getStart(source), `${semicolonBefore(call, source)}(`), insert(call.end, `${type})`)];
}

/** Returns which module paths lead to types, from one file: `resolve` returns the file that a path means. */
export function typedModules(resolve, read = (file) => readFileSync(file, 'utf8')) {
  return (specifier) => {
    if (builtinModules.includes(specifier.replace(/^node:/, ''))) return true;
    const file = resolve(specifier);
    if (file === undefined) return false;
    if (/\.json$|\.d\.[cm]?ts$/.test(file)) return true;
    if (file.includes('/node_modules/')) return false;
    const text = read(file);
    if (/\.[cm]?tsx?$/.test(file) && /^export\b/m.test(text)) return true;
    const source = parseJs(text, file);
    const form = exportForm(source);
    if (form.kind === 'early') return form.members.length === 0 || isFunctionOrClass(source, form.name);
    return form.kind !== 'none' && (form.kind !== 'opaque' || form.isCertain);
  };
}
