// Which mending answers which error of the compiler. Each takes the error's place and gives edits, or nothing.

import { ts } from '../project.mjs';
import { insert, replace } from './edits.mjs';
import { beginsStatement, declarationOf, enclosing, isTight } from './nodes.mjs';

const messageOf = (diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ');

// --- names of types -----------------------------------------------------------------------------------------

/** JSDoc names a type that does not exist; the compiler may know which one was meant. */
function useTheTypeMeant({ diagnostic, node, source }) {
  const meant = /Did you mean '([\w$.]+)'\?/.exec(messageOf(diagnostic))?.[1];
  const type = enclosing(node, ts.isTypeReferenceNode);
  return meant === undefined || type === undefined ? undefined : [replace(type.typeName, source, meant)];
}

function anyForUnknownType({ node, source }) {
  const type = enclosing(node, (found) => ts.isTypeReferenceNode(found) || ts.isImportTypeNode(found));
  if (type === undefined) return undefined;
  const union = ts.isUnionTypeNode(type.parent) ? type.parent : type; // `any | string` says no more than `any`
  return [replace(union, source, 'any')];
}

// --- annotations --------------------------------------------------------------------------------------------

const isDeclaration = (node) =>
  ts.isParameter(node) || ts.isVariableDeclaration(node) || ts.isPropertyDeclaration(node) || ts.isBindingElement(node);

function annotate(declaration, type, source, { optional = false } = {}) {
  let target = declaration;
  while (ts.isBindingElement(target)) target = target.parent.parent;
  if (!isDeclaration(target) || target.type !== undefined) return undefined;
  if (ts.isVariableDeclaration(target) && ts.isForOfStatement(target.parent.parent)) return undefined;
  if (ts.isVariableDeclaration(target) && ts.isForInStatement(target.parent.parent)) return undefined;
  if (target.getSourceFile() !== source) return undefined;
  const whole = ts.isBindingElement(declaration) ? 'any' : type;
  const text = `${optional ? '?' : ''}: ${whole}`;
  const fn = target.parent;
  if (ts.isParameter(target) && ts.isArrowFunction(fn) && source.text[fn.parameters.pos - 1] !== '(') {
    return [insert(target.getStart(source), '('), insert(target.name.end, `${text})`)];
  }
  const end = target.exclamationToken?.end ?? target.questionToken?.end ?? target.name.end;
  return [insert(end, text)];
}

function annotateAny({ diagnostic, node, source, checker }) {
  const message = messageOf(diagnostic);
  const isRest = /rest parameter/i.test(message);
  const type = isRest || /'any\[\]'/.test(message) ? 'any[]' : 'any';
  const used = ts.isIdentifier(node) ? declarationOf(checker, node) : undefined;
  const declaration = used !== undefined && isDeclaration(used) ? used : enclosing(node, isDeclaration);
  return declaration === undefined ? undefined : annotate(declaration, type, source);
}

function returnAny({ node, source }) {
  const fn = enclosing(node, (found) => ts.isFunctionLike(found) && !ts.isConstructorDeclaration(found));
  if (fn === undefined || fn.type !== undefined || ts.isSetAccessor(fn)) return undefined;
  const close = fn.getChildren(source).find((child) => child.kind === ts.SyntaxKind.CloseParenToken);
  return close === undefined ? undefined : [insert(close.end, ': any')];
}

/** A function that is called with a `this` says so in its first parameter; it is not there at run time. */
function declareThis({ node, source }) {
  const fn = enclosing(node, (found) => ts.isFunctionDeclaration(found) || ts.isFunctionExpression(found) || ts.isMethodDeclaration(found));
  if (fn === undefined || fn.parameters[0]?.name.getText(source) === 'this') return undefined;
  const open = fn.getChildren(source).find((child) => child.kind === ts.SyntaxKind.OpenParenToken);
  return [insert(open.end, fn.parameters.length > 0 ? 'this: any, ' : 'this: any')];
}

/** A member of `this` that the surrounding object lacks: the function is called with another `this`. */
function declareThisOfLiteral({ node, source, ...rest }) {
  const access = enclosing(node, ts.isPropertyAccessExpression);
  if (access?.expression.kind !== ts.SyntaxKind.ThisKeyword) return undefined;
  const fn = enclosing(node, (found) => ts.isFunctionExpression(found) || ts.isMethodDeclaration(found) || ts.isClassLike(found));
  if (fn === undefined || ts.isClassLike(fn) || ts.isClassLike(fn.parent)) return undefined;
  return declareThis({ node, source, ...rest });
}

/** The object is used as a dictionary: say so where it is made. */
function makeDictionary({ node, source, checker }) {
  const access = enclosing(node, (found) => ts.isElementAccessExpression(found) || ts.isPropertyAccessExpression(found));
  if (access === undefined || !ts.isIdentifier(access.expression)) return undefined;
  const declaration = declarationOf(checker, access.expression);
  if (declaration === undefined || !ts.isVariableDeclaration(declaration) || declaration.type !== undefined) return undefined;
  if (declaration.initializer === undefined || !ts.isObjectLiteralExpression(declaration.initializer)) return undefined;
  return annotate(declaration, 'Record<string, any>', source);
}

/** What starts as an empty array is `never[]` in strict code until it says what it will hold. */
function declareArray({ diagnostic, node, source, checker }) {
  if (!/type 'never'/.test(messageOf(diagnostic))) return undefined;
  let target = enclosing(node, (found) => ts.isElementAccessExpression(found) || ts.isPropertyAccessExpression(found) || ts.isIdentifier(found));
  while (target !== undefined && !ts.isIdentifier(target)) target = target.expression;
  const declaration = target === undefined ? undefined : declarationOf(checker, target);
  if (declaration === undefined || !ts.isVariableDeclaration(declaration) || declaration.initializer === undefined) return undefined;
  return ts.isArrayLiteralExpression(declaration.initializer) ? annotate(declaration, 'any[]', source) : undefined;
}

/** A caller leaves an argument out: the parameter is optional. */
function makeOptional({ diagnostic, source }) {
  const related = diagnostic.relatedInformation?.find((info) => [6210, 6211, 6236].includes(info.code));
  if (related?.file?.fileName !== source.fileName) return undefined;
  const missing = enclosing(innermost(source, related.start), ts.isParameter);
  if (missing === undefined || !ts.isFunctionLike(missing.parent)) return undefined;
  const rest = missing.parent.parameters.slice(missing.parent.parameters.indexOf(missing));
  const required = rest.filter((parameter) => !parameter.questionToken && !parameter.initializer && !parameter.dotDotDotToken);
  if (!required.every((parameter) => ts.isIdentifier(parameter.name))) return undefined;
  return required.flatMap((parameter) =>
    parameter.type === undefined ? (annotate(parameter, 'any', source, { optional: true }) ?? []) : [insert(parameter.name.end, '?')],
  );
}

function innermost(source, position) {
  let node = source;
  for (;;) {
    const inner = node.getChildren(source).find((child) => child.getStart(source) <= position && position < child.end);
    if (inner === undefined) return node;
    node = inner;
  }
}

// --- at one place -------------------------------------------------------------------------------------------

function castTo(expression, type, source) {
  if (!ts.isExpression(expression) || expression.kind === ts.SyntaxKind.SuperKeyword) return undefined;
  if (ts.isAsExpression(expression) || beginsStatement(expression, source)) return undefined;
  const inner = isTight(expression) ? ['', ` as ${type}`] : ['(', `) as ${type}`];
  const { parent } = expression;
  const standsAlone =
    ((ts.isCallExpression(parent) || ts.isNewExpression(parent)) && parent.expression !== expression) ||
    ((ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) && parent.initializer === expression) ||
    ts.isReturnStatement(parent) ||
    ts.isParenthesizedExpression(parent) ||
    (ts.isElementAccessExpression(parent) && parent.argumentExpression === expression) ||
    (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken && parent.right === expression);
  const [before, after] = standsAlone ? inner : [`(${inner[0]}`, `${inner[1]})`];
  return [insert(expression.getStart(source), before), insert(expression.end, after)].filter((edit) => edit.text !== '');
}

/** The error underlines a value of the wrong type: the argument, the right side, what is returned. */
function castValue({ span, source }) {
  let value = span;
  if (ts.isReturnStatement(value)) value = value.expression;
  else if (ts.isVariableDeclaration(value.parent) && value.parent.name === value) value = value.parent.initializer;
  else if (ts.isPropertyAssignment(value.parent) && value.parent.name === value) value = value.parent.initializer;
  else if (ts.isBinaryExpression(value.parent) && value.parent.left === value) {
    if (value.parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) value = value.parent.right;
  }
  if (value === undefined || ts.isSpreadElement(value) || ts.isParameter(value.parent)) return undefined;
  if (ts.isShorthandPropertyAssignment(value.parent) || ts.isPropertyAssignment(value)) return undefined;
  return castTo(value, 'any', source);
}

/** The error underlines a member: cast what it is looked up in. */
function castObject({ node, source }) {
  const access = enclosing(node, (found) => ts.isPropertyAccessExpression(found) || ts.isElementAccessExpression(found));
  return access === undefined ? undefined : castTo(access.expression, 'any', source);
}

function castCallee({ node, source }) {
  const call = enclosing(node, (found) => ts.isCallExpression(found) || ts.isNewExpression(found));
  return call === undefined ? undefined : castTo(call.expression, 'any', source);
}

function castOperand({ span, source }) {
  return castTo(ts.isBinaryExpression(span) ? span.left : span, 'any', source);
}

/** It may be null for all the compiler knows; the code has always taken it for granted. */
function assertPresent({ span, source }) {
  if (!ts.isExpression(span) || !isTight(span) || ts.isNonNullExpression(span.parent)) return undefined;
  if (ts.isBinaryExpression(span.parent) && span.parent.left === span && isAssignment(span.parent)) return undefined;
  return [replace(span, source, `${span.getText(source)}!`)];
}

const isAssignment = (node) =>
  node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment && node.operatorToken.kind <= ts.SyntaxKind.LastAssignment;

// --- the table ----------------------------------------------------------------------------------------------

const titles = new Map([
  [useTheTypeMeant, 'the type that was meant'],
  [anyForUnknownType, 'no such type, `any` instead'],
  [annotateAny, 'annotated `any`'],
  [returnAny, 'returns `any`'],
  [declareThis, '`this` declared'],
  [declareThisOfLiteral, '`this` declared'],
  [makeDictionary, 'declared as a dictionary'],
  [declareArray, 'declared as an array'],
  [makeOptional, 'parameter made optional'],
  [castValue, 'cast where it is used'],
  [castObject, 'cast where its member is used'],
  [castCallee, 'cast where it is called'],
  [castOperand, 'cast as operand'],
  [assertPresent, 'asserted to be there'],
]);
for (const [mend, title] of titles) mend.title = title;

const table = [
  [[2304, 2552, 2503, 2694, 2749, 2709, 2314, 2315], [useTheTypeMeant, anyForUnknownType]],
  [[7005, 7006, 7008, 7019, 7022, 7031, 7034], [annotateAny]],
  [[7010, 7011, 7023, 7024], [returnAny]],
  [[2683], [declareThis]],
  [[7015, 7017, 7053], [makeDictionary, castObject]],
  [[2339, 2550, 2551], [declareThisOfLiteral, makeDictionary, castObject]],
  [[2531, 2532, 2533, 18047, 18048, 18049], [assertPresent, castValue]],
  [[2571, 18046], [castValue]],
  [[2554, 2555], [makeOptional, castCallee]],
  [[2322, 2345, 2559, 2739, 2740, 2741, 2769, 2790], [declareArray, castValue]],
  [[2358, 2360, 2362, 2363, 2365, 2367, 2461, 2488], [castOperand]],
  [[2348, 2349, 2351, 2684, 2721, 2722, 2723, 7009], [castCallee]],
];

/** Error code → the mendings to try, the best first. */
export const MENDS = new Map(table.flatMap(([codes, mends]) => codes.map((code) => [code, mends])));
