// Turns TypeScript back into JavaScript by replacing types with blanks. Every other character keeps its line and column,
// so stack traces, and tests that read source lines, find the same as before.
//
// Each file is converted separately, as in bundlers and Node. `export =` runs last wherever it is written, because the
// compiler does the same, and a circular require sees the difference.

import { ts } from './project.mjs';

const { SyntaxKind } = ts;
const TYPE_MODIFIERS = new Set([
  SyntaxKind.DeclareKeyword,
  SyntaxKind.AbstractKeyword,
  SyntaxKind.ReadonlyKeyword,
  SyntaxKind.OverrideKeyword,
  SyntaxKind.PublicKeyword,
  SyntaxKind.PrivateKeyword,
  SyntaxKind.ProtectedKeyword,
]);

/** The file contains something that blanks cannot replace: an enum, a namespace with values, a parameter property. */
class NotErasable extends Error {}

/** The JavaScript of one TypeScript file. */
export function erase(text, fileName) {
  const source = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true);
  try {
    return blank(source);
  } catch (error) {
    if (!(error instanceof NotErasable)) throw error;
    return transpile(text, fileName);
  }
}

function transpile(text, fileName) {
  const compilerOptions = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.Preserve,
    verbatimModuleSyntax: true,
    jsx: ts.JsxEmit.Preserve,
    useDefineForClassFields: true,
  };
  return ts.transpileModule(text, { compilerOptions, fileName }).outputText;
}

/** Whether a statement does nothing at run time: only such statements may follow `export =`. */
const isStill = (statement) =>
  ts.isFunctionDeclaration(statement) || ts.isEmptyStatement(statement) || isTypeStatement(statement);

const has = (node, kind) => ts.canHaveModifiers(node) && (ts.getModifiers(node)?.some((modifier) => modifier.kind === kind) ?? false);

function isTypeStatement(node) {
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return true;
  if (ts.isImportDeclaration(node)) return node.importClause?.isTypeOnly ?? false;
  if (ts.isImportEqualsDeclaration(node) || ts.isExportDeclaration(node)) return node.isTypeOnly;
  return has(node, SyntaxKind.DeclareKeyword) && !ts.isPropertyDeclaration(node);
}

function isTypeMember(node) {
  if (ts.isIndexSignatureDeclaration(node)) return true;
  if (ts.isPropertyDeclaration(node)) return has(node, SyntaxKind.DeclareKeyword) || has(node, SyntaxKind.AbstractKeyword);
  const isBodied = ts.isMethodDeclaration(node) || ts.isConstructorDeclaration(node) || ts.isAccessor(node) || ts.isFunctionDeclaration(node);
  return isBodied && node.body === undefined;
}

