// Fixes for names: of types that are wrong in JSDoc, and of values that come from outside the module.

import { ts } from '../../project.mjs';
import { insert, replace } from '../edits.mjs';
import { enclosing } from '../nodes.mjs';

export const messageOf = (diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ');

const isTypeName = (node) => ts.isThisTypeNode(node) || ts.isTypeReferenceNode(node) || ts.isImportTypeNode(node) || ts.isTypeQueryNode(node);
const isJsDocType = (node) => node.kind >= ts.SyntaxKind.FirstJSDocNode && node.kind <= ts.SyntaxKind.LastJSDocNode;

/** JSDoc names a type that does not exist; the compiler may know which one was meant. */
export function useTheTypeMeant({ diagnostic, node, source }) {
  const meant = /Did you mean (?:to write )?'([\w$.<>|[\] ]+)'\?/.exec(messageOf(diagnostic))?.[1];
  const type = enclosing(node, ts.isTypeReferenceNode);
  if (meant === undefined || (type === undefined && diagnostic.code !== ASYNC_RETURN)) return undefined;
  if (diagnostic.code === ASYNC_RETURN) {
    const fn = enclosing(node, ts.isFunctionLike);
    return fn?.type === undefined ? undefined : [replace(fn.type, source, meant)];
  }
  return [replace(type.typeName, source, meant)];
}
const ASYNC_RETURN = 1064;

/** `import('./a')` alone is a module; in JSDoc it means the type of that module. */
export function typeOfModule({ node, source }) {
  const type = enclosing(node, ts.isImportTypeNode);
  return type === undefined ? undefined : [insert(type.getStart(source), 'typeof ')];
}

/** `Promise` → `Promise<any>`, `Map` → `Map<any, any>`. */
export function fillTypeArguments({ diagnostic, node, source }) {
  const type = enclosing(node, ts.isTypeReferenceNode);
  if (type === undefined || type.typeArguments !== undefined) return undefined;
  const [, parameters, fewest] = /Generic type '[^<]*<([^']*)>' requires (?:between (\d+))?/.exec(messageOf(diagnostic)) ?? [];
  if (parameters === undefined) return undefined;
  const count = fewest === undefined ? parameters.split(',').length : Number(fewest);
  return [insert(type.end, `<${Array(count).fill('any').join(', ')}>`)];
}

export function anyForUnknownType({ node, source }) {
  const type = enclosing(node, isTypeName) ?? enclosing(node, (found) => isJsDocType(found) || ts.isTypeNode(found));
  if (type === undefined) return undefined;
  if (/^function$/i.test(type.getText(source))) return [replace(type, source, 'Function')];
  const union = ts.isUnionTypeNode(type.parent) ? type.parent : type; // `any | string` is the same as `any`
  return [replace(union, source, 'any')];
}

/** A value that only some environments have, such as `define` of AMD: declare it for the compiler. */
export function declareGlobal({ node, source }) {
  if (!ts.isIdentifier(node) || enclosing(node, ts.isTypeNode) !== undefined) return undefined;
  return [insert(source.text.trimEnd().length, `\ndeclare const ${node.text}: any;`)];
}
