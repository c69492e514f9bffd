// What the tests of the js-to-ts tools share. JS_TOOLS: a copy of the tools with the compiler beside it (make js-tools).

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const TOOLS_DIR = process.env.JS_TOOLS ?? fileURLToPath(new URL('../../templates/js-to-ts/tools/', import.meta.url));
export const skip = existsSync(path.join(TOOLS_DIR, 'node_modules', 'typescript'))
  ? false
  : 'the compiler is not installed: make js-tools';

/** The tools' modules, which cannot be loaded without the compiler. */
export const load = async (name) => (skip ? {} : import(pathToFileURL(path.join(TOOLS_DIR, name)).href));

/** A git repository with these files, gone when the test ends. */
export function repository(t, files) {
  const treeDir = mkdtempSync(path.join(tmpdir(), 'convert-'));
  t.after(() => rmSync(treeDir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(treeDir, name)), { recursive: true });
    writeFileSync(path.join(treeDir, name), text);
  }
  const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'commit.gpgsign=false', ...args], { cwd: treeDir, stdio: 'ignore' });
  git('init', '--quiet');
  git('add', '--all');
  git('commit', '--quiet', '--message', 'before');
  return treeDir;
}
