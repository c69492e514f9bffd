// Shared by the agent and the checks: which files belong to the project, and the compiler's settings.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { workspacePaths } from './workspaces.mjs';

const ts = createRequire(import.meta.url)('typescript'); // `import` would read all of its 9 MB for names first

const TOOLS_DIR = path.dirname(fileURLToPath(import.meta.url));
export const TSC_PATH = path.join(TOOLS_DIR, 'node_modules', 'typescript', 'bin', 'tsc');

/**
 * Every file of the tree that git tracks or would add, and the task's own even if .gitignore names them, relative to
 * the tree, in a stable order.
 */
export function treeFiles(treeDir) {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: treeDir,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const task = (process.env.AGENTJOBS_FILES ?? '').split('\n');
  const names = [...new Set([...listed.split('\0'), ...task])].filter((name) => name !== '');
  return names.filter((name) => existsSync(path.join(treeDir, name))).sort();
}

export const isJavaScript = (name) => /\.[cm]?jsx?$/.test(name);
export const isTypeScript = (name) => /\.[cm]?tsx?$/.test(name) && !/\.d\.[cm]?ts$/.test(name);

/**
 * What has been converted in a tree: Map(TypeScript file → the JavaScript that it was). The one list for all checks is
 * the `files` column of tasks.tsv, which `agentjobs plan` fills from [plan]; the task at hand is in it in any case.
 */
export function convertedFiles(treeDir, rootDir) {
  const task = (process.env.AGENTJOBS_FILES ?? '').split('\n');
  const found = new Map();
  for (const name of [...tableFiles(rootDir), ...task].filter(isJavaScript)) {
    const converted = convertedName(treeDir, name);
    if (converted !== undefined && !existsSync(path.join(treeDir, name))) found.set(converted, name);
  }
  return found;
}

/**
 * Why a file cannot become TypeScript and stays what it is, `undefined` if it can: it is not UTF-8, is not JavaScript in
 * strict mode (syntax errors, `010`, `with`), or imports what the compiler cannot find (`./logo.svg`, a package that is
 * not installed). In JavaScript that is nobody's concern; in TypeScript it is an error that no cast removes.
 */
export function staysJavaScript(treeDir, rootDir, name) {
  const file = path.join(treeDir, name);
  const bytes = readFileSync(file);
  const text = bytes.toString('utf8');
  if (!Buffer.from(text).equals(bytes)) return 'it is not UTF-8';
  const options = compilerOptions(rootDir, treeDir);
  const renamed = path.join(treeDir, typeScriptName(name, text));
  const source = ts.createSourceFile(renamed, text, options.target, true);
  const lost = importsOf(source).find((one) => !isBuiltin(one) && ts.resolveModuleName(one, file, options, ts.sys).resolvedModule === undefined);
  if (lost !== undefined) return `the compiler cannot find its import ${lost}`;
  const host = { ...ts.createCompilerHost({}), getSourceFile: (wanted) => (wanted === renamed ? source : undefined), fileExists: () => true };
  const program = ts.createProgram([renamed], { ...options, noLib: true, noResolve: true, types: [] }, host);
  const isGrammar = ({ code }) => code < 1300 || (code >= 1480 && code < 1500);
  const [found] = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source).filter(isGrammar)];
  if (found === undefined) return undefined;
  const line = source.getLineAndCharacterOfPosition(found.start).line + 1;
  return `line ${line}: TS${found.code}: ${ts.flattenDiagnosticMessageText(found.messageText, ' ')}`;
}

