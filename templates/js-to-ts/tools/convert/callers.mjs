// Finds out how the rest of the tree, with its tests, calls what a module exports. If some caller leaves an argument out,
// the parameter is optional. Declaring that at once saves a cast in every caller that is converted later.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isJavaScript, isTypeScript, treeFiles, ts } from '../project.mjs';
import { isRequire, parseJs } from './commonjs.mjs';
import { isDeclaration, optionalFrom } from './fixes/annotations.mjs';
import { isAssignment } from './nodes.mjs';

const WHOLE = 'default'; // what `module.exports =`, `export =` and `export default` export
const MOST_CALLERS = 40; // files to read for one module; more would show the same

export class Callers {
  constructor(treeDir) {
    this.treeDir = treeDir;
    this.names = treeFiles(treeDir).filter((name) => isJavaScript(name) || isTypeScript(name));
    this.texts = new Map();
    this.calls = new Map(); // file → its calls of what it imports
  }

  #text(name) {
    if (!this.texts.has(name)) this.texts.set(name, readFileSync(path.join(this.treeDir, name), 'utf8'));
    return this.texts.get(name);
  }

  /** The fewest arguments that an export of a module is called with anywhere: Map(name of the export → count). */
  fewestArguments(original) {
    const stem = stemOfFile(original);
    const word = path.posix.basename(stem);
    const fewest = new Map();
    let left = MOST_CALLERS;
    for (const name of this.names) {
      if (left === 0 || name === original || !this.#text(name).includes(word)) continue;
      const calls = this.#callsIn(name).filter((call) => call.stem === stem);
      if (calls.length > 0) left -= 1;
      for (const { exported, count } of calls) fewest.set(exported, Math.min(count, fewest.get(exported) ?? count));
    }
    return fewest;
  }

  #callsIn(name) {
    if (!this.calls.has(name)) this.calls.set(name, callsIn(parseJs(this.#text(name), name), path.posix.dirname(name)));
    return this.calls.get(name);
  }
}

/** A file without what an import may leave out: `lib/a` for `lib/a.js` and for `lib/a/index.js`. */
const stemOfFile = (name) => name.replace(/\.[cm]?[jt]sx?$/, '').replace(/\/(index)?$/, '');

/** The calls in a file of what it imports from files beside it: `{stem, exported, count}`. */
function callsIn(source, dir) {
  const bound = new Map(); // local name → {stem, exported}; `exported` undefined: the module itself
  const calls = [];
  const isBeside = (specifier) => /^\.{1,2}(\/|$)/.test(specifier);
  const stemOf = (specifier) => (isBeside(specifier) ? stemOfFile(path.posix.join(dir, specifier)) : undefined);
  const bind = (name, stem, exported) => {
    if (stem !== undefined && ts.isIdentifier(name)) bound.set(name.text, { stem, exported });
  };
  const visit = (node) => {
    if (ts.isImportDeclaration(node) && node.importClause !== undefined) bindImport(node, bind, stemOf(node.moduleSpecifier.text));
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined) bindRequire(node, bind, stemOf);
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const callee = calleeOf(node.expression, bound, stemOf);
      const args = node.arguments ?? [];
      if (callee !== undefined) calls.push({ ...callee, count: args.some(ts.isSpreadElement) ? Infinity : args.length });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return calls;
}

function bindImport({ importClause: { name, namedBindings } }, bind, stem) {
  if (name !== undefined) bind(name, stem, WHOLE);
  if (namedBindings === undefined) return;
  if (ts.isNamespaceImport(namedBindings)) bind(namedBindings.name, stem, undefined);
  else for (const element of namedBindings.elements) bind(element.name, stem, (element.propertyName ?? element.name).text);
}

function bindRequire({ name, initializer }, bind, stemOf) {
  const value = ts.isAsExpression(initializer) ? initializer.expression : initializer;
  if (!isRequire(value)) return;
  const stem = stemOf(value.arguments[0].text);
  if (ts.isObjectBindingPattern(name)) {
    for (const element of name.elements) bind(element.name, stem, (element.propertyName ?? element.name).text);
  } else bind(name, stem, undefined);
}

function calleeOf(expression, bound, stemOf) {
  if (ts.isIdentifier(expression)) {
    const target = bound.get(expression.text);
    return target === undefined ? undefined : { stem: target.stem, exported: target.exported ?? WHOLE };
  }
  if (isRequire(expression)) {
    const stem = stemOf(expression.arguments[0].text);
    return stem === undefined ? undefined : { stem, exported: WHOLE };
  }
  if (!ts.isPropertyAccessExpression(expression) || !ts.isIdentifier(expression.expression)) return undefined;
  const target = bound.get(expression.expression.text);
  return target === undefined || target.exported !== undefined ? undefined : { stem: target.stem, exported: expression.name.text };
}

/**
 * Edits, one group a function, that make parameters optional: those that some caller leaves out, that JSDoc calls so
 * (`[b]`, `{number=}`), and that the code itself looks whether they are there (`b = b || 1`, `b === undefined`).
 */
export function optionalParameters(source, fewest) {
  const counts = new Map(); // function → the arguments that it needs
  const need = (fn, count) => counts.set(fn, Math.min(count, counts.get(fn) ?? count));
  for (const [exported, count] of fewest) {
    const fn = exportedFunction(source, exported);
    if (fn !== undefined) need(fn, count);
  }
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body !== undefined && !ts.isAccessor(node)) {
      const lastNeeded = node.parameters.findLastIndex((parameter) => !mayBeLeftOut(parameter, node.body));
      if (lastNeeded + 1 < node.parameters.length) need(node, lastNeeded + 1);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...counts].map(([fn, count]) => optionalFrom(fn, count, source) ?? []).filter((edits) => edits.length > 0);
}

function mayBeLeftOut(parameter, body) {
  if (parameter.initializer !== undefined || parameter.dotDotDotToken !== undefined || parameter.questionToken !== undefined) return true;
  if (!ts.isIdentifier(parameter.name)) return false;
  const isSaid = ({ isBracketed, typeExpression }) => isBracketed || typeExpression?.type.kind === ts.SyntaxKind.JSDocOptionalType;
  return ts.getJSDocParameterTags(parameter).some(isSaid) || looksFor(parameter.name.text, body);
}

/** Whether code gives a name a value in case it has none, or compares it with undefined. */
function looksFor(name, body) {
  const isIt = (node) => ts.isIdentifier(node) && node.text === name;
  const isNothing = (node) => /^(undefined|void 0|'undefined'|"undefined")$/.test(node.getText());
  const visit = (node) => {
    if (ts.isBinaryExpression(node)) {
      const { left, right } = node;
      const isDefault = isAssignment(node) && isIt(left) && ts.isBinaryExpression(right) && isIt(right.left) && /^(\|\||\?\?)$/.test(right.operatorToken.getText());
      const isCompared = !isAssignment(node) && isNothing(right) && (isIt(left) || (ts.isTypeOfExpression(left) && isIt(left.expression)));
      if (isDefault || isCompared) return true;
    }
    return ts.forEachChild(node, visit) === true;
  };
  return visit(body);
}

/** The function, or the constructor of the class, that a module exports under a name. */
function exportedFunction(source, exported) {
  for (const statement of source.statements) {
    const value = exportedValue(statement, exported);
    if (value !== undefined) return functionOf(value, source);
  }
  return undefined;
}

function exportedValue(statement, exported) {
  if (ts.isExportAssignment(statement)) return exported === WHOLE ? statement.expression : memberOf(statement.expression, exported);
  const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
  if (modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) {
    const isDefault = modifiers.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword);
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.find(({ name }) => ts.isIdentifier(name) && name.text === exported)?.initializer;
    }
    return (isDefault ? WHOLE : statement.name?.text) === exported ? statement : undefined;
  }
  if (ts.isExportDeclaration(statement) && statement.moduleSpecifier === undefined && statement.exportClause?.elements !== undefined) {
    const element = statement.exportClause.elements.find(({ name }) => name.text === exported);
    return element === undefined ? undefined : (element.propertyName ?? element.name);
  }
  return undefined;
}

/** `a` of `{ a, b: c }`. */
function memberOf(expression, name) {
  if (!ts.isObjectLiteralExpression(expression)) return undefined;
  const property = expression.properties.find((found) => found.name?.getText() === name);
  if (property === undefined) return undefined;
  return ts.isPropertyAssignment(property) ? property.initializer : ts.isShorthandPropertyAssignment(property) ? property.name : property;
}

function functionOf(value, source) {
  if (ts.isIdentifier(value)) {
    const found = source.statements.flatMap((statement) => (ts.isVariableStatement(statement) ? [...statement.declarationList.declarations] : [statement]));
    const declaration = found.find((node) => node.name !== undefined && ts.isIdentifier(node.name) && node.name.text === value.text);
    if (declaration === undefined) return undefined;
    return isDeclaration(declaration) ? functionOf(declaration.initializer ?? source, source) : functionOf(declaration, source);
  }
  if (ts.isClassLike(value)) return value.members.find(ts.isConstructorDeclaration);
  return ts.isFunctionLike(value) ? value : undefined;
}
