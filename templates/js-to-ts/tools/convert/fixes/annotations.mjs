// Fixes that annotate a declaration: one edit for all its uses.

import { ts } from '../../project.mjs';
import { insert, replace } from '../edits.mjs';
import { declarationOf, enclosing, nodeAt } from '../nodes.mjs';
import { messageOf } from './names.mjs';

/** Types that mean almost nothing and forbid much; they come from JSDoc and from guesses. */
const VAGUE = /^(object|Object|\{\}|Function|unknown|null|undefined|never\[\]|any\[\]|any\[\]\[\])$/;

export const isDeclaration = (node) =>
  ts.isParameter(node) || ts.isVariableDeclaration(node) || ts.isPropertyDeclaration(node) || ts.isBindingElement(node);

const isLoopVariable = (node) => ts.isVariableDeclaration(node) && ts.isForInOrOfStatement(node.parent.parent);

/** Edits that give a declaration a type, if it has none or a vague one; a part of a pattern makes the whole `any`. */
export function annotate(declaration, type, source, { optional = false } = {}) {
  let target = declaration;
  while (ts.isBindingElement(target)) target = target.parent.parent;
  if (!isDeclaration(target) || target.getSourceFile() !== source || isLoopVariable(target)) return undefined;
  const isRest = ts.isParameter(target) && target.dotDotDotToken !== undefined;
  const wanted = isRest ? 'any[]' : ts.isBindingElement(declaration) ? 'any' : type;
  if (target.type !== undefined) {
    const now = target.type.getText(source);
    return VAGUE.test(now) && now !== wanted ? [replace(target.type, source, wanted)] : undefined;
  }
  const text = `${optional ? '?' : ''}: ${wanted}`;
  const fn = target.parent;
  if (ts.isParameter(target) && ts.isArrowFunction(fn) && !fn.getChildren(source).some(({ kind }) => kind === ts.SyntaxKind.OpenParenToken)) {
    return [insert(target.getStart(source), '('), insert(target.name.end, `${text})`)];
  }
  const end = target.exclamationToken?.end ?? target.questionToken?.end ?? target.name.end;
  return [insert(end, text)];
}

/** The same, as a group of edits in the file of the declaration, if the task may change that file. */
function annotateThere(bench, declaration, type, options) {
  const source = declaration?.getSourceFile();
  const name = source === undefined ? undefined : bench.nameOf(source);
  if (name === undefined) return undefined;
  const edits = annotate(declaration, type, source, options);
  return edits === undefined ? undefined : { name, edits };
}

export function annotateAny({ diagnostic, node, source, checker }) {
  const message = messageOf(diagnostic);
  const type = /'any\[\]'/.test(message) ? 'any[]' : 'any';
  const used = ts.isIdentifier(node) ? declarationOf(checker, node) : undefined;
  const declaration = used !== undefined && isDeclaration(used) ? used : enclosing(node, isDeclaration);
  return declaration === undefined ? undefined : annotate(declaration, type, source);
}

/** One name declared twice with types that differ: `any` at the first place and at this one. */
export function annotateBoth({ node, source, checker }) {
  const symbol = checker.getSymbolAtLocation(node);
  const declarations = (symbol?.declarations ?? []).filter((found) => isDeclaration(found) && found.getSourceFile() === source);
  return declarations.flatMap((declaration) => {
    if (declaration.type !== undefined) return [replace(declaration.type, source, 'any')];
    return annotate(declaration, 'any', source) ?? [];
  });
}

export function returnAny({ node, source }) {
  const fn = enclosing(node, (found) => ts.isFunctionLike(found) && !ts.isConstructorDeclaration(found));
  if (fn === undefined || ts.isSetAccessor(fn)) return undefined;
  if (fn.type !== undefined) return fn.type.getText(source) === 'any' ? undefined : [replace(fn.type, source, 'any')];
  const close = fn.getChildren(source).find((child) => child.kind === ts.SyntaxKind.CloseParenToken);
  if (close !== undefined) return [insert(close.end, ': any')];
  const [only] = fn.parameters; // x => …
  return [insert(only.getStart(source), '('), insert(only.end, '): any')];
}