/** What a module imports by name: `import './a.css'` is for its effects only, and the compiler does not look for it. */
function importsOf(source) {
  const found = [];
  const visit = (node) => {
    const isDynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
    const isBound = (ts.isImportDeclaration(node) && node.importClause !== undefined) || ts.isExportDeclaration(node);
    const specifier = isBound ? node.moduleSpecifier : isDynamic ? node.arguments[0] : undefined;
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) found.push(specifier.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The packages that these files import and that have no types, as far as they are installed: names for `npm install`. */
export function missingTypes(treeDir, rootDir, names) {
  const options = compilerOptions(rootDir, treeDir);
  const missing = new Set();
  for (const name of names.filter((one) => /\.[cm]?[jt]sx?$/.test(one) && existsSync(path.join(treeDir, one)))) {
    const file = path.join(treeDir, name);
    for (const { fileName: specifier } of ts.preProcessFile(readFileSync(file, 'utf8'), true, true).importedFiles) {
      const found = specifier.startsWith('.') ? undefined : ts.resolveModuleName(specifier, file, options, ts.sys).resolvedModule;
      if (found?.isExternalLibraryImport !== true || !/\.[cm]?jsx?$/.test(found.extension)) continue;
      const [first, second] = specifier.split('/');
      missing.add(`@types/${first.startsWith('@') ? `${first.slice(1)}__${second}` : first}`);
    }
  }
  return [...missing].sort();
}

/** Every path in the `files` cells of tasks.tsv: separated by spaces, in quotes where they contain some. */
export function tableFiles(rootDir) {
  const tablePath = path.join(rootDir, 'tasks.tsv');
  if (!existsSync(tablePath)) return [];
  const lines = readFileSync(tablePath, 'utf8').split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  const [head = [], ...rows] = lines.map((line) => line.split('\t'));
  const cells = rows.map((row) => row[head.indexOf('files')] ?? '');
  return cells.flatMap((cell) => (cell.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((name) => name.replace(/^(['"])(.*)\1$/, '$2')));
}

/**
 * `lib/a.js` → `lib/a.ts`; the same for .mjs, .cjs and .jsx. With the file's text: a `.js` that contains JSX becomes
 * `.tsx`, because the compiler reads `<div>` in a `.ts` as a type.
 */
export function typeScriptName(name, text = '') {
  const renamed = name.replace(/\.([cm]?)js(x?)$/, '.$1ts$2');
  return name.endsWith('.js') && holdsJsx(text) ? `${renamed}x` : renamed;
}

function holdsJsx(text) {
  if (!/<[\w>]/.test(text)) return false;
  const isJsx = (node) => ts.isJsxElement(node) || ts.isJsxSelfClosingElement(node) || ts.isJsxFragment(node);
  const visit = (node) => isJsx(node) || ts.forEachChild(node, visit) === true;
  const source = ts.createSourceFile('code.jsx', text, ts.ScriptTarget.Latest, false, ts.ScriptKind.JSX);
  return source.parseDiagnostics.length === 0 && visit(source);
}

/** The TypeScript that a JavaScript file has become in a tree, `undefined` while there is none. */
export function convertedName(treeDir, name) {
  const names = [typeScriptName(name), `${typeScriptName(name)}x`];
  return names.find((converted) => /\.[cm]?tsx?$/.test(converted) && existsSync(path.join(treeDir, converted)));
}

/** Where to look for type packages: first in the tools (node), then in the project. */
export function typeRoots(rootDir) {
  const places = [path.join(TOOLS_DIR, 'node_modules', '@types'), path.join(rootDir, 'node_modules', '@types')];
  return places.filter((place) => existsSync(place));
}

/** The settings of tools/tsconfig.json as the compiler's own options. */
export function compilerOptions(rootDir, treeDir = rootDir) {
  const configPath = path.join(TOOLS_DIR, 'tsconfig.json');
  const parsed = ts.parseConfigFileTextToJson(configPath, readFileSync(configPath, 'utf8')).config;
  const { options, errors } = ts.convertCompilerOptionsFromJson(parsed.compilerOptions, TOOLS_DIR);
  if (errors.length > 0) throw new Error(ts.flattenDiagnosticMessageText(errors[0].messageText, '\n'));
  return { ...options, typeRoots: typeRoots(rootDir), paths: workspacePaths(treeDir, rootDir) };
}

export { ts, TOOLS_DIR };
