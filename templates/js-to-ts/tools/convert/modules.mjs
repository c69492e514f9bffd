// Module syntax: CommonJS stays CommonJS, in the spelling that TypeScript gives types to.
//
//     var a = require('./a')      →  import a = require('./a')
//     module.exports = f          →  export = f
//
// Both are exact only where the compiler puts them back in the same order, so anything else is left as it is:
// an assignment of module.exports that is not the last thing the module does, a require inside a function.

import { builtinModules } from 'node:module';
import { ts } from '../project.mjs';
import { applyEdits, insert } from './edits.mjs';

/** The text of a JavaScript module in TypeScript's module syntax. `resolve` says which file a module path means. */
export function convertModuleSyntax(text, name, resolve) {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.JSX);
  if (isEsm(source)) return text;
  const edits = [];
  const converted = new Set();
  for (const statement of source.statements) {
    const call = soleRequire(statement);
    if (call === undefined || !hasTypes(call.specifier, resolve)) continue;
    if (isReassigned(source, call.name) || !isUsedAsValue(source, call.node)) continue;
    const start = statement.getStart(source);
    edits.push({ start, end: call.call.getStart(source), text: `import ${call.name} = ` });
    converted.add(call.call);
  }
  edits.push(...typedRequires(source, converted, resolve));
  edits.push(...exportAssignment(source));
  return applyEdits(text, edits);
}

function isEsm(source) {
  return source.statements.some(
    (statement) =>
      ts.isImportDeclaration(statement) ||
      ts.isExportDeclaration(statement) ||
      ts.isExportAssignment(statement) ||
      (ts.canHaveModifiers(statement) &&
        ts.getModifiers(statement)?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword)),
  );
}

/** `var x = require('…')` alone in its statement. */
function soleRequire(statement) {
  if (!ts.isVariableStatement(statement) || statement.declarationList.declarations.length !== 1) return undefined;
  const [node] = statement.declarationList.declarations;
  if (!ts.isIdentifier(node.name) || node.initializer === undefined || !isRequire(node.initializer)) return undefined;
  return { node, name: node.name.text, call: node.initializer, specifier: node.initializer.arguments[0].text };
}

function isRequire(node) {
  return (
    ts.isCallExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === 'require' &&
    node.arguments.length === 1 &&
    ts.isStringLiteral(node.arguments[0])
  );
}

/** A module without types would be an error as an import; as a plain `require` it is `any`. */
function hasTypes(specifier, resolve) {
  if (builtinModules.includes(specifier.replace(/^node:/, ''))) return true;
  const file = resolve(specifier);
  return file !== undefined && (specifier.startsWith('.') || /\.d\.[cm]?ts$/.test(file));
}

function isReassigned(source, name) {
  let found = false;
  const visit = (node) => {
    if (ts.isBinaryExpression(node) && ts.isIdentifier(node.left) && node.left.text === name) {
      const { kind } = node.operatorToken;
      if (kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment) found = true;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The compiler leaves out an import that nothing uses, and with it what the module does when it loads. */
function isUsedAsValue(source, declaration) {
  let found = false;
  const visit = (node) => {
    if (ts.isIdentifier(node) && node.text === declaration.name.text && node !== declaration.name) {
      const isPropertyName =
        (ts.isPropertyAccessExpression(node.parent) && node.parent.name === node) ||
        (ts.isPropertyAssignment(node.parent) && node.parent.name === node);
      if (!isPropertyName) found = true;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Any other `require` of a module with types keeps its place and is told its type. */
function typedRequires(source, converted, resolve) {
  const edits = [];
  const visit = (node) => {
    if (isRequire(node) && !converted.has(node) && !ts.isExpressionStatement(node.parent)) {
      if (hasTypes(node.arguments[0].text, resolve)) {
        const type = ` as typeof import(${node.arguments[0].getText(source)})`;
        const { parent } = node;
        const bare = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent);
        if (bare) edits.push(insert(node.end, type));
        else edits.push(insert(node.getStart(source), '('), insert(node.end, `${type})`));
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return edits;
}

const isModuleExports = (node) =>
  ts.isPropertyAccessExpression(node) &&
  ts.isIdentifier(node.expression) &&
  node.expression.text === 'module' &&
  node.name.text === 'exports';

/** `export =` runs last, wherever it is written: so only for an assignment that is alone, and last. */
function exportAssignment(source) {
  let mentions = 0;
  const visit = (node) => {
    if (isModuleExports(node) || (ts.isIdentifier(node) && node.text === 'exports' && !isModuleExports(node.parent))) {
      mentions += 1;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  const runs = source.statements.filter(
    (statement) => !ts.isFunctionDeclaration(statement) && !ts.isEmptyStatement(statement),
  );
  const last = runs.at(-1);
  if (mentions !== 1 || last === undefined || !ts.isExpressionStatement(last)) return [];
  const assignment = last.expression;
  if (!ts.isBinaryExpression(assignment) || !isModuleExports(assignment.left)) return [];
  if (assignment.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return [];
  return [{ start: assignment.getStart(source), end: assignment.right.getStart(source), text: 'export = ' }];
}
