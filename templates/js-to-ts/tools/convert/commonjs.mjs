// Reads how a CommonJS module exports. It does not rewrite anything: CommonJS stays CommonJS.

import { ts } from '../project.mjs';

export const parseJs = (text, name) =>
  ts.createSourceFile(name.replace(/\.[cm]?[jt]sx?$/, '.jsx'), text, ts.ScriptTarget.Latest, true, ts.ScriptKind.JSX);

export function isRequire(node) {
  return (
    ts.isCallExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === 'require' &&
    node.arguments.length === 1 &&
    ts.isStringLiteralLike(node.arguments[0])
  );
}

const isModuleExports = (node) =>
  ts.isPropertyAccessExpression(node) &&
  ts.isIdentifier(node.expression) &&
  node.expression.text === 'module' &&
  node.name.text === 'exports';
const isExports = (node) => ts.isIdentifier(node) && node.text === 'exports';
const isAssignment = (node) => ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken;

/**
 * The form of a module's exports, which decides how they can be declared for TypeScript:
 *
 *     'esm'     import and export
 *     'none'    nothing is exported
 *     'last'    module.exports = …, and nothing runs after it: `at` is that assignment
 *     'early'   module.exports = name, where other code follows: `name`, and the members added to it: `members`
 *     'named'   exports.a = …, exports.b = …: `type`, the type of `exports` in TypeScript
 *     'opaque'  anything else: a `require` of it gives `any`; `isCertain` if it needs `module` wherever it runs
 */
export function exportForm(source) {
  if (isEsm(source)) return { kind: 'esm' };
  const seen = new Set(); // mentions of `exports` and `module.exports` that are understood
  const whole = [];
  const members = new Set();
  for (const statement of source.statements) {
    if (ts.isExpressionStatement(statement) && isAssignment(statement.expression)) {
      const found = assigned(statement.expression, seen);
      if (found.isWhole) whole.push({ statement, value: found.value, isPlain: found.targets === 1 });
      else for (const name of found.names) members.add(name);
    } else if (ts.isVariableStatement(statement)) {
      for (const { name, initializer } of statement.declarationList.declarations) {
        if (initializer === undefined || !isAssignment(initializer) || !ts.isIdentifier(name)) continue;
        if (assigned(initializer, seen).isWhole) whole.push({ statement, value: name, isPlain: false });
      }
    }
  }
  return classify(source, { whole, members: [...members], hasOther: mentionsOther(source, seen), uses: usesOfExports(source) });
}

function isEsm(source) {
  const isExported = (statement) =>
    ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  return source.statements.some(
    (statement) =>
      ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement) || ts.isExportAssignment(statement) || isExported(statement),
  );
}

/** The targets of a chain of assignments: `exports = module.exports = value`, `exports.a = exports.b = value`. */
function assigned(assignment, seen) {
  const found = { isWhole: false, names: [], targets: 0, value: assignment };
  for (; isAssignment(found.value); found.value = found.value.right) {
    const { left } = found.value;
    const isMember = ts.isPropertyAccessExpression(left) && (isModuleExports(left.expression) || isExports(left.expression));
    if (isModuleExports(left)) found.isWhole = true;
    else if (isMember) found.names.push(left.name.text);
    else if (!isExports(left)) break;
    seen.add(isMember ? left.expression : left);
    found.targets += 1;
  }
  return found;
}

function mentionsOther(source, seen) {
  const visit = (node) => {
    if (isModuleExports(node)) return !seen.has(node);
    if (isExports(node) && !seen.has(node)) return !(ts.isPropertyAccessExpression(node.parent) && node.parent.name === node);
    return ts.forEachChild(node, visit) === true;
  };
  return visit(source);
}

/**
 * What a module does with `exports` and `module.exports`: the values that it assigns to each member (`members`);
 * whether it replaces them or passes `module` on (`isReplaced`), or asks whether they are there (`isAskedFor`).
 */
