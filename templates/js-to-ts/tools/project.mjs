// What the agent and the checks agree on: which files belong to the project, and the compiler's settings.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const TOOLS_DIR = path.dirname(fileURLToPath(import.meta.url));
export const TSC_PATH = path.join(TOOLS_DIR, 'node_modules', 'typescript', 'bin', 'tsc');

/** Folders that hold tests and the like: they stay JavaScript, and prove that the conversion changed nothing. */
const NOT_SOURCE = /(^|\/)(tests?|__tests__|spec|examples?|bench(marks?)?|config|scripts|dist|coverage)\//;
const NOT_SOURCE_FILE = /([._-](test|spec)|\.config|\.d)\.[cm]?[jt]sx?$/;

/** Every file of the tree that git tracks or would add, relative to it, in a stable order. */
export function treeFiles(treeDir) {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: treeDir,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const names = [...new Set(listed.split('\0'))].filter((name) => name !== '');
  return names.filter((name) => existsSync(path.join(treeDir, name))).sort();
}

export const isJavaScript = (name) => /\.[cm]?jsx?$/.test(name);
export const isTypeScript = (name) => /\.[cm]?tsx?$/.test(name) && !/\.d\.[cm]?ts$/.test(name);

/** Whether a path is one of the project's own modules, which a task may convert. */
export function isSource(name) {
  const code = isJavaScript(name) || isTypeScript(name);
  const tool = name.startsWith('tools/') || name.split('/').some((part) => part.startsWith('.'));
  return code && !tool && !NOT_SOURCE.test(name) && !NOT_SOURCE_FILE.test(name);
}

/** `lib/a.js` → `lib/a.ts`; .mjs, .cjs and .jsx likewise. */
export const typeScriptName = (name) => name.replace(/\.([cm]?)js(x?)$/, '.$1ts$2');
export const javaScriptName = (name) => name.replace(/\.([cm]?)ts(x?)$/, '.$1js$2');

/** Where type packages are looked for: the tools' own (node), then the project's. */
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
