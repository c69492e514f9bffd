// The TypeScript language service over one worktree: the task's files in memory, all else from disk.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { compilerOptions, isSource, treeFiles, ts } from '../project.mjs';
import { applyEdits } from './edits.mjs';

const FORMAT = { indentSize: 2, tabSize: 2, convertTabsToSpaces: true, newLineCharacter: '\n', semicolons: 'ignore' };

export class Workbench {
  /** @param {string} treeDir the worktree; @param {string} rootDir where node_modules are */
  constructor(treeDir, rootDir) {
    this.treeDir = treeDir;
    this.options = compilerOptions(rootDir);
    this.drafts = new Map(); // absolute path → { text, version }
    this.gone = new Set(); // the JavaScript that a draft replaces
    this.neighbours = treeFiles(treeDir).filter(isSource).map((name) => path.join(treeDir, name));
    this.service = ts.createLanguageService(this.#host(), ts.createDocumentRegistry());
  }

  #host() {
    const exists = (file) => this.drafts.has(file) || (!this.gone.has(file) && ts.sys.fileExists(file));
    const read = (file) => (exists(file) ? (this.drafts.get(file)?.text ?? ts.sys.readFile(file)) : undefined);
    return {
      getCompilationSettings: () => this.options,
      getCurrentDirectory: () => this.treeDir,
      getDefaultLibFileName: (options) => ts.getDefaultLibFilePath(options),
      getScriptFileNames: () => [
        ...this.drafts.keys(),
        ...this.neighbours.filter((file) => !this.gone.has(file) && !this.drafts.has(file)),
      ],
      getScriptVersion: (file) => String(this.drafts.get(file)?.version ?? 0),
      getScriptSnapshot: (file) => {
        const text = read(file);
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
      },
      fileExists: exists,
      readFile: read,
      directoryExists: ts.sys.directoryExists,
      getDirectories: ts.sys.getDirectories,
      readDirectory: ts.sys.readDirectory,
      realpath: ts.sys.realpath,
    };
  }

  /** Take a file to the bench. `replaces` is the JavaScript that is no longer there once the draft is. */
  draft(name, text, replaces) {
    const file = path.join(this.treeDir, name);
    const version = (this.drafts.get(file)?.version ?? 0) + 1;
    this.drafts.set(file, { text, version });
    if (replaces !== undefined) this.gone.add(path.join(this.treeDir, replaces));
  }

  text(name) {
    return this.drafts.get(path.join(this.treeDir, name)).text;
  }

  source(name) {
    return this.service.getProgram().getSourceFile(path.join(this.treeDir, name));
  }

  get checker() {
    return this.service.getProgram().getTypeChecker();
  }

  /** What tsc would say about one file. */
  diagnostics(name) {
    const file = path.join(this.treeDir, name);
    const all = [...this.service.getSyntacticDiagnostics(file), ...this.service.getSemanticDiagnostics(file)];
    return all.filter((diagnostic) => diagnostic.file !== undefined && diagnostic.start !== undefined);
  }

  parses(name) {
    return this.service.getSyntacticDiagnostics(path.join(this.treeDir, name)).length === 0;
  }

  /** Make every fix of one kind that the language service offers for a file; `keep` filters and rewrites the edits. */
  fixAll(name, fixId, keep = (edit) => edit) {
    const file = path.join(this.treeDir, name);
    let changes;
    try {
      changes = this.service.getCombinedCodeFix({ type: 'file', fileName: file }, fixId, FORMAT, {}).changes;
    } catch {
      return 0; // the service gives up on some code; what it would have found is then found as an error
    }
    const edits = changes
      .filter((change) => change.fileName === file)
      .flatMap((change) => change.textChanges)
      .map((change) => ({ start: change.span.start, end: change.span.start + change.span.length, text: change.newText }))
      .map(keep)
      .filter((edit) => edit !== undefined);
    if (edits.length > 0) this.draft(name, applyEdits(this.text(name), edits));
    return edits.length;
  }

  /** What a module path means from a file: the project's file, a declaration file, or `undefined`. */
  resolve(specifier, fromName) {
    const from = path.join(this.treeDir, fromName);
    const host = { fileExists: (file) => this.drafts.has(file) || ts.sys.fileExists(file), readFile: ts.sys.readFile };
    return ts.resolveModuleName(specifier, from, this.options, host, undefined, undefined, ts.ModuleKind.CommonJS)
      .resolvedModule?.resolvedFileName;
  }
}

export function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
