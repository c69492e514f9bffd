// Finds nodes in a syntax tree.

import { ts } from '../project.mjs';

/** The innermost node at a position. */
export function nodeAt(source, position) {
  let node = source;
  for (;;) {
    const inner = node
      .getChildren(source)
      .find((child) => !ts.isJSDoc(child) && child.getStart(source) <= position && position < child.end);
    if (inner === undefined) return node;
    node = inner;
  }
}

/** The smallest node around `node` that reaches to the end of what a diagnostic underlines. */
export function covering(node, diagnostic) {
  let found = node;
  while (found.parent !== undefined && found.end < diagnostic.start + diagnostic.length) found = found.parent;
  return found;
}

/** The nearest node from `node` outwards that a test accepts. */
export function enclosing(node, test) {
  for (let found = node; found !== undefined; found = found.parent) if (test(found)) return found;
  return undefined;
}

/** The declaration of the value that an identifier names. */
export function declarationOf(checker, node) {
  return checker.getSymbolAtLocation(node)?.valueDeclaration;
}

/** Whether an expression needs no parentheses before `as` or `!`. */
export function isTight(node) {
  return (
    ts.isIdentifier(node) ||
    ts.isPropertyAccessExpression(node) ||
    ts.isElementAccessExpression(node) ||
    ts.isCallExpression(node) ||
    ts.isNewExpression(node) ||
    ts.isParenthesizedExpression(node) ||
    ts.isLiteralExpression(node) ||
    ts.isArrayLiteralExpression(node) ||
    ts.isNonNullExpression(node) ||
    node.kind === ts.SyntaxKind.ThisKeyword
  );
}

/** Returns `;` if the line before has none and an added `(` would turn it into a call; otherwise nothing. */
export function semicolonBefore(node, source) {
  const statement = enclosing(node, ts.isExpressionStatement);
  if (statement === undefined || statement.getStart(source) !== node.getStart(source)) return '';
  const { statements } = statement.parent;
  const before = statements?.[statements.indexOf(statement) - 1];
  if (before === undefined || source.text[before.end - 1] === ';') return '';
  const last = lastWithin(before);
  const endsItself =
    ts.isFunctionDeclaration(last) || ts.isClassDeclaration(last) || ts.isBlock(last) || ts.isTryStatement(last) || ts.isSwitchStatement(last);
  return endsItself ? '' : ';';
}

/** The statement that another one ends with: the body of a loop, the last branch of an `if`. */
function lastWithin(statement) {
  if (ts.isIfStatement(statement)) return lastWithin(statement.elseStatement ?? statement.thenStatement);
  if (ts.isIterationStatement(statement, false) && !ts.isDoStatement(statement)) return lastWithin(statement.statement);
  if (ts.isLabeledStatement(statement)) return lastWithin(statement.statement);
  return statement;
}

export const isAssignment = (node) =>
  ts.isBinaryExpression(node) &&
  node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
  node.operatorToken.kind <= ts.SyntaxKind.LastAssignment;
