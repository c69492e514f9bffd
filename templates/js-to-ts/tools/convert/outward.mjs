// Gives an export of this task a wider type if it causes errors in files of other tasks.

import path from 'node:path';
import { existsSync } from 'node:fs';
import { ts } from '../project.mjs';
import { applyEdits, insert, replace, unique } from './edits.mjs';
import { annotate, isDeclaration, makeOptional } from './fixes/annotations.mjs';
import { covering, enclosing, nodeAt } from './nodes.mjs';

/** Widen this bench's drafts so that the reported errors in other files go away, as far as they cause them. */
export function widenExports(bench, errors, isSound) {
  const others = [...new Set(errors.map((error) => error.file))].filter((name) => existsSync(path.join(bench.treeDir, name)));
  for (const name of others) bench.witness(name);
  const groups = [];
  for (const name of others) {
    const source = bench.source(name);
    for (const diagnostic of bench.diagnostics(name)) {
      const { line } = source.getLineAndCharacterOfPosition(diagnostic.start);
      const isReported = errors.some((error) => error.file === name && error.line === line + 1 && error.code === diagnostic.code);
      const group = isReported ? widen(bench, source, diagnostic) : undefined;
      if (group !== undefined) groups.push({ ...group, what: `${name}(${line + 1}): TS${diagnostic.code}: export widened` });
    }
  }
  return unique(groups).flatMap((group) => make(bench, group, isSound));
}

function make(bench, { name, edits, what }, isSound) {
  const before = bench.text(name);
  bench.draft(name, applyEdits(before, edits));
  if (isSound(name)) return [what];
  bench.draft(name, before);
  return [];
}

/** The edits for a wider type of the export that an error in another file is about, if it is in a file of this task. */
function widen(bench, source, diagnostic) {
  const { checker } = bench;
  const optional = makeOptional({ diagnostic, bench });
  if (optional !== undefined) return optional;
  const node = nodeAt(source, diagnostic.start);
  const call = enclosing(covering(node, diagnostic), (found) => ts.isCallExpression(found) || ts.isNewExpression(found));
  const parameter = call === undefined ? undefined : parameterFor(call, node, checker);
  for (const declaration of [parameter, ...declarationsOf(node, checker)]) {
    const name = declaration === undefined ? undefined : bench.nameOf(declaration.getSourceFile());
    const edits = name === undefined ? undefined : toAny(declaration);
    if (edits !== undefined) return { name, edits };
  }
  return undefined;
}

/** The parameter that receives the argument at a place. */
function parameterFor(call, node, checker) {
  const index = call.arguments?.findIndex((argument) => argument.pos <= node.pos && node.end <= argument.end) ?? -1;
  return index < 0 ? undefined : checker.getResolvedSignature(call)?.declaration?.parameters[index];
}

/** The declarations of the name at a place, and of the object if the place is a member access. */
function declarationsOf(node, checker) {
  const access = enclosing(node, (found) => ts.isPropertyAccessExpression(found) || ts.isElementAccessExpression(found));
  const places = [node, access?.expression].filter((place) => place !== undefined);
  return places.flatMap((place) => {
    const symbol = checker.getSymbolAtLocation(place);
    const target = symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return target?.declarations ?? [];
  });
}

function toAny(declaration) {
  const source = declaration.getSourceFile();
  if (ts.isFunctionLike(declaration)) {
    if (declaration.type !== undefined) return [replace(declaration.type, source, 'any')];
    const close = declaration.getChildren(source).find(({ kind }) => kind === ts.SyntaxKind.CloseParenToken);
    return close === undefined ? undefined : [insert(close.end, ': any')];
  }
  if (!isDeclaration(declaration)) return undefined;
  if (declaration.type === undefined) return annotate(declaration, 'any', source);
  return declaration.type.getText(source) === 'any' ? undefined : [replace(declaration.type, source, 'any')];
}
