// Finding one's way in a syntax tree.

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

/** Whether an expression may stand before `as` or `!` without parentheses. */
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
    node.kind === ts.SyntaxKind.ThisKeyword
  );
}

/** Whether a statement begins with this expression: an added `(` there could be taken for a call of the line before. */
export function beginsStatement(node, source) {
  const statement = enclosing(node, ts.isExpressionStatement);
  return statement !== undefined && statement.getStart(source) === node.getStart(source);
}
