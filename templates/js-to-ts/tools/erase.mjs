// From TypeScript back to the JavaScript that it stands for: types erased, module syntax as Node runs it.

import { ts } from './project.mjs';

const ERASE = {
  target: ts.ScriptTarget.ESNext,
  jsx: ts.JsxEmit.Preserve,
  useDefineForClassFields: true,
  esModuleInterop: true,
};

/** Whether a file is CommonJS in TypeScript's spelling: `import x = require(…)` or `export = …`. */
function spellsCommonJs(source) {
  return source.statements.some(
    (statement) =>
      (ts.isImportEqualsDeclaration(statement) && ts.isExternalModuleReference(statement.moduleReference)) ||
      (ts.isExportAssignment(statement) && statement.isExportEquals === true),
  );
}

/** The JavaScript of one TypeScript file. Each file by itself, as bundlers and Node erase types. */
export function erase(text, fileName, { removeComments = false } = {}) {
  const source = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true);
  const module = spellsCommonJs(source) ? ts.ModuleKind.CommonJS : ts.ModuleKind.ESNext;
  const { outputText } = ts.transpileModule(text, { compilerOptions: { ...ERASE, module, removeComments }, fileName });
  return outputText;
}

/**
 * A file's code without what a conversion may change: comments, layout, brackets that group nothing, and the spelling
 * of `require` and `module.exports`. Two files with equal normal forms run alike. The form lists the words of the
 * code, and between them, as `‹Kind` and `›`, how they belong together.
 */
export function normalForm(text, fileName) {
  const plain = erase(text, fileName, { removeComments: true });
  const form = [];
  const source = ts.createSourceFile('code.js', plain, ts.ScriptTarget.Latest, true, ts.ScriptKind.JSX);
  const visit = (node) => {
    if (ts.isParenthesizedExpression(node)) {
      visit(node.expression);
      return;
    }
    const children = node.getChildren(source);
    if (children.length === 0) {
      const word = ts.isStringLiteral(node) ? JSON.stringify(node.text) : node.getText(source);
      if (word !== '') form.push(word);
      return;
    }
    form.push(`${OPEN}${ts.SyntaxKind[node.kind]}`);
    for (const child of children) visit(child);
    form.push(CLOSE);
  };
  for (const statement of source.statements) {
    if (isMarker(statement, source)) continue;
    const first = form.length;
    visit(statement);
    if (isRequire(statement)) form[form.findIndex((word, i) => i >= first && /^(var|let|const)$/.test(word))] = 'var';
  }
  return form;
}

const OPEN = '‹';
const CLOSE = '›';
const isWord = (entry) => !entry.startsWith(OPEN) && entry !== CLOSE;

/** `"use strict"` and `__esModule`: what the compiler adds to a CommonJS module. */
function isMarker(statement, source) {
  const text = statement.getText(source);
  return /^["']use strict["'];?$/.test(text) || /^Object\.defineProperty\(exports, "__esModule"/.test(text);
}

function isRequire(statement) {
  if (!ts.isVariableStatement(statement) || statement.declarationList.declarations.length !== 1) return false;
  const { initializer } = statement.declarationList.declarations[0];
  return (
    initializer !== undefined &&
    ts.isCallExpression(initializer) &&
    ts.isIdentifier(initializer.expression) &&
    initializer.expression.text === 'require'
  );
}

/** The first place where two normal forms part, as one line for people; `undefined` when they are equal. */
export function firstDifference(before, after) {
  const length = Math.max(before.length, after.length);
  for (let i = 0; i < length; i += 1) {
    if (before[i] === after[i]) continue;
    const around = (form) => form.slice(Math.max(0, i - 24), i + 24).filter(isWord).join(' ') || '(nothing)';
    return `was \`${around(before)}\`, is \`${around(after)}\``;
  }
  return undefined;
}
