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
 *     'named'   exports.a = …, exports.b = …: `members`
 *     'opaque'  anything else: for TypeScript it is a module without exports, and a `require` of it gives `any`
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
  return classify(source, { whole, members: [...members], hasOther: mentionsOther(source, seen) });
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

function classify(source, { whole, members, hasOther }) {
  if (whole.length === 0 && members.length === 0) return { kind: hasOther ? 'opaque' : 'none' };
  const locals = localNames(source);
  if (whole.length === 0) {
    return members.every((name) => isName(name) && !locals.has(name)) ? { kind: 'named', members } : { kind: 'opaque' };
  }
  if (whole.length > 1) return { kind: 'opaque' };
  const [{ statement, value, isPlain }] = whole;
  const runs = source.statements.filter((node) => !ts.isFunctionDeclaration(node) && !ts.isEmptyStatement(node));
  if (isPlain && members.length === 0 && !hasOther && runs.at(-1) === statement) return { kind: 'last', at: statement.expression };
  if (ts.isIdentifier(value) && locals.has(value.text)) return { kind: 'early', name: value.text, members: members.filter(isName) };
  return { kind: 'opaque' };
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
