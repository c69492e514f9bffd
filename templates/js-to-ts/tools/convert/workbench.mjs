// The TypeScript language service over one worktree: the task's files in memory, what they import from disk.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { compilerOptions, ts } from '../project.mjs';

const FORMAT = { indentSize: 2, tabSize: 2, convertTabsToSpaces: true, newLineCharacter: '\n', semicolons: 'ignore' };

export class Workbench {
  /**
   * @param {string} treeDir the worktree; @param {string} rootDir where node_modules are
   * @param registry parsed files to share between benches in one process
   */
  constructor(treeDir, rootDir, registry = ts.createDocumentRegistry()) {
    this.treeDir = treeDir;
    this.options = compilerOptions(rootDir, treeDir);
    this.drafts = new Map(); // absolute path → { text, version }
    this.gone = new Set(); // the JavaScript that a draft replaces
    this.witnesses = new Set(); // files of other tasks with errors to report
    this.service = ts.createLanguageService(this.#host(), registry);
  }

  #host() {
    return {
      getCompilationSettings: () => this.options,
      getCurrentDirectory: () => this.treeDir,
      getDefaultLibFileName: (options) => ts.getDefaultLibFilePath(options),
      getScriptFileNames: () => [...this.drafts.keys(), ...this.witnesses],
      getScriptVersion: (file) => String(this.drafts.get(file)?.version ?? 0),
      getScriptSnapshot: (file) => {
        const text = this.read(file);
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
      },
      fileExists: (file) => this.exists(file),
      readFile: (file) => this.read(file),
      directoryExists: ts.sys.directoryExists,
      getDirectories: ts.sys.getDirectories,
      readDirectory: ts.sys.readDirectory,
      realpath: ts.sys.realpath,
    };
  }

  exists(file) {
    return this.drafts.has(file) || (!this.gone.has(file) && ts.sys.fileExists(file));
  }

  read(file) {
    return this.exists(file) ? (this.drafts.get(file)?.text ?? ts.sys.readFile(file)) : undefined;
  }

  /** Add or replace a draft. `replaces` is the JavaScript file that the draft replaces. */
  draft(name, text, replaces) {
    const file = path.join(this.treeDir, name);
    const version = (this.drafts.get(file)?.version ?? 0) + 1;
    this.drafts.set(file, { text, version });
    if (replaces !== undefined) this.gone.add(path.join(this.treeDir, replaces));
  }

  /** Also report the errors of this file of another task. */
  witness(name) {
    this.witnesses.add(path.join(this.treeDir, name));
  }

  text(name) {
    return this.drafts.get(path.join(this.treeDir, name)).text;
  }

  source(name) {
    return this.service.getProgram().getSourceFile(path.join(this.treeDir, name));
  }

  /** The draft that a syntax tree belongs to, or `undefined` for a file of another task. */
  nameOf(source) {
    return this.drafts.has(source.fileName) ? path.relative(this.treeDir, source.fileName) : undefined;
  }

  get checker() {
    return this.service.getProgram().getTypeChecker();
  }

  /** The errors that tsc would report for one file. */
  diagnostics(name) {
    const file = path.join(this.treeDir, name);
    const all = [...this.service.getSyntacticDiagnostics(file), ...this.service.getSemanticDiagnostics(file)];
    return all.filter((diagnostic) => diagnostic.file !== undefined && diagnostic.start !== undefined);
  }

  /** Whether a draft parses. This is asked often, so it needs no full program. */
  parses(name) {
    const file = path.join(this.treeDir, name);
    return ts.createSourceFile(file, this.text(name), ts.ScriptTarget.Latest).parseDiagnostics.length === 0;
  }

  /** The edits of every fix of one kind that the language service offers for a file; `keep` filters and rewrites them. */
  fixes(name, fixId, keep = (edit) => edit) {
    const file = path.join(this.treeDir, name);
    let changes;
    try {
      changes = this.service.getCombinedCodeFix({ type: 'file', fileName: file }, fixId, FORMAT, {}).changes;
    } catch {
      return []; // the service fails on some code; the compiler then reports an error there
    }
    return changes
      .filter((change) => change.fileName === file)
      .flatMap((change) => change.textChanges)
      .map((change) => ({ start: change.span.start, end: change.span.start + change.span.length, text: change.newText }))
      .map(keep)
      .filter((edit) => edit !== undefined);
  }

  /** The file that a module path in a `require` leads to: a file of the project, a declaration file, or `undefined`. */
  resolve(specifier, fromName) {
    const from = path.join(this.treeDir, fromName);
    const host = { ...ts.sys, fileExists: (file) => this.exists(file), readFile: (file) => this.read(file) };
    const { resolvedModule } = ts.resolveModuleName(specifier, from, this.options, host, undefined, undefined, ts.ModuleKind.CommonJS);
    return resolvedModule?.resolvedFileName;
  }
}

export function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
