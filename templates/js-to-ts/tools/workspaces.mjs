// Workspaces of npm, pnpm and yarn: `node_modules/@m/core` leads to the user's checkout, where @m/core is what it was
// before. What is checked is the tree, so there it leads to the tree's own packages/core.

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, realpathSync, symlinkSync } from 'node:fs';
import path from 'node:path';

/** Every package that is installed beside a package.json of the tree: `{at, name, own}`; `own`: a workspace's folder. */
function installed(treeDir, rootDir) {
  const listed = execFileSync('git', ['ls-files', '-z', '--', 'package.json', '*/package.json'], { cwd: treeDir, encoding: 'utf8' });
  const folders = listed.split('\0').filter((name) => name !== '').map((name) => path.dirname(name));
  return [...new Set(['.', ...folders])].flatMap((folder) => {
    const at = path.join(folder, 'node_modules');
    if (!existsSync(path.join(rootDir, at))) return [];
    const names = readdirSync(path.join(rootDir, at)).flatMap((name) =>
      name.startsWith('@') ? readdirSync(path.join(rootDir, at, name)).map((second) => `${name}/${second}`) : [name],
    );
    return names.map((name) => ({ at, name, own: workspaceOf(rootDir, path.join(rootDir, at, name)) }));
  });
}

function workspaceOf(rootDir, place) {
  if (!lstatSync(place).isSymbolicLink() || !existsSync(place)) return undefined;
  const folder = path.relative(realpathSync(rootDir), realpathSync(place));
  return /^\.\.|(^|\/)node_modules(\/|$)/.test(folder) ? undefined : folder;
}

export function hasWorkspaces(treeDir) {
  const file = path.join(treeDir, 'package.json');
  const about = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  return about.workspaces !== undefined || existsSync(path.join(treeDir, 'pnpm-workspace.yaml'));
}

/** The compiler's `paths`: workspaces are the tree's, and what only one workspace has installed is found. */
export function workspacePaths(treeDir, rootDir) {
  if (!hasWorkspaces(treeDir)) return undefined;
  const paths = {};
  const everywhere = new Set();
  for (const { at, name, own } of installed(treeDir, rootDir)) {
    if (at === 'node_modules') everywhere.add(name);
    if (own === undefined && everywhere.has(name)) continue;
    const place = own === undefined ? path.join(rootDir, at, name) : path.join(treeDir, own);
    paths[name] ??= [place];
    paths[`${name}/*`] ??= [path.join(place, '*')];
  }
  return paths;
}

/** Give a copy of the tree the installed packages, and its own workspaces. */
export function linkModules(copyDir, treeDir, rootDir) {
  if (!hasWorkspaces(treeDir)) {
    const from = path.join(rootDir, 'node_modules');
    const to = path.join(copyDir, 'node_modules');
    if (existsSync(from) && !existsSync(to)) symlinkSync(from, to, 'dir');
    return;
  }
  for (const { at, name, own } of installed(treeDir, rootDir)) {
    const to = path.join(copyDir, at, name);
    mkdirSync(path.dirname(to), { recursive: true });
    if (!existsSync(to)) symlinkSync(own === undefined ? path.join(rootDir, at, name) : path.join(copyDir, own), to);
  }
}