/** A rest parameter is a list, whatever type was guessed. */
export function restAny({ node, source }) {
  const parameter = enclosing(node, ts.isParameter);
  if (parameter?.type === undefined || parameter.dotDotDotToken === undefined) return undefined;
  return [replace(parameter.type, source, 'any[]')];
}

/** A function that does not always return its declared type. */
export function returnMaybe({ node, source, checker }) {
  const fn = enclosing(node, ts.isFunctionLike);
  if (fn?.type === undefined || ts.isSetAccessor(fn)) return undefined;
  const statement = enclosing(node, (found) => ts.isReturnStatement(found) || ts.isFunctionLike(found));
  const value = ts.isReturnStatement(statement) ? statement.expression : undefined;
  const type = value === undefined ? 'undefined' : checker.typeToString(checker.getTypeAtLocation(value));
  if (type !== 'undefined' && type !== 'null') return undefined;
  const text = fn.type.getText(source);
  const isAsync = ts.getModifiers(fn)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
  if (isAsync || new RegExp(`\\b${type}\\b`).test(text)) return undefined;
  return [replace(fn.type, source, `${/=>/.test(text) ? `(${text})` : text} | ${type}`)];
}

/** Declare `this` as first parameter of a function that uses it; this parameter does not exist at run time. */
export function declareThis({ node, source }) {
  const isOwner = (found) => ts.isFunctionDeclaration(found) || ts.isFunctionExpression(found) || ts.isMethodDeclaration(found);
  const fn = enclosing(node, isOwner);
  if (fn === undefined) return undefined;
  const [first] = fn.parameters;
  if (first?.name.getText(source) === 'this') {
    return first.type === undefined || first.type.getText(source) === 'any' ? undefined : [replace(first.type, source, 'any')];
  }
  const open = fn.getChildren(source).find((child) => child.kind === ts.SyntaxKind.OpenParenToken);
  return [insert(open.end, fn.parameters.length > 0 ? 'this: any, ' : 'this: any')];
}

/** A member of `this` that the surrounding object lacks: the function is called with another `this`. */
export function declareThisOfLiteral(context) {
  const access = enclosing(context.node, (node) => ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node));
  if (access?.expression.kind !== ts.SyntaxKind.ThisKeyword) return undefined;
  const fn = enclosing(context.node, (found) => ts.isFunctionLike(found) && !ts.isArrowFunction(found));
  if (fn === undefined || ts.isClassLike(fn.parent)) return undefined;
  return declareThis(context);
}

/** The declaration of an expression's value, if this file declares it as a literal, without a type or with a vague one. */
function looseDeclaration(expression, checker) {
  if (expression === undefined || !ts.isIdentifier(expression)) return undefined;
  const declaration = declarationOf(checker, expression);
  return declaration !== undefined && (ts.isVariableDeclaration(declaration) || ts.isParameter(declaration)) ? declaration : undefined;
}

const accessAt = (node) => enclosing(node, (found) => ts.isElementAccessExpression(found) || ts.isPropertyAccessExpression(found));

/** The object is used as a dictionary: give it that type where it is created. */
export function makeDictionary({ bench, node, checker }) {
  const declaration = looseDeclaration(accessAt(node)?.expression, checker);
  if (declaration?.initializer === undefined || declaration.type !== undefined) return undefined;
  if (!ts.isObjectLiteralExpression(declaration.initializer)) return undefined;
  return annotateThere(bench, declaration, 'Record<string, any>');
}

