#!/usr/bin/env node
// One task a module, leaves first, as JSON lines:
//
//     node tools/plan.mjs | agentjobs plan rows
//
// A module's task comes after those of the modules it imports, so that it is typed against their types. Modules that
// import each other in a circle are one task.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isJavaScript, isSource, treeFiles, ts, typeScriptName } from './project.mjs';

const treeDir = process.cwd();
const modules = treeFiles(treeDir).filter((name) => isSource(name) && isJavaScript(name));
const known = new Set(modules);
const imports = new Map(modules.map((name) => [name, importsOf(name)]));
const groups = components(modules, imports);
const idOf = new Map();
const taken = new Set();
for (const group of groups) {
  const id = freshId(group[0]);
  for (const name of group) idOf.set(name, id);
}
for (const group of groups) {
  const id = idOf.get(group[0]);
  const after = new Set(group.flatMap((name) => imports.get(name)).map((name) => idOf.get(name)));
  after.delete(id);
  const files = group.flatMap((name) => [name, typeScriptName(name)]);
  console.log(JSON.stringify({ id, files, after: [...after].sort() }));
}

/** `src/add_days.js` → `src.add_days`; ids that differ in case only would share a directory on some disks. */
function freshId(name) {
  const stem = name.replace(/\.[cm]?jsx?$/, '').replace(/[^A-Za-z0-9._-]+/g, '.').replace(/\.{2,}/g, '.');
  const id = stem.replace(/^[^A-Za-z0-9]+/, '').replace(/(\.lock|\.)+$/, '').slice(-90).replace(/^[^A-Za-z0-9]+/, '') || 'module';
  let unique = id;
  for (let n = 2; taken.has(unique.toLowerCase()); n += 1) unique = `${id}-${n}`;
  taken.add(unique.toLowerCase());
  return unique;
}

/** The project's own modules that a module imports, by require, import or export. */
function importsOf(name) {
  const { importedFiles } = ts.preProcessFile(readFileSync(path.join(treeDir, name), 'utf8'), true, true);
  const found = importedFiles.map((file) => resolve(file.fileName, name)).filter((to) => to !== undefined);
  return [...new Set(found)];
}

function resolve(specifier, from) {
  if (!/^\.{1,2}(\/|$)/.test(specifier)) return undefined;
  const to = path.posix.join(path.posix.dirname(from), specifier);
  const endings = ['', '.js', '.cjs', '.mjs', '.jsx', '/index.js', '/index.cjs', '/index.mjs', '/index.jsx'];
  return endings.map((ending) => path.posix.normalize(to + ending)).find((file) => known.has(file) && existsSync(path.join(treeDir, file)));
}

/** Strongly connected components, imported ones first (Tarjan). */
function components(names, edges) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const onStack = new Set();
  const found = [];
  const visit = (name) => {
    index.set(name, index.size);
    low.set(name, index.get(name));
    stack.push(name);
    onStack.add(name);
    for (const to of edges.get(name)) {
      if (!index.has(to)) visit(to);
      if (onStack.has(to)) low.set(name, Math.min(low.get(name), low.get(to)));
    }
    if (low.get(name) !== index.get(name)) return;
    const group = [];
    for (let member; member !== name; ) {
      member = stack.pop();
      onStack.delete(member);
      group.push(member);
    }
    found.push(group.sort());
  };
  for (const name of names) if (!index.has(name)) visit(name);
  return found;
}
