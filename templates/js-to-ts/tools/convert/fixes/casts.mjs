// Fixes at one place: a cast or an assertion where the value is used.

import { ts } from '../../project.mjs';
import { insert } from '../edits.mjs';
import { enclosing, isAssignment, isTight, semicolonBefore } from '../nodes.mjs';
import { messageOf } from './names.mjs';

/** `expression as type`, with the brackets it needs there. */
export function castTo(expression, type, source) {
  if (!isCastable(expression)) return undefined;
  const [open, close] = isTight(expression) ? ['', ` as ${type}`] : ['(', `) as ${type}`];
  const [before, after] = standsAlone(expression) ? [open, close] : [`(${open}`, `${close})`];
  const start = expression.getStart(source);
  const guard = before === '' ? '' : semicolonBefore(expression, source);
  return [insert(start, guard + before), insert(expression.end, after)].filter((edit) => edit.text !== '');
}

function isCastable(node) {
  if (node === undefined || !ts.isExpression(node)) return false;
  if (node.kind === ts.SyntaxKind.SuperKeyword || ts.isSpreadElement(node) || ts.isOmittedExpression(node)) return false;
  if (ts.isAsExpression(node) || ts.isAsExpression(node.parent)) return false;
  if (isName(node) || ts.isLiteralTypeNode(node.parent)) return false;
  // brackets inside `a?.b.c` would end the chain
  const isChained = (node.flags & ts.NodeFlags.OptionalChain) !== 0 && (node.parent.flags & ts.NodeFlags.OptionalChain) !== 0;
  return !(isChained && node.parent.expression === node);
}

/** Whether an identifier or pattern is a name and not a value. */
function isName(node) {
  const { parent } = node;
  if (ts.isExportAssignment(parent)) return parent.isExportEquals === true;
  if (ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent) || ts.isExternalModuleReference(parent)) return true;
  return parent.name === node || parent.propertyName === node || ts.isShorthandPropertyAssignment(parent);
}

function standsAlone(node) {
  const { parent } = node;
  return (
    ((ts.isCallExpression(parent) || ts.isNewExpression(parent)) && parent.expression !== node) ||
    ((ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) && parent.initializer === node) ||
    ts.isReturnStatement(parent) ||
    ts.isParenthesizedExpression(parent) ||
    (ts.isElementAccessExpression(parent) && parent.argumentExpression === node) ||
    (isAssignment(parent) && parent.right === node)
  );
}

/** The value that an error underlines or means: the argument, the right side, what is returned. */
function valueOf(span) {
  let value = span;
  if (value.kind === ts.SyntaxKind.ReturnKeyword) value = value.parent;
  if (ts.isReturnStatement(value)) value = value.expression;
  else if (ts.isVariableDeclaration(value) || ts.isPropertyAssignment(value)) value = value.initializer;
  else if (value.parent === undefined) value = undefined;
  else if ((ts.isVariableDeclaration(value.parent) || ts.isPropertyAssignment(value.parent)) && value.parent.name === value) value = value.parent.initializer;
  else if (isAssignment(value.parent) && value.parent.left === value && value.parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) value = value.parent.right;
  if (value !== undefined && ts.isSpreadElement(value)) value = value.expression;
  return value;
}

export const castValue = ({ span, source }) => castTo(valueOf(span), 'any', source);

/** An object literal with members that its type does not have. */
export const castLiteral = ({ node, source }) => castTo(enclosing(node, ts.isObjectLiteralExpression), 'any', source);

/** The place that is assigned to has the narrower type. */
export function castTarget({ span, source }) {
  const assignment = enclosing(span, isAssignment);
  if (assignment === undefined || !assignment.left || !(ts.isIdentifier(assignment.left) || accessAt(assignment.left) === assignment.left)) return undefined;
  return castTo(ts.isIdentifier(assignment.left) ? assignment.left : assignment.left.expression, 'any', source);
}

const accessAt = (node) => enclosing(node, (found) => ts.isPropertyAccessExpression(found) || ts.isElementAccessExpression(found));

/** The error underlines a member: cast the object before it. */
export function castObject({ node, source }) {
  const access = accessAt(node);
  return access === undefined ? undefined : castTo(access.expression, 'any', source);
}

/** A member at the end of an optional chain, `a?.b.c`: cast the start of the chain. */
export function castChainStart({ node, source }) {
  let access = accessAt(node);
  while (access !== undefined && access.questionDotToken === undefined && (access.flags & ts.NodeFlags.OptionalChain) !== 0) access = access.expression;
  return access === undefined || access.expression === undefined ? undefined : castTo(access.expression, 'any', source);
}

/** The call that an error is about. It underlines the callee; of too many arguments, the first one too many. */
export function castCallee({ node, source, diagnostic }) {
  const isCall = (found) => ts.isCallExpression(found) || ts.isNewExpression(found);
  const { start } = diagnostic;
  const isPassedTo = (found) => isCall(found) && found.arguments !== undefined && start >= found.arguments.pos && start < found.arguments.end;
  const [, expected, got] = /Expected (\d+)(?:-\d+)? arguments, but got (\d+)/.exec(messageOf(diagnostic)) ?? [];
  const call = enclosing(node, Number(got) > Number(expected) ? isPassedTo : isCall);
  return call === undefined ? undefined : castTo(call.expression, 'any', source);
}

/** The object of a method call: no argument fits the type that the compiler gives it, as with `never[]`. */
export function castReceiver({ node, source }) {
  const call = enclosing(node, (found) => ts.isCallExpression(found) || ts.isNewExpression(found));
  const callee = call?.expression;
  if (callee === undefined) return undefined;
  return castTo(ts.isPropertyAccessExpression(callee) || ts.isElementAccessExpression(callee) ? callee.expression : callee, 'any', source);
}

export function castOperand({ span, source }) {
  return castTo(ts.isBinaryExpression(span) ? span.left : span, 'any', source);
}

export function castOtherOperand({ span, source }) {
  return ts.isBinaryExpression(span) ? castTo(span.right, 'any', source) : undefined;
}

/** The compiler says that it may be null, but the code has always assumed that it is not. */
export function assertPresent({ span, source, checker }) {
  const value = valueOf(span);
  if (value === undefined || !ts.isExpression(value) || ts.isNonNullExpression(value.parent) || ts.isNonNullExpression(value)) return undefined;
  if (isAssignment(value.parent) && value.parent.left === value) return undefined;
  if (isName(value)) return undefined;
  const type = checker.getTypeAtLocation(value);
  if (checker.getNonNullableType(type) === type || isNothing(type)) return undefined;
  if (isTight(value)) return [insert(value.end, '!')];
  return [insert(value.getStart(source), `${semicolonBefore(value, source)}(`), insert(value.end, ')!')];
}

const isNothing = (type) => (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) !== 0;

/** The nth expression around the error, from the inside out. */
export const castAround = (n) => ({ span, source }) => {
  const around = [];
  for (let node = span; node !== undefined && !ts.isStatement(node) && !ts.isFunctionLike(node); node = node.parent) {
    if (isCastable(node)) around.push(node);
  }
  return around[n] === undefined ? undefined : castTo(around[n], 'any', source);
};