function usesOfExports(source) {
  const uses = { members: new Map(), isReplaced: false, isAskedFor: false };
  const visit = (node) => {
    if (ts.isTypeOfExpression(node) && /\b(exports|module)\b/.test(node.getText(source))) uses.isAskedFor = true;
    if (isModuleExports(node) || isExports(node)) useOf(node, uses);
    if (ts.isIdentifier(node) && node.text === 'module' && isPassedOn(node)) uses.isReplaced = true;
    ts.forEachChild(node, visit);
  };
  visit(source);
  return uses;
}

function useOf(node, uses) {
  const { parent } = node;
  if (isTarget(node)) uses.isReplaced = true;
  if (!ts.isPropertyAccessExpression(parent) || parent.expression !== node) return;
  const values = uses.members.get(parent.name.text) ?? [];
  uses.members.set(parent.name.text, values);
  if (isTarget(parent)) values.push(parent.parent.right);
}

const isTarget = ({ parent, pos }) => isAssignment(parent) && parent.left.pos === pos;

function isPassedOn({ parent, pos }) {
  return !ts.isPropertyAccessExpression(parent) && (!ts.isBinaryExpression(parent) || (isAssignment(parent) && parent.left.pos === pos));
}

/** Whether a statement, as soon as it runs, needs `exports` or `module` to be there. */
function needsExports(node) {
  if (ts.isIdentifier(node)) return node.text === 'exports' || node.text === 'module';
  if (ts.isFunctionLike(node) || ts.isClassLike(node)) return false;
  const isOnTheWay =
    ts.isExpressionStatement(node) || ts.isCallExpression(node) || isAssignment(node) || ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node);
  return isOnTheWay && ts.forEachChild(node, needsExports) === true;
}

/** The members of `exports` with their types, as the text of an object type. */
function typeOfExports(source, members) {
  const lines = [...members].map(([name, values]) => {
    const [value] = values;
    const isKnown = values.length === 1 && ts.isIdentifier(value) && isFunctionOrClass(source, value.text);
    return `  ${name}: ${isKnown ? `typeof ${value.text}` : 'any'};`;
  });
  return `{\n${lines.join('\n')}\n}`;
}

function classify(source, { whole, members, hasOther, uses }) {
  const locals = localNames(source);
  const isCertain = !uses.isAskedFor && !locals.has('exports') && !locals.has('module') && source.statements.some(needsExports);
  const opaque = { kind: 'opaque', isCertain };
  if (whole.length === 0) {
    if (members.length === 0) return hasOther ? opaque : { kind: 'none' };
    return isCertain && !uses.isReplaced ? { kind: 'named', type: typeOfExports(source, uses.members) } : opaque;
  }
  if (whole.length > 1) return opaque;
  const [{ statement, value, isPlain }] = whole;
  const runs = source.statements.filter((node) => !ts.isFunctionDeclaration(node) && !ts.isEmptyStatement(node));
  if (isPlain && members.length === 0 && !hasOther && runs.at(-1) === statement) return { kind: 'last', at: statement.expression };
  if (ts.isIdentifier(value) && locals.has(value.text)) return { kind: 'early', name: value.text, members: members.filter(isName) };
  return opaque;
}

/** Whether a name can be declared: `exports.default` and `exports.delete` cannot. */
function isName(name) {
  const word = ts.stringToToken(name); // undefined: not a word of the language
  return /^[A-Za-z_$][\w$]*$/.test(name) && (word === undefined || word > ts.SyntaxKind.LastFutureReservedWord);
}

function localNames(source) {
  const names = new Set();
  const bind = (name) => {
    if (ts.isIdentifier(name)) names.add(name.text);
    else for (const element of name.elements) if (!ts.isOmittedExpression(element)) bind(element.name);
  };
  for (const statement of source.statements) {
    if ((ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name) bind(statement.name);
    if (ts.isVariableStatement(statement)) for (const { name } of statement.declarationList.declarations) bind(name);
  }
  return names;
}

/** Whether the name is declared as a function or class, to which a namespace can add members. */
export function isFunctionOrClass(source, name) {
  return source.statements.some(
    (statement) => (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name?.text === name,
  );
}