function blank(source) {
  const { text } = source;
  const chars = text.split('');
  let late; // an `export =` that other statements follow

  const wipe = (start, end) => {
    for (let i = start; i < end; i += 1) if (!/[\r\n\u2028\u2029]/.test(chars[i])) chars[i] = ' ';
  };
  const put = (position, replacement) => {
    for (let i = 0; i < replacement.length; i += 1) chars[position + i] = replacement[i];
  };
  /** Blank the code up to `end`. If a statement without a semicolon ends there, the next line must not continue it. */
  const cut = (start, end, node) => {
    wipe(start, end);
    let outer = node;
    while (outer !== undefined && !ts.isStatement(outer) && !ts.isPropertyDeclaration(outer)) outer = outer.parent;
    if (outer !== undefined && outer.end === end && end > start) chars[start] = ';';
  };
  const cutType = (type, node) => {
    if (type !== undefined) cut(text.lastIndexOf(':', type.getStart(source)), type.end, node);
  };
  const cutList = (list, node) => {
    if (list !== undefined) cut(list.pos - 1, text.indexOf('>', list.end) + 1, node);
  };
  const cutItem = (item) => {
    const comma = /^\s*,/.exec(text.slice(item.end));
    wipe(item.getStart(source), item.end + (comma === null ? 0 : comma[0].length));
  };
  const cutModifiers = (node) => {
    if (!ts.canHaveModifiers(node)) return;
    for (const modifier of ts.getModifiers(node) ?? []) if (TYPE_MODIFIERS.has(modifier.kind)) wipe(modifier.getStart(source), modifier.end);
  };

  const visit = (node) => {
    if (isTypeStatement(node) || isTypeMember(node)) {
      const start = node.getStart(source);
      wipe(start, node.end);
      chars[start] = ';';
      return;
    }
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    cutModifiers(node);
    visitKind(node);
    ts.forEachChild(node, visit);
  };

  const visitKind = (node) => {
    if (ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node)) throw new NotErasable();
    else if (ts.isImportEqualsDeclaration(node)) {
      if (!ts.isExternalModuleReference(node.moduleReference) || has(node, SyntaxKind.ExportKeyword)) throw new NotErasable();
      put(node.getStart(source), 'const ');
    } else if (ts.isImportSpecifier(node) || ts.isExportSpecifier(node)) {
      if (node.isTypeOnly) cutItem(node);
    } else if (ts.isExportAssignment(node)) {
      if (node.isExportEquals) exportEquals(node);
    } else if (ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) cut(node.expression.end, node.end, node);
    else if (ts.isNonNullExpression(node)) cut(node.expression.end, node.end, node);
    else if (ts.isTypeAssertionExpression(node)) wipe(node.getStart(source), node.expression.pos);
    else if (ts.isHeritageClause(node)) {
      if (node.token === SyntaxKind.ImplementsKeyword) wipe(node.getStart(source), node.end);
    } else if (ts.isParameter(node)) parameter(node);
    else if (ts.isVariableDeclaration(node) || ts.isPropertyDeclaration(node)) {
      const mark = node.exclamationToken ?? node.questionToken;
      if (mark !== undefined) cut(mark.getStart(source), mark.end, node);
      cutType(node.type, node);
    } else if (ts.isFunctionLike(node)) {
      if (node.questionToken !== undefined) wipe(node.questionToken.getStart(source), node.questionToken.end);
      cutList(node.typeParameters, node);
      returnType(node);
    } else if (ts.isClassLike(node)) cutList(node.typeParameters, node);
    else if (node.typeArguments !== undefined) cutList(node.typeArguments, node);
  };

  const parameter = (node) => {
    if (ts.isIdentifier(node.name) && node.name.text === 'this') {
      cutItem(node);
      return;
    }
    if (ts.getModifiers(node)?.length > 0) throw new NotErasable();
    if (node.questionToken !== undefined) wipe(node.questionToken.getStart(source), node.questionToken.end);
    cutType(node.type, node);
  };

  const returnType = (node) => {
    if (node.type === undefined) return;
    const start = text.lastIndexOf(')', node.type.getStart(source));
    cutType(node.type, node);
    const isBroken = ts.isArrowFunction(node) && text.slice(start, node.equalsGreaterThanToken.getStart(source)).includes('\n');
    if (!isBroken) return; // no line may end between `)` and `=>`
    chars[start] = ' ';
    chars[node.equalsGreaterThanToken.getStart(source) - 1] = ')';
  };

  const exportEquals = (node) => {
    const after = source.statements.slice(source.statements.indexOf(node) + 1);
    const start = node.getStart(source);
    if (after.every(isStill)) {
      chars[start] = 'module.exports =';
      wipe(start + 1, node.expression.getStart(source));
      chars[start] += ' ';
    } else late = node; // its expression is blanked first
  };

  visit(source);
  if (late === undefined) return chars.join('');
  const expression = chars.slice(late.expression.getStart(source), late.expression.end).join('');
  wipe(late.getStart(source), late.end);
  return `${chars.join('')}\n;module.exports = ${expression};\n`;
}
