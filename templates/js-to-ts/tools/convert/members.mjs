// Declares members that a class creates by assignment: for `this.a = 1` it adds `declare a: number` to the class. A
// `declare` has no effect at run time; a field would be one more assignment.

import { ts } from '../project.mjs';
import { insert } from './edits.mjs';
import { enclosing, nodeAt } from './nodes.mjs';

const NO_SUCH_MEMBER = new Set([2339, 2551]);
const PLAIN = /^(string|number|boolean|RegExp|Date|Buffer|string\[\]|number\[\])$/;

/** Edits that declare members that these files use and their classes do not declare, as groups `{name, edits}`. */
export function declareMembers(bench, names) {
  const wanted = new Map(); // class → Map(member → is it static)
  for (const name of names) {
    const source = bench.source(name);
    for (const diagnostic of bench.diagnostics(name)) {
      if (!NO_SUCH_MEMBER.has(diagnostic.code)) continue;
      const member = nodeAt(source, diagnostic.start);
      const access = member.parent;
      if (!ts.isPropertyAccessExpression(access) || access.name !== member || !ts.isIdentifier(member)) continue;
      const owner = ownerOf(access.expression, bench.checker);
      if (owner === undefined || bench.nameOf(owner.declaration.getSourceFile()) === undefined) continue;
      const members = wanted.get(owner.declaration) ?? new Map();
      wanted.set(owner.declaration, members.set(`${owner.isStatic ? 'static ' : ''}${member.text}`, owner.isStatic));
    }
  }
  const groups = [];
  for (const [declaration, members] of wanted) {
    const source = declaration.getSourceFile();
    const indent = indentOf(declaration, source);
    const lines = [...members].map(([key, isStatic]) => {
      const member = key.replace(/^static /, '');
      return `\n${indent}declare ${isStatic ? 'static ' : ''}${member}: ${typeOf(declaration, member, bench.checker)};`;
    });
    groups.push({ name: bench.nameOf(source), edits: [insert(declaration.members.pos, lines.join(''))] });
  }
  return groups;
}

/** The class of the object in a member access, and whether the member is static. */
function ownerOf(expression, checker) {
  if (expression.kind === ts.SyntaxKind.ThisKeyword) {
    const element = enclosing(expression, (node) => ts.isFunctionDeclaration(node) || ts.isFunctionExpression(node) || ts.isClassElement(node));
    if (element === undefined || !ts.isClassLike(element.parent)) return undefined;
    const isStatic = ts.getModifiers(element)?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword) ?? false;
    return { declaration: element.parent, isStatic };
  }
  const type = checker.getTypeAtLocation(expression);
  const declaration = type.getSymbol()?.declarations?.find(ts.isClassLike);
  return declaration === undefined ? undefined : { declaration, isStatic: checker.typeToString(type).startsWith('typeof ') };
}

function indentOf(declaration, source) {
  const first = declaration.members[0];
  if (first === undefined) return '  ';
  const start = first.getStart(source);
  return /[ \t]*$/.exec(source.text.slice(0, start))[0] || '  ';
}

/** The types that a class assigns to one of its members, if they are all plain; otherwise `any`. */
function typeOf(declaration, member, checker) {
  const types = new Set();
  const visit = (node) => {
    if (isAssignmentTo(node, member)) {
      types.add(checker.typeToString(checker.getBaseTypeOfLiteralType(checker.getTypeAtLocation(node.right))));
    }
    ts.forEachChild(node, visit);
  };
  visit(declaration);
  const all = [...types];
  return all.length > 0 && all.every((type) => PLAIN.test(type)) ? all.join(' | ') : 'any';
}

function isAssignmentTo(node, member) {
  if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return false;
  const { left } = node;
  return ts.isPropertyAccessExpression(left) && left.expression.kind === ts.SyntaxKind.ThisKeyword && left.name.text === member;
}
