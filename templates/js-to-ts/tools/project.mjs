// Shared by the agent and the checks: which files belong to the project, and the compiler's settings.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ts = createRequire(import.meta.url)('typescript'); // `import` would read all of its 9 MB for names first

const TOOLS_DIR = path.dirname(fileURLToPath(import.meta.url));
export const TSC_PATH = path.join(TOOLS_DIR, 'node_modules', 'typescript', 'bin', 'tsc');

/** Folders that hold tests and the like: they stay JavaScript, and prove that the conversion changed nothing. */
const NOT_SOURCE = /(^|\/)(tests?|__tests__|spec|examples?|bench(marks?)?|config|scripts|dist|coverage)\//;
const NOT_SOURCE_FILE = /([._-](test|spec)|\.config|\.d)\.[cm]?[jt]sx?$/;

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
 * Whether a path is one of the project's own modules, which a task may convert. If tools/sources.json exists, its globs
 * `{"sources": […], "exclude": […]}` over the JavaScript names decide; otherwise the names of folders do.
 */
export function isSource(name) {
  const code = isJavaScript(name) || isTypeScript(name);
  const globs = sourceGlobs();
  if (globs !== undefined) {
    const names = [name, javaScriptName(name), javaScriptName(name).replace(/x$/, '')];
    const isIn = (patterns) => patterns.some((pattern) => names.some((one) => pattern.test(one)));
    return code && !name.endsWith('.d.ts') && isIn(globs.sources) && !isIn(globs.exclude);
  }
  const tool = name.startsWith('tools/') || name.split('/').some((part) => part.startsWith('.'));
  return code && !tool && !NOT_SOURCE.test(name) && !NOT_SOURCE_FILE.test(name);
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

export const javaScriptName = (name) => name.replace(/\.([cm]?)ts(x?)$/, '.$1js$2');

let globs; // read once: tools/ is outside every agent's tree
function sourceGlobs() {
  if (globs === undefined) {
    const file = path.join(TOOLS_DIR, 'sources.json');
    const { sources, exclude = [] } = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
    globs = sources === undefined ? null : { sources: sources.map(globPattern), exclude: exclude.map(globPattern) };
  }
  return globs ?? undefined;
}

/** A glob over paths as a regular expression: `*` within a folder, `**` through folders, `?`, `{a,b}`. */
export function globPattern(glob) {
  const parts = glob.replace(/\*\*\/|\*\*|\*|\?|[{},]|[.+^$()|[\]\\]/g, (mark) => {
    const meaning = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]', '{': '(?:', '}': ')', ',': '|' }[mark];
    return meaning ?? `\\${mark}`;
  });
  return new RegExp(`^${parts}$`);
}

/** The TypeScript file that a JavaScript file has become in a tree; `undefined` if it was not converted yet. */
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
export function compilerOptions(rootDir) {
  const configPath = path.join(TOOLS_DIR, 'tsconfig.json');
  const parsed = ts.parseConfigFileTextToJson(configPath, readFileSync(configPath, 'utf8')).config;
  const { options, errors } = ts.convertCompilerOptionsFromJson(parsed.compilerOptions, TOOLS_DIR);
  if (errors.length > 0) throw new Error(ts.flattenDiagnosticMessageText(errors[0].messageText, '\n'));
  return { ...options, typeRoots: typeRoots(rootDir) };
}

export { ts, TOOLS_DIR };