/** A member that is taken out of an object by a pattern: the object is a dictionary, or the pattern takes anything. */
export function loosenPattern({ bench, node, source, checker }) {
  const element = enclosing(node, ts.isBindingElement);
  if (element === undefined) return undefined;
  let target = element;
  while (ts.isBindingElement(target)) target = target.parent.parent;
  const declaration = looseDeclaration(target.initializer, checker);
  if (declaration?.initializer !== undefined && declaration.type === undefined && ts.isObjectLiteralExpression(declaration.initializer)) {
    return annotateThere(bench, declaration, 'Record<string, any>');
  }
  return annotate(element, 'any', source);
}

/** A value declared without a useful type (`= null`, `= Object.create(…)`, `@type {Object}`) and then used. */
export function loosenDeclaration({ bench, node, span, checker }) {
  const expression = ts.isIdentifier(span) ? span : accessAt(node)?.expression;
  const declaration = looseDeclaration(expression, checker);
  if (declaration === undefined) return undefined;
  const made = declaration.initializer?.getText().slice(0, 14) ?? '';
  const isVague =
    declaration.type !== undefined ||
    declaration.initializer === undefined ||
    /^(null|undefined|Object\.create|Object\.assign|\{)/.test(made);
  return isVague ? annotateThere(bench, declaration, 'any') : undefined;
}

/** An empty array is `never[]` in strict code until its elements have a type. */
export function declareArray({ diagnostic, node, checker, bench }) {
  if (!/'never'|never\[\]/.test(messageOf(diagnostic))) return undefined;
  let target = enclosing(node, (found) => ts.isElementAccessExpression(found) || ts.isPropertyAccessExpression(found) || ts.isIdentifier(found));
  while (target !== undefined && !ts.isIdentifier(target)) target = target.expression;
  const declaration = looseDeclaration(target, checker);
  if (declaration?.initializer === undefined || !ts.isArrayLiteralExpression(declaration.initializer)) return undefined;
  return annotateThere(bench, declaration, 'any[]');
}

/** A caller leaves an argument out: the parameter is optional. */
export function makeOptional({ diagnostic, bench }) {
  const related = diagnostic.relatedInformation?.find((info) => [6210, 6211, 6236].includes(info.code));
  const name = related?.file === undefined ? undefined : bench.nameOf(related.file);
  if (name === undefined) return undefined;
  const source = bench.source(name);
  const missing = enclosing(nodeAt(source, related.start), ts.isParameter);
  if (missing === undefined || !ts.isFunctionLike(missing.parent)) return undefined;
  const edits = optionalFrom(missing.parent, missing.parent.parameters.indexOf(missing), source);
  return edits === undefined ? undefined : { name, edits };
}

/** Edits that make a function's parameters optional from the given one on. */
export function optionalFrom(fn, index, source) {
  const rest = fn.parameters.slice(index);
  const required = rest.filter((parameter) => !parameter.questionToken && !parameter.initializer && !parameter.dotDotDotToken);
  if (!required.every((parameter) => ts.isIdentifier(parameter.name))) return undefined;
  return required.flatMap((parameter) =>
    parameter.type === undefined ? (annotate(parameter, 'any', source, { optional: true }) ?? []) : [insert(parameter.name.end, '?')],
  );
}

/** A variable that is read before the compiler sees it assigned. */
export function assertAssigned({ node, source, checker }) {
  const declaration = looseDeclaration(node, checker);
  if (declaration === undefined || !ts.isVariableDeclaration(declaration) || declaration.getSourceFile() !== source) return undefined;
  if (declaration.type === undefined || declaration.initializer !== undefined || declaration.exclamationToken) return undefined;
  return [insert(declaration.name.end, '!')];
}

/** A value does not have the declared type of the parameter: JSDoc was wrong. */
export function widenDeclared({ span, source }) {
  const declaration = enclosing(span, isDeclaration);
  if (declaration?.type === undefined || declaration.type.getText(source) === 'any') return undefined;
  if (span !== declaration && span !== declaration.name && span !== declaration.initializer) return undefined;
  return [replace(declaration.type, source, ts.isParameter(declaration) && declaration.dotDotDotToken ? 'any[]' : 'any')];
}
