// Compares the normal forms of two files: are they the same code?

import { erase } from './erase.mjs';
import { isTypeScript, ts } from './project.mjs';

const OPEN = '‹';
const CLOSE = '›';
const isWord = (entry) => !entry.startsWith(OPEN) && entry !== CLOSE;

/**
 * A file's code without what a conversion may change: types, comments, layout, brackets that group nothing, and the
 * spelling of `require` and `module.exports`. Two files with equal normal forms do the same at run time. The form lists
 * the words of the code, and groups them by `‹Kind` and `›`.
 */
export function normalForm(text, fileName) {
  const plain = isTypeScript(fileName) ? erase(text, fileName) : text;
  const source = ts.createSourceFile('code.jsx', plain, ts.ScriptTarget.Latest, true, ts.ScriptKind.JSX);
  const form = [];
  const words = (node) => {
    for (const child of node.getChildren(source)) if (!isLayout(child, node)) visit(child);
  };
  const visit = (node) => {
    if (ts.isParenthesizedExpression(node) && !endsChain(node)) visit(node.expression);
    else if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) form.push(JSON.stringify(node.text));
    else if (node.kind < ts.SyntaxKind.FirstNode) {
      const word = node.getText(source);
      if (word !== '') form.push(word);
    } else {
      form.push(`${OPEN}${ts.SyntaxKind[node.kind]}`);
      words(node);
      form.push(CLOSE);
    }
  };
  for (const statement of withoutRepeatedExport(source.statements.filter((node) => !ts.isEmptyStatement(node)))) {
    if (isMarker(statement)) continue;
    const first = form.length;
    visit(statement);
    if (isRequire(statement)) form[form.findIndex((word, i) => i >= first && /^(var|let|const)$/.test(word))] = 'var';
  }
  return form;
}

/** `(a?.b).c` fails where `a?.b.c` is undefined: these brackets are code. */
function endsChain(node) {
  const { expression, parent } = node;
  const goesOn = ts.isPropertyAccessExpression(parent) || ts.isElementAccessExpression(parent) || ts.isCallExpression(parent);
  return goesOn && parent.expression === node && (expression.flags & ts.NodeFlags.OptionalChain) !== 0;
}

/** Semicolons, and the brackets of an arrow function's only parameter. */
function isLayout(child, parent) {
  if (ts.isEmptyStatement(child)) return !ts.isIterationStatement(parent, false) && !ts.isIfStatement(parent);
  if (child.kind === ts.SyntaxKind.SemicolonClassElement) return true;
  if (child.kind === ts.SyntaxKind.SemicolonToken) return !ts.isForStatement(parent);
  const isBracket = child.kind === ts.SyntaxKind.OpenParenToken || child.kind === ts.SyntaxKind.CloseParenToken;
  return ts.isJSDoc(child) || (isBracket && ts.isArrowFunction(parent));
}

const isMarker = (statement) => {
  if (!ts.isExpressionStatement(statement)) return false;
  return ts.isStringLiteral(statement.expression) && statement.expression.text === 'use strict';
};

function isRequire(statement) {
  if (!ts.isVariableStatement(statement) || statement.declarationList.declarations.length !== 1) return false;
  const { initializer } = statement.declarationList.declarations[0];
  if (initializer === undefined || !ts.isCallExpression(initializer)) return false;
  return ts.isIdentifier(initializer.expression) && initializer.expression.text === 'require';
}

/**
 * A module that exports itself early, for a circular require, says so again at its end for the compiler
 * (`export = f`). The second time changes nothing as long as both name the same constant thing. Nor does a module
 * that exports its own `exports`, which is not compared here: `agentjobs same-code` looks whether it is still that.
 */
function withoutRepeatedExport(statements) {
  const last = statements.at(-1);
  const name = last === undefined ? undefined : exported(last);
  if (/^(module\.)?exports$/.test(name?.getText())) return statements.slice(0, -1);
  if (name === undefined || !ts.isIdentifier(name)) return statements;
  const isSame = (statement) => {
    const value = exported(statement);
    return value !== undefined && ts.isIdentifier(value) && value.text === name.text;
  };
  return statements.slice(0, -1).some(isSame) ? statements.slice(0, -1) : statements;
}

/** The name that a statement assigns to `module.exports`: `f` of `exports = module.exports = f` and of `var f = module.exports = {}`. */
function exported(statement) {
  if (ts.isExpressionStatement(statement)) return exportedIn(statement.expression);
  if (!ts.isVariableStatement(statement)) return undefined;
  const declared = statement.declarationList.declarations.find((d) => d.initializer !== undefined && exportedIn(d.initializer) !== undefined);
  return declared?.name;
}

function exportedIn(expression) {
  let value = expression;
  let found = false;
  while (ts.isBinaryExpression(value) && value.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
    found ||= value.left.getText() === 'module.exports';
    value = value.right;
  }
  return found ? value : undefined;
}

/** The first difference of two normal forms, as one line for people; `undefined` if they are equal. */
export function firstDifference(before, after) {
  const length = Math.max(before.length, after.length);
  for (let i = 0; i < length; i += 1) {
    if (before[i] === after[i]) continue;
    const around = (form) => form.slice(Math.max(0, i - 24), i + 24).filter(isWord).join(' ') || '(nothing)';
    return `was \`${around(before)}\`, is \`${around(after)}\``;
  }
  return undefined;
}
