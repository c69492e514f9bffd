// Workspaces of npm, pnpm, yarn and lerna: `node_modules/@m/core` leads to the user's checkout, where @m/core is what it
// was before. What is checked is the tree, so there it leads to the tree's own packages/core. What is installed says where
// the workspaces are, so no manifest has to be understood.

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, realpathSync, symlinkSync } from 'node:fs';
import path from 'node:path';

const known = new Map(); // the answers for a tree, which many files ask for

/** Every package that is installed beside a package.json of the tree: `{at, name, own}`; `own`: a workspace's folder. */
function installed(treeDir, rootDir) {
  const key = `${treeDir}\0${rootDir}`;
  if (!known.has(key)) known.set(key, lookUp(treeDir, rootDir));
  return known.get(key);
}

function lookUp(treeDir, rootDir) {
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

const isOneFolder = (packages) => packages.every(({ at, own }) => at === 'node_modules' && own === undefined);

/** The compiler's `paths`: workspaces are the tree's, and what only one workspace has installed is found. */
export function workspacePaths(treeDir, rootDir) {
  const packages = installed(treeDir, rootDir);
  if (isOneFolder(packages)) return undefined;
  const everywhere = new Set(packages.filter(({ at }) => at === 'node_modules').map(({ name }) => name));
  const paths = {};
  const add = (name, place) => {
    paths[name] = [...(paths[name] ?? []), place];
    paths[`${name}/*`] = [...(paths[`${name}/*`] ?? []), path.join(place, '*')];
  };
  const special = packages.filter(({ name, own }) => !name.startsWith('.') && (own !== undefined || !everywhere.has(name)));
  // Types come first: the compiler takes the first file that it finds in `paths`, also JavaScript.
  const typed = new Set(special.map(({ name }) => name));
  for (const { at, name } of packages.filter((one) => one.name.startsWith('@types/'))) {
    const untyped = name.slice('@types/'.length).replace(/^(.+?)__/, '@$1/');
    if ((typed.has(untyped) || typed.has(name)) && paths[untyped] === undefined) add(untyped, path.join(rootDir, at, name));
  }
  const seen = new Set();
  for (const { at, name, own } of special) {
    if (!seen.has(name)) add(name, own === undefined ? path.join(rootDir, at, name) : path.join(treeDir, own));
    seen.add(name);
  }
  return paths;
}

/** Give a copy of the tree the installed packages, and its own workspaces. */
export function linkModules(copyDir, treeDir, rootDir) {
  const packages = installed(treeDir, rootDir);
  if (isOneFolder(packages)) {
    const from = path.join(rootDir, 'node_modules');
    const to = path.join(copyDir, 'node_modules');
    if (existsSync(from) && !existsSync(to)) symlinkSync(from, to, 'dir');
    return;
  }
  for (const { at, name, own } of packages) {
    const to = path.join(copyDir, at, name);
    mkdirSync(path.dirname(to), { recursive: true });
    if (!existsSync(to)) symlinkSync(own === undefined ? path.join(rootDir, at, name) : path.join(copyDir, own), to);
  }
}
